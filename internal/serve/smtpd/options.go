package smtpd

import (
	"cmp"
	"crypto/tls"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
)

// Mode is which of the three protocols a server speaks.
type Mode uint8

// The modes.
const (
	Relay      Mode = iota // port 25: strangers, no AUTH
	Submission             // 587, 2525 (STARTTLS) and 465 (ImplicitTLS): users, after AUTH
	LMTP                   // RFC 2033: a reply for each recipient
)

// String is the door's name in events.
func (m Mode) String() string { return [...]string{"smtp", "submission", "lmtp"}[m] }

// Options are what a Server needs. Hostname and Handler must be given, and Auth
// for Submission.
type Options struct {
	Hostname      string // in the greeting
	Mode          Mode
	TLS           *tls.Config // nil: no STARTTLS
	ImplicitTLS   bool        // TLS before the greeting (RFC 8314)
	Auth          *login.Login
	PlaintextAuth bool // AUTH without TLS, for tools on loopback
	Handler       Handler
	Sink          event.Sink    // nil: nobody listens
	Limits        Limits        // zero fields mean the defaults
	NoLimits      bool          // for load tests: none of the limits marked with a star
	Grace         time.Duration // for transactions in hand when Serve's context ends; zero means 30 s
}

// Limits bound what one peer can cost. The defaults stand in brackets.
type Limits struct {
	Connections  int   // * at once, all peers together [2,000]
	PerAddress   int   // * at once, of an IPv4 address or an IPv6 /64 [100]
	MessageSize  int64 // octets of content [50 MiB]
	Recipients   int   // of one transaction [1,000]
	Transactions int   // * of one session [1,000]
	Errors       int   // * commands of one session that are none, or out of place [20]
	Refused      int   // * recipients of one session that are not taken [200]
	AuthFailures int   // * of one session [5]
	Drain        int64 // octets of refused content that are read to reach its end [256 MiB]

	GreetDelay time.Duration // * how long a stranger is watched for speaking first, Relay only; negative: not [100 ms]
	Handshake  time.Duration // for TLS [1 min]
	Command    time.Duration // for each command (RFC 5321 §4.5.3.2.7) [5 min]
	Data       time.Duration // for each piece of content (§4.5.3.2.5, with time to spare) [10 min]
	Write      time.Duration // for a peer to take our replies [5 min]
}

// withDefaults fills what is zero.
func (l Limits) withDefaults(o Options) Limits {
	l.Connections = cmp.Or(l.Connections, 2000)
	l.PerAddress = cmp.Or(l.PerAddress, 100)
	l.MessageSize = cmp.Or(l.MessageSize, 50<<20)
	l.Recipients = cmp.Or(l.Recipients, 1000)
	l.Transactions = cmp.Or(l.Transactions, 1000)
	l.Errors = cmp.Or(l.Errors, 20)
	l.Refused = cmp.Or(l.Refused, 200)
	l.AuthFailures = cmp.Or(l.AuthFailures, 5)
	l.Drain = cmp.Or(l.Drain, 256<<20)
	l.GreetDelay = cmp.Or(l.GreetDelay, 100*time.Millisecond)
	l.Handshake = cmp.Or(l.Handshake, time.Minute)
	l.Command = cmp.Or(l.Command, 5*time.Minute)
	l.Data = cmp.Or(l.Data, 10*time.Minute)
	l.Write = cmp.Or(l.Write, 5*time.Minute)
	if o.Mode != Relay {
		l.GreetDelay = 0
	}
	if o.NoLimits {
		const none = 1 << 30
		l.Connections, l.PerAddress, l.Transactions = 0, 0, none
		l.Errors, l.Refused, l.AuthFailures = none, none, none
		l.GreetDelay = 0
	}
	return l
}
