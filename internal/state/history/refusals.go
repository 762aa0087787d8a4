package history

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Bounds of what refused commands may cost: who is refused decides how often.
const (
	remembered = 10_000           // the latest are kept in memory, some 4 MiB
	burst      = 600              // of them are written at once
	perRow     = 2 * time.Second  // and one more each so often: 43,200 a day
	flushEvery = time.Second      // how long a row waits to be written
	maxWaiting = burst            // rows that wait
	maxText    = 400              // octets of a reply that are kept
	maxSaid    = 1000             // octets of what was said by those who judged
	flushTime  = 10 * time.Second // for one write
)

// Refusals remembers the commands that were refused, by the reference that their
// replies carried: the latest in memory, and as many as a rate allows in rows,
// where they are found for as long as the history is kept.
type Refusals struct {
	db kv.DB

	mu      sync.Mutex
	ring    []Found // at most remembered, next being the oldest
	next    int
	waiting []Found // to be written; they stand in ring too
	left    int     // rows that may be written now
	filled  time.Time
}

// NewRefusals makes a memory over db.
func NewRefusals(db kv.DB) *Refusals { return &Refusals{db: db, left: burst} }

// Note remembers that a command was refused, or with What == Judged why it is
// about to be. It does not wait. The rows of a reference come in the order of
// their notes.
func (r *Refusals) Note(id mail.ArrivalID, e Entry) {
	most := maxSaid
	if e.What != Judged {
		e.What, most = Refused, maxText
	}
	e.Reply = e.Reply[:min(len(e.Reply), most)]
	f := Found{id, e}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < remembered {
		r.ring = append(r.ring, f)
	} else {
		r.ring[r.next] = f
		r.next = (r.next + 1) % remembered
	}
	if r.filled.IsZero() {
		r.filled = e.At
	}
	if more := int(e.At.Sub(r.filled) / perRow); more > 0 {
		r.left = min(burst, r.left+more)
		r.filled = r.filled.Add(time.Duration(more) * perRow)
	}
	if r.left > 0 && len(r.waiting) < maxWaiting {
		r.left--
		r.waiting = append(r.waiting, f)
	}
}

// ByReference gives what is remembered of a reference, in the order of notes.
func (r *Refusals) ByReference(id mail.ArrivalID) []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Entry
	for i := range r.ring {
		if f := r.ring[(r.next+i)%len(r.ring)]; f.ID == id {
			all = append(all, f.Entry)
		}
	}
	return all
}

// Run writes rows until ctx ends, and then those that wait.
func (r *Refusals) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = r.Flush(ctx) // what could not be written is still in memory
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
			defer cancel()
			_ = r.Flush(last)
			return nil
		}
	}
}

// Flush writes what waits, a partition at a time. What fails is not tried again.
func (r *Refusals) Flush(ctx context.Context) error {
	r.mu.Lock()
	waiting := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	parts := map[uint8][]Found{}
	for _, f := range waiting {
		part := f.ID[0] % kv.Partitions
		parts[part] = append(parts[part], f)
	}
	for part, found := range parts {
		err := r.db.Update(ctx, []kv.Shard{kv.Partition(part)}, func(tx kv.Tx) error {
			for _, f := range found {
				known, err := byArrival(tx, f.ID)
				if err != nil {
					return err
				}
				if !Told(known, f.Entry) {
					Write(tx, f.ID, f.Entry)
				}
			}
			return nil
		})
		if err != nil {
			return fault.Wrap("history.Flush", err)
		}
	}
	return nil
}

// Told says whether entries tell of a refusal already.
func Told(entries []Entry, e Entry) bool {
	return slices.ContainsFunc(entries, func(have Entry) bool {
		return have.What == e.What && have.To == e.To && have.Reply == e.Reply && (have.Action == e.Action || have.Action == "")
	})
}
