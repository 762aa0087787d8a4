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
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Server speaks one mode on any number of listeners, which share its limits.
type Server struct {
	o        Options
	limits   Limits
	gate     *door.Gate
	rates    rates
	sessions door.Set[*session] // of all listeners
}

// New makes a server.
func New(o Options) *Server {
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	if o.NoLimits {
		o.Guards = door.Guards{}
	}
	l := o.Limits.withDefaults(o)
	s := &Server{o: o, limits: l, rates: newRates(l)}
	s.gate = door.NewGate(o.Mode.String(), door.Limits{
		Total: l.Connections, PerAddress: l.PerAddress, PerNetwork: l.PerNetwork, Connects: l.Connects, Network: l.Network,
	}, o.Guards, o.Sink)
	s.gate.OnCrowd(s.makeRoom)
	return s
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
	err := door.Accept(ctx, ln, s.gate, s.turnAway, func(c net.Conn, _ netip.AddrPort, leave func()) {
		sess := newSession(s, work, c)
		sess.leave = leave
		sess.link.guard(s.limits)
		open.Add(sess)
		s.sessions.Add(sess)
		running.Go(func() {
			defer func() { sess.leave() }() // XCLIENT may have made it another's
			defer open.Remove(sess)
			defer s.sessions.Remove(sess)
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

// turnAway says why, as far as that can be done without waiting.
func (s *Server) turnAway(c net.Conn, why door.Refusal) {
	if !s.o.ImplicitTLS {
		c.SetWriteDeadline(time.Now().Add(time.Second))
		p := mail.Peer{Addr: door.PeerOf(c), Ref: mail.NewArrivalID()}
		c.Write(s.refer(Refusal{Door: s.o.Mode.String(), Peer: p, Reply: s.refusal(why)}).AppendTo(nil))
	}
	c.Close()
}

// refusal is the reply that a refusal at the door has.
func (s *Server) refusal(why door.Refusal) smtp.Reply {
	if !why.Temporary() {
		return smtp.Answer(554, smtp.Enhanced{5, 7, 1}, "%s %s", s.o.Hostname, why.Text)
	}
	return smtp.Answer(421, smtp.Enhanced{4, 7, 0}, "%s %s", s.o.Hostname, why.Text)
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
