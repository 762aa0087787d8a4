package deliver

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Judged is what the history says about the verdict on an arrival.
func Judged(a *mail.Arrival) history.Entry {
	return history.Entry{At: a.At, What: history.Judged, From: a.Envelope.From, Action: a.Verdict, Reply: a.Opinions, Account: a.Peer.Account}
}

// Discard takes an arrival and throws it away, as the verdict on it is. Its one
// reply is for all recipients.
func (d *Deliverer) Discard(ctx context.Context, a *mail.Arrival) []smtp.Reply {
	d.note(ctx, a, history.Entry{What: history.Discarded})
	d.o.Sink.Emit(ctx, event.Discarded{ID: a.ID, From: a.Envelope.From, Recipients: len(a.Envelope.To), Size: a.Size, Peer: a.Peer})
	return []smtp.Reply{smtp.Answer(250, smtp.Enhanced{2, 0, 0}, "accepted %s", a.ID)}
}

// note writes into the history what became of an arrival that leaves nothing
// else behind.
func (d *Deliverer) note(ctx context.Context, a *mail.Arrival, e history.Entry) {
	e.At, e.From, e.Size, e.Account, e.Subject = a.At, a.Envelope.From, a.Size, a.Peer.Account, a.Subject
	if a.Peer.Addr.IsValid() {
		e.Peer = a.Peer.Addr.String()
	}
	err := d.o.DB.Update(ctx, []kv.Shard{kv.PartitionShard(a.ID)}, func(tx kv.Tx) error {
		history.Write(tx, a.ID, Judged(a), e)
		return nil
	})
	if err != nil {
		d.o.Sink.Emit(ctx, event.Failed{Where: "deliver", Peer: a.Peer.Addr, Err: err})
	}
}

// AcceptStored is Accept for a content that is stored already.
func (d *Deliverer) AcceptStored(ctx context.Context, a *mail.Arrival, h blob.Handle) []smtp.Reply {
	a.Content, a.Size = h.ID(), h.Size()
	replies, err := d.Deliver(ctx, a, h)
	if err != nil {
		d.o.Sink.Emit(ctx, event.Failed{Where: "deliver", Peer: a.Peer.Addr, Err: err})
		return d.RefuseAll(ctx, a, smtp.Fault(err))
	}
	return replies
}
