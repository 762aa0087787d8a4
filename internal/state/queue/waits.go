package queue

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Waits is how much has to wait: deliveries that were put off, that are held, and
// that are to be released later. What leaves at the first attempt never counts, and
// costs nothing.
type Waits struct {
	Deliveries int64
	Octets     int64 // of their messages, once for each delivery
}

// waits says whether d counts.
func (d Delivery) waits() bool {
	return d.account != 0 && (d.State == Held || d.State == Waiting && d.place.lane == laneLater)
}

// tally is what a transaction changes of it.
type tally map[mail.AccountID]Waits

// add counts d, by 1 or -1.
func (t tally) add(d Delivery, by int64) {
	if d.waits() {
		w := t[d.account]
		t[d.account] = Waits{w.Deliveries + by, w.Octets + by*d.size}
	}
}

// write changes the rows of a partition.
func (t tally) write(tx kv.Tx, part uint8) error {
	for account, by := range t {
		if by == (Waits{}) {
			continue
		}
		w, err := readWaits(tx, part, account)
		if err != nil {
			return err
		}
		w.Deliveries, w.Octets = w.Deliveries+by.Deliveries, w.Octets+by.Octets
		if w.Deliveries <= 0 {
			tx.Delete(waitsKey(part, account))
			continue
		}
		tx.Set(waitsKey(part, account), kv.Value{}.Byte(rowVersion).Uint(uint64(w.Deliveries)).Uint(uint64(max(w.Octets, 0))))
	}
	return nil
}

func waitsKey(part uint8, account mail.AccountID) kv.Key {
	return kv.NewKey(kv.Partition(part)).Uint8('q').Uint8('w').Uint64(uint64(account))
}

func readWaits(r kv.Reader, part uint8, account mail.AccountID) (w Waits, err error) {
	b, ok, err := r.Get(waitsKey(part, account))
	if err != nil || !ok {
		return w, err
	}
	v := kv.ReadValue(b)
	v.Version()
	w = Waits{int64(v.Uint()), int64(v.Uint())}
	return w, fault.As(fault.Corrupt, "queue", v.Err())
}

// Waits tells how much of an account's mail has to wait. It reads a row of each
// partition.
func (s *Store) Waits(ctx context.Context, account mail.AccountID) (Waits, error) {
	var sum Waits
	for part := range uint8(kv.Partitions) {
		err := s.db.View(ctx, kv.Partition(part), func(r kv.Reader) error {
			w, err := readWaits(r, part, account)
			sum.Deliveries += w.Deliveries
			sum.Octets += w.Octets
			return err
		})
		if err != nil {
			return Waits{}, fault.Wrap("queue.Waits", err)
		}
	}
	return sum, nil
}
