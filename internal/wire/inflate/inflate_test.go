package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// all inflates a stream that comes in pieces, into pieces.
func all(stream []byte, in, out int) ([]byte, error) {
	var f Inflater
	var got []byte
	dst := make([]byte, out)
	for i := 0; ; i++ {
		src := stream[:min(in, len(stream))]
		n, took, err := f.Inflate(dst, src)
		got, stream = append(got, dst[:n]...), stream[took:]
		if err != nil {
			return got, err
		}
		if n == 0 && len(stream) == 0 {
			return got, nil
		}
		if i%1000 == 0 {
			f.Rest()
		}
	}
}

func samples() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 200_000)
	for i := range random {
		random[i] = byte(r.UintN(256))
	}
	few := make([]byte, 200_000)
	for i := range few {
		few[i] = "abc \r\n"[r.UintN(6)]
	}
	return map[string][]byte{
		"nothing": nil, "a word": []byte("a1 NOOP\r\n"), "one letter": bytes.Repeat([]byte("x"), 100_000), "random": random, "few letters": few,
		"text": []byte(strings.Repeat("a2 FETCH 1:* (UID FLAGS)\r\n", 5000)), "mixed": append(append([]byte{}, few...), random...),
	}
}

// TestInflate: what the library deflates comes back, however it is cut.
func TestInflate(t *testing.T) {
	for name, text := range samples() {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 6, 9} {
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(text)
			_ = w.Close()
			for _, cut := range [][2]int{{1 << 20, 1 << 20}, {1, 7}, {13, 1}, {4096, 512}} {
				if got, err := all(b.Bytes(), cut[0], cut[1]); !errors.Is(err, io.EOF) || !bytes.Equal(got, text) {
					t.Errorf("%s at level %d in pieces of %d: %d octets of %d, %v", name, level, cut[0], len(got), len(text), err)
				}
			}
		}
	}
}

// TestFlushes: all that zlib has flushed is there at once, in each of its ways, a partial
// flush too, which ends in the midst of an octet.
func TestFlushes(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("python3 is not here, and CI skips nothing")
		}
		t.Skip("python3 is not here, whose zlib is the other side")
	}
	const script = `
import sys, zlib
z = zlib.compressobj(6, zlib.DEFLATED, -15)
out = sys.stdout.buffer
for i in range(40):
    text = b"%d FETCH 1:* (UID FLAGS)\r\n" % i * (1 + i % 3)
    b = z.compress(text) + z.flush([zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH][i % 3])
    for part in (text, b):
        out.write(len(part).to_bytes(2, "big") + part)
`
	out, err := exec.Command("python3", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	next := func() []byte {
		n := int(out[0])<<8 | int(out[1])
		part := out[2 : 2+n]
		out = out[2+n:]
		return part
	}
	var f Inflater
	dst := make([]byte, 4096)
	for i := 0; len(out) > 0; i++ {
		text, b := next(), next()
		n, took, err := f.Inflate(dst, b)
		if err != nil || took != len(b) || !bytes.Equal(dst[:n], text) {
			t.Fatalf("%d: %q of %q, %d octets of %d used, %v", i, dst[:n], text, took, len(b), err)
		}
		f.Rest()
	}
}

// FuzzInflate: what is a stream to the library is one here, and the same; nothing else
// is.
func FuzzInflate(f *testing.F) {
	for _, text := range samples() {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, 6)
		_, _ = w.Write(text[:min(len(text), 3000)])
		_ = w.Close()
		f.Add(b.Bytes(), 3)
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		const most = 1 << 20
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(stream)), most))
		if len(want) == most {
			return
		}
		got, err := all(stream, 1+max(0, cut)%1000, 1000)
		// One sees sooner than the other that a stream is none, as zlib does where a block
		// can have no end.
		if !bytes.HasPrefix(got, want) && !bytes.HasPrefix(want, got) {
			t.Fatalf("%x and %x differ", want, got)
		}
		if wantErr == nil && (!errors.Is(err, io.EOF) || len(got) != len(want)) {
			t.Fatalf("the library takes it, we do not: %v", err)
		}
		if wantErr != nil && errors.Is(err, io.EOF) {
			t.Fatalf("we take it, the library does not: %v", wantErr)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	text := bytes.Repeat([]byte("From: somebody <somebody@example.test>\r\nSubject: a text of some length 12345\r\n"), 2000)
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, 6)
	_, _ = w.Write(text)
	_ = w.Close()
	b.SetBytes(int64(len(text)))
	dst := make([]byte, 8192)
	for b.Loop() {
		var f Inflater
		src := z.Bytes()
		for {
			_, took, err := f.Inflate(dst, src)
			if src = src[took:]; err != nil {
				break
			}
		}
	}
}
