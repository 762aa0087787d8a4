package blob

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// page is how many rows the sweeper takes at a time.
const page = 500

// mark is a row of b/dead. Release makes it empty, the sweeper writes the time
// into it when it first sees it.
type mark struct {
	id    mail.BlobID
	since time.Time // zero: not seen yet
}

// Sweep gives a time to the marks that Release left, and removes what was marked
// 36 hours before now and has nobody who refers to it; then it gives back the
// room of segments. Transactions that take
// no shard are serialised, so a mark is not removed while Handle resets it.
// One sweep runs at a time.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	ctx = kv.Freeing(ctx)
	s.sweeps.Lock()
	defer s.sweeps.Unlock()
	for from := []byte(deadPrefix); from != nil; {
		marks, next, err := s.marks(ctx, from)
		if err == nil {
			err = s.stamp(ctx, marks, now)
		}
		for _, m := range marks {
			if err == nil && !m.since.IsZero() && now.Sub(m.since) >= graceTime {
				err = s.bury(ctx, m)
			}
		}
		if err != nil {
			return fault.Wrap("blob.Sweep", err)
		}
		from = next
	}
	return fault.Wrap("blob.Sweep", s.gather(ctx, now))
}

// Pause holds sweeps back until resume is called, so that a backup finds the
// bytes of all rows it has taken. It waits for a sweep that is running.
func (s *Store) Pause() (resume func()) {
	s.sweeps.Lock()
	return sync.OnceFunc(s.sweeps.Unlock)
}

// marks reads a page of marks, and says where the next one begins.
func (s *Store) marks(ctx context.Context, from []byte) (marks []mark, next []byte, err error) {
	err = s.scan(ctx, from, deadPrefix, func(p kv.Pair) error {
		m := mark{}
		if m.id, err = idOf(p.Key, deadPrefix); err != nil {
			return corrupt("blob", err)
		}
		if len(p.Value) == 8 {
			m.since = time.Unix(int64(binary.BigEndian.Uint64(p.Value)), 0)
		}
		marks = append(marks, m)
		next = append(p.Key, 0)
		return nil
	})
	if len(marks) < page {
		next = nil
	}
	return marks, next, err
}

// scan gives a page of rows that lie in no shard.
func (s *Store) scan(ctx context.Context, from []byte, prefix string, row func(kv.Pair) error) error {
	return s.db.View(ctx, nil, func(r kv.Reader) error {
		for p, err := range r.Scan(kv.Range{From: from, To: kv.PrefixEnd([]byte(prefix)), Limit: page}) {
			if err == nil {
				err = row(p)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// stamp gives the marks that have no time the time now.
func (s *Store) stamp(ctx context.Context, marks []mark, now time.Time) error {
	value := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	return s.db.Update(ctx, nil, func(tx kv.Tx) error {
		for _, m := range marks {
			if !m.since.IsZero() {
				continue
			}
			old, ok, err := tx.Get(deadKey(m.id))
			if err != nil {
				return err
			}
			if ok && len(old) == 0 {
				tx.Set(deadKey(m.id), value)
			}
		}
		return nil
	})
}

func referred(r kv.Reader, id mail.BlobID) (bool, error) {
	q := kv.Prefix(refsKey(id))
	q.Limit = 1
	for _, err := range r.Scan(q) {
		return err == nil, err
	}
	return false, nil
}

// bury removes a blob whose time has come, or its mark if somebody refers to it.
func (s *Store) bury(ctx context.Context, m mark) error {
	var held bool
	err := s.db.Update(ctx, nil, func(tx kv.Tx) error {
		held = false
		old, _, err := tx.Get(deadKey(m.id))
		if err != nil || len(old) != 8 || int64(binary.BigEndian.Uint64(old)) != m.since.Unix() {
			return err // somebody took it up again
		}
		if held, err = referred(tx, m.id); err != nil {
			return err
		}
		tx.Delete(deadKey(m.id))
		if !held {
			tx.Delete(atKey(m.id))
			tx.Clear(kv.Prefix(kv.NewKey([]byte(bodyPrefix)).Fixed(m.id[:])))
		}
		return nil
	})
	if err != nil || !held {
		return err
	}
	return s.remark(ctx, m.id)
}

// remark looks once more after a mark was removed: a Release that committed
// just before has lost its mark.
func (s *Store) remark(ctx context.Context, id mail.BlobID) error {
	held := true
	err := s.db.View(ctx, nil, func(r kv.Reader) (err error) { held, err = referred(r, id); return err })
	if err != nil || held {
		return err
	}
	return s.db.Update(ctx, nil, func(tx kv.Tx) error { tx.Set(deadKey(id), nil); return nil })
}
