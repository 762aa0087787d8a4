package smtpd

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// machine is what a session is by the book (RFC 5321 §4.1.4, RFC 3030 §2, RFC
// 2033 §4.2): small enough to be seen right. It says a client's commands, the
// first digit of each reply to them, and the messages that are taken.
type machine struct {
	lmtp bool
	say  strings.Builder
	want []byte
	took []string

	greeted, begun, chunking, over bool
	rcpts                          []string
	content                        strings.Builder
}

// command says a line whose reply begins with a digit.
func (m *machine) command(line string, digit byte) {
	m.say.WriteString(line + "\r\n")
	m.want = append(m.want, digit)
}

func (m *machine) reset() {
	m.begun, m.chunking, m.rcpts = false, false, nil
	m.content.Reset()
}

// end is the end of content that is whole, or unfit.
func (m *machine) end(fit bool) {
	replies := []byte{'5'}
	if fit {
		m.took = append(m.took, m.content.String())
		replies = replies[:0]
		for _, r := range m.rcpts {
			replies = append(replies, map[bool]byte{true: '4', false: '2'}[r == "late"])
		}
	}
	switch {
	case !m.lmtp:
		replies = []byte{slices.Min(replies)}
	case !fit:
		replies = slices.Repeat(replies, len(m.rcpts))
	}
	m.want = append(m.want, replies...)
	m.reset()
}

// step does one of the things that a client may do, in place or not; arg picks
// one of several ways.
func (m *machine) step(what, arg byte) {
	if m.over {
		return
	}
	refusedIf := func(refused bool, digit byte) byte { return map[bool]byte{true: '5', false: digit}[refused] }
	switch what % 11 {
	case 0:
		m.command(map[bool]string{true: "LHLO x", false: "EHLO x"}[m.lmtp], '2')
		m.reset()
		m.greeted = true
	case 1, 2:
		from := []string{"a", "refused"}[arg%5/4]
		ok := m.greeted && !m.begun && from == "a"
		m.command("MAIL FROM:<"+from+"@b.example>", refusedIf(!ok, '2'))
		m.begun = m.begun || ok
	case 3, 4:
		to := []string{"x", "y", "late", "unknown"}[arg%4]
		ok := m.begun && !m.chunking && to != "unknown"
		m.command("RCPT TO:<"+to+"@c.example>", refusedIf(!ok, '2'))
		if ok {
			m.rcpts = append(m.rcpts, to)
		}
	case 5, 6:
		m.data(arg)
	case 7:
		m.chunk(arg)
	case 8:
		m.command("RSET", '2')
		m.reset()
	case 9:
		m.command([]string{"NOOP", "VRFY x", "EXPN x", "WHAT", "HELP"}[arg%5], "22552"[arg%5])
	case 10:
		if arg%8 == 0 {
			m.command("QUIT", '2')
			m.over = true
		}
	}
}

// data is DATA with content that is whole, unfit, or ends with the connection.
func (m *machine) data(arg byte) {
	if len(m.rcpts) == 0 || m.chunking {
		m.command("DATA", '5')
		return
	}
	m.command("DATA", '3')
	lines := []string{"", "Subject: x\r\n\r\nhi\r\n", "..\r\n.\r\n", "RSET\r\nQUIT\r\n"}[arg%4]
	sent := strings.ReplaceAll("\r\n"+lines, "\r\n.", "\r\n..")[2:]
	switch arg / 4 % 4 {
	case 0, 1:
		m.content.WriteString(lines)
		m.say.WriteString(sent + ".\r\n")
		m.end(true)
	case 2:
		m.say.WriteString(sent + []string{"a\nb", "a\rb", "a\n.\nb", "a\x00b"}[arg/16%4] + "\r\n.\r\n")
		m.end(false)
	case 3: // never ended, so never answered
		m.say.WriteString(sent + []string{"", ".", ".\r", "half a line"}[arg/16%4])
		m.over = true
	}
}

