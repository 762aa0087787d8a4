package smtpd

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// pipeEnd is one end of a connection in memory, buffered as TCP is. It can tell
// when the other end has read everything and waits for more.
type pipeEnd struct {
	in, out       *flow
	local, remote net.Addr
}

// flow is one direction of a pipe.
type flow struct {
	mu       sync.Mutex
	changed  sync.Cond
	buf      []byte
	ended    bool // the writer has closed
	closed   bool // the reader has closed
	waiting  int  // readers that wait
	deadline time.Time
	timer    *time.Timer
}

func newFlow() *flow {
	f := &flow{}
	f.changed.L = &f.mu
	return f
}

// newPipe makes a connection from client to server.
func newPipe(client, server string) (c, s *pipeEnd) {
	up, down := newFlow(), newFlow()
	ca := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client))
	sa := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(server))
	return &pipeEnd{down, up, ca, sa}, &pipeEnd{up, down, sa, ca}
}

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.closed:
			return 0, net.ErrClosed
		case len(f.buf) > 0:
			n := copy(p, f.buf)
			f.buf = f.buf[n:]
			return n, nil
		case f.ended:
			return 0, io.EOF
		case !f.deadline.IsZero() && !time.Now().Before(f.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		f.waiting++
		f.changed.Broadcast()
		f.changed.Wait()
		f.waiting--
	}
}

func (f *flow) write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || f.closed {
		return 0, net.ErrClosed
	}
	f.buf = append(f.buf, p...)
	f.changed.Broadcast()
	return len(p), nil
}

func (f *flow) setDeadline(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadline = t
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	if d := time.Until(t); !t.IsZero() && d > 0 {
		f.timer = time.AfterFunc(d, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.changed.Broadcast()
		})
	}
	f.changed.Broadcast()
}

func (f *flow) end(reader bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if reader {
		f.closed = true
		if f.timer != nil {
			f.timer.Stop()
		}
	} else {
		f.ended = true
	}
	f.changed.Broadcast()
}

// drained waits until the reader has read everything and waits for more, or has
// closed.
func (f *flow) drained() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed && (len(f.buf) > 0 || f.waiting == 0) {
		f.changed.Wait()
	}
}

// leave closes, and waits until the other end has closed too.
func (e *pipeEnd) leave() {
	e.Close()
	e.out.mu.Lock()
	defer e.out.mu.Unlock()
	for !e.out.closed {
		e.out.changed.Wait()
	}
}

func (e *pipeEnd) Read(p []byte) (int, error)       { return e.in.read(p) }
func (e *pipeEnd) Write(p []byte) (int, error)      { return e.out.write(p) }
func (e *pipeEnd) CloseWrite() error                { e.out.end(false); return nil }
func (e *pipeEnd) Close() error                     { e.out.end(false); e.in.end(true); return nil }
func (e *pipeEnd) LocalAddr() net.Addr              { return e.local }
func (e *pipeEnd) RemoteAddr() net.Addr             { return e.remote }
func (e *pipeEnd) SetDeadline(t time.Time) error    { return e.SetReadDeadline(t) }
func (e *pipeEnd) SetWriteDeadline(time.Time) error { return nil }
func (e *pipeEnd) SetReadDeadline(t time.Time) error {
	e.in.setDeadline(t)
	return nil
}

// quiet waits until the other end has nothing to do but wait for us.
func (e *pipeEnd) quiet() { e.out.drained() }

// memListener gives a server the ends of pipes.
type memListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newListener() *memListener {
	return &memListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *memListener) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects from an address.
func (l *memListener) dial(from string) *pipeEnd {
	c, s := newPipe(from, "198.51.100.1:25")
	select {
	case l.conns <- s:
	case <-l.done:
		s.Close()
	}
	return c
}

// running is a server that serves l until stop.
type running struct {
	l    *memListener
	stop func() error // ends Serve and gives what it returned
}

func start(s *Server) running {
	ctx, cancel := context.WithCancel(context.Background())
	l, done := newListener(), make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	return running{l, sync.OnceValue(func() error { cancel(); return <-done })}
}
