package imapd

import (
	"bytes"
	"errors"
	"io"
	"net"

	"github.com/klauspost/compress/flate"
)

// How large the memory is that a compressed connection reads with, in octets:
// while it waits for a command, while one comes, and what the client may refer
// back to (RFC 1951 §2).
const (
	restBuffer = 512
	readBuffer = 8 << 10
	window     = 32 << 10
)

// syncMark ends what a client has flushed (RFC 4978 §4): an empty stored block,
// behind which the stream begins anew at an octet.
const syncMark = 0x0000ffff

// deflated is a connection that is compressed both ways (RFC 4978). Nothing is
// held for writing: each write is compressed for itself, and whole. For reading
// it holds, while it waits for a command, what the client may refer back to and
// no inflater.
type deflated struct {
	net.Conn
	s       *Server
	src     inflow
	dec     io.ReadCloser // nil at rest
	history []byte        // the last that was inflated
}

// inflow is what comes in for the inflater.
type inflow struct {
	conn  net.Conn
	waits func() bool // the session waits for a command
	in    []byte      // what came in and is not inflated
	tail  uint32      // the last octets that came in
	raw   []byte      // what is read into; nil at rest
	few   [restBuffer]byte
}

// errRest says that all was inflated that the client has flushed.
var errRest = errors.New("imapd: nothing more was flushed")

// compressed puts DEFLATE over a connection.
func (s *Server) compressed(conn net.Conn, waits func() bool) *deflated {
	return &deflated{Conn: conn, s: s, src: inflow{conn: conn, waits: waits}}
}

func newInflater() io.ReadCloser { return flate.NewReader(bytes.NewReader(nil)) }

// resting says whether a read may be broken off and taken up again: not in the
// midst of a block.
func (d *deflated) resting() bool { return d.dec == nil || d.src.flushed() }

// Read inflates what comes.
func (d *deflated) Read(p []byte) (int, error) {
	for {
		if d.dec == nil {
			if err := d.wakeUp(); err != nil {
				return 0, err
			}
		}
		n, err := d.dec.Read(p)
		d.remember(p[:n])
		if errors.Is(err, errRest) {
			d.rest()
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// wakeUp waits for something to come, and borrows an inflater for it.
func (d *deflated) wakeUp() error {
	if len(d.src.in) == 0 {
		if err := d.src.fill(d.src.few[:]); err != nil {
			return err
		}
	}
	raw := d.s.readings.take()
	d.dec, d.src.raw = d.s.inflaters.take(), raw[:cap(raw)]
	return d.dec.(flate.Resetter).Reset(&d.src, d.history)
}

// rest gives the inflater back.
func (d *deflated) rest() {
	d.s.inflaters.put(d.dec)
	d.s.readings.put(d.src.raw)
	d.dec, d.src.raw = nil, nil
	d.history = bytes.Clone(d.history[max(0, len(d.history)-window):])
}

// remember keeps what the client may refer back to.
func (d *deflated) remember(b []byte) {
	if len(d.history)+len(b) > 3*window {
		d.history = append(d.history[:0], d.history[max(0, len(d.history)-window):]...)
	}
	d.history = append(d.history, b[max(0, len(b)-window):]...)
}

// Write compresses p and writes it.
func (d *deflated) Write(p []byte) (int, error) {
	out := bytes.NewBuffer(d.s.readings.take()[:0])
	err := flate.StatelessDeflate(out, p, false, nil)
	if err == nil {
		_, err = d.Conn.Write(out.Bytes())
	}
	d.s.readings.put(out.Bytes())
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// flushed says whether all was inflated that came, and the client has flushed
// there.
func (s *inflow) flushed() bool { return len(s.in) == 0 && s.tail == syncMark }

// fill reads once from the connection.
func (s *inflow) fill(buf []byte) error {
	n, err := s.conn.Read(buf)
	s.in = buf[:n]
	for _, c := range s.in[max(0, n-4):] {
		s.tail = s.tail<<8 | uint32(c)
	}
	if n > 0 {
		return nil
	}
	return err
}

// ReadByte gives the inflater an octet. Where it asks for one behind a flush and
// a command is waited for, it is between two blocks and need not stay. In what
// belongs to a command the same octets might be something else.
func (s *inflow) ReadByte() (byte, error) {
	if len(s.in) == 0 {
		if s.flushed() && s.waits() {
			return 0, errRest
		}
		if err := s.fill(s.raw); err != nil {
			return 0, err
		}
	}
	c := s.in[0]
	s.in = s.in[1:]
	return c, nil
}

// Read gives the inflater what a stored block holds.
func (s *inflow) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		if err := s.fill(s.raw); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}
