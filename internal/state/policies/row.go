package policies

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/trust/mtasts"
)

const format1 = 1

func prefix() kv.Key { return kv.NewKey(kv.OthersShard()).Uint8('m') }

func key(d mail.Domain) kv.Key { return prefix().Text(string(d)) }

// encode writes a policy and when it was last used.
func encode(k Known, used time.Time) []byte {
	return kv.Value{}.Byte(format1).Time(k.Fetched).Time(used).Text(k.ID).Text(k.Policy.String())
}

func decode(b []byte) (k Known, used time.Time, err error) {
	r := kv.ReadValue(b)
	if v := r.Version(); v != format1 {
		return k, used, fault.Newf(fault.Corrupt, "policies.decode", "version %d", v)
	}
	k.Fetched, used, k.ID = r.Time(), r.Time(), r.Text()
	text := r.Text()
	if err := r.Err(); err != nil {
		return Known{}, used, fault.As(fault.Corrupt, "policies.decode", err)
	}
	k.Policy, err = mtasts.Parse([]byte(text))
	return k, used, err
}

// load reads the row of d, once. What cannot be read is told and is not there.
func (s *Store) load(ctx context.Context, e *entry, d mail.Domain) {
	if e.read {
		return
	}
	var row []byte
	err := s.o.DB.View(ctx, kv.OthersShard(), func(r kv.Reader) (err error) {
		row, _, err = r.Get(key(d))
		return err
	})
	if err == nil && row != nil {
		e.known, e.used, err = decode(row)
		if now := time.Now(); e.known.Fetched.After(now) {
			e.known.Fetched = now // the clock went back
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			s.o.Failed(ctx, fault.Wrap("policies.load", err))
		}
		return
	}
	e.read = true
}

func (s *Store) write(ctx context.Context, d mail.Domain, e *entry) {
	row := encode(e.known, e.used)
	err := s.o.DB.Update(ctx, []kv.Shard{kv.OthersShard()}, func(tx kv.Tx) error {
		tx.Set(key(d), row)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.o.Failed(ctx, fault.Wrap("policies.write", err))
	}
}

// Run fetches policies again before their time is over, and forgets those whose
// time it is, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sweepEvery/2 + rand.N(sweepEvery)):
		}
		if err := s.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.o.Failed(ctx, err)
		}
	}
}

// kept is one row.
type kept struct {
	d    mail.Domain
	k    Known
	used time.Time
}

// Sweep is one round of Run.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	all, gone, err := s.rows(ctx, now)
	if err != nil {
		return fault.Wrap("policies.Sweep", err)
	}
	if n := len(all) - maxRows; n > 0 { // the longest unused go
		slices.SortFunc(all, func(a, b kept) int { return cmp.Compare(a.used.Unix(), b.used.Unix()) })
		for _, k := range all[:n] {
			gone = append(gone, key(k.d))
		}
		all = all[n:]
	}
	for part := range slices.Chunk(gone, 1000) {
		err := s.o.DB.Update(kv.Freeing(ctx), []kv.Shard{kv.OthersShard()}, func(tx kv.Tx) error {
			for _, k := range part {
				tx.Delete(k)
			}
			return nil
		})
		if err != nil {
			return fault.Wrap("policies.Sweep", err)
		}
	}
	for _, k := range all {
		if age := now.Sub(k.k.Fetched); ctx.Err() == nil && now.Sub(k.used) < unusedFor && (age > freshFor || age > k.k.MaxAge/2) {
			s.refresh(ctx, k.d, now)
		}
	}
	return nil
}

// rows reads those that are in force, and the keys of the others.
func (s *Store) rows(ctx context.Context, now time.Time) (all []kept, gone [][]byte, err error) {
	err = s.o.DB.View(ctx, kv.OthersShard(), func(r kv.Reader) error {
		all, gone = nil, nil
		for p, err := range r.Scan(kv.Prefix(prefix())) {
			if err != nil {
				return err
			}
			k := kv.ReadKey(p.Key, prefix())
			d := mail.Domain(k.Text())
			known, used, err := decode(p.Value)
			if err != nil || k.Err() != nil || !known.valid(now) {
				gone = append(gone, p.Key)
				continue
			}
			all = append(all, kept{d, known, used})
		}
		return nil
	})
	return all, gone, err
}

// refresh fetches a policy again. It does not count as a use.
func (s *Store) refresh(ctx context.Context, d mail.Domain, now time.Time) {
	e := s.entry(d)
	e.lock()
	defer e.unlock()
	s.load(ctx, e, d)
	used := e.used
	e.used = now // no row for a use
	before := e.known.Fetched
	s.current(ctx, e, d, now, true)
	if e.used = used; e.known.Fetched != before && e.known.MaxAge > 0 {
		s.write(ctx, d, e)
	}
}
