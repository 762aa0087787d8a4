package imapd

import (
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// TestDeflatedRests checks that what comes compressed is read whole however it
// is cut, and that a connection holds no inflater once all was read that the
// client has flushed.
func TestDeflatedRests(t *testing.T) {
	s := New(Options{})
	ours, theirs := net.Pipe()
	waits := true
	d := s.compressed(ours, func() bool { return waits })
	w, err := flate.NewWriter(theirs, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 100_000)
	for i := range random {
		random[i] = byte(seed.UintN(256))
	}
	copy(random[50_000:], []byte{0, 0, 0xff, 0xff}) // stands for no flush here
	for i, text := range [][]byte{
		[]byte("a NOOP\r\n"), []byte("b NOOP\r\n"), random[:5000], random, []byte("c NOOP\r\n"), bytes.Repeat([]byte("0123456789"), 20_000), random[90_000:],
	} {
		waits = len(text) < 10
		go func() {
			_, _ = w.Write(text)
			_ = w.Flush()
		}()
		got := make([]byte, len(text))
		if _, err := io.ReadFull(d, got); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%d: %v", i, err)
		}
		if !waits {
			continue
		}
		// Once it waits again, it waits without an inflater.
		_ = ours.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := d.Read(got); n != 0 || err == nil {
			t.Fatalf("%d: read %d, %v", i, n, err)
		}
		_ = ours.SetReadDeadline(time.Time{})
		if d.dec != nil || d.src.raw != nil || cap(d.history) > window+window/8 {
			t.Errorf("%d: at rest with an inflater, or a history of %d", i, cap(d.history))
		}
	}
}
