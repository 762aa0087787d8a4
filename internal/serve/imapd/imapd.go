// Package imapd is the IMAP door: sessions of IMAP4rev1 (RFC 3501) with its
// extensions over the mailbox store, one command a file. Sequence numbers exist
// only here.
package imapd

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// Limits bound what one peer may ask for. A zero field takes its default; a
// negative number of connections means no limit.
type Limits struct {
	Connections int           // at the same time; default 10,000
	PerAddress  int           // at the same time from one address (a /64 of IPv6); default 100
	PerNetwork  int           // at the same time from one network (an IPv4 /24, an IPv6 /48); default none
	Connects    limit.Rate    // of an address; default none
	Network     limit.Rate    // of a network; default none
	Message     int64         // octets of an APPEND; default 64 MiB
	Messages    int           // that one command may look at (RFC 9738); default 1,000,000
	Bad         int           // bad commands in a row; default 10
	Logins      int           // failed logins of one connection; default 5
	PreAuth     time.Duration // from the connection to the login; default 1 minute
	Idle        time.Duration // between two commands; default 35 minutes, and RFC 3501 §5.4 asks for 30
	Handshake   time.Duration // of TLS; default 30 seconds
	Write       time.Duration // for the peer to take 16 KiB; default 2 minutes
	Grace       time.Duration // for commands in hand when the server stops; default 10 seconds
}

func (l Limits) withDefaults() Limits {
	l.Connections = given(l.Connections, 10_000)
	l.PerAddress = given(l.PerAddress, 100)
	l.Message = given(l.Message, 64<<20)
	l.Messages = given(l.Messages, 1_000_000)
	l.Bad = given(l.Bad, 10)
	l.Logins = given(l.Logins, 5)
	l.PreAuth = given(l.PreAuth, time.Minute)
	l.Idle = given(l.Idle, 35*time.Minute)
	l.Handshake = given(l.Handshake, 30*time.Second)
	l.Write = given(l.Write, 2*time.Minute)
	l.Grace = given(l.Grace, 10*time.Second)
	return l
}

// given is v, or d where v is zero.
func given[T int | int64 | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Options are what a Server works with. Login and Mailbox are needed.
type Options struct {
	Hostname      string         // as the greeting says it
	JMAP          string         // URL of the JMAP session resource; empty: there is none
	TLS           *tls.Config    // nil: neither STARTTLS nor logins, unless PlaintextAuth
	ImplicitTLS   bool           // TLS from the first octet (RFC 8314 §3.2)
	PlaintextAuth bool           // logins without TLS
	Login         *login.Login   // who may come in
	Mailbox       *mailbox.Store // where the messages are
	Sink          event.Sink     // nil: nobody listens
	Limits        Limits
	Guards        door.Guards // bans, and who is above the limits of addresses

	// People finds the accounts whose mailboxes others may use. nil: each account
	// has its own alone.
	People People

	// Quota says what an account may hold; it is asked before anything is added.
	// nil: no quotas.
	Quota func(ctx context.Context, a mail.AccountID) (mailbox.Quota, error)
	// SetQuota gives account a other limits in the name of who, or with nil only
	// says whether he may. fault.Denied. nil: nobody may.
	SetQuota func(ctx context.Context, who, a mail.AccountID, q *mailbox.Quota) error
}

// Server serves IMAP on any number of listeners that are alike.
type Server struct {
	o    Options
	gate *door.Gate
	all  door.Set[*session]

	buffers pool[[]byte] // for long answers
	shelves pool[*shelf]
	recents recents

	deflating door.Deflating
	ahead     chan struct{} // held by who reads ahead
}

// New makes a Server.
func New(o Options) *Server {
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	o.Limits = o.Limits.withDefaults()
	l := o.Limits
	s := &Server{o: o, gate: door.NewGate("imap", door.Limits{
		Total: max(0, l.Connections), PerAddress: max(0, l.PerAddress), PerNetwork: l.PerNetwork, Connects: l.Connects, Network: l.Network,
	}, o.Guards, o.Sink)}
	s.gate.OnCrowd(s.makeRoom)
	s.buffers.make = func() []byte { return make([]byte, 0, answerBuffer) }
	s.ahead = make(chan struct{}, mostAhead)
	s.recents.by = map[looked]*told{}
	s.shelves.make = func() *shelf { return &shelf{} }
	return s
}

// Serve accepts connections until ctx ends. It then stops accepting, says BYE to
// the sessions that wait for a command or idle, lets commands in hand finish
// within Limits.Grace, and returns nil when no goroutine is left. It returns an
// error if the listener fails by itself.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var sessions sync.WaitGroup
	open, end := context.WithCancel(ctx)
	defer end()
	// work outlives open by the grace time.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	err := door.Accept(ctx, ln, s.gate, s.refuse, func(nc net.Conn, peer netip.AddrPort, release func()) {
		sessions.Go(func() {
			c := newSession(s, open, work, nc, peer)
			s.all.Add(c)
			leave := func() {
				s.all.Remove(c)
				release()
			}
			if work.Err() != nil { // it came too late to be cut off
				_ = nc.Close()
				leave()
				return
			}
			s.hold(c, &sessions, leave)
		})
	})
	end()
	mine := func(do func(*session)) {
		s.all.Each(func(c *session) {
			if c.work == work {
				do(c)
			}
		})
	}
	mine(func(c *session) { c.wire.interrupt() })
	grace := time.AfterFunc(s.o.Limits.Grace, func() {
		cut()
		mine(func(c *session) { _ = c.raw.Close() })
	})
	defer grace.Stop()
	sessions.Wait()
	return fault.Wrap("imapd.Serve", err)
}

// hold serves a session until it leaves. One that waits in IDLE gets a goroutine
// with a small stack for that, and another to go on with: what the commands before
// it have needed is not held for hours.
func (s *Server) hold(c *session, sessions *sync.WaitGroup, leave func()) {
	if !c.serve() {
		leave()
		return
	}
	sessions.Go(func() {
		c.waitIdle()
		s.hold(c, sessions, leave)
	})
}

// refuse turns a connection away.
func (s *Server) refuse(nc net.Conn, why door.Refusal) {
	if !s.o.ImplicitTLS {
		code := "LIMIT" // RFC 5530 §3
		if why.Banned {
			code = "UNAVAILABLE"
		}
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(nc, "* BYE ["+code+"] "+why.Text+"\r\n")
	}
	_ = nc.Close()
}
