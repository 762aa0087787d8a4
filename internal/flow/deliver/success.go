package deliver

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// tell notes that the sender of r is to be told of a success here, if it asked.
// Of junk nobody is: its sender may be forged, or wants to know who is here.
func (p *Plan) tell(r mail.Recipient, final mail.Address, expanded bool) {
	if r.Notify&mail.NotifySuccess != 0 && !p.arrival.Envelope.From.IsNull() && !p.arrival.Junk && !r.Junk {
		p.told = append(p.told, answer.Success{Original: original(r, final), Final: final, Expanded: expanded})
	}
}

// member is r as it is passed to one of several addresses that it stands for:
// its sender hears of failures, but of one success only (RFC 3461 §5.2.7.3).
func member(r mail.Recipient) mail.Recipient {
	if r.Notify == mail.NotifySuccess {
		r.Notify = mail.NotifyNever // with nothing said it would be told of failures
	}
	r.Notify &^= mail.NotifySuccess
	return r
}

// letter is the report of success, ready to be laid down with the message.
type letter struct {
	id     mail.ArrivalID
	action string
	plan   *Plan
}

// reportSuccess composes the report that was asked for and prepares its delivery.
// A report that cannot be written holds no mail up: it goes untold.
func (p *Plan) reportSuccess(ctx context.Context) {
	if len(p.told) == 0 || p.d.o.Answer == nil {
		return
	}
	l, err := p.writeLetter(ctx)
	if err != nil {
		p.d.o.Sink.Emit(ctx, event.Failed{Where: "deliver", Peer: p.arrival.Peer.Addr, Err: err})
		return
	}
	if !l.plan.Empty() {
		p.letter = l
	}
}

func (p *Plan) writeLetter(ctx context.Context) (*letter, error) {
	a, blobs := p.arrival, p.d.o.Blobs
	content, err := blobs.OpenHandle(ctx, p.content)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	e := a.Envelope
	f := answer.Facts{
		ID: a.ID, Now: a.At, Arrived: a.At, From: e.From, EnvelopeID: e.ID, HeadersOnly: e.Headers, UTF8: e.UTF8,
		RequireTLS: e.RequireTLS, Demands: e.Demands, Prefer: p.d.o.Answer.Prefer(ctx, e.From),
	}
	size := int64(len(p.prefix)) + p.content.Size()
	text, env, err := p.d.o.Answer.Succeeded(f, p.told, blob.Prefixed{Prefix: p.prefix, Rest: content}, size)
	if err != nil {
		return nil, err
	}
	h, err := blobs.Put(ctx, text)
	if err != nil {
		return nil, err
	}
	l := &letter{id: mail.NewArrivalID(), action: "delivered"}
	if p.told[0].Expanded {
		l.action = "expanded"
	}
	l.plan, err = p.d.Prepare(ctx, &mail.Arrival{ID: l.id, At: a.At, Ours: true, Envelope: env, Content: h.ID(), Size: h.Size()}, h)
	return l, err
}

// commit lays the report down and notes that it was written.
func (l *letter) commit(tx kv.Tx, a *mail.Arrival) error {
	history.Write(tx, a.ID, history.Entry{
		At: a.At, What: history.Reported, To: a.Envelope.From, Report: l.id, Action: l.action,
	})
	return l.plan.Commit(tx)
}

func (l *letter) emit(ctx context.Context, sink event.Sink, a *mail.Arrival) {
	sink.Emit(ctx, event.Reported{ID: a.ID, Report: l.id, To: a.Envelope.From, Action: l.action})
	l.plan.Emit(ctx)
}
