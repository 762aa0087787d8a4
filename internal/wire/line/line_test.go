package line

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// slow reads a line the obvious way.
func slow(s string, limit int) (line, rest string, err error) {
	i := strings.IndexByte(s, '\n')
	switch {
	case s == "":
		return "", "", io.EOF
	case i < 0:
		return "", "", io.ErrUnexpectedEOF
	}
	line, rest = s[:i+1], s[i+1:]
	switch {
	case len(line) > limit+2:
		return "", rest, ErrTooLong
	case !strings.HasSuffix(line, "\r\n"):
		return "", rest, ErrBare
	}
	line = strings.TrimSuffix(line, "\r\n")
	if strings.ContainsAny(line, "\r\x00") {
		return "", rest, ErrBare
	}
	return line, rest, nil
}

// chop reads at most n octets at a time.
type chop struct {
	r io.Reader
	n int
}

func (c chop) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

func compare(t *testing.T, in string, limit, step int) {
	t.Helper()
	r := NewReader(chop{strings.NewReader(in), step})
	rest := in
	for {
		got, err := r.ReadLine(limit)
		want, left, wantErr := slow(rest, limit)
		rest = left
		if string(got) != want || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
			t.Fatalf("limit %d, step %d: %.60q, %v, want %.60q, %v", limit, step, got, err, want, wantErr)
		}
		if cap(r.long) > 2*(limit+3)+bufferSize || len(r.buf) > maxBuffer {
			t.Fatalf("holds %d and %d octets", cap(r.long), len(r.buf))
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return
		}
	}
}

func TestReadLine(t *testing.T) {
	x := strings.Repeat("x", 4090)
	for _, in := range []string{
		"", "\r\n", "a\r\n", "a\r\nb\r\n", "a\nb\r\n", "a\rb\r\n", "a\x00b\r\n", "\n", "\r", "\r\r\n", "a", "a\r",
		"12345678\r\n", "123456789\r\n", "12345678\n", "1234567\n", "12345678\r\r\n", "123456789\r\r\n", "1234567\r\r\n",
		x + "\r\n" + x + "\r\nok\r\n", x + "123456\r\nok\r\n", x + "1234\r\n", x + "12345\r\n", x + x + "\r" + x + "\nok\r\n", x,
		x + "1234\rno\nok\r\n", strings.Repeat("NOOP\r\n", 20000),
	} {
		for _, limit := range []int{8, 4090, 5000, 20000} {
			for _, step := range []int{1, 7, 1 << 20} {
				compare(t, in, limit, step)
			}
		}
	}
}

func FuzzReadLine(f *testing.F) {
	f.Add("EHLO a\r\nNOOP\nQUIT\r\n", uint16(10), uint16(3))
	f.Add(strings.Repeat("y", 5000)+"\r\n\r\n", uint16(4100), uint16(4096))
	f.Fuzz(func(t *testing.T, in string, limit, step uint16) { compare(t, in, int(limit), int(step)+1) })
}

func TestLiteral(t *testing.T) {
	big := strings.Repeat("z\n", 40000)
	for _, step := range []int{1, 5, 1 << 20} {
		r := NewReader(iotest.DataErrReader(chop{strings.NewReader("a\r\n" + big + "b\r\nskip\r\nxc\r\nend"), step}))
		mustLine(t, r, "a")
		got, err := io.ReadAll(r.Literal(int64(len(big))))
		if err != nil || string(got) != big {
			t.Fatalf("step %d: literal of %d octets, %v", step, len(got), err)
		}
		mustLine(t, r, "b")
		if err := r.Discard(7); err != nil {
			t.Fatal(err)
		}
		if p, err := r.Peek(2); err != nil || string(p) != "c\r" {
			t.Fatalf("peek %q, %v", p, err)
		}
		mustLine(t, r, "c")
		if got, err := io.ReadAll(r.Literal(4)); string(got) != "end" || err != io.ErrUnexpectedEOF {
			t.Fatalf("cut literal %q, %v", got, err)
		}
		if err := r.Discard(1); err != io.ErrUnexpectedEOF {
			t.Fatalf("cut discard: %v", err)
		}
		if p, err := r.Peek(1); len(p) != 0 || err != io.EOF {
			t.Fatalf("peek at the end %q, %v", p, err)
		}
		if n, err := r.Literal(0).Read(nil); n != 0 || err != io.EOF {
			t.Fatalf("empty literal: %d, %v", n, err)
		}
	}
}

func mustLine(t *testing.T, r *Reader, want string) {
	t.Helper()
	if got, err := r.ReadLine(100); err != nil || string(got) != want {
		t.Fatalf("line %q, %v, want %q", got, err, want)
	}
}

// TestReset: what came before TLS is thrown away (RFC 3207 §4.2).
func TestReset(t *testing.T) {
	r := NewReader(strings.NewReader("STARTTLS\r\nMAIL FROM:<evil@example>\r\n"))
	mustLine(t, r, "STARTTLS")
	if r.Buffered() == 0 {
		t.Fatal("nothing buffered")
	}
	r.Reset(strings.NewReader("EHLO good\r\n"))
	mustLine(t, r, "EHLO good")
}

// TestWindow: the window grows as far as it may, and waiting for a line gives
// the memory back.
func TestWindow(t *testing.T) {
	r := NewReader(bytes.NewReader(bytes.Repeat([]byte{'w'}, 1<<20)))
	var err error
	for err == nil {
		err = r.More()
	}
	if err != io.ErrShortBuffer || r.Buffered() != maxBuffer {
		t.Fatalf("window of %d, %v", r.Buffered(), err)
	}
	r.Take(maxBuffer)
	r.Reset(strings.NewReader("x\r\n"))
	mustLine(t, r, "x")
	if len(r.buf) != keepBuffer {
		t.Errorf("still holds %d", len(r.buf))
	}
	if err := NewReader(stuck{}).More(); err != io.ErrNoProgress {
		t.Errorf("a source that gives nothing: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// TestRest reads on after a rest, lines of every length.
func TestRest(t *testing.T) {
	var in strings.Builder
	lengths := []int{0, 10, restBuffer - 2, restBuffer, restBuffer + 1, 3000, 5000, 70_000, 1}
	for _, n := range lengths {
		in.WriteString(strings.Repeat("x", n) + "\r\n")
	}
	for _, at := range []int{1, 7, 300, 100_000} {
		r := NewReader(&chunks{in.String(), at})
		for _, n := range lengths {
			r.Rest()
			if got, err := r.ReadLine(100_000); err != nil || len(got) != n {
				t.Fatalf("%d octets at a time: %d octets of %d, %v", at, len(got), n, err)
			}
		}
		r.Rest()
		if len(r.buf) != restBuffer {
			t.Errorf("a buffer of %d octets rests", len(r.buf))
		}
	}
}

// chunks gives so many octets a read.
type chunks struct {
	s string
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), c.n)], c.s)
	c.s = c.s[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
