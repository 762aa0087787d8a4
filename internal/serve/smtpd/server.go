package smtpd

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Server speaks one mode on any number of listeners, which share its limits.
type Server struct {
	o      Options
	limits Limits
	conns  *door.Counts
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
	var open door.Set[*session]
	var running sync.WaitGroup
	err := door.Accept(ctx, ln, s.conns, s.turnAway, func(c net.Conn, _ netip.AddrPort, release func()) {
		sess := newSession(s, work, c)
		open.Add(sess)
		running.Go(func() {
			defer release()
			defer open.Remove(sess)
			s.run(sess)
		})
	})
	open.Each((*session).stop)
	grace := time.AfterFunc(s.o.Grace, func() {
		cancel()
		open.Each(func(sess *session) { sess.link.raw.Close() })
	})
	running.Wait()
	grace.Stop()
	return fault.Wrap("smtpd.Serve", err)
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