// chunk is BDAT: one of several chunks, the last one, or one that is cut short.
func (m *machine) chunk(arg byte) {
	const part = "To: x\r\n.\r\nRSET\r\n"
	last := arg%2 == 1
	line := fmt.Sprintf("BDAT %d%s\r\n", len(part), map[bool]string{true: " LAST", false: ""}[last])
	if arg/2%8 == 0 {
		m.say.WriteString(line + part[:len(part)-1])
		m.over = true
		return
	}
	m.say.WriteString(line + part)
	if len(m.rcpts) == 0 {
		m.want = append(m.want, '5')
		return
	}
	m.chunking = true
	m.content.WriteString(part)
	if last {
		m.end(true)
		return
	}
	m.want = append(m.want, '2')
}

// try has a session do what a program of bytes says, and compares.
func try(t *testing.T, lmtp bool, program []byte, pieces int) {
	t.Helper()
	m := &machine{lmtp: lmtp}
	for i := 0; i+1 < len(program) && i < 60; i += 2 {
		m.step(program[i], program[i+1])
	}
	h := &recorder{}
	o := Options{Mode: Relay}
	if lmtp {
		o.Mode = LMTP
	}
	in := m.say.String()
	out := converseWith(t, h, o, in, pieces)
	got := []byte{}
	for l := range strings.Lines(out) {
		if len(l) > 3 && l[3] == ' ' {
			got = append(got, l[0])
		}
	}
	if want := "2" + string(m.want); string(got) != want {
		t.Fatalf("%q\nis answered %s, want %s:\n%s", in, got, want, out)
	}
	var took []string
	for l := range strings.Lines(h.take()) {
		if text, ok := strings.CutPrefix(strings.TrimSuffix(l, "\n"), "content "); ok {
			took = append(took, text)
		}
	}
	for i, c := range m.took {
		m.took[i] = fmt.Sprintf("%q", c)
	}
	if !slices.Equal(took, m.took) {
		t.Fatalf("%q\nis taken as %s, want %s", in, took, m.took)
	}
}

// FuzzMachine: whatever commands come, in whatever order, the session is that of
// the book. Content that does not end is never accepted.
func FuzzMachine(f *testing.F) {
	f.Add(false, uint8(3), []byte{0, 0, 1, 0, 3, 0, 5, 1, 1, 0, 3, 2, 3, 1, 5, 12})
	f.Add(true, uint8(200), []byte{0, 0, 1, 0, 3, 0, 3, 2, 3, 3, 7, 4, 9, 0, 7, 3, 5, 8})
	f.Add(false, uint8(0), []byte{1, 0, 3, 0, 5, 0, 0, 0, 1, 0, 7, 2, 3, 0, 7, 2, 1, 0, 3, 0, 5, 0, 8, 0, 7, 0})
	f.Fuzz(func(t *testing.T, lmtp bool, pieces uint8, program []byte) { try(t, lmtp, program, int(pieces)+1) })
}

// TestCutBetweenChunks: a connection that ends between two chunks is not the end
// of the message.
func TestCutBetweenChunks(t *testing.T) {
	for _, mode := range []Mode{Relay, LMTP} {
		h := &recorder{}
		hello := map[Mode]string{Relay: "EHLO", LMTP: "LHLO"}[mode]
		out := converseWith(t, h, Options{Mode: mode}, hello+" x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@b.example>\r\nBDAT 3\r\na\r\n", 1000)
		if took := h.take(); strings.Contains(took, "content") || strings.Contains(out, "Accepted") {
			t.Errorf("%s\n%s", took, out)
		}
	}
}

// TestMachine is FuzzMachine for programs that are drawn.
func TestMachine(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	for i := range 1500 {
		program := make([]byte, 2+2*r.IntN(24))
		for j := range program {
			program[j] = byte(r.Uint32())
		}
		if i%2 == 0 { // half of them get somewhere
			program = append([]byte{0, 0, 1, 0, 3, byte(i)}, program...)
		}
		try(t, i%3 == 0, program, []int{1, 7, 10_000}[i%3])
	}
}
