package queue

import (
	"sync"

	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Fresh is a message that this process has just queued, as its rows have it:
// whoever sends it need not look for it. It is handed over in memory only; the
// index stays the truth.
type Fresh struct {
	Message    Message
	Deliveries []Delivery // those that were due at once
	Epoch      uint64     // of the partition's lease, when it was taken
	Body       []byte     // the content, if it is small and was in memory; nobody may change it

	changes uint64 // by operators, before
}

// maxFresh bounds the octets of what was offered and not taken yet, about.
const maxFresh = 4 << 20

// Weight is about how many octets f occupies.
func (f *Fresh) Weight() int { return len(f.Message.Prefix) + cap(f.Body) + 512*(1+len(f.Deliveries)) }

// offers are the fresh messages that nobody has taken yet.
type offers struct {
	mu     sync.Mutex
	wake   chan struct{} // nil: nobody listens
	all    []*Fresh
	weight int
	look   [kv.Partitions]bool // where there was no room for more
}

// AddFresh is Add for a caller who calls Offer with what it gives when the
// commit holds; without that the deliveries are found late. It gives nil where
// there is nothing to offer.
func (s *Store) AddFresh(tx kv.Tx, m Message, h blob.Handle, ds []Delivery) (*Fresh, error) {
	f := &Fresh{Body: h.Body(), changes: s.changes.Load()}
	later := false
	m.Blob, m.single = h.ID(), len(ds) == 1
	err := s.add(tx, m, h, ds, func(d Delivery) {
		switch d.place.lane {
		case laneNow, laneFirst:
			f.Deliveries = append(f.Deliveries, d)
		case laneLater:
			later = true
		}
	})
	f.Message = m
	if err != nil || len(f.Deliveries) == 0 {
		f = nil
	}
	if later || f != nil && f.Weight() > maxFresh {
		s.ready(Ref{Message: m.ID}.Partition(), tx.Next(kv.PartitionShard(m.ID)))
	}
	return f, err
}

// Offer hands f to who listens. If nobody does, or there is no room, it does
// nothing that is missed: the listener looks for itself. A nil f is nothing.
func (s *Store) Offer(f *Fresh) {
	if f == nil {
		return
	}
	o := &s.offers
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake == nil {
		return
	}
	if w := f.Weight(); o.weight+w <= maxFresh {
		o.all = append(o.all, f)
		o.weight += w
	} else {
		o.look[Ref{Message: f.Message.ID}.Partition()] = true
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Listen begins the taking of what is fresh. Who listens is woken over the
// channel, and has to look at the index from its beginning once.
func (s *Store) Listen() <-chan struct{} {
	s.offers.mu.Lock()
	defer s.offers.mu.Unlock()
	if s.offers.wake == nil {
		s.offers.wake = make(chan struct{}, 1)
	}
	return s.offers.wake
}

// Leave ends the taking.
func (s *Store) Leave() {
	o := &s.offers
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wake, o.all, o.weight = nil, nil, 0
}

// TakeFresh gives what was offered since the last call, and the partitions in
// which the index has more.
func (s *Store) TakeFresh() (all []*Fresh, look []uint8) {
	o := &s.offers
	o.mu.Lock()
	defer o.mu.Unlock()
	all, o.all, o.weight = o.all, nil, 0
	for part, is := range o.look {
		if is {
			look = append(look, uint8(part))
			o.look[part] = false
		}
	}
	return all, look
}

// IsCurrent says whether f is still what the rows say, as long as only its
// taker has settled any of them.
func (s *Store) IsCurrent(f *Fresh) bool { return f.changes == s.changes.Load() }

// Dues are the deliveries as the index names them.
func (f *Fresh) Dues() []Due {
	all := make([]Due, len(f.Deliveries))
	for i, d := range f.Deliveries {
		all[i] = Due{Ref: d.Ref(), Domain: d.To.Domain, Priority: d.Priority, Sender: d.sender, Via: d.Via, At: d.place.cursor(d.Ref())}
	}
	return all
}

// cursor is where p is read from, and nothing before it.
func (p place) cursor(r Ref) Cursor {
	at, c := string(kv.Key(mark(p.pos)).Fixed(r.Message[:]).Uint32(r.N)), End()
	switch p.lane {
	case laneFirst:
		c.first = at
	case laneNow:
		c.now = at
	case laneLater:
		c.later = at
	}
	return c
}

// Pick gives those of the deliveries that are numbered.
func (f *Fresh) Pick(ns []uint32) []Delivery {
	ds := make([]Delivery, 0, len(ns))
	for _, n := range ns {
		for _, d := range f.Deliveries {
			if d.N == n {
				ds = append(ds, d)
			}
		}
	}
	return ds
}
