package pop3d

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line, keyword, argument string
		ok                      bool
	}{
		{"STAT", "STAT", "", true},
		{"list 3", "LIST", "3", true},
		{"PASS  two spaces before, one behind ", "PASS", " two spaces before, one behind ", true},
		{"UTF8", "UTF8", "", true},
		{"", "", "", false},
		{" STAT", "", "", false},
		{"STAT\t1", "", "", false},
		{"\x16\x03\x01\x02", "", "", false},
		{strings.Repeat("A", 17), "", "", false},
	} {
		got, ok := parse([]byte(c.line))
		if ok != c.ok || got.Keyword != c.keyword || got.Argument != c.argument {
			t.Errorf("parse(%q) = %+v, %v", c.line, got, ok)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		argument string
		n        int
		ok       bool
	}{
		{"", 0, true}, {"1", 1, true}, {"1 20", 2, true}, {"1  20 ", 2, true},
		{"1", 0, false}, {"", 1, false}, {"-1", 1, false}, {"1 2 3", 2, false}, {"0x1", 1, false},
		{"9999999999", 1, false}, {"999999999", 1, true}, {"١", 1, false},
	} {
		if _, ok := (command{Argument: c.argument}).numbers(c.n); ok != c.ok {
			t.Errorf("%q as %d numbers: %v", c.argument, c.n, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"STAT", "PASS  a b ", "TOP 1 10", "LIST 0001", "AUTH PLAIN =", "\x00", "QUIT "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := parse(b)
		if !ok {
			return
		}
		again, ok := parse([]byte(c.String()))
		if !ok || again != c {
			t.Fatalf("%q prints as %q, which reads as %+v", b, c.String(), again)
		}
		for n := range 3 {
			if v, ok := c.numbers(n); ok && len(v) != n {
				t.Fatalf("%q gives %v for %d numbers", c.Argument, v, n)
			}
		}
	})
}

// TestFaults fixes the door's column of the table of errors.
func TestFaults(t *testing.T) {
	want := map[fault.Kind]string{
		fault.Internal:        "-ERR [SYS/TEMP] ",
		fault.Unavailable:     "-ERR [SYS/TEMP] ",
		fault.Corrupt:         "-ERR [SYS/PERM] ",
		fault.Invalid:         "-ERR ",
		fault.Unsupported:     "-ERR ",
		fault.NotFound:        "-ERR ",
		fault.Expunged:        "-ERR ",
		fault.Exists:          "-ERR ",
		fault.Unauthenticated: "-ERR [AUTH] ",
		fault.Denied:          "-ERR ",
		fault.Conflict:        "-ERR [IN-USE] ",
		fault.OverQuota:       "-ERR ",
		fault.TooLarge:        "-ERR ",
		fault.TooMany:         "-ERR [LOGIN-DELAY] ",
		fault.CrossShard:      "-ERR [SYS/TEMP] ",
	}
	for _, k := range fault.Kinds() {
		prefix, ok := want[k]
		if !ok {
			t.Errorf("%v has no row", k)
			continue
		}
		if got := negative(fault.New(k, "op", "")); got != prefix+fault.Public(fault.New(k, "", "")) {
			t.Errorf("%v: %q", k, got)
		}
		if got := negative(fault.New(k, "op", "a\r\nb\x00é")); got != prefix+"a??b???" {
			t.Errorf("%v lets octets through: %q", k, got)
		}
	}
	if got := negative(fault.New(fault.Unsupported, "op", utf8Needed)); !strings.HasPrefix(got, "-ERR [UTF8] ") {
		t.Errorf("UTF8: %q", got)
	}
}

// slow gives n octets a read, so that every border falls everywhere once.
type slow struct {
	b []byte
	n int
}

func (s *slow) Read(p []byte) (int, error) {
	n := min(s.n, len(p), len(s.b))
	copy(p, s.b[:n])
	s.b = s.b[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// stuff copies a message through a stuffer.
func stuff(w io.Writer, r io.Reader, buf []byte) error {
	s := newStuffer(w)
	if _, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{r}, buf); err != nil {
		return err
	}
	return s.end()
}

func TestStuff(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"", ""},
		{".", "..\r\n"},
		{"a", "a\r\n"},
		{"a\r", "a\r\r\n"},
		{"a\r\n", "a\r\n"},
		{".\r\n.\r\n", "..\r\n..\r\n"},
		{"a.b\r\n..\r\n\r\n.c\r\n", "a.b\r\n...\r\n\r\n..c\r\n"},
		{"a\n.\r\nb\r\n", "a\n..\r\nb\r\n"},
		{"a\n", "a\n\r\n"},
	} {
		for n := 1; n < 8; n++ {
			var got bytes.Buffer
			if err := stuff(&got, &slow{[]byte(c.in), n}, make([]byte, 5)); err != nil || got.String() != c.out {
				t.Errorf("%q by %d: %q, %v", c.in, n, got.String(), err)
			}
		}
	}
}

func TestTop(t *testing.T) {
	const m = "A: b\r\nc\n x\r\n\r\none\r\n\r\nthree\r\nno end"
	for _, c := range []struct {
		in    string
		lines int
		out   string
	}{
		{m, 0, "A: b\r\nc\n x\r\n\r\n"},
		{m, 1, "A: b\r\nc\n x\r\n\r\none\r\n"},
		{m, 2, "A: b\r\nc\n x\r\n\r\none\r\n\r\n"},
		{m, 3, "A: b\r\nc\n x\r\n\r\none\r\n\r\nthree\r\n"},
		{m, 4, m}, {m, 999999999, m},
		{"A: b\r\n", 5, "A: b\r\n"},
		{"\r\nbody\r\n", 0, "\r\n"},
		{"", 3, ""},
	} {
		for n := 1; n < 8; n++ {
			got, err := top(&slow{[]byte(c.in), n}, c.lines, make([]byte, 5))
			if err != nil || c.in[:got] != c.out {
				t.Errorf("%d lines of %q by %d: %q, %v", c.lines, c.in, n, c.in[:got], err)
			}
		}
	}
}

// FuzzStuff unstuffs what was stuffed, as a client does that reads by LF.
func FuzzStuff(f *testing.F) {
	f.Add([]byte("a\r\n.\r\n..b\r\n"), 3)
	f.Add([]byte("a\n.\r\nb"), 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		var out bytes.Buffer
		n = 1 + abs(n)%64
		if err := stuff(&out, &slow{b, n}, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		var back bytes.Buffer
		for l := range bytes.Lines(out.Bytes()) {
			if l[0] == '.' {
				if bytes.Equal(l, []byte(".\r\n")) {
					t.Fatalf("%q ends early as %q", b, out.Bytes())
				}
				l = l[1:]
			}
			back.Write(l)
		}
		if want := string(b); back.String() != want && back.String() != want+"\r\n" {
			t.Fatalf("%q comes back as %q", b, back.String())
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

func BenchmarkStuff(b *testing.B) {
	m := []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 14500) + ".\r\n")
	buf, out := make([]byte, chunk), bytes.NewBuffer(make([]byte, 0, len(m)+10))
	b.SetBytes(int64(len(m)))
	for b.Loop() {
		out.Reset()
		if err := stuff(out, bytes.NewReader(m), buf); err != nil {
			b.Fatal(err)
		}
	}
}
