// Package ban keeps which addresses may not come in at any door, and which are
// never kept out.
package ban

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// What the store holds at most.
const (
	MaxBans    = 20_000 // with those that are over and not forgotten
	MaxAllowed = 1_000
	maxGood    = 50_000 // addresses with a recent success
)

// Options say how long things last. Zero fields take their defaults.
type Options struct {
	First  time.Duration // of an address's first ban [10 min]; each further one is twice as long
	Max    time.Duration // of any ban that no person made [24 h]
	Forget time.Duration // after the end of a ban the next is a first one again [7 days]
	Recent time.Duration // how long a success saves an address from bans [7 days]
	Sink   event.Sink    // nil: nobody listens
}

func (o Options) withDefaults() Options {
	span := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	span(&o.First, 10*time.Minute)
	span(&o.Max, 24*time.Hour)
	span(&o.Forget, 7*24*time.Hour)
	span(&o.Recent, 7*24*time.Hour)
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	return o
}

// Ban keeps one network out.
type Ban struct {
	Net    netip.Prefix
	Since  time.Time
	Until  time.Time // zero: until it is lifted
	Times  int       // how often lately, this time too
	Reason string
	Manual bool // a person made it
}

// At says whether the ban holds at a moment.
func (b Ban) At(now time.Time) bool { return b.Until.IsZero() || now.Before(b.Until) }

// Allowed is one network that is never banned.
type Allowed struct {
	Net   netip.Prefix
	Since time.Time
	Note  string
}

// Store keeps bans in the store and, for the doors, what holds now in memory.
type Store struct {
	db  kv.DB
	o   Options
	now atomic.Pointer[snapshot]

	mu    sync.Mutex
	fresh map[netip.Prefix]time.Time // successes that are not written yet
}

// New makes a Store over db. Before Run has begun, or Load, it knows of no ban.
func New(db kv.DB, o Options) *Store {
	s := &Store{db: db, o: o.withDefaults(), fresh: map[netip.Prefix]time.Time{}}
	s.now.Store(&snapshot{})
	return s
}

// Barred says whether a may not come in, and by which ban. It reads no store.
func (s *Store) Barred(now time.Time, a netip.Addr) (Ban, bool) {
	v := s.now.Load()
	a = plain(a)
	if len(v.bans) == 0 || !a.IsValid() || a.IsLoopback() || v.allows(a) {
		return Ban{}, false
	}
	for _, bits := range v.bits {
		p, err := a.Prefix(bits)
		if err != nil {
			continue
		}
		if b, ok := v.bans[p]; ok && b.At(now) {
			return b, true
		}
	}
	return Ban{}, false
}

// Allows says whether a stands on the list of those never banned.
func (s *Store) Allows(a netip.Addr) bool { return s.now.Load().allows(plain(a)) }

// Spares says whether no guard bans a: it is loopback or allowed, or somebody
// came in from there lately.
func (s *Store) Spares(now time.Time, a netip.Addr) bool {
	a = plain(a)
	if !a.IsValid() || a.IsLoopback() || s.Allows(a) {
		return true
	}
	k := limit.Key(a)
	s.mu.Lock()
	at, ok := s.fresh[k]
	s.mu.Unlock()
	if !ok {
		at, ok = s.now.Load().good[k]
	}
	return ok && now.Sub(at) < s.o.Recent
}

// Welcome notes that somebody came in from a. It is written by Run, in a minute
// or so and twice a day at most.
func (s *Store) Welcome(now time.Time, a netip.Addr) {
	a = plain(a)
	if !a.IsValid() || a.IsLoopback() {
		return
	}
	k := limit.Key(a)
	if at, ok := s.now.Load().good[k]; ok && now.Sub(at) < s.o.Recent/14 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fresh) < maxGood {
		s.fresh[k] = now
	}
}

// Punish bans a's address (in IPv6 its /64), unless it is spared or banned
// already; done says whether it is banned now. The first ban lasts Options.First
// and each further one is twice as long. fault.TooMany if the store is full.
func (s *Store) Punish(ctx context.Context, a netip.Addr, reason string) (b Ban, done bool, err error) {
	const op = "ban.Punish"
	now := time.Now()
	if s.Spares(now, a) {
		return Ban{}, false, nil
	}
	net := limit.Key(a)
	err = s.update(ctx, func(tx kv.Tx) error {
		done = false
		was, ok, err := readBan(tx, net)
		switch {
		case err != nil:
			return err
		case ok && was.At(now):
			return nil
		case !ok:
			if err := room(tx, banRange(), MaxBans); err != nil {
				return err
			}
		}
		b = Ban{Net: net, Since: now, Times: 1, Reason: reason}
		if ok && now.Sub(was.Until) < s.o.Forget {
			b.Times = was.Times + 1
		}
		b.Until = now.Add(min(s.o.Max, s.o.First<<min(b.Times-1, 16)))
		done = true
		tx.Set(banKey(net), b.encode())
		return nil
	})
	if err == nil && done {
		s.o.Sink.Emit(ctx, event.AddressBanned{Net: net, Until: b.Until, Times: b.Times, Reason: reason})
	}
	return b, done, fault.Wrap(op, err)
}

