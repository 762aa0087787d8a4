package relay

import (
	"context"
	"io"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// letter is a report (RFC 3464) that is ready to be laid down.
type letter struct {
	arrival *mail.Arrival
	plan    *deliver.Plan
	action  string
	of      []*settled
}

// actions are RFC 3464 §2.3.3's.
var actions = map[queue.Notice]string{
	queue.NoticeFailed: "failed", queue.NoticeDelayed: "delayed", queue.NoticeRelayed: "relayed",
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
		arrival: &mail.Arrival{ID: mail.NewArrivalID(), At: now, Envelope: env, Content: h.ID(), Size: h.Size()},
		action:  actions[n], of: of,
	}
	l.plan, err = r.o.Deliver.Prepare(ctx, l.arrival, h)
	return l, err
}

// Letter is what a report is composed of.
type Letter struct {
	Message  queue.Message
	Notice   queue.Notice
	To       []queue.Delivery // those it tells of, as they are now
	Replies  []smtp.Reply     // of each, in the same order
	At       time.Time
	GiveUp   time.Duration // from First on
	Original io.ReaderAt   // nil if it cannot be read
	Size     int64         // of Original
}

func (r *Relay) compose(ctx context.Context, m queue.Message, n queue.Notice, of []*settled, now time.Time) ([]byte, mail.Envelope, error) {
	l := Letter{Message: m, Notice: n, At: now, GiveUp: r.o.Policy.GiveUpAfter, Size: int64(len(m.Prefix)) + m.Size}
	for _, p := range of {
		l.To = append(l.To, p.Delivery)
		l.Replies = append(l.Replies, p.result.reply)
	}
	if content, err := r.o.Blobs.Open(ctx, m.Blob); err == nil {
		defer content.Close()
		l.Original = joined{m.Prefix, content}
	}
	return r.o.Compose(l)
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
			At: now, What: history.Untold, To: l.arrival.Envelope.To[0].Address, Reply: l.plan.Replies()[0].String(), Action: l.action,
		})
		return nil
	}
	history.Write(tx, m.ID, history.Entry{
		At: now, What: history.Reported, To: m.From, Report: l.arrival.ID, Action: l.action,
	})
	return l.plan.Commit(tx)
}

func (l *letter) emit(ctx context.Context, sink event.Sink, m queue.Message) {
	if l.plan.Empty() {
		return
	}
	sink.Emit(ctx, event.Reported{ID: m.ID, Report: l.arrival.ID, To: m.From, Action: l.action})
	l.plan.Emit(ctx)
}
