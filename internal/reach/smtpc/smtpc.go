// Package smtpc is the client side of SMTP (RFC 5321) and LMTP (RFC 2033): one
// connection, one mail transaction at a time.
package smtpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/netip"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// TLSMode says how the line must be secured.
type TLSMode uint8

// The modes.
const (
	Opportunistic TLSMode = iota // STARTTLS where it is offered (RFC 3207)
	None                         // never
	Required                     // STARTTLS or nothing
	Implicit                     // TLS from the first octet (RFC 8314)
)

// Options are what Dial needs. Hostname must be given.
type Options struct {
	Hostname   string // what we call ourselves in EHLO
	TLS        TLSMode
	ServerName string         // for SNI and, with VerifyCA, for the certificate; "" means the host of the address
	VerifyCA   bool           // the certificate must be good (PKIX); else any will do (RFC 7435)
	RootCAs    *x509.CertPool // nil: the system's
	Auth       sasl.Client    // nil: no AUTH
	LMTP       bool
	Local      netip.Addr // source address; zero: the system chooses
	Timeouts   Timeouts   // zero fields mean the defaults of RFC 5321 §4.5.3.2
}

// Timeouts are how long an answer is waited for.
type Timeouts struct{}

// Recipient is one forward-path with its parameters.
type Recipient struct {
	Address mail.Address
	Options smtp.RcptOptions
}

// Message is the envelope of one message.
type Message struct {
	From    mail.Address
	Options smtp.MailOptions
	To      []Recipient
}

// Result is what the server said. Every recipient has an answer in Rcpt: the
// reply that decided about it, whichever command it came to.
type Result struct {
	// Rcpt holds the reply that decides each recipient, in the order of
	// Message.To: its own if it was refused at RCPT, MAIL's or DATA's refusal,
	// or the answer to the final dot (in LMTP its own answer to it). It is the
	// zero Reply where the connection broke first.
	Rcpt []smtp.Reply
	// Unknown says that the whole content with its final dot was sent and no
	// answer came: the recipients whose reply is zero may have the message or
	// not (RFC 5321 §4.5.3.2.6).
	Unknown bool
}

// Conn is a connection to a server.
type Conn struct{}

// Dial connects to addr (host:port), and says EHLO, STARTTLS and AUTH as o wants.
// An answer of the server that refuses is a *Refusal.
func Dial(ctx context.Context, addr string, o Options) (*Conn, error) { panic("not written yet") }

// Send carries one message. An error means that the connection is of no more
// use; Result holds what was decided before it.
func (c *Conn) Send(ctx context.Context, m Message, content io.Reader, size int64) (Result, error) {
	panic("not written yet")
}

// TLS is the state of the secured line, nil if it is in clear.
func (c *Conn) TLS() *tls.ConnectionState { panic("not written yet") }

// Quit says QUIT, waits shortly for the answer, and closes.
func (c *Conn) Quit() error { panic("not written yet") }

// Close cuts the connection.
func (c *Conn) Close() error { panic("not written yet") }

// Refusal is a server's answer that ends a conversation before a message: to
// the connection, EHLO, STARTTLS or AUTH.
type Refusal struct {
	Command string // "connect", "EHLO", "STARTTLS", "AUTH"
	Reply   smtp.Reply
}

// Error gives the command and the words.
func (r *Refusal) Error() string { return r.Command + ": " + r.Reply.String() }
