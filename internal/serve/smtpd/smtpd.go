// Package smtpd holds the sessions of SMTP (RFC 5321), message submission
// (RFC 6409, RFC 8314) and LMTP (RFC 2033) over a Handler that says what
// becomes of the mail.
package smtpd

import (
	"context"
	"io"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Handler says what becomes of the mail that connections bring. The server has
// two: one for strangers (receive), one for users (submit); LMTP is receive
// with a trusted peer. Its methods are called by many sessions at once.
type Handler interface {
	// Begin opens a mail transaction (RFC 5321 §3.3). A nil Transaction means
	// refused; then the reply says why. p is the session's and must not be kept
	// beyond the transaction without copying.
	Begin(ctx context.Context, p *mail.Peer, from mail.Address, o smtp.MailOptions) (Transaction, smtp.Reply)
}

// Transaction ends with Data or Abort, never both. A Reply is a decision, not
// an error, and is sent word for word. One goroutine calls it.
type Transaction interface {
	// Rcpt asks for one more recipient. A positive reply takes it.
	Rcpt(ctx context.Context, to mail.Address, o smtp.RcptOptions) smtp.Reply

	// Data reads the content to its end and answers for each recipient taken,
	// in order; one reply alone answers for them all. The content comes without
	// dot-stuffing and ends with io.EOF. Any other error means that the message
	// is not whole or not fit (*smtp.ContentError): it must not be kept, and
	// what Data then returns is not sent. A refusal may be given before the end;
	// an acceptance may not.
	Data(ctx context.Context, content io.Reader) []smtp.Reply

	// Abort ends the transaction without a message: RSET, QUIT, a new EHLO, a
	// lost connection.
	Abort()
}
