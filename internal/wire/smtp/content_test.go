package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// chop reads at most n octets at a time.
type chop struct {
	r io.Reader
	n int
}

func (c chop) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

// slowData reads content the obvious way: it looks for the end in the whole,
// then at each line.
func slowData(in string) (content, rest string, err error) {
	whole := "\r\n" + in
	i := strings.Index(whole, "\r\n.\r\n")
	if i < 0 {
		return "", "", io.ErrUnexpectedEOF
	}
	rest = whole[i+5:]
	if i > 0 {
		content = whole[2 : i+2]
	}
	var b strings.Builder
	for content != "" {
		end := strings.Index(content, "\r\n")
		text := content[:end]
		content = content[end+2:]
		text = strings.TrimPrefix(text, ".")
		if strings.ContainsAny(text, "\r\n\x00") {
			return "", rest, ErrBare
		}
		if len(text) > MaxTextLine {
			err = ErrLongLine
		}
		b.WriteString(text + "\r\n")
	}
	return b.String(), rest, err
}

// compareData reads in, cut in pieces, both ways. Where content is unfit for
// two reasons either will do.
func compareData(t *testing.T, in string, step, room int) {
	t.Helper()
	src := line.NewReader(chop{strings.NewReader(in), step})
	d := NewDataReader(src, 0)
	got, err := io.ReadAll(chop{d, room})
	want, rest, wantErr := slowData(in)
	var unfit *ContentError
	if errors.As(err, &unfit) {
		if err := d.Drain(1 << 40); err != nil {
			if wantErr != io.ErrUnexpectedEOF {
				t.Fatalf("%.80q: drain: %v", in, err)
			}
			return
		}
		if wantErr == nil {
			t.Fatalf("%.80q is refused: %v", in, err)
		}
	} else if err != wantErr || err == nil && string(got) != want {
		t.Fatalf("%.80q: %.80q, %v, want %.80q, %v", in, got, err, want, wantErr)
	}
	if wantErr == io.ErrUnexpectedEOF {
		return
	}
	after, err := io.ReadAll(src.Literal(int64(len(rest))))
	if err != nil || string(after) != rest || src.More() != io.EOF {
		t.Fatalf("%.80q: what follows is %.80q, %v, want %.80q", in, after, err, rest)
	}
	if wantErr == nil && d.Size() != int64(len(want)) {
		t.Fatalf("%.80q: size %d, want %d", in, d.Size(), len(want))
	}
}

// TestSmuggling: only CRLF.CRLF ends content (RFC 5321 §4.1.1.4); whatever else
// some server may take for an end is refused, and the commands hidden behind it
// are never seen (VU#302671).
func TestSmuggling(t *testing.T) {
	const hidden = "MAIL FROM:<evil@example.org>\r\n"
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r\n.\n", "\r.\r\n", "\n.\r", "\r.\n",
		"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\x00\n.\r\n", "\r\n.\r\x00\n", "\x00\r\n.\x00\r\n",
		"\r\r\n.\r\r\n", "\r\n.\r\r\n", "\n\r.\n\r", "\n\r\n.\n\r\n", "\r\n\r.\r\n", "\r\n\n.\r\n", "\r\n.\n\r\n",
		"\r\n .\r\n\n.\r\n", "\n\n.\n\n", "\r\n.\r \n", "\r\n.\n.\r",
	} {
		for _, before := range []string{"", "Subject: x\r\n\r\nbody", "x\r\n"} {
			in := before + end + hidden + "\r\n.\r\nQUIT\r\n"
			for step := 1; step < len(in); step++ {
				compareData(t, in, step, 1<<20)
			}
			d := NewDataReader(line.NewReader(strings.NewReader(in)), 0)
			if _, err := io.ReadAll(d); !errors.Is(err, ErrBare) {
				t.Errorf("%q: %v, want ErrBare", in, err)
			}
		}
	}
	// A second CR before the end does not hide it: the end is there, octet for octet.
	compareData(t, "a\r\r\n.\r\nQUIT\r\n", 1, 1)
}

func TestData(t *testing.T) {
	x := strings.Repeat("x", MaxTextLine)
	for _, in := range []string{
		".\r\n", "\r\n.\r\n", "a\r\n.\r\n", "..\r\n.\r\n", "...\r\n..\r\n.\r\n", ".a\r\n.\r\n", "a\r\n.b\r\n.\r\nQUIT\r\n",
		"", ".", ".\r", "a", "a\r\n", "a\r\n.", "a\r\n.\r", "a\r\n..\r\n", "\r\n\r\n.\r\nEHLO\r\n", ".\r\r\n.\r\n", "\n.\r\n.\r\n",
		x + "\r\n.\r\n", "." + x + "\r\n.\r\nNOOP\r\n", x + "y\r\n.\r\nNOOP\r\n", "." + x + "y\r\n.\r\n",
		x[:MaxTextLine-1] + "\r\n" + x + "\r\n" + x + "\r\n.\r\n", x + "\r\r\n.\r\n", x + x + x + "\r\n.\r\n",
		strings.Repeat("line\r\n..dot\r\n", 20000) + ".\r\n" + strings.Repeat("NOOP\r\n", 2000),
		strings.Repeat("..\r\n", 20000) + ".\r\n",
	} {
		for _, step := range []int{1, 2, 3, 4096, 1 << 20} {
			for _, room := range []int{1, 3, 1 << 20} {
				if len(in) < 100_000 || step > 1 && room > 1 {
					compareData(t, in, step, room)
				}
			}
		}
	}
}

