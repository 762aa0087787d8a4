package relay

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// letter is a report (RFC 3464) that is ready to be laid down.
type letter struct {
	arrival *mail.Arrival
	plan    *deliver.Plan
	action  dsn.Action
	of      []*settled
}

var actions = map[queue.Notice]dsn.Action{
	queue.NoticeFailed: dsn.Failed, queue.NoticeDelayed: dsn.Delayed, queue.NoticeRelayed: dsn.Relayed,
}

// write composes a report to the sender of m and prepares its delivery.
func (r *Relay) write(ctx context.Context, m queue.Message, n queue.Notice, of []*settled, now time.Time) (*letter, error) {
	content, env, err := r.compose(ctx, m, n, of, now)
	if err != nil {
		return nil, err
	}
	h, err := r.o.Blobs.Put(ctx, content)
	if err != nil {
		return nil, err
	}
	l := &letter{
		arrival: &mail.Arrival{ID: mail.NewArrivalID(), At: now, Ours: true, Envelope: env, Content: h.ID(), Size: h.Size()},
		action:  actions[n], of: of,
	}
	l.plan, err = r.o.Deliver.Prepare(ctx, l.arrival, h)
	return l, err
}

// compose lets answer write the report, with the original where it can be read.
func (r *Relay) compose(ctx context.Context, m queue.Message, n queue.Notice, of []*settled, now time.Time) ([]byte, mail.Envelope, error) {
	facts := answer.Facts{
		ID: m.ID, Now: now, Arrived: m.At, From: m.From, EnvelopeID: m.EnvID, HeadersOnly: m.HeadersOnly, UTF8: m.UTF8,
		RequireTLS: m.RequireTLS, Demands: m.Demands, Prefer: r.o.Answer.Prefer(ctx, m.From),
	}
	if stranger, err := r.stranger(ctx, m); err != nil {
		return nil, mail.Envelope{}, err
	} else if stranger {
		facts.HeadersOnly = true // whoever forged the sender has nothing carried to him
	}
	var rcpts []dsn.Recipient
	for _, p := range of {
		rcpts = append(rcpts, r.recipient(n, p))
	}
	content, err := r.o.Blobs.Open(ctx, m.Blob)
	if err == nil {
		defer content.Close()
		var letter []byte
		var env mail.Envelope
		letter, env, err = r.o.Answer.Report(facts, rcpts, blob.Prefixed{Prefix: m.Prefix, Rest: content}, int64(len(m.Prefix))+m.Size)
		if err == nil {
			return letter, env, nil
		}
	}
	r.failed(ctx, err)
	return r.o.Answer.Report(facts, rcpts, nil, 0)
}

// stranger says whether a message is not of ours: an alias sends it on, and
// nobody has proven its sender.
func (r *Relay) stranger(ctx context.Context, m queue.Message) (bool, error) {
	if m.Account != 0 || r.o.Here == nil {
		return false, nil
	}
	ours, err := r.o.Here(ctx, m.From)
	return !ours, err
}

// withheld says why the sender of m is not told of p; "" if he is. A message
// that the next host takes for unwanted likely has a forged sender, whom a report
// would hit.
func (r *Relay) withheld(ctx context.Context, m queue.Message, n queue.Notice, p *settled) (string, error) {
	if n == queue.NoticeRelayed || n == queue.NoNotice {
		return "", nil
	}
	stranger, err := r.stranger(ctx, m)
	switch {
	case err != nil || !stranger:
		return "", err
	case m.Junk:
		return "the message was judged junk, and its sender may be forged", nil
	case answer.Doubted(r.recipient(n, p)):
		return "the message was refused as unwanted, and its sender may be forged", nil
	}
	return "", nil
}

// recipient is what a report says of one recipient.
func (r *Relay) recipient(n queue.Notice, p *settled) dsn.Recipient {
	rcpt := dsn.Recipient{
		Original: p.Original, Final: p.To, Action: actions[n], Status: status(n, p), RemoteMTA: p.LastHost,
		Diagnostic: p.result.reply.String(), LastAttempt: p.Last,
	}
	if n == queue.NoticeDelayed {
		rcpt.RetryUntil = r.o.Policy.GiveUp(p.Delivery)
	}
	return rcpt
}

// status is the enhanced code of a reply or, where it has none that fits, its
// class (RFC 3463 §3.1). What failed only because it waited too long says so, and
// so does what is late (RFC 2852 §4.1.3).
func status(n queue.Notice, p *settled) string {
	reply := p.result.reply
	class := uint16(reply.Code / 100)
	switch {
	case n == queue.NoticeFailed && class == 4 && p.late:
		return "5.4.7"
	case n == queue.NoticeDelayed && p.Late && !p.result.Late:
		return "4.4.7"
	case n == queue.NoticeFailed && class == 4:
		return "4.4.7"
	case reply.Enhanced[0] == class:
		return reply.Enhanced.String()
	case n == queue.NoticeDelayed:
		return "4.0.0" // the host's own class may be another (RFC 3464 §2.3.4)
	}
	return smtp.Enhanced{class}.String()
}

// commit lays the report down, unless an operator has dropped all that it tells
// of, or there is nobody to take it.
func (l *letter) commit(tx kv.Tx, m queue.Message, now time.Time) error {
	there := false
	for _, p := range l.of {
		there = there || p.there
	}
	if !there {
		return nil
	}
	if l.plan.Empty() {
		history.Write(tx, m.ID, history.Entry{
			At: now, What: history.Untold, To: l.arrival.Envelope.To[0].Address, Reply: l.plan.Replies()[0].String(), Action: string(l.action),
		})
		return nil
	}
	history.Write(tx, m.ID, history.Entry{
		At: now, What: history.Reported, To: m.From, Report: l.arrival.ID, Action: string(l.action),
	})
	return l.plan.Commit(tx)
}

func (l *letter) emit(ctx context.Context, sink event.Sink, m queue.Message) {
	if l.plan.Empty() {
		return
	}
	sink.Emit(ctx, event.Reported{ID: m.ID, Report: l.arrival.ID, To: m.From, Action: string(l.action)})
	l.plan.Emit(ctx)
}
