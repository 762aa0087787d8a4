package submit

import (
	"context"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// How what waits is counted.
const (
	recount    = 10 * time.Second // until then what was counted last is believed
	recountAt  = 16               // messages, and for no more than so many
	maxCounted = 10_000           // accounts that are remembered
)

// Waits bounds how much of one account's mail may wait in the queue: what was put
// off, what is held, and what is to be released later. What leaves at once is not
// bounded by it. It may be used by many goroutines.
type Waits struct {
	count      func(context.Context, mail.AccountID) (queue.Waits, error)
	deliveries int64
	octets     int64

	mu      sync.Mutex
	counted map[mail.AccountID]count
}

type count struct {
	queue.Waits
	at    time.Time
	begun int64 // messages since then
}

// NewWaits bounds by numbers of deliveries and octets; 0 is no bound. count tells how
// much waits.
func NewWaits(count func(context.Context, mail.AccountID) (queue.Waits, error), deliveries, octets int64) *Waits {
	return &Waits{count: count, deliveries: deliveries, octets: octets}
}

// full refuses an account that has too much waiting, for the time being.
func (w *Waits) full(ctx context.Context, a *account, now time.Time) (smtp.Reply, error) {
	if w == nil || w.deliveries <= 0 && w.octets <= 0 {
		return smtp.Reply{}, nil
	}
	have, err := w.of(ctx, a.id, now)
	switch {
	case err != nil:
		return smtp.Reply{}, err
	case w.deliveries > 0 && have.Deliveries >= w.deliveries:
		return smtp.Answer(452, smtp.Enhanced{4, 3, 1}, "%s has %d deliveries waiting, and may have %d; please try again when some of them have left", a, have.Deliveries, w.deliveries), nil
	case w.octets > 0 && have.Octets >= w.octets:
		return smtp.Answer(452, smtp.Enhanced{4, 3, 1}, "%s has %d octets waiting, and may have %d; please try again when some of them have left", a, have.Octets, w.octets), nil
	}
	return smtp.Reply{}, nil
}

// of is how much of an account's mail waits, or did a moment ago. An account that is
// near its bound is counted each time.
func (w *Waits) of(ctx context.Context, id mail.AccountID, now time.Time) (queue.Waits, error) {
	w.mu.Lock()
	c, ok := w.counted[id]
	if c.begun++; ok {
		w.counted[id] = c
	}
	w.mu.Unlock()
	near := w.deliveries > 0 && c.Deliveries+c.begun > w.deliveries/2 || w.octets > 0 && c.Octets > w.octets/2
	if ok && !near && c.begun < recountAt && now.Sub(c.at) < recount {
		return c.Waits, nil
	}
	have, err := w.count(ctx, id)
	if err != nil {
		return queue.Waits{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counted == nil || len(w.counted) >= maxCounted {
		w.counted = map[mail.AccountID]count{}
	}
	w.counted[id] = count{Waits: have, at: now}
	return have, nil
}
