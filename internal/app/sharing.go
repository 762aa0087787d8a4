package app

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// circle is whom an account means when it shares a mailbox with anyone: those of
// its domain. Other domains of the server may be other people's.
func (r *rooms) circle(ctx context.Context, a mail.AccountID) (string, error) {
	acct, err := r.directory.AccountByID(ctx, a)
	if fault.Is(err, fault.NotFound) {
		return "", nil // it has gone, and shares with nobody
	}
	return string(acct.Address.Domain), err
}
