package deliver

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Refuse notes that a recipient of an arrival was refused, or with the null
// address the sender, and gives back the reply.
func (d *Deliverer) Refuse(ctx context.Context, a *mail.Arrival, to mail.Address, r smtp.Reply) smtp.Reply {
	d.o.Sink.Emit(ctx, event.Refused{ID: a.ID, From: a.Envelope.From, To: to, Peer: a.Peer, Reply: r.String()})
	return r
}

// RefuseAll refuses the content: every recipient is given the same reply.
func (d *Deliverer) RefuseAll(ctx context.Context, a *mail.Arrival, r smtp.Reply) []smtp.Reply {
	d.Refuse(ctx, a, mail.Address{}, r)
	replies := make([]smtp.Reply, len(a.Envelope.To))
	for i := range replies {
		replies[i] = r
	}
	return replies
}

// Accept ends the writing of an arrival's content and delivers it, or refuses
// it for the time being if anything of ours fails.
func (d *Deliverer) Accept(ctx context.Context, a *mail.Arrival, w *blob.Writer) []smtp.Reply {
	h, err := w.Commit()
	if err != nil {
		d.o.Sink.Emit(ctx, event.Failed{Where: "deliver", Peer: a.Peer.Addr, Err: err})
		return d.RefuseAll(ctx, a, smtp.Fault(err))
	}
	return d.AcceptStored(ctx, a, h)
}
