package app

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
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

// people finds accounts for those who share mailboxes.
type people struct{ *directory.Store }

// Find is the account of an address; an alias leads nowhere, as rights are one
// account's. fault.NotFound.
func (p people) Find(ctx context.Context, a mail.Address) (mail.AccountID, error) {
	acct, err := p.Account(ctx, a)
	return acct.ID, err
}

// Address is that of an account. fault.NotFound.
func (p people) Address(ctx context.Context, a mail.AccountID) (mail.Address, error) {
	acct, err := p.AccountByID(ctx, a)
	return acct.Address, err
}
