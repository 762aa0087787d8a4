package imap

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestDateTime(t *testing.T) {
	for _, d := range []time.Time{
		time.Date(1994, 2, 8, 1, 0, 0, 0, time.FixedZone("", 9*3600)),
		time.Date(2026, 11, 24, 23, 59, 59, 0, time.UTC),
		time.Date(99, 12, 31, 0, 0, 1, 0, time.FixedZone("", -(3*3600+30*60))),
		time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, want := string(appendDateTime(nil, d)), d.Format("_2-Jan-2006 15:04:05 -0700"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestLend writes more than was lent: what comes out is the same, in larger
// pieces, and the buffer comes back.
func TestLend(t *testing.T) {
	w := &counter{}
	e := Encoder{W: w}
	e.Raw("before ")
	e.Lend(make([]byte, 0, 64<<10))
	for range 10_000 {
		e.String("twenty-two octets long").SP()
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "before " + strings.Repeat(`"twenty-two octets long" `, 10_000); w.String() != want {
		t.Errorf("%d octets, want %d", w.Len(), len(want))
	}
	if w.writes > 6 {
		t.Errorf("%d writes", w.writes)
	}
	if lent := e.Release(); cap(lent) != 64<<10 || e.Release() != nil {
		t.Errorf("%d octets came back", cap(lent))
	}
}

type counter struct {
	bytes.Buffer
	writes int
}

func (c *counter) Write(p []byte) (int, error) {
	c.writes++
	return c.Buffer.Write(p)
}

// source gives n octets by WriteTo, and then fails.
type source struct {
	n   int
	err error
}

func (s source) Read([]byte) (int, error) { return 0, errors.New("not to be read") }

func (s source) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(bytes.Repeat([]byte("x"), s.n))
	return int64(n), errors.Join(err, s.err)
}

func TestLiteralPastTheBuffer(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		from source
		err  error
	}{
		{"whole", source{n: 40_000}, nil},
		{"short", source{n: 39_999}, io.ErrUnexpectedEOF},
		{"broken", source{20_000, broken}, broken},
	} {
		w := &counter{}
		e := Encoder{W: w}
		err := e.Untagged().Literal(40_000, c.from)
		e.Raw(")")
		if !errors.Is(err, c.err) || !errors.Is(e.Flush(), c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if whole := strings.HasSuffix(w.String(), "x)"); whole != (c.err == nil) {
			t.Errorf("%s: ends %q", c.name, w.String()[w.Len()-3:])
		}
	}
}
