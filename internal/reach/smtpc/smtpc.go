// Package smtpc is the client side of SMTP (RFC 5321) and LMTP (RFC 2033): one
// connection, one mail transaction at a time.
package smtpc

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// TLSMode says how the line must be secured.
type TLSMode uint8

// The modes.
const (
	Opportunistic TLSMode = iota // STARTTLS where it is offered and works (RFC 3207, RFC 7435)
	None                         // never
	Required                     // STARTTLS or nothing
	Implicit                     // TLS from the first octet (RFC 8314)
)

// Options are what Dial needs. Hostname must be given.
type Options struct {
	Hostname   string // what we call ourselves in EHLO
	TLS        TLSMode
	ServerName string         // for SNI and, with VerifyCA, for the certificate; "" means the host of the address
	VerifyCA   bool           // the certificate must be good (PKIX); else any will do
	RootCAs    *x509.CertPool // nil: the system's

	// Verify judges the line in place of VerifyCA, if it is given; what it says
	// no to is a handshake that failed.
	Verify func(tls.ConnectionState) error

	// Who logs in: with a mechanism of the caller's choice, or else, if User is
	// not empty, with the strongest one that the server offers.
	Auth           sasl.Client
	User, Password string
	// PlaintextAuth lets a password go over a line in clear to a server that is
	// not on loopback.
	PlaintextAuth bool

	LMTP   bool
	Local  netip.Addr // source address; zero: the system chooses
	Local2 netip.Addr // the one for the other family than Local's
	// Also are other addresses (host:port) of the same host, to be tried beside addr
	// when that is slow to answer (RFC 8305 §5).
	Also     []string
	SOCKS5   string // host:port of a proxy (RFC 1928) that all goes through; "": none
	Timeouts Timeouts

	// Connect makes the connection to an address, host:port, from a source address;
	// nil: the system's network does.
	Connect func(ctx context.Context, local netip.Addr, addr string) (net.Conn, error)
}

// Timeouts are how long something may take. Zero fields mean the defaults, in
// brackets, which are RFC 5321 §4.5.3.2's where it has any.
type Timeouts struct {
	Connect   time.Duration // [30 s]
	Handshake time.Duration // of TLS [1 min]
	Command   time.Duration // for the answer to any command [5 min]
	DataInit  time.Duration // for the answer to DATA [2 min]
	Block     time.Duration // for the peer to take a piece of content [3 min]
	DataEnd   time.Duration // for the answer to the final dot [10 min]
	Quit      time.Duration // for the answer to QUIT [5 s]
}

func (t Timeouts) withDefaults() Timeouts {
	t.Connect = cmp.Or(t.Connect, 30*time.Second)
	t.Handshake = cmp.Or(t.Handshake, time.Minute)
	t.Command = cmp.Or(t.Command, 5*time.Minute)
	t.DataInit = cmp.Or(t.DataInit, 2*time.Minute)
	t.Block = cmp.Or(t.Block, 3*time.Minute)
	t.DataEnd = cmp.Or(t.DataEnd, 10*time.Minute)
	t.Quit = cmp.Or(t.Quit, 5*time.Second)
	return t
}

// Recipient is one forward-path with its parameters.
type Recipient struct {
	Address mail.Address
	Options smtp.RcptOptions // sent where the server offers DSN
}

// Message is the envelope of one message.
type Message struct {
	From mail.Address
	// Options say what the content needs: with UTF8 a server without SMTPUTF8
	// cannot have it (RFC 6531 §3.2), and with EightBit one without 8BITMIME,
	// unless it turns out to be ASCII after all. With RequireTLS only a server
	// with REQUIRETLS can have it, over TLS; whether that is verified is the
	// caller's to see (RFC 8689 §4.2.1). Size, Auth and what Demands says better
	// are not looked at.
	Options smtp.MailOptions

	// Demands are passed on to servers that know them. One that does not know
	// BINARYMIME cannot have a binary message, and one that does not promise to
	// keep a time cannot have what must be returned at it.
	Demands mail.Demands
	To      []Recipient

	// Still is asked when all but the end of the content has been sent; on false the
	// connection is cut, and nobody has taken the message. nil is true.
	Still func() bool
}

// Result is what became of each recipient.
type Result struct {
	// Rcpt holds the reply that decides each recipient, in the order of
	// Message.To: its own if it was refused at RCPT; MAIL's or DATA's refusal; or
	// the answer to the final dot (in LMTP its own answer to it). It may be a
	// reply of ours, where we know that the server cannot take the message. It is
	// the zero Reply where nothing was decided because the connection broke.
	Rcpt []smtp.Reply

	// Unknown says that the whole content with its final dot was sent and no
	// answer came: the recipients whose reply is zero may have the message or
	// may not.
	Unknown bool
}

// Refusal is a server's answer that ends a conversation before a message: to
// the connection, EHLO, STARTTLS or AUTH.
type Refusal struct {
	Command string // "connect", "EHLO", "STARTTLS", "AUTH"
	Reply   smtp.Reply
	Local   bool // the words are ours: the server lacks what we need
}

// Error gives the command and the words.
func (r *Refusal) Error() string { return "smtpc: " + r.Command + ": " + r.Reply.String() }
