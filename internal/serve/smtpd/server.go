package smtpd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Server speaks one mode on any number of listeners, which share its limits.
type Server struct {
	o      Options
	limits Limits
	conns  *limit.Counts[netip.Prefix]
}

// New makes a server.
func New(o Options) *Server {
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	l := o.Limits.withDefaults(o)
	return &Server{o: o, limits: l, conns: limit.NewCounts[netip.Prefix](l.PerAddress, l.Connections)}
}

// Serve takes connections from ln until ctx ends. Then it closes ln, says 421 to
// sessions that are idle, gives transactions in hand Options.Grace, and returns
// nil when no goroutine of its own is left. Where ln fails it ends in the same
// way, with an error.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	// A transaction in hand outlives ctx, but not its grace.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		ln.Close()
	})
	var open set
	var running sync.WaitGroup
	err := s.accept(ctx, ln, func(c net.Conn, release func()) {
		sess := newSession(s, work, c)
		open.add(sess)
		running.Go(func() {
			defer release()
			defer open.remove(sess)
			s.run(sess)
		})
	})
	if stop() {
		ln.Close()
	} else {
		<-closed
	}
	open.each((*session).stop)
	grace := time.AfterFunc(s.o.Grace, func() {
		cancel()
		open.each(func(sess *session) { sess.link.raw.Close() })
	})
	running.Wait()
	grace.Stop()
	return err
}

// accept hands on each connection that the limits allow, until ctx ends (nil) or
// ln fails for good.
func (s *Server) accept(ctx context.Context, ln net.Listener, start func(c net.Conn, release func())) error {
	pause := time.Duration(0)
	for {
		c, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fault.As(fault.Unavailable, "smtpd.Serve", err)
		case err != nil:
			// Out of file descriptors, or the peer was gone at once: try again,
			// more slowly each time.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			continue
		}
		pause = 0
		key := limit.Key(addrPort(c.RemoteAddr()).Addr())
		if !s.conns.Acquire(key) {
			s.turnAway(c)
			continue
		}
		start(c, func() { s.conns.Release(key) })
	}
}

// turnAway says 421 as far as that can be done without waiting.
func (s *Server) turnAway(c net.Conn) {
	if !s.o.ImplicitTLS {
		c.SetWriteDeadline(time.Now().Add(time.Second))
		c.Write(smtp.Answer(421, smtp.Enhanced{4, 7, 0}, "%s Too many connections; please come back later", s.o.Hostname).AppendTo(nil))
	}
	c.Close()
}

// run is one connection from its first octet to its last. A panic ends that
// connection and nothing else.
func (s *Server) run(sess *session) {
	start := time.Now()
	defer func() {
		if p := recover(); p != nil {
			sess.reason = "panic"
			s.failed(sess, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			sess.answer(421, smtp.Enhanced{4, 3, 0}, "Something went wrong here; please try again later")
		}
		sess.link.close(sess.reason != "quit" && sess.reason != "closed")
		s.o.Sink.Emit(sess.ctx, event.SessionEnded{
			Door: s.o.Mode.String(), Peer: sess.peer.Addr, User: sess.peer.User,
			Duration: time.Since(start), Commands: sess.commands, Reason: sess.reason,
		})
	}()
	sess.serve()
}

func (s *Server) failed(sess *session, err error) {
	s.o.Sink.Emit(sess.ctx, event.Failed{Where: "smtpd", Peer: sess.peer.Addr, Err: err})
}

// addrPort is the address of a TCP peer; the zero one for a socket that has none.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// set is the sessions that run.
type set struct {
	mu sync.Mutex
	m  map[*session]struct{}
}

func (s *set) add(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[*session]struct{}{}
	}
	s.m[x] = struct{}{}
}

func (s *set) remove(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, x)
}

func (s *set) each(do func(*session)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.m {
		do(x)
	}
}
