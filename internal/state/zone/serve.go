package zone

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// How zones are kept ready.
const (
	maxBuilt = 2000             // zones ready in memory; the others are built when they are asked for
	lookFor  = 30 * time.Second // then what a zone is drawn from is looked at again
	lookNews = 5 * time.Second  // between looks for changes by others
)

// entry is a zone in memory. Whoever holds its lock may build it.
type entry struct {
	mu      sync.Mutex
	zone    *Zone
	change  uint64 // of the zone when it was built
	looked  time.Time
	digest  string
	trouble error
}

// changed takes notice of a change of ours.
func (s *Store) changed(ctx context.Context, op string, err error) error {
	if err == nil {
		err = s.load(ctx)
	}
	return fault.Wrap(op, err)
}

// load reads which zones there are.
func (s *Store) load(ctx context.Context) error {
	all := kv.NewKey(kv.ZoneShard()).Uint8(tagName)
	names := map[string]mark{}
	err := s.o.DB.View(ctx, kv.ZoneShard(), func(r kv.Reader) error {
		clear(names)
		for p, err := range r.Scan(kv.Prefix(all)) {
			if err != nil {
				return err
			}
			v := kv.ReadValue(p.Value)
			v.Version()
			names[kv.ReadKey(p.Key, all).Text()] = mark{v.Uint(), v.Byte() == 1}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names, s.loaded = names, true
	s.changes.Add(1)
	for name := range s.built {
		if _, there := names[name]; !there {
			delete(s.built, name)
		}
	}
	return nil
}

// Run keeps up with changes, and keys in time, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	news := s.o.DB.Watch(ctx, kv.ZoneShard())
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		// What cannot be read now is read at the next turn; the old is served.
		_ = s.load(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookNews):
		}
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		case <-tick.C:
		}
	}
}

