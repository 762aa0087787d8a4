// Package pop3d is the POP3 door: it shows an account's INBOX as a maildrop
// (RFC 1939) and removes what was retrieved and marked, at QUIT and only then.
package pop3d

import (
	"context"
	"crypto/tls"
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
	Line        int           // octets of a command; default 2,048, where RFC 2449 §4 asks for 255
	AuthLine    int           // octets of a line of AUTH; default 12,288 (RFC 4954 §4.5 has the number)
	Errors      int           // lines that are no commands, and failed logins, before the line is cut; default 20
	Connections int           // at the same time; default 2,000
	PerAddress  int           // at the same time from one address (a /64 of IPv6); default 50
	PerNetwork  int           // at the same time from one network (an IPv4 /24, an IPv6 /48); default none
	Connects    limit.Rate    // of an address; default none
	Network     limit.Rate    // of a network; default none
	PreAuth     time.Duration // from the connection to the login; default 2 minutes
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
	span(&l.PreAuth, 2*time.Minute)
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
	Guards        door.Guards // bans, and who is above the limits of addresses
	NoLimits      bool        // any number of connections, for load tests

	// LoginDelay is the least time between two sessions of an account (RFC 2449
	// §6.5); 0 is none.
	LoginDelay time.Duration
	// Use says how an account's maildrop is used; nil: nothing is deleted but by
	// clients, and fetched messages stay as they are.
	Use func(context.Context, mail.AccountID) (Use, error)

	page   int                                // messages read in one view of the store, which may last two seconds
	remove func(context.Context, *conn) error // (*conn).remove, or a test's that fails
}

// Use is how a maildrop is used.
type Use struct {
	Expire int  // days after which messages are deleted; 0: never
	Seen   bool // what was fetched is seen
}

// Server serves POP3 on any number of listeners that are alike.
type Server struct {
	o    Options
	gate *door.Gate
	all  door.Set[*conn]
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
		o.Limits.Connections, o.Limits.PerAddress, o.Limits.PerNetwork = -1, -1, 0
		o.Limits.Connects, o.Limits.Network, o.Guards = limit.Rate{}, limit.Rate{}, door.Guards{}
		o.LoginDelay = 0
	}
	o.Limits = o.Limits.withDefaults()
	l := o.Limits
	s := &Server{o: o, gate: door.NewGate("pop3", door.Limits{
		Total: max(0, l.Connections), PerAddress: max(0, l.PerAddress), PerNetwork: l.PerNetwork, Connects: l.Connects, Network: l.Network,
	}, o.Guards, o.Sink)}
	s.gate.OnCrowd(s.makeRoom)
	return s
}

// Serve accepts connections until ctx ends. It then stops accepting, closes the
// idle sessions without removing anything from their maildrops, lets commands
// in hand (a QUIT that removes, above all) finish within Limits.Grace, and
// returns nil when no goroutine is left. It returns an error if the listener
// fails by itself.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var open door.Set[*conn]
	var running sync.WaitGroup
	err := door.Accept(ctx, ln, s.gate, s.refuse, func(nc net.Conn, peer netip.AddrPort, release func()) {
		c := s.newConn(nc, peer)
		open.Add(c)
		s.all.Add(c)
		running.Go(func() {
			defer release()
			defer open.Remove(c)
			defer s.all.Remove(c)
			c.serve(ctx)
		})
	})
	open.Each(func(c *conn) { c.stopReading("shutdown") })
	grace := time.AfterFunc(s.o.Limits.Grace, func() { open.Each((*conn).cut) })
	running.Wait()
	grace.Stop()
	return fault.Wrap("pop3d.Serve", err)
}
