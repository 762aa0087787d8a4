package smtpd

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
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
	NoAuth        func(netip.Addr) bool // of whom no login is asked at Submission; nil: of nobody
	PlaintextAuth bool                  // AUTH without TLS, for tools on loopback
	Handler       Handler
	Sink          event.Sink    // nil: nobody listens
	Limits        Limits        // zero fields mean the defaults
	NoLimits      bool          // for load tests: none of the limits marked with a star
	Grace         time.Duration // for transactions in hand when Serve's context ends; zero means 30 s

	Guards  door.Guards    // bans, and who is above the limits of addresses
	XClient []netip.Prefix // who may speak for others by XCLIENT

	MinBy        time.Duration // the shortest time in which a message can be asked to be delivered or returned (RFC 2852 §2)
	MaxHold      time.Duration // for which a message can be asked to be held (RFC 4865), Submission only; zero: not at all
	NoSoliciting []string      // classes of solicitation that are not wanted (RFC 3865)

	// Refused, if given, is told of each command that is refused, and each reply
	// that refuses carries a reference. It must not block.
	Refused func(Refusal)
}
