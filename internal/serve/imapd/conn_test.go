package imapd_test

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipe is one direction of a connection in memory: buffered without bound, so
// that neither side waits for the other to read, with read deadlines.
type pipe struct {
	mu       sync.Mutex
	more     sync.Cond
	buf      []byte
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

func newPipe() *pipe {
	p := &pipe{}
	p.more.L = &p.mu
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case !p.deadline.IsZero() && !time.Now().Before(p.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			return n, nil
		case p.closed:
			return 0, io.EOF
		}
		p.more.Wait()
	}
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, net.ErrClosed
	}
	p.buf = append(p.buf, b...)
	p.more.Broadcast()
	return len(b), nil
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.more.Broadcast()
}

func (p *pipe) setDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if !t.IsZero() && !p.closed {
		p.timer = time.AfterFunc(time.Until(t), p.more.Broadcast)
	}
	p.more.Broadcast()
}

// end is one end of a connection.
type end struct{ in, out *pipe }

// newConn makes both ends.
func newConn() (client, server net.Conn) {
	a, b := newPipe(), newPipe()
	return &end{a, b}, &end{b, a}
}

func (e *end) Read(b []byte) (int, error)         { return e.in.read(b) }
func (e *end) Write(b []byte) (int, error)        { return e.out.write(b) }
func (e *end) Close() error                       { e.in.close(); e.out.close(); return nil }
func (e *end) LocalAddr() net.Addr                { return address(143) }
func (e *end) RemoteAddr() net.Addr               { return address(40000) }
func (e *end) SetDeadline(t time.Time) error      { e.in.setDeadline(t); return nil }
func (e *end) SetReadDeadline(t time.Time) error  { e.in.setDeadline(t); return nil }
func (e *end) SetWriteDeadline(t time.Time) error { return nil }

func address(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: port} }

// listener gives the server's ends of connections.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error { l.once.Do(func() { close(l.closed) }); return nil }

func (l *listener) Addr() net.Addr { return address(143) }

// dial makes a connection, nil if the listener is closed.
func (l *listener) dial() net.Conn {
	client, server := newConn()
	select {
	case l.conns <- server:
		return client
	case <-l.closed:
		return nil
	}
}
