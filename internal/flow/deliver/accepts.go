package deliver

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// Accepts says whether a message may be taken for a, before its content is
// read: we never bounce later what we could refuse now. Its errors are
// fault.NotFound (no such recipient here, or at the host that its domain is
// relayed to), fault.Denied (not our domain), fault.OverQuota (every account that
// a leads to is full) and fault.Unavailable (that host cannot be asked).
func (d *Deliverer) Accepts(ctx context.Context, a mail.Address) error {
	const op = "deliver.Accepts"
	found, err := d.resolve(ctx, a)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if len(found.Relayed) == 1 && len(found.Remote) == 1 && len(found.Accounts)+len(found.Lists) == 0 && d.o.Ask != nil {
		return fault.Wrap(op, d.o.Ask(ctx, found.Relayed[0]))
	}
	if len(found.Remote)+len(found.Lists) > 0 || directory.IsRole(a) {
		return nil // postmaster is always reached (RFC 5321 §4.5.1), full or not
	}
	for _, t := range found.Accounts {
		full, err := d.full(ctx, t)
		if err != nil {
			return fault.Wrap(op, err)
		}
		if !full {
			return nil
		}
	}
	return fault.New(fault.OverQuota, op, "the recipient's mailbox is full")
}

// full says whether an account has used up its quota.
func (d *Deliverer) full(ctx context.Context, t directory.Target) (bool, error) {
	q := mailbox.Quota{Octets: t.Quota, Messages: t.MaxMessages}
	if q == (mailbox.Quota{}) {
		return false, nil
	}
	var used mailbox.Usage
	err := d.o.Mailbox.View(ctx, t.Account, func(tx *mailbox.Tx) (err error) {
		used, err = tx.Usage()
		return err
	})
	return q.Full(used), err
}