func FuzzData(f *testing.F) {
	f.Add("a\r\n..b\r\n.\r\nQUIT\r\n", uint16(1), uint16(5))
	f.Add("a\n.\r\nb\r\r\n.\r\n", uint16(3), uint16(1))
	f.Add("\r\n.\x00\r\n\r\n.\r\n", uint16(100), uint16(2))
	f.Fuzz(func(t *testing.T, in string, step, room uint16) { compareData(t, in, int(step)+1, int(room)+1) })
}

func TestDataLimits(t *testing.T) {
	in := strings.Repeat("0123456789\r\n", 100) + ".\r\nNOOP\r\n"
	for _, size := range []int64{1, 12, 1199} {
		src := line.NewReader(strings.NewReader(in))
		d := NewDataReader(src, size)
		if _, err := io.ReadAll(d); err != ErrTooLarge {
			t.Errorf("limit %d: %v", size, err)
		}
		if err := d.Drain(1 << 20); err != nil {
			t.Error(err)
		}
		if b, err := src.ReadLine(10); string(b) != "NOOP" || err != nil {
			t.Errorf("after it %q, %v", b, err)
		}
	}
	d := NewDataReader(line.NewReader(strings.NewReader(in)), 1200)
	if b, err := io.ReadAll(d); len(b) != 1200 || err != nil || d.Err() != io.EOF || d.Drain(0) != nil {
		t.Errorf("%d octets, %v, %v", len(b), err, d.Err())
	}
	endless := NewDataReader(line.NewReader(io.MultiReader(strings.NewReader("\n"), forever{})), 0)
	if _, err := io.ReadAll(endless); err != ErrBare {
		t.Error(err)
	}
	if err := endless.Drain(1 << 20); err != ErrEndless {
		t.Error(err)
	}
}

type forever struct{}

func (forever) Read(p []byte) (int, error) { return copy(p, "on and on\r\n"), nil }

// TestDotWriter: what it writes, a DataReader reads again.
func TestDotWriter(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ".\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{"a", "a\r\n.\r\n"},
		{".", "..\r\n.\r\n"},
		{".\r\n.\r\n..\r\na.b\r\n", "..\r\n..\r\n...\r\na.b\r\n.\r\n"},
		{"\r\n", "\r\n.\r\n"},
	} {
		for step := 1; step <= len(c.in)+1; step++ {
			var out bytes.Buffer
			w := bufio.NewWriter(&out)
			d := NewDotWriter(w)
			if _, err := io.Copy(d, chop{strings.NewReader(c.in), step}); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			w.Flush()
			if out.String() != c.want {
				t.Errorf("%q in steps of %d: %q, want %q", c.in, step, out.String(), c.want)
			}
		}
	}
	for _, in := range []string{"a\nb\r\n", "a\rb\r\n", "a\x00\r\n", "a\r\n.\n", "a\r", strings.Repeat("y", MaxTextLine+1)} {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		d := NewDotWriter(w)
		_, err := d.Write([]byte(in))
		err = errors.Join(err, d.Close())
		w.Flush()
		var unfit *ContentError
		if !errors.As(err, &unfit) || strings.HasSuffix(out.String(), "\r\n.\r\n") {
			t.Errorf("%.20q: %v, wrote %.40q", in, err, out.String())
		}
	}
}

func FuzzDotWriter(f *testing.F) {
	f.Add("a\r\n.b\r\n", uint8(2))
	f.Fuzz(func(t *testing.T, in string, step uint8) {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		d := NewDotWriter(w)
		_, err := io.Copy(d, chop{strings.NewReader(in), int(step) + 1})
		if errors.Join(err, d.Close()) != nil {
			return
		}
		w.Flush()
		got, rest, err := slowData(out.String())
		if !strings.HasSuffix(in, "\r\n") && in != "" {
			in += "\r\n"
		}
		if err != nil || rest != "" || got != in {
			t.Fatalf("%.80q became %.80q, %v, and left %.80q", in, got, err, rest)
		}
	})
}

// benchmarkText is like mail: lines of 76 octets, a dot first on some.
func benchmarkText(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		if i%50 == 0 {
			b.WriteString(".")
		}
		b.WriteString(strings.Repeat("abcdefgh ", 8) + "end.\r\n")
	}
	return b.String()
}

func BenchmarkData(b *testing.B) {
	in := benchmarkText(1<<20) + ".\r\n"
	buf := make([]byte, 32<<10)
	r := strings.NewReader(in)
	src := line.NewReader(r)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(in)
		d := NewDataReader(src, 0)
		for {
			if _, err := d.Read(buf); err != nil {
				if err != io.EOF {
					b.Fatal(err)
				}
				break
			}
		}
	}
}

func BenchmarkDotWriter(b *testing.B) {
	in := []byte(benchmarkText(1 << 20))
	w := bufio.NewWriterSize(io.Discard, 16<<10)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		d := NewDotWriter(w)
		for p := in; len(p) > 0; {
			n := min(len(p), 32<<10)
			if _, err := d.Write(p[:n]); err != nil {
				b.Fatal(err)
			}
			p = p[n:]
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
