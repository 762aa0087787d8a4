package zone

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Options of a store.
type Options struct {
	DB kv.DB
	// Server tells what all domains have in common, and Facts what one has.
	Server func() Server
	Facts  func(context.Context, mail.Domain) (Facts, error)
	Now    func() time.Time // nil is time.Now
}

// Store keeps the zones. It may be used by many goroutines.
type Store struct {
	o       Options
	changes atomic.Uint64
	mu      sync.Mutex
	loaded  bool
	names   map[string]mark // by zone
	built   map[string]*entry
}

// mark is what is always in memory of a zone.
type mark struct {
	change uint64 // how often it was changed
	tell   bool   // somebody is told of changes
}

// NewStore makes a store.
func NewStore(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{o: o, names: map[string]mark{}, built: map[string]*entry{}}
}

var shard = []kv.Shard{kv.ZoneShard()}

// Limits of what is kept.
const (
	MaxZones    = 1_000_000
	maxTransfer = 50 // networks and keys of a zone that may have it, and whom to notify
)

// Add makes a zone. fault.Exists, fault.Invalid.
func (s *Store) Add(ctx context.Context, h Held) error {
	const op = "zone.Add"
	h.Name = dns.CanonicalName(h.Name)
	if err := h.valid(); err != nil {
		return fault.Wrap(op, err)
	}
	now := s.o.Now()
	h.Added = now
	if h.Signed {
		var err error
		if h.Keys, _, err = Roll(h.Name, nil, now, Parent{}); err != nil {
			return fault.Wrap(op, err)
		}
	}
	err := s.o.DB.Update(ctx, shard, func(tx kv.Tx) error {
		if _, there, err := tx.Get(rowKey(tagZone, h.Name)); err != nil || there {
			return first(err, fault.Newf(fault.Exists, "", "the zone %s is there already", h.Name))
		}
		return write(tx, &h)
	})
	return s.changed(ctx, op, err)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// valid refuses a zone that cannot be served.
func (h *Held) valid() error {
	name := strings.TrimSuffix(h.Name, ".")
	if _, ok := dns.IsDomainName(h.Name); !ok || name == "" || strings.Count(name, ".") == 0 && !h.Reverse && h.Domain != "" {
		return fault.Newf(fault.Invalid, "", "%q cannot be a zone", name)
	}
	if len(h.Transfer) > maxTransfer || len(h.Notify) > maxTransfer {
		return fault.Newf(fault.Invalid, "", "a zone has at most %d secondaries", maxTransfer)
	}
	for _, t := range h.Transfer {
		if _, isKey := strings.CutPrefix(t, "key:"); isKey {
			continue
		}
		if _, err := netip.ParsePrefix(t); err != nil {
			if _, err := netip.ParseAddr(t); err != nil {
				return fault.Newf(fault.Invalid, "", "%q is neither a network nor key:NAME", t)
			}
		}
	}
	for _, n := range h.Notify {
		if _, err := netip.ParseAddrPort(n); err != nil {
			return fault.Newf(fault.Invalid, "", "%q is no address with a port", n)
		}
	}
	return nil
}

// Remove ends a zone. fault.NotFound.
func (s *Store) Remove(ctx context.Context, name string) error {
	const op = "zone.Remove"
	name = dns.CanonicalName(name)
	err := s.o.DB.Update(ctx, shard, func(tx kv.Tx) error {
		if _, err := readZone(tx, name); err != nil {
			return err
		}
		tx.Delete(rowKey(tagZone, name))
		tx.Delete(rowKey(tagName, name))
		tx.Clear(kv.Prefix(rowKey(tagRecord, name)))
		return nil
	})
	return s.changed(ctx, op, err)
}

// Zone gives a zone as it is kept. fault.NotFound.
func (s *Store) Zone(ctx context.Context, name string) (h Held, err error) {
	name = dns.CanonicalName(name)
	err = s.o.DB.View(ctx, kv.ZoneShard(), func(r kv.Reader) error {
		h, err = readZone(r, name)
		return err
	})
	return h, fault.Wrap("zone.Zone", err)
}

// List gives up to limit zones behind one, in the order of their names.
func (s *Store) List(ctx context.Context, after string, limit int) (list []Held, err error) {
	all := kv.NewKey(kv.ZoneShard()).Uint8(tagZone)
	rows := kv.Prefix(all)
	rows.Limit = limit
	if after != "" {
		rows.From = append(rowKey(tagZone, dns.CanonicalName(after)), 0)
	}
	err = s.o.DB.View(ctx, kv.ZoneShard(), func(r kv.Reader) error {
		list = nil
		for p, err := range r.Scan(rows) {
			if err != nil {
				return err
			}
			h, err := decodeHeld(kv.ReadKey(p.Key, all).Text(), p.Value)
			if err != nil {
				return err
			}
			list = append(list, h)
		}
		return nil
	})
	return list, fault.Wrap("zone.List", err)
}

// Change changes what fn changes of a zone, but for its name. fault.NotFound,
// fault.Invalid.
func (s *Store) Change(ctx context.Context, name string, fn func(*Held) error) error {
	const op = "zone.Change"
	name = dns.CanonicalName(name)
	err := s.o.DB.Update(ctx, shard, func(tx kv.Tx) error {
		h, err := readZone(tx, name)
		if err != nil {
			return err
		}
		if err = fn(&h); err != nil {
			return err
		}
		h.Name = name
		if err = h.valid(); err != nil {
			return err
		}
		return write(tx, &h)
	})
	return s.changed(ctx, op, err)
}

// SetRecords puts records in the place of those of the same name and type, which
// were written by hand; none removes them. It looks at the whole zone as it would
// be. fault.Invalid says what does not fit.
func (s *Store) SetRecords(ctx context.Context, zone, name string, t uint16, rrs []dns.RR) error {
	return s.edit(ctx, "zone.SetRecords", zone, func(own []dns.RR) []dns.RR {
		name := dns.CanonicalName(name)
		own = slices.DeleteFunc(own, func(rr dns.RR) bool {
			return dns.CanonicalName(rr.Header().Name) == name && rr.Header().Rrtype == t
		})
		return append(own, rrs...)
	})
}

// Import puts records in the place of all that were written by hand.
func (s *Store) Import(ctx context.Context, zone string, rrs []dns.RR) error {
	return s.edit(ctx, "zone.Import", zone, func([]dns.RR) []dns.RR { return rrs })
}

// Records gives what was written by hand.
func (s *Store) Records(ctx context.Context, zone string) (rrs []dns.RR, err error) {
	zone = dns.CanonicalName(zone)
	err = s.o.DB.View(ctx, kv.ZoneShard(), func(r kv.Reader) error {
		if _, err := readZone(r, zone); err != nil {
			return err
		}
		rrs, err = readRecords(r, zone)
		return err
	})
	return rrs, fault.Wrap("zone.Records", err)
}

// edit replaces the records written by hand, if a zone with them can be served.
func (s *Store) edit(ctx context.Context, op, zone string, fn func([]dns.RR) []dns.RR) error {
	zone = dns.CanonicalName(zone)
	h, err := s.Zone(ctx, zone)
	if err != nil {
		return fault.Wrap(op, err)
	}
	drawn, err := s.draw(ctx, h)
	if err != nil {
		return fault.Wrap(op, err)
	}
	err = s.o.DB.Update(ctx, shard, func(tx kv.Tx) error {
		h, err := readZone(tx, zone)
		if err != nil {
			return err
		}
		own, err := readRecords(tx, zone)
		if err != nil {
			return err
		}
		own = fn(own)
		for i, rr := range own {
			own[i] = dns.Copy(rr)
			own[i].Header().Name = dns.CanonicalName(rr.Header().Name)
		}
		if _, err := Build(zone, copies(Merge(slices.Concat(drawn, Apex(zone, h.Domain, s.o.Server(), 1)), own)), Signing{}); err != nil {
			return err
		}
		h.Own = len(own)
		tx.Clear(kv.Prefix(rowKey(tagRecord, zone)))
		if err := keep(tx, zone, own); err != nil {
			return err
		}
		return write(tx, &h)
	})
	return s.changed(ctx, op, err)
}

// keep writes records, a row a set.
func keep(tx kv.Tx, zone string, own []dns.RR) error {
	type set struct {
		name string
		t    uint16
	}
	sets := map[set][]dns.RR{}
	for _, rr := range own {
		of := set{rr.Header().Name, rr.Header().Rrtype}
		sets[of] = append(sets[of], rr)
	}
	if len(sets) > kv.MaxWrites-10 {
		return fault.Newf(fault.TooLarge, "", "a zone has at most %d sets of records that are written by hand", kv.MaxWrites-10)
	}
	for of, rrs := range sets {
		b := encodeRecords(rrs)
		if len(b) > kv.MaxValue {
			return fault.Newf(fault.TooLarge, "", "%s has too many records", of.name)
		}
		tx.Set(recordKey(zone, of.name, of.t), b)
	}
	return nil
}

func copies(rrs []dns.RR) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
	}
	return out
}
