package ban

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// snapshot is what the doors look at: everything of one version. It never
// changes.
type snapshot struct {
	version kv.Version
	bans    map[netip.Prefix]Ban
	bits    []int // the lengths of the networks that are banned
	allowed []netip.Prefix
	good    map[netip.Prefix]time.Time
}

func (v *snapshot) allows(a netip.Addr) bool {
	return slices.ContainsFunc(v.allowed, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Load brings what the doors see up to date.
func (s *Store) Load(ctx context.Context) error {
	var v *snapshot
	err := s.db.View(ctx, kv.BanShard(), func(r kv.Reader) error {
		v = &snapshot{version: r.Version(kv.BanShard()), bans: map[netip.Prefix]Ban{}, good: map[netip.Prefix]time.Time{}}
		if v.version <= s.now.Load().version {
			return nil
		}
		return v.read(r)
	})
	if err != nil {
		return fault.Wrap("ban.Load", err)
	}
	for {
		have := s.now.Load()
		if v.version <= have.version || s.now.CompareAndSwap(have, v) {
			return nil
		}
	}
}

func (v *snapshot) read(r kv.Reader) error {
	err := scan(r, banRange(), func(net netip.Prefix, row []byte) error {
		b, err := decodeBan(net, row)
		v.bans[net] = b
		if !slices.Contains(v.bits, net.Bits()) {
			v.bits = append(v.bits, net.Bits())
		}
		return err
	})
	if err != nil {
		return err
	}
	err = scan(r, allowRange(), func(net netip.Prefix, _ []byte) error {
		v.allowed = append(v.allowed, net)
		return nil
	})
	if err != nil {
		return err
	}
	return scan(r, goodRange(), func(net netip.Prefix, row []byte) (err error) {
		v.good[net], err = decodeGood(row)
		return err
	})
}

// How often Run does what.
const (
	lookEvery  = time.Minute // looks by itself, and writes successes down
	sweepEvery = time.Hour
)

// Run keeps what the doors see up to date until ctx ends. It also writes down
// where somebody came in from, and forgets what is over.
func (s *Store) Run(ctx context.Context) error {
	changed := s.db.Watch(ctx, kv.BanShard())
	look, sweep := time.NewTicker(lookEvery), time.NewTicker(sweepEvery)
	defer look.Stop()
	defer sweep.Stop()
	s.tell(ctx, s.Load(ctx))
	for {
		select {
		case <-ctx.Done():
			return s.flush(context.WithoutCancel(ctx))
		case _, ok := <-changed:
			if !ok {
				changed = nil // the store closes
				continue
			}
		case <-look.C:
			s.tell(ctx, s.flush(context.WithoutCancel(ctx))) // what it has taken in hand is not lost with ctx
		case <-sweep.C:
			s.tell(ctx, s.Sweep(ctx, time.Now()))
		}
		s.tell(ctx, s.Load(ctx))
	}
}

func (s *Store) tell(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		s.o.Sink.Emit(ctx, event.Failed{Where: "ban", Err: err})
	}
}

// atOnce is how many rows a transaction of flush or Sweep writes.
const atOnce = 1000

// flush writes successes down. Those that find no room are forgotten, which
// only costs an address its privilege.
func (s *Store) flush(ctx context.Context) error {
	s.mu.Lock()
	fresh := s.fresh
	s.fresh = map[netip.Prefix]time.Time{}
	s.mu.Unlock()
	if over := len(s.now.Load().good) + len(fresh) - maxGood; over > 0 {
		for net := range fresh {
			if over--; over < 0 {
				break
			}
			delete(fresh, net)
		}
	}
	var nets []netip.Prefix
	for net := range fresh {
		nets = append(nets, net)
	}
	for some := range slices.Chunk(nets, atOnce) {
		err := s.update(ctx, func(tx kv.Tx) error {
			for _, net := range some {
				tx.Set(goodKey(net), encodeGood(fresh[net]))
			}
			return nil
		})
		if err != nil {
			return fault.Wrap("ban.flush", err)
		}
	}
	return nil
}

// Sweep forgets bans that ended Options.Forget ago, and successes that are not
// recent any more.
func (s *Store) Sweep(ctx context.Context, now time.Time) error {
	v := s.now.Load()
	var gone []kv.Key
	for net, b := range v.bans {
		if !b.Until.IsZero() && now.Sub(b.Until) >= s.o.Forget {
			gone = append(gone, banKey(net))
		}
	}
	for net, at := range v.good {
		if now.Sub(at) >= s.o.Recent {
			gone = append(gone, goodKey(net))
		}
	}
	for some := range slices.Chunk(gone, atOnce) {
		err := s.update(ctx, func(tx kv.Tx) error {
			for _, key := range some {
				if err := s.forget(tx, key, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fault.Wrap("ban.Sweep", err)
		}
	}
	return nil
}

// forget removes a row unless it has become young again meanwhile.
func (s *Store) forget(tx kv.Tx, key kv.Key, now time.Time) error {
	v, ok, err := tx.Get(key)
	if err != nil || !ok {
		return err
	}
	if b, err := decodeBan(netip.Prefix{}, v); err == nil && (b.Until.IsZero() || now.Sub(b.Until) < s.o.Forget) {
		return nil
	}
	if at, err := decodeGood(v); err == nil && now.Sub(at) < s.o.Recent {
		return nil
	}
	tx.Delete(key)
	return nil
}
