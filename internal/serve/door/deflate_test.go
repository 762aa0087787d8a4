package door

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
)

// came is a connection with what has come in, given in pieces.
type came struct {
	net.Conn
	bytes.Buffer
	piece int
}

func (c *came) Write(p []byte) (int, error) { return c.Buffer.Write(p) }

func (c *came) Read(p []byte) (int, error) {
	if c.Len() == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return c.Buffer.Read(p[:min(len(p), c.piece)])
}

// TestDeflatedRests checks that what comes compressed is read whole however it
// is cut, and that a connection that waits for a command holds little.
func TestDeflatedRests(t *testing.T) {
	seed := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 100_000)
	for i := range random {
		random[i] = byte(seed.UintN(256))
	}
	for i := 2000; i < 90_000; i += 2000 {
		copy(random[i:], []byte{0, 0, 0xff, 0xff}) // stands for no flush here
	}
	for _, piece := range []int{1, 7, 2000, 100_000} {
		conn, waits := &came{piece: piece}, true
		d := new(Deflating).Over(conn, func() bool { return waits }).(*deflated)
		w, err := flate.NewWriter(conn, flate.DefaultCompression)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range [][]byte{
			[]byte("a NOOP\r\n"), []byte("b NOOP\r\n"), random[:5000], random, []byte("c NOOP\r\n"), bytes.Repeat([]byte("0123456789"), 20_000), random[90_000:],
			[]byte("d NOOP\r\n"),
		} {
			waits = len(text) < 10
			_, _ = w.Write(text)
			_ = w.Flush()
			got := make([]byte, len(text))
			if _, err := io.ReadFull(d, got); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%d: %v", i, err)
			}
			if !waits {
				continue
			}
			// Once it waits again, it waits with little memory.
			if n, err := d.Read(got); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%d: read %d, %v", i, n, err)
			}
			if d.raw != nil {
				t.Errorf("%d: at rest with a large buffer", i)
			}
		}
	}
}