// Add bans a network for d, or with d = 0 until it is lifted. fault.Invalid for
// what nobody may ban, fault.TooMany if the store is full.
func (s *Store) Add(ctx context.Context, net netip.Prefix, d time.Duration, reason string) (Ban, error) {
	const op = "ban.Add"
	if err := bannable(op, net); err != nil {
		return Ban{}, err
	}
	b := Ban{Net: net, Since: time.Now(), Reason: reason, Manual: true}
	if d > 0 {
		b.Until = b.Since.Add(d)
	}
	err := s.update(ctx, func(tx kv.Tx) error {
		was, ok, err := readBan(tx, net)
		if err == nil && !ok {
			err = room(tx, banRange(), MaxBans)
		}
		if err != nil {
			return err
		}
		b.Times = was.Times + 1
		tx.Set(banKey(net), b.encode())
		return nil
	})
	if err == nil {
		s.o.Sink.Emit(ctx, event.AddressBanned{Net: net, Until: b.Until, Times: b.Times, Reason: reason})
	}
	return b, fault.Wrap(op, err)
}

// Remove lifts the ban of net, and forgets that it was. fault.NotFound.
func (s *Store) Remove(ctx context.Context, net netip.Prefix) error {
	const op = "ban.Remove"
	err := s.update(ctx, func(tx kv.Tx) error { return drop(op, tx, banKey(net), net, "banned") })
	if err == nil {
		s.o.Sink.Emit(ctx, event.BanLifted{Net: net})
	}
	return fault.Wrap(op, err)
}

// Bans lists the bans that hold at a moment, by network; with all, those too
// that are over and count for the length of the next.
func (s *Store) Bans(ctx context.Context, now time.Time, all bool) ([]Ban, error) {
	var found []Ban
	err := s.db.View(ctx, kv.BanShard(), func(r kv.Reader) error {
		found = nil
		return scan(r, banRange(), func(net netip.Prefix, v []byte) error {
			b, err := decodeBan(net, v)
			if all || b.At(now) {
				found = append(found, b)
			}
			return err
		})
	})
	slices.SortFunc(found, func(a, b Ban) int { return a.Net.Compare(b.Net) })
	return found, fault.Wrap("ban.Bans", err)
}

// Allow puts a network on the list of those never banned. fault.TooMany if the
// list is full.
func (s *Store) Allow(ctx context.Context, net netip.Prefix, note string) (Allowed, error) {
	a := Allowed{Net: net, Since: time.Now(), Note: note}
	err := s.update(ctx, func(tx kv.Tx) error {
		_, ok, err := tx.Get(allowKey(net))
		if err == nil && !ok {
			err = room(tx, allowRange(), MaxAllowed)
		}
		if err == nil {
			tx.Set(allowKey(net), a.encode())
		}
		return err
	})
	if err == nil {
		s.o.Sink.Emit(ctx, event.NetworkAllowed{Net: net, Note: note})
	}
	return a, fault.Wrap("ban.Allow", err)
}

// Disallow takes a network off that list. fault.NotFound.
func (s *Store) Disallow(ctx context.Context, net netip.Prefix) error {
	const op = "ban.Disallow"
	err := s.update(ctx, func(tx kv.Tx) error { return drop(op, tx, allowKey(net), net, "on the list of the allowed") })
	if err == nil {
		s.o.Sink.Emit(ctx, event.NetworkAllowed{Net: net, Off: true})
	}
	return fault.Wrap(op, err)
}

// Allowed lists the networks never banned.
func (s *Store) Allowed(ctx context.Context) ([]Allowed, error) {
	var found []Allowed
	err := s.db.View(ctx, kv.BanShard(), func(r kv.Reader) error {
		found = nil
		return scan(r, allowRange(), func(net netip.Prefix, v []byte) error {
			a, err := decodeAllowed(net, v)
			found = append(found, a)
			return err
		})
	})
	slices.SortFunc(found, func(a, b Allowed) int { return a.Net.Compare(b.Net) })
	return found, fault.Wrap("ban.Allowed", err)
}

// update runs fn on the shard and lets the doors know at once.
func (s *Store) update(ctx context.Context, fn func(kv.Tx) error) error {
	if err := s.db.Update(ctx, []kv.Shard{kv.BanShard()}, fn); err != nil {
		return err
	}
	return s.Load(ctx)
}

func drop(op string, tx kv.Tx, key kv.Key, net netip.Prefix, what string) error {
	_, ok, err := tx.Get(key)
	if err == nil && !ok {
		err = fault.Newf(fault.NotFound, op, "%s is not %s", net, what)
	}
	if err == nil {
		tx.Delete(key)
	}
	return err
}

// room says whether one more row fits.
func room(r kv.Reader, rows kv.Range, most int) error {
	n := 0
	for _, err := range r.Scan(rows) {
		if err != nil {
			return err
		}
		n++
	}
	if n >= most {
		return fault.Newf(fault.TooMany, "ban", "there are %d already", n)
	}
	return nil
}
