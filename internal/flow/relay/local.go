package relay

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// lay delivers what waits for accounts of ours: the recipients beyond those that
// the acceptance itself could write. Their copies and the end of their rows are
// one commit, so that each is laid down once.
func (r *Relay) lay(ctx context.Context, m parcel, rs []result) bool {
	h, err := r.o.Blobs.Handle(ctx, m.Blob)
	if err != nil {
		r.failed(ctx, err)
		return false
	}
	a := &mail.Arrival{
		ID: mail.NewArrivalID(), At: time.Now(), Content: m.Blob, Size: m.Size, Prefix: m.Prefix, Junk: m.Junk,
		Peer: mail.Peer{LMTP: true}, // an answer for each recipient, none put off
		Envelope: mail.Envelope{
			From: m.From, ID: m.EnvID, Headers: m.HeadersOnly, UTF8: m.UTF8, EightBit: m.EightBit, RequireTLS: m.RequireTLS, Quoted: m.Quoted,
			Demands: m.Demands,
		},
	}
	a.Envelope.Release = time.Time{} // it has come
	for _, res := range rs {
		a.Envelope.To = append(a.Envelope.To, mail.Recipient{Address: res.To, Original: res.Original, Notify: res.Notify, Quoted: res.Quoted})
	}
	plan, err := r.o.Deliver.Prepare(ctx, a, h)
	if err != nil {
		r.failed(ctx, err)
		return false
	}
	for i, reply := range plan.Replies() {
		rs[i].put(reply, "", !reply.Temporary())
		rs[i].dsn = true
	}
	return r.settle(ctx, m, rs, plan)
}
