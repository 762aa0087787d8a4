// Package pop3d is the POP3 door: it shows an account's INBOX as a maildrop
// (RFC 1939) and removes what was retrieved and marked, at QUIT and only then.
package pop3d

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// Limits bound what one peer may ask for. A zero field takes its default; a
// negative number of connections means no limit.
type Limits struct {
	Line        int           // octets of a command; default 2,048, where RFC 2449 §4 asks for 255
	AuthLine    int           // octets of a line of AUTH; default 12,288 (RFC 4954 §4.5 has the number)
	Errors      int           // lines that are no commands, and failed logins, before the line is cut; default 20
	Connections int           // at the same time; default 2,000
	PerAddress  int           // at the same time from one address (a /64 of IPv6); default 50
	Idle        time.Duration // between two commands; default, and least that RFC 1939 §3 allows, 10 minutes
	Handshake   time.Duration // of TLS; default 30 seconds
	Write       time.Duration // for the peer to take 32 KiB; default 2 minutes
	Grace       time.Duration // for commands in hand when the server stops; default 10 seconds
}

func (l Limits) withDefaults() Limits {
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	number(&l.Line, 2048)
	number(&l.AuthLine, 12288)
	number(&l.Errors, 20)
	number(&l.Connections, 2000)
	number(&l.PerAddress, 50)
	span(&l.Idle, 10*time.Minute)
	span(&l.Handshake, 30*time.Second)
	span(&l.Write, 2*time.Minute)
	span(&l.Grace, 10*time.Second)
	return l
}

// Options are what a Server works with. Login and Mailbox are needed.
type Options struct {
	Hostname      string           // as the greeting says it
	TLS           *tls.Config      // nil: neither STLS nor logins, unless PlaintextAuth
	ImplicitTLS   bool             // TLS from the first octet (RFC 8314 §3.3)
	PlaintextAuth bool             // logins without TLS
	Login         *login.Login     // who may come in
	Mailbox       *mailbox.Store   // where the messages are
	Locks         *Locks           // shared by all listeners of a store; nil: the server's own
	Sink          event.Sink       // nil: nobody listens
	Now           func() time.Time // nil: time.Now
	Limits        Limits
	NoLimits      bool // any number of connections, for load tests

	page   int                                // messages read in one view of the store, which may last two seconds
	remove func(context.Context, *conn) error // (*conn).remove, or a test's that fails
}

// Server serves POP3 on any number of listeners that are alike.
type Server struct {
	o Options

	counts *limit.Counts[netip.Prefix]

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// New makes a Server.
func New(o Options) *Server {
	if o.Locks == nil {
		o.Locks = NewLocks()
	}
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.page == 0 {
		o.page = 5000
	}
	if o.remove == nil {
		o.remove = func(ctx context.Context, c *conn) error { return c.remove(ctx) }
	}
	if o.NoLimits {
		o.Limits.Connections, o.Limits.PerAddress = -1, -1
	}
	o.Limits = o.Limits.withDefaults()
	l := o.Limits
	return &Server{o: o, conns: map[*conn]struct{}{}, counts: limit.NewCounts[netip.Prefix](max(0, l.PerAddress), max(0, l.Connections))}
}

// Serve accepts connections until ctx ends. It then stops accepting, closes the
// idle sessions without removing anything from their maildrops, lets commands
// in hand (a QUIT that removes, above all) finish within Limits.Grace, and
// returns nil when no goroutine is left. It returns an error if the listener
// fails by itself.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var sessions sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	var failed error
	for {
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() == nil && temporary(err) {
				wait(ctx, 50*time.Millisecond)
				continue
			}
			if ctx.Err() == nil {
				failed = fault.Wrap("pop3d.Serve", err)
			}
			break
		}
		c := s.newConn(nc, ln)
		if !s.enter(c) {
			c.refuse()
			continue
		}
		sessions.Go(func() {
			defer s.leave(c)
			c.serve(ctx)
		})
	}
	_ = ln.Close()
	s.finish(&sessions, ln)
	return failed
}

// temporary says whether Accept may succeed again: too many open files, or a
// peer that was gone before it was greeted.
func temporary(err error) bool {
	var ne net.Error
	return !errors.Is(err, net.ErrClosed) && errors.As(err, &ne)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// enter counts c in, if the limits allow it.
func (s *Server) enter(c *conn) bool {
	if !s.counts.Acquire(limit.Key(c.peer.Addr())) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) leave(c *conn) {
	s.counts.Release(limit.Key(c.peer.Addr()))
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// finish ends the sessions: at once those that wait for a command, after the
// grace time all others.
func (s *Server) finish(sessions *sync.WaitGroup, ln net.Listener) {
	done := make(chan struct{})
	go func() {
		sessions.Wait()
		close(done)
	}()
	s.each(ln, (*conn).stopReading)
	t := time.NewTimer(s.o.Limits.Grace)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C:
	}
	s.each(ln, (*conn).cut)
	<-done
}

// each calls f for the sessions that came through ln.
func (s *Server) each(ln net.Listener, f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.listener == ln {
			f(c)
		}
	}
}

// Locks keeps each account's maildrop to one session at a time (RFC 1939 §4).
// It knows the sessions of this process.
type Locks struct {
	mu   sync.Mutex
	held map[mail.AccountID]struct{}
}

// NewLocks gives locks that nobody holds.
func NewLocks() *Locks { return &Locks{held: map[mail.AccountID]struct{}{}} }

// take says whether a's maildrop was free; it is the caller's now.
func (l *Locks) take(a mail.AccountID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.held[a]; ok {
		return false
	}
	l.held[a] = struct{}{}
	return true
}

func (l *Locks) release(a mail.AccountID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, a)
}
