package queue

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Filter chooses deliveries. A zero field chooses all.
type Filter struct {
	ID     mail.ArrivalID
	From   mail.Address // the reverse-path; case is ignored
	To     mail.Address // the recipient; case is ignored
	Domain mail.Domain  // of the recipient
	State  State

	Account mail.AccountID // who submitted the message
	Site    mail.Domain    // where it goes next, as Site names it
	Error   string         // is in the answer to the last attempt; case is ignored

	// When the message was accepted.
	Before, After time.Time
}

// Entry is one delivery with its message.
type Entry struct {
	Message  Message
	Delivery Delivery
}

// page is how many rows one View or Update of a listing reads.
const page = 500

// Site names where a delivery goes next: a provider, a smart host, or the
// recipient's domain itself.
func (s *Store) Site(d Delivery) mail.Domain {
	return Hop(d.Via, d.To.Domain, func(d mail.Domain) mail.Domain {
		if s.SiteOf == nil {
			return d
		}
		return s.SiteOf(d)
	})
}

func (s *Store) matchesDelivery(f Filter, d Delivery) bool {
	if f.Error != "" && !strings.Contains(strings.ToLower(d.LastReply), strings.ToLower(f.Error)) ||
		f.Site != "" && f.Site != s.Site(d) {
		return false
	}
	return (f.To.IsNull() || strings.EqualFold(f.To.String(), d.To.String())) &&
		(f.Domain == "" || f.Domain == d.To.Domain) && (f.State == 0 || f.State == d.State)
}

func (f Filter) matchesMessage(m Message) bool {
	if !f.Before.IsZero() && !m.At.Before(f.Before) || !f.After.IsZero() && !m.At.After(f.After) {
		return false
	}
	return (f.From.IsNull() || strings.EqualFold(f.From.String(), m.From.String())) && (f.Account == 0 || f.Account == m.Account)
}

// pages gives, for each partition f concerns, the ranges of delivery rows to
// begin with.
func (f Filter) ranges() []span {
	if f.ID != (mail.ArrivalID{}) {
		return []span{{f.ID[0] % kv.Partitions, kv.Prefix(deliveriesKey(f.ID))}}
	}
	var all []span
	for part := range uint8(kv.Partitions) {
		all = append(all, span{part, kv.Prefix(kv.NewKey(kv.Partition(part)).Uint8('q').Uint8('d'))})
	}
	return all
}

type span struct {
	part uint8
	r    kv.Range
}

// List gives the deliveries that f chooses, message by message; the messages
// come in the order of their ids within a partition, which means in none. It
// reads in pages: what changes meanwhile may or may not be seen. A failure
// comes as a last pair.
func (s *Store) List(ctx context.Context, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, sp := range f.ranges() {
			for sp.r.From != nil {
				var found []Entry
				err := s.db.View(ctx, kv.Partition(sp.part), func(tx kv.Reader) (err error) {
					found, sp.r.From, err = s.page(tx, f, sp)
					return err
				})
				if err != nil {
					yield(Entry{}, fault.Wrap("queue.List", err))
					return
				}
				for _, e := range found {
					if !yield(e, nil) {
						return
					}
				}
			}
		}
	}
}

// page reads one page of sp and says where the next begins; nil if nowhere.
func (s *Store) page(tx kv.Reader, f Filter, sp span) (found []Entry, next []byte, err error) {
	sp.r.Limit = page
	var m Message
	rows := 0
	for p, err := range tx.Scan(sp.r) {
		if err != nil {
			return nil, nil, err
		}
		if rows++; rows == page {
			next = append(p.Key, 0)
		}
		ref, err := readDeliveryKey(p.Key, sp.part)
		if err != nil {
			return nil, nil, fault.As(fault.Corrupt, "queue", err)
		}
		d, err := readDelivery(ref, p.Value)
		if err != nil {
			return nil, nil, err
		}
		if !s.matchesDelivery(f, d) {
			continue
		}
		if m.ID != d.Message {
			var ok bool
			if m, ok, err = getMessage(tx, d.Message); err != nil {
				return nil, nil, err
			} else if !ok {
				return nil, nil, fault.As(fault.Corrupt, "queue", errors.New("delivery without its message"))
			}
		}
		d.of(m)
		if f.matchesMessage(m) {
			found = append(found, Entry{m, d})
		}
	}
	return found, next, nil
}

