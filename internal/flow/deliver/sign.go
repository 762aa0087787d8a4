package deliver

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
)

// Signer signs messages by DKIM. What it gives is header fields; nothing, where the
// domain has no key.
type Signer interface {
	// Sign signs what is ours, prefix being in front of the content.
	Sign(ctx context.Context, a *mail.Arrival, prefix []byte, content blob.Handle) ([]byte, error)
	// SignFor signs what a domain of ours passes on.
	SignFor(ctx context.Context, by mail.Domain, at time.Time, prefix []byte, content blob.Handle) ([]byte, error)
}

// signOurs makes the prefix of all copies, with a signature if the message is ours.
func (p *Plan) signOurs(ctx context.Context) error {
	a := p.arrival
	p.prefix = received(a, p.d.o.Hostname)
	if a.Ours && p.d.o.Signer != nil {
		fields, err := p.d.o.Signer.Sign(ctx, a, a.Prefix, p.content)
		if err != nil {
			return err
		}
		p.prefix = append(p.prefix, fields...)
	}
	p.prefix = append(p.prefix, a.Prefix...)
	return nil
}

// signOthers signs what an alias sends on, in its domain's name: its author's own
// signature may not survive the way.
func (p *Plan) signOthers(ctx context.Context) (err error) {
	if p.by == "" || p.arrival.Ours || len(p.waiting) == 0 || p.d.o.Signer == nil {
		return nil
	}
	p.passed, err = p.d.o.Signer.SignFor(ctx, p.by, p.arrival.At, p.arrival.Prefix, p.content)
	return err
}
