package smtp

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// slowChunks is what chunks that hold content make, the obvious way.
func slowChunks(content string) (string, error) {
	whole := content
	if !strings.HasSuffix(whole, "\r\n") && whole != "" {
		whole += "\r\n"
	}
	if strings.HasSuffix(content, "\r") {
		return "", ErrBare
	}
	var err error
	for text := range strings.SplitSeq(strings.TrimSuffix(whole, "\r\n"), "\r\n") {
		if strings.ContainsAny(text, "\r\n\x00") {
			return "", ErrBare
		}
		if len(text) > MaxTextLine {
			err = ErrLongLine
		}
	}
	return whole, err
}

// compareChunks cuts content into chunks of n octets.
func compareChunks(t *testing.T, content string, n, step, room int) {
	t.Helper()
	src := line.NewReader(chop{strings.NewReader(content + "QUIT\r\n"), step})
	c := NewChunkReader(src, 0)
	var got strings.Builder
	var err error
	for left := len(content); ; {
		size := min(n, left)
		left -= size
		c.Begin(int64(size), left == 0)
		for err == nil {
			p := make([]byte, room)
			var k int
			k, err = c.Read(p)
			got.Write(p[:k])
		}
		if err != ErrNextChunk {
			if err != io.EOF && c.Drain() != nil {
				t.Fatal("drain failed")
			}
			if err != io.EOF && src.Discard(int64(left)) != nil {
				t.Fatal("discard failed")
			}
			break
		}
		err = nil
	}
	want, wantErr := slowChunks(content)
	var unfit *ContentError
	if errors.As(err, &unfit) != (wantErr != nil) || wantErr == nil && got.String() != want {
		t.Fatalf("%.80q in chunks of %d: %.80q, %v, want %.80q, %v", content, n, got.String(), err, want, wantErr)
	}
	if b, err := src.ReadLine(10); string(b) != "QUIT" || err != nil {
		t.Fatalf("%.80q in chunks of %d: then comes %q, %v", content, n, b, err)
	}
}

// TestChunks: what BDAT brings keeps the same rules as DATA (RFC 3030 §2, §3:
// text has CRLF lines), wherever the chunks are cut; a dot means nothing.
func TestChunks(t *testing.T) {
	x := strings.Repeat("x", MaxTextLine)
	for _, content := range []string{
		"", "a\r\n", "a", "\r\n", ".\r\n", "a\r\n.\r\nb\r\n", "a\r\n\r\nb", "a\nb\r\n", "a\rb\r\n", "a\r", "\n", "a\x00\r\n", "a\r\n\r",
		"..\r\n.", "\r\r\n", x + "\r\n", x + "y\r\n", x, x + "y", x + "\r", "x\r\n" + x + "\r\n",
	} {
		for n := 1; n <= 7; n++ {
			for _, step := range []int{1, 3, 1 << 20} {
				if len(content) < 100 || n == 7 {
					compareChunks(t, content, n, step, 1+n%3*1000)
				}
			}
		}
		compareChunks(t, content, 1<<20, 1<<20, 1<<20)
	}
}

func FuzzChunks(f *testing.F) {
	f.Add("a\r\n.\r\nb", uint16(3), uint16(2), uint16(9))
	f.Add("a\r\nb\n", uint16(2), uint16(100), uint16(1))
	f.Fuzz(func(t *testing.T, content string, n, step, room uint16) {
		compareChunks(t, content, int(n)+1, int(step)+1, int(room)+1)
	})
}

func TestChunkLimits(t *testing.T) {
	src := line.NewReader(strings.NewReader("12345678\r\nabcdefgh\r\nQUIT\r\n"))
	c := NewChunkReader(src, 15)
	c.Begin(10, false)
	if b, err := io.ReadAll(c); len(b) != 10 || err != ErrNextChunk {
		t.Fatalf("%q, %v", b, err)
	}
	c.Begin(10, true) // too much in all, and seen before it is read
	if _, err := c.Read(make([]byte, 5)); err != ErrTooLarge || c.Left() != 10 {
		t.Fatalf("%v, %d left", err, c.Left())
	}
	if c.Drain() != nil || c.Left() != 0 || c.Err() != ErrTooLarge || c.Size() != 10 {
		t.Fatal("drain")
	}
	if b, err := src.ReadLine(10); string(b) != "QUIT" || err != nil {
		t.Fatalf("%q, %v", b, err)
	}
	cut := NewChunkReader(line.NewReader(strings.NewReader("123")), 0)
	cut.Begin(10, true)
	if _, err := io.ReadAll(cut); err != io.ErrUnexpectedEOF || cut.Err() != err {
		t.Errorf("a connection that breaks: %v", err)
	}
}
