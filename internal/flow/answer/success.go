package answer

import (
	"io"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
)

// Success is a recipient whose sender asked to be told that all went well
// (RFC 3461 §4.1).
type Success struct {
	Original string // ORCPT
	Final    mail.Address
	Expanded bool // it stands for several addresses, of which nothing more is told (RFC 3461 §5.2.7.3)
}

// Succeeded composes the report of what was delivered here, as Report does.
func (a *Answerer) Succeeded(f Facts, of []Success, original io.ReaderAt, size int64) ([]byte, mail.Envelope, error) {
	var rcpts []dsn.Recipient
	for _, s := range of {
		r := dsn.Recipient{Original: s.Original, Final: s.Final, Action: dsn.Delivered, Status: "2.1.5", LastAttempt: f.Now}
		if s.Expanded {
			r.Action = dsn.Expanded
		}
		rcpts = append(rcpts, r)
	}
	return a.Report(f, rcpts, original, size)
}
