package sim

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// room is how many octets a connection holds on their way.
const room = 256 << 10

// way is one direction of a connection.
type way struct {
	mu      sync.Mutex
	buf     []byte
	closed  bool          // nothing more comes
	reset   bool          // what was on its way is lost
	changed chan struct{} // closed at each change
}

// change wakes who waits. The caller holds the lock.
func (w *way) change() {
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *way) end(reset bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if reset {
		w.reset, w.buf = true, nil
	}
	w.change()
}

// conn is one end of a connection in memory, with buffers as a network has them: a
// pipe without would let each side wait for the other, and hide who waits.
type conn struct {
	in, out       *way
	local, remote net.Addr
	gone          func() // is told once that this end has closed

	mu          sync.Mutex
	read, write time.Time // deadlines
	hurry       chan struct{}
	closed      bool
}

// pair makes both ends of a connection.
func pair(a, b net.Addr) (*conn, *conn) {
	there, back := &way{changed: make(chan struct{})}, &way{changed: make(chan struct{})}
	return &conn{in: back, out: there, local: a, remote: b, hurry: make(chan struct{})},
		&conn{in: there, out: back, local: b, remote: a, hurry: make(chan struct{})}
}

// wait waits until w changes or the deadline that at gives has come.
func (c *conn) wait(changed <-chan struct{}, at func() (time.Time, <-chan struct{})) error {
	deadline, hurry := at()
	var over <-chan time.Time
	if !deadline.IsZero() {
		left := time.Until(deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		t := time.NewTimer(left)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-changed:
	case <-over:
	case <-hurry:
	}
	return nil
}

func (c *conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Read gives what has come.
func (c *conn) Read(p []byte) (int, error) {
	for {
		c.in.mu.Lock()
		n := copy(p, c.in.buf)
		c.in.buf = c.in.buf[n:]
		ended, reset, changed := c.in.closed, c.in.reset, c.in.changed
		if n > 0 {
			c.in.change()
		}
		c.in.mu.Unlock()
		switch {
		case n > 0 || len(p) == 0:
			return n, nil
		case c.isClosed():
			return 0, c.fail("read", net.ErrClosed)
		case reset:
			return 0, c.fail("read", syscall.ECONNRESET)
		case ended:
			return 0, io.EOF
		}
		err := c.wait(changed, func() (time.Time, <-chan struct{}) { c.mu.Lock(); defer c.mu.Unlock(); return c.read, c.hurry })
		if err != nil {
			return 0, c.fail("read", err)
		}
	}
}

// Write puts p on its way.
func (c *conn) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		c.out.mu.Lock()
		k, ended, changed := 0, c.out.closed, c.out.changed
		if !ended {
			k = min(len(p), room-len(c.out.buf))
			c.out.buf = append(c.out.buf, p[:k]...)
		}
		if k > 0 {
			c.out.change()
		}
		c.out.mu.Unlock()
		n, p = n+k, p[k:]
		switch {
		case c.isClosed():
			return n, c.fail("write", net.ErrClosed)
		case ended:
			return n, c.fail("write", syscall.EPIPE)
		case k > 0:
			continue
		}
		err := c.wait(changed, func() (time.Time, <-chan struct{}) { c.mu.Lock(); defer c.mu.Unlock(); return c.write, c.hurry })
		if err != nil {
			return n, c.fail("write", err)
		}
	}
	return n, nil
}

func (c *conn) isClosed() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.closed }

// Close says goodbye: the other end reads what is on its way, and then the end.
func (c *conn) Close() error { return c.end(false) }

// cut ends the connection as a machine that dies does: what is on its way is lost.
func (c *conn) cut() { _ = c.end(true) }

func (c *conn) end(reset bool) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.fail("close", net.ErrClosed)
	}
	c.closed = true
	c.mu.Unlock()
	c.out.end(reset)
	c.in.end(reset)
	if c.gone != nil {
		c.gone()
	}
	return nil
}

// LocalAddr is this end's address.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other end's.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both.
func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline bounds Read.
func (c *conn) SetReadDeadline(t time.Time) error { return c.set(&c.read, t) }

// SetWriteDeadline bounds Write.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.set(&c.write, t) }

func (c *conn) set(which *time.Time, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	*which = t
	close(c.hurry)
	c.hurry = make(chan struct{})
	return nil
}

func TestConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(&net.TCPAddr{}, &net.TCPAddr{})
		if n, err := a.Write([]byte("hello")); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		buf := make([]byte, 9)
		if n, err := b.Read(buf); string(buf[:n]) != "hello" || err != nil {
			t.Errorf("%q, %v", buf[:n], err)
		}
		begin := time.Now()
		_ = b.SetReadDeadline(begin.Add(time.Minute))
		if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		_ = b.SetReadDeadline(time.Time{})
		go func() { time.Sleep(time.Second); _, _ = a.Write([]byte("bye")); _ = a.Close() }()
		if n, err := b.Read(buf); string(buf[:n]) != "bye" || err != nil {
			t.Errorf("%q, %v", buf[:n], err)
		}
		if _, err := b.Read(buf); err != io.EOF {
			t.Errorf("behind the end: %v", err)
		}
		c, d := pair(&net.TCPAddr{}, &net.TCPAddr{})
		_, _ = c.Write([]byte("lost"))
		c.cut()
		if _, err := d.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after a cut: %v", err)
		}
		e, f := pair(&net.TCPAddr{}, &net.TCPAddr{})
		go func() { time.Sleep(time.Hour); _, _ = io.CopyN(io.Discard, f, room) }()
		if n, err := e.Write(make([]byte, 2*room)); n != 2*room || err != nil || time.Since(begin) < time.Hour {
			t.Errorf("full: %d, %v, after %v", n, err, time.Since(begin))
		}
	})
}
