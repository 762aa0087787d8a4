package deliver

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Paths signs the reverse-paths of what goes out, and reads those that come back.
type Paths interface {
	// Sign gives the reverse-path that the next hop is told in place of a's own; the
	// null one means none other. by is the domain of the alias that sends a on, ""
	// if none does.
	Sign(ctx context.Context, a *mail.Arrival, by mail.Domain) (mail.Address, error)
	// Read says where mail for a signed path of ours is sent. fault.NotFound if a
	// is none, fault.Denied if it was forged or has expired.
	Read(ctx context.Context, a mail.Address) (mail.Address, error)
}

// sign gives what waits its reverse-path.
func (p *Plan) sign(ctx context.Context) (err error) {
	if p.d.o.Paths == nil || len(p.waiting) == 0 || p.arrival.Envelope.From.IsNull() {
		return nil // null stays null, or reports would go in circles
	}
	p.path, err = p.d.o.Paths.Sign(ctx, p.arrival, p.by)
	return err
}

// signed says whether a is a reverse-path that was signed here, and whose it is.
// What is forged or has expired is no recipient.
func (d *Deliverer) signed(ctx context.Context, a mail.Address) (mail.Address, bool, error) {
	if d.o.Paths == nil {
		return mail.Address{}, false, nil
	}
	to, err := d.o.Paths.Read(ctx, a)
	switch {
	case err == nil:
		return to, true, nil
	case fault.Is(err, fault.NotFound):
		return mail.Address{}, false, nil
	case fault.Is(err, fault.Denied):
		return mail.Address{}, false, fault.As(fault.NotFound, "deliver.signed", err)
	}
	return mail.Address{}, false, err
}

// ReportsOnly says whether a is a reverse-path of ours that leads elsewhere. Only
// what has the null reverse-path may come there, or it would be a way through us
// for anybody. Those that lead to our own users take automatic answers too, of
// which not all have it (RFC 3834 §3.3).
func (d *Deliverer) ReportsOnly(ctx context.Context, a mail.Address) bool {
	to, is, err := d.signed(ctx, a)
	if !is || err != nil {
		return false
	}
	ours, err := d.o.Directory.IsLocal(ctx, to.Domain)
	return err == nil && !ours
}
