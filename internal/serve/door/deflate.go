package door

import (
	"bytes"
	"net"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/ekiden-mail/ekiden/internal/wire/inflate"
)

// How large the memory is that a compressed connection reads with, in octets:
// while it waits for a command, and while one comes.
const (
	restBuffer = 512
	readBuffer = 8 << 10
)

// Deflating keeps memory that compressed connections share. Its zero value is ready.
type Deflating struct{ readings sync.Pool }

func (d *Deflating) take() *[]byte {
	if b, ok := d.readings.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, readBuffer)
	return &b
}

// deflated is a connection that is compressed both ways (RFC 4978). Nothing is
// held for writing: each write is compressed for itself, and whole. For reading
// it holds, while it waits for a command, little but what the client may refer
// back to.
type deflated struct {
	net.Conn
	s     *Deflating
	waits func() bool // a command is waited for
	inf   inflate.Inflater
	in    []byte  // what came in and is not inflated
	raw   *[]byte // what it lies in, while a command comes; nil at rest
	few   [restBuffer]byte
}

// Over puts DEFLATE over a connection. waits says whether a command is waited for, so
// that little memory should be held.
func (s *Deflating) Over(conn net.Conn, waits func() bool) net.Conn {
	return &deflated{Conn: conn, s: s, waits: waits}
}

// Read inflates what comes. A read that is broken off while it waits can be taken up
// again.
func (d *deflated) Read(p []byte) (int, error) {
	for {
		n, took, err := d.inf.Inflate(p, d.in)
		d.in = d.in[took:]
		if n > 0 || err != nil {
			return n, err
		}
		if err := d.fill(); err != nil {
			return 0, err
		}
	}
}

// fill reads once from the connection, all of what came before being inflated.
func (d *deflated) fill() error {
	if d.raw != nil {
		d.s.readings.Put(d.raw)
		d.raw = nil
	}
	buf := d.few[:]
	if d.waits() {
		d.inf.Rest()
	} else {
		d.raw = d.s.take()
		buf = *d.raw
	}
	n, err := d.Conn.Read(buf)
	d.in = buf[:n]
	if n > 0 {
		return nil
	}
	return err
}

// Write compresses p and writes it.
func (d *deflated) Write(p []byte) (int, error) {
	room := d.s.take()
	out := bytes.NewBuffer((*room)[:0])
	err := flate.StatelessDeflate(out, p, false, nil)
	if err == nil {
		_, err = d.Conn.Write(out.Bytes())
	}
	d.s.readings.Put(room)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}