// Of finds the zone that a canonical name lies in, "" if it is none of ours.
func (s *Store) Of(ctx context.Context, name string) (zone string, err error) {
	s.mu.Lock()
	loaded := s.loaded
	s.mu.Unlock()
	if !loaded {
		if err := s.load(ctx); err != nil {
			return "", fault.Wrap("zone.Of", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for labels := dns.CountLabel(name); labels > 0; labels-- {
		if zone = dnssec.Suffix(name, labels); zone == "" {
			break
		}
		if _, ours := s.names[zone]; ours {
			return zone, nil
		}
	}
	return "", nil
}

// Ready gives the zone of a name that Of gave, ready to be answered from. What cannot
// be drawn anew is answered as it was.
func (s *Store) Ready(ctx context.Context, name string) (*Zone, error) {
	now := s.o.Now()
	s.mu.Lock()
	change := s.names[name].change
	e := s.built[name]
	if e == nil {
		for other := range s.built {
			if len(s.built) < maxBuilt {
				break
			}
			delete(s.built, other)
		}
		e = &entry{}
		s.built[name] = e
	}
	s.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.change == change && now.Sub(e.looked) < lookFor && (e.zone != nil || e.trouble != nil) {
		return e.zone, e.trouble
	}
	z, digest, err := s.build(ctx, name, e)
	e.looked, e.change = now, change
	if err != nil {
		if e.zone == nil || fault.Is(err, fault.NotFound) {
			e.zone, e.trouble = nil, fault.Wrap("zone.Ready", err)
		}
		return e.zone, e.trouble
	}
	e.zone, e.digest, e.trouble = z, digest, nil
	return z, nil
}

// build draws a zone and signs it, unless it is as e has it.
func (s *Store) build(ctx context.Context, name string, e *entry) (*Zone, string, error) {
	now := s.o.Now()
	h, err := s.Zone(ctx, name)
	if err != nil {
		return nil, "", err
	}
	drawn, err := s.draw(ctx, h)
	if err != nil {
		return nil, "", err
	}
	own, err := s.Records(ctx, name)
	if err != nil {
		return nil, "", err
	}
	rrs := Merge(slices.Concat(drawn, Apex(name, h.Domain, s.o.Server(), 0)), own)
	if h, err = s.settle(ctx, h, rrs, now); err != nil {
		return nil, "", err
	}
	if e.zone != nil && e.digest == h.Digest && e.zone.Serial == h.Serial {
		return e.zone, e.digest, nil
	}
	how, err := signing(name, h.Keys, now)
	if err != nil {
		return nil, "", err
	}
	for _, rr := range rrs {
		if soa, ok := rr.(*dns.SOA); ok {
			soa.Serial = h.Serial
		}
	}
	z, err := Build(name, rrs, how)
	return z, h.Digest, err
}

// settle rolls the keys, and gives the zone a new serial if what is served has
// changed.
func (s *Store) settle(ctx context.Context, h Held, rrs []dns.RR, now time.Time) (Held, error) {
	for {
		keys, rolled, err := h.Keys, false, error(nil)
		if h.Signed {
			if keys, rolled, err = Roll(h.Name, h.Keys, now, Parent{Follows: h.Follows}); err != nil {
				return h, err
			}
		}
		digest := digestOf(rrs, keys, now)
		if digest == h.Digest && !rolled {
			return h, nil
		}
		was, retry := h.Digest, false
		err = s.o.DB.Update(ctx, shard, func(tx kv.Tx) error {
			there, err := readZone(tx, h.Name)
			if err != nil {
				return err
			}
			if retry = there.Digest != was || len(there.Keys) != len(h.Keys); retry {
				h = there // another was faster
				return nil
			}
			there.Keys, there.Digest = keys, digest
			there.Serial = max(there.Serial+1, uint32(now.Unix()))
			h = there
			b, err := there.encode()
			if err == nil {
				tx.Set(rowKey(tagZone, h.Name), b)
			}
			return err
		})
		if err != nil || !retry {
			return h, err
		}
	}
}

// digestOf stands for what is served: records, keys and the period of signatures.
func digestOf(rrs []dns.RR, keys []Key, now time.Time) string {
	lines := make([]string, 0, len(rrs)+2*len(keys))
	for _, rr := range rrs {
		if soa, ok := rr.(*dns.SOA); ok {
			rr = dns.Copy(soa)
			rr.(*dns.SOA).Serial = 0
		}
		lines = append(lines, rr.String())
	}
	for _, k := range keys {
		signs := !k.Active.IsZero() && k.Retired.IsZero()
		lines = append(lines, k.Public+strconv.FormatBool(signs))
	}
	slices.Sort(lines)
	if len(keys) > 0 {
		lines = append(lines, strconv.FormatInt(now.Truncate(signedEvery).Unix(), 10))
		for _, k := range keys {
			lines = append(lines, strconv.FormatBool(now.Sub(k.Made) >= settle)) // when the parent is told of it
		}
	}
	sum := sha256.New()
	for _, l := range lines {
		sum.Write([]byte(l))
		sum.Write([]byte{0})
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// draw gives what a zone is drawn from, without SOA and NS.
func (s *Store) draw(ctx context.Context, h Held) ([]dns.RR, error) {
	server := s.o.Server()
	if h.Reverse {
		return Reverse(h.Name, server), nil
	}
	if h.Domain == "" {
		return nil, nil
	}
	f, err := s.o.Facts(ctx, h.Domain)
	if err != nil {
		return nil, err
	}
	var rrs []dns.RR
	for _, rr := range Draw(server, f) {
		if within(h.Name, rr.Header().Name) {
			rrs = append(rrs, rr)
		}
	}
	return rrs, nil
}

// Seen notes the data of the DS records that the parent of a zone has of it, and rolls
// its keys accordingly.
func (s *Store) Seen(ctx context.Context, name string, data [][]byte) error {
	const op = "zone.Seen"
	ds := readDS(data)
	h, err := s.Zone(ctx, name)
	if err != nil || !h.Signed {
		return fault.Wrap(op, err)
	}
	_, changed, err := Roll(h.Name, h.Keys, s.o.Now(), Parent{Seen: true, DS: ds, Follows: h.Follows})
	if err != nil || !changed {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, s.Change(ctx, name, func(h *Held) (err error) {
		h.Keys, _, err = Roll(h.Name, h.Keys, s.o.Now(), Parent{Seen: true, DS: ds, Follows: h.Follows})
		return err
	}))
}

// RollEntry begins the roll of a zone's entry key by hand. fault.Conflict: one is
// under way, or the zone is not signed.
func (s *Store) RollEntry(ctx context.Context, name string) error {
	return fault.Wrap("zone.RollEntry", s.Change(ctx, name, func(h *Held) error {
		r := roll{name: h.Name, keys: h.Keys, now: s.o.Now()}
		if !h.Signed || r.entries() != 1 {
			return fault.New(fault.Conflict, "", "the zone is not signed, or a roll of its key is under way")
		}
		err := r.add(true, false)
		h.Keys = r.keys
		return err
	}))
}

// Changes grows whenever zones were changed here, or a change by others was noticed.
func (s *Store) Changes() uint64 { return s.changes.Load() }

// Told lists the zones of whose changes somebody is told.
func (s *Store) Told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, m := range s.names {
		if m.tell {
			names = append(names, name)
		}
	}
	return names
}

// readDS reads DS records (RFC 4034 §5.1). What is none matches no key of ours.
func readDS(data [][]byte) []*dns.DS {
	var set []*dns.DS
	for _, b := range data {
		if len(b) > 4 {
			set = append(set, &dns.DS{KeyTag: binary.BigEndian.Uint16(b), Algorithm: b[2], DigestType: b[3], Digest: hex.EncodeToString(b[4:])})
		}
	}
	return set
}
