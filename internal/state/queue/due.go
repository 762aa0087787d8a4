package queue

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Due is a delivery whose time has come, as the index names it.
type Due struct {
	Ref
	Domain   mail.Domain // of the recipient
	Priority int8        // of the message
	Sender   uint64      // a number for who sent the message; 0: not known
	Via      string      // the delivery's
	At       Cursor      // from which its row is read again, and nothing before it
}

// overlap is how far back a reader looks again in the lane that is ordered by
// time, because rows may be written there that late.
const overlap = time.Minute

// Look is what TakeDue found.
type Look struct {
	Due  []Due
	Next Cursor    // where to go on
	More bool      // at once: the limit was reached
	Wake time.Time // when the next one falls due; zero if none does
}

// TakeDue reads what is due in a partition at now, from a cursor on, at most
// limit rows, what is urgent first. It changes nothing and reads only the index: its cost does not
// grow with what waits. A cursor never passes a row that could still be
// committed; for that some rows come again, so the reader must know what it
// has taken already.
func (s *Store) TakeDue(ctx context.Context, part uint8, from Cursor, now time.Time, limit int) (Look, error) {
	var l Look
	err := s.db.View(ctx, kv.Partition(part), func(tx kv.Reader) error {
		l = Look{Next: from}
		for _, lane := range []uint8{laneFirst, laneNow} {
			if err := l.scan(tx, part, lane, kv.PrefixEnd(laneKey(part, lane)), limit); err != nil {
				return err
			}
		}
		horizon := laneKey(part, laneLater).Uint64(position(now) + 1)
		if err := l.scan(tx, part, laneLater, horizon, limit); err != nil {
			return err
		}
		if !l.More {
			// All that is committed was seen.
			behind := mark(uint64(tx.Version(kv.Partition(part))) + 1)
			l.Next.first, l.Next.now = max(from.first, behind), max(from.now, behind)
			l.Next.later = max(from.later, mark(position(now.Add(-overlap))))
		}
		return l.wake(tx, part, horizon)
	})
	return l, fault.Wrap("queue.TakeDue", err)
}

// TakeFirst reads what is urgent and due, as TakeDue does, and nothing else: for
// a reader who has no room for more.
func (s *Store) TakeFirst(ctx context.Context, part uint8, from Cursor, limit int) (Look, error) {
	var l Look
	err := s.db.View(ctx, kv.Partition(part), func(tx kv.Reader) error {
		l = Look{Next: from}
		return l.scan(tx, part, laneFirst, kv.PrefixEnd(laneKey(part, laneFirst)), limit)
	})
	return l, fault.Wrap("queue.TakeFirst", err)
}

// mark is a position as a cursor has it.
func mark(pos uint64) string { return string(binary.BigEndian.AppendUint64(nil, pos)) }

// scan reads one lane up to, not including, to.
func (l *Look) scan(tx kv.Reader, part, lane uint8, to []byte, limit int) error {
	prefix := laneKey(part, lane)
	at, from := End(), &l.Next.now
	here := &at.now
	switch lane {
	case laneFirst:
		from, here = &l.Next.first, &at.first
	case laneLater:
		from, here = &l.Next.later, &at.later
	}
	if l.More || *from == end {
		return nil
	}
	r := kv.Range{From: kv.NewKey(prefix).Fixed([]byte(*from)), To: to, Limit: limit - len(l.Due) + 1}
	if string(r.From) >= string(r.To) {
		return nil
	}
	for p, err := range tx.Scan(r) {
		if err != nil {
			return err
		}
		_, ref, err := readIndexKey(p.Key, part, lane)
		if err != nil {
			return fault.As(fault.Corrupt, "queue", err)
		}
		*here = string(p.Key[len(prefix):])
		if len(l.Due) == limit {
			*from, l.More = *here, true
			return nil
		}
		*from = *here + "\x00"
		d := readIndex(p.Value)
		d.Ref, d.At = ref, at
		l.Due = append(l.Due, d)
	}
	return nil
}

// wake finds the time of the first row behind the horizon.
func (l *Look) wake(tx kv.Reader, part uint8, horizon []byte) error {
	r := kv.Range{From: horizon, To: kv.PrefixEnd(laneKey(part, laneLater)), Limit: 1}
	for p, err := range tx.Scan(r) {
		if err != nil {
			return err
		}
		pos, _, err := readIndexKey(p.Key, part, laneLater)
		if err != nil {
			return fault.As(fault.Corrupt, "queue", err)
		}
		l.Wake = time.Unix(0, int64(pos)).UTC()
	}
	return nil
}

// Load reads one message and those of its deliveries that are named and still
// wait.
func (s *Store) Load(ctx context.Context, id mail.ArrivalID, ns []uint32) (Message, []Delivery, error) {
	var m Message
	var ds []Delivery
	err := s.db.View(ctx, kv.PartitionShard(id), func(tx kv.Reader) error {
		ds = nil
		var ok bool
		var err error
		if m, ok, err = getMessage(tx, id); err != nil || !ok {
			return err
		}
		keys := make([][]byte, len(ns))
		for i, n := range ns {
			keys[i] = deliveryKey(Ref{id, n})
		}
		values, err := tx.GetMany(keys)
		if err != nil {
			return err
		}
		for i, v := range values {
			if v == nil {
				continue
			}
			d, err := readDelivery(Ref{id, ns[i]}, v)
			if err != nil {
				return err
			}
			if d.State == Waiting {
				d.of(m)
				ds = append(ds, d)
			}
		}
		return nil
	})
	return m, ds, fault.Wrap("queue.Load", err)
}