// What an operator did, as OnChange is told.
const (
	DidRetry   = "retried"
	DidHold    = "held"
	DidRelease = "released"
	DidReroute = "rerouted" // Entry has the new way
	DidDrop    = "dropped"
)

// Retry makes what waits and f chooses due now, and gives its number. Held
// deliveries stay held, and so does what its sender wants released later (RFC
// 4865 §4.2).
func (s *Store) Retry(ctx context.Context, f Filter) (int, error) {
	return s.change(ctx, f, DidRetry, func(tx kv.Tx, e *Entry, now time.Time) (bool, error) {
		if e.Delivery.State != Waiting || e.Message.Release.After(now) {
			return false, nil
		}
		s.requeue(tx, e, Waiting, now)
		return true, nil
	})
}

// Hold keeps what f chooses from being tried until it is released. An attempt
// in flight is not stopped.
func (s *Store) Hold(ctx context.Context, f Filter) (int, error) {
	return s.change(ctx, f, DidHold, func(tx kv.Tx, e *Entry, now time.Time) (bool, error) {
		if e.Delivery.State != Waiting {
			return false, nil
		}
		s.requeue(tx, e, Held, now)
		return true, nil
	})
}

// Release makes what is held and f chooses due now, or when its sender wants it
// released. The time it was held counts towards giving up.
func (s *Store) Release(ctx context.Context, f Filter) (int, error) {
	return s.change(ctx, f, DidRelease, func(tx kv.Tx, e *Entry, now time.Time) (bool, error) {
		if e.Delivery.State != Held {
			return false, nil
		}
		s.requeue(tx, e, Waiting, now)
		return true, nil
	})
}

// Reroute sends what f chooses another way from now on, at once where it waits: by
// "host:port", directly (Direct), or "" the usual way again. An attempt in flight
// is not stopped.
func (s *Store) Reroute(ctx context.Context, f Filter, via string) (int, error) {
	return s.change(ctx, f, DidReroute, func(tx kv.Tx, e *Entry, now time.Time) (bool, error) {
		if e.Delivery.Via == via {
			return false, nil
		}
		e.Delivery.Via = via
		s.requeue(tx, e, e.Delivery.State, now)
		return true, nil
	})
}

// Drop takes away what f chooses; no sender is told. An attempt in flight is
// not stopped.
func (s *Store) Drop(ctx context.Context, f Filter) (int, error) {
	ctx = kv.Freeing(ctx)
	return s.change(ctx, f, DidDrop, func(tx kv.Tx, e *Entry, _ time.Time) (bool, error) {
		unindex(tx, e.Delivery)
		err := remove(tx, e.Delivery)
		e.Delivery.State = 0 // it waits no more
		return true, err
	})
}

func (s *Store) requeue(tx kv.Tx, e *Entry, state State, now time.Time) {
	d := e.Delivery
	unindex(tx, d)
	d.State, d.Due = state, later(now, e.Message.Release)
	e.Delivery = s.put(tx, d, now)
}

// change runs fn over what f chooses, a page a transaction, and gives the
// number of those it changed.
func (s *Store) change(ctx context.Context, f Filter, what string, fn func(kv.Tx, *Entry, time.Time) (bool, error)) (int, error) {
	now, total := time.Now(), 0
	s.changes.Add(1) // what was offered before is loaded again
	for _, sp := range f.ranges() {
		for sp.r.From != nil {
			var changed int
			var next []byte
			err := s.db.Update(ctx, []kv.Shard{kv.Partition(sp.part)}, func(tx kv.Tx) error {
				changed = 0
				found, after, err := s.page(tx, f, sp)
				if err != nil {
					return err
				}
				next = after
				waits := tally{}
				for _, e := range found {
					waits.add(e.Delivery, -1)
					did, err := fn(tx, &e, now)
					if err != nil {
						return err
					}
					waits.add(e.Delivery, 1)
					if did {
						changed++
						if s.OnChange != nil {
							s.OnChange(tx, what, e, now)
						}
					}
				}
				return waits.write(tx, sp.part)
			})
			s.changes.Add(1)
			if err != nil {
				return total, fault.Wrap("queue."+what, err)
			}
			sp.r.From = next
			total += changed
		}
	}
	return total, nil
}
