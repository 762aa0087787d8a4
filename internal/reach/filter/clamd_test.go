package filter

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// runClamd runs a clamd that reads at most enough octets, answers and closes.
func runClamd(t *testing.T, enough int, answer string, wait time.Duration) (c *Clamd, got func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clamd")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	read := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		read <- instream(c, enough)
		time.Sleep(wait)
		_, _ = io.WriteString(c, answer)
	}()
	return NewClamd(ClamdOptions{Network: "unix", Address: path, Timeout: 500 * time.Millisecond}), func() string { return <-read }
}

// instream reads what clamd's INSTREAM takes.
func instream(r io.Reader, enough int) string {
	command := make([]byte, len("zINSTREAM\x00"))
	if _, err := io.ReadFull(r, command); err != nil || string(command) != "zINSTREAM\x00" {
		return "no command"
	}
	var b strings.Builder
	for b.Len() < enough {
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return "no length"
		}
		if binary.BigEndian.Uint32(n[:]) == 0 {
			break
		}
		if _, err := io.CopyN(&b, r, int64(binary.BigEndian.Uint32(n[:]))); err != nil {
			return "half a piece"
		}
	}
	return b.String()
}

func TestClamd(t *testing.T) {
	const all = 1 << 30
	long := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 50_000)
	virus := Opinion{Says: Reject, Reason: "Eicar-Test", Reply: smtp.Answer(554, smtp.Enhanced{5, 7, 0}, "the message holds a virus: Eicar-Test")}
	for _, c := range []struct {
		name, text, answer string
		want               Opinion
	}{
		{"clean", letter, "stream: OK\x00", Opinion{}},
		{"clean and long", long, "stream: OK\x00", Opinion{}},
		{"a virus", letter, "stream: Eicar-Test FOUND\x00", virus},
	} {
		k, got := runClamd(t, all, c.answer, 0)
		if o := k.Ask(t.Context(), shown(c.text)); !reflect.DeepEqual(o, c.want) {
			t.Errorf("%s: %+v", c.name, o)
		}
		if got() != c.text {
			t.Errorf("%s: it was sent something else", c.name)
		}
	}
	for name, answer := range map[string]string{
		"closes": "", "no end": "stream: OK", "garbage": "HTTP/1.1 200 OK\r\n\r\n\x00", "an error": "stream: Can't allocate memory ERROR\x00",
		"without end": strings.Repeat("x", 1<<20), "found nothing": "stream: FOUND\x00x",
	} {
		k, _ := runClamd(t, all, answer, 0)
		if o := k.Ask(t.Context(), shown(letter)); o.Err == nil || o.Says != Nothing {
			t.Errorf("%s: %+v", name, o)
		}
	}
	k, _ := runClamd(t, all, "stream: OK\x00", 2*time.Second)
	if o := k.Ask(t.Context(), shown(letter)); o.Err == nil {
		t.Errorf("silence: %+v", o)
	}
	if o := k.Ask(t.Context(), shown(letter)); o.Err == nil {
		t.Errorf("nobody: %+v", o)
	}
}

// TestClamdEnough has a clamd that refuses in the middle of a large message.
func TestClamdEnough(t *testing.T) {
	long := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 500_000)
	k, _ := runClamd(t, 1<<20, "INSTREAM size limit exceeded. ERROR\x00", 0)
	if o := k.Ask(t.Context(), shown(long)); !errors.Is(o.Err, ErrTooLarge) && !strings.Contains(o.Err.Error(), "pipe") && !strings.Contains(o.Err.Error(), "reset") {
		t.Errorf("%+v", o)
	}
}

// TestUnreadable has a message that cannot be read to its end: no filter may
// take what it has for the whole.
func TestUnreadable(t *testing.T) {
	broken := errors.New("the disk is broken")
	m := shown(letter)
	m.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("Subject: x\r\n"), failing{broken})), nil
	}
	k, _ := runClamd(t, 1<<30, "stream: OK\x00", 0)
	if o := k.Ask(t.Context(), m); !errors.Is(o.Err, broken) {
		t.Errorf("%+v", o)
	}
	m.Open = func() (io.ReadCloser, error) { return nil, broken }
	for _, a := range []Asker{k, NewRspamd(HTTPOptions{URL: "http://127.0.0.1:1"}), NewHook(HookOptions{})} {
		if o := a.Ask(t.Context(), m); !errors.Is(o.Err, broken) {
			t.Errorf("%T: %+v", a, o)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
