package queue

import (
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// site is what is due for one site.
type site struct {
	name   mail.Domain
	known  bool // else it is a hop whose site is to be found out
	flows  map[uint64]*flow
	turn   []*flow // those that have something ready, in their turn
	count  int     // of deliveries that are ready
	busy   int     // batches under way
	queued bool    // is in turn, or waits for its time
	again  time.Time
}

// flow is what is due of one sender for one site.
type flow struct {
	site    *site
	sender  uint64
	ready   []readied // the highest priority first, and of one priority what came first
	waiting map[key][]uint32
	count   int // of deliveries in waiting
	queued  bool
	missed  map[uint8]Cursor // by partition, where the first is for which there was no room
}

// key is what may leave in one transaction.
type key struct {
	message mail.ArrivalID
	hop     mail.Domain
}

// readied is a message that is due, with its priority.
type readied struct {
	key
	priority int8
}

func (s *site) flow(sender uint64) *flow {
	f := s.flows[sender]
	if f == nil {
		f = &flow{site: s, sender: sender, waiting: map[key][]uint32{}}
		s.flows[sender] = f
	}
	return f
}

func (s *site) enqueue(f *flow) {
	if !f.queued && f.count > 0 {
		f.queued = true
		s.turn = append(s.turn, f)
	}
}

// top is the highest priority of what is ready.
func (s *site) top() int8 {
	top := int8(mail.MinPriority)
	for _, f := range s.turn {
		top = max(top, f.top())
	}
	return top
}

func (f *flow) top() int8 {
	if len(f.ready) == 0 {
		return mail.MinPriority
	}
	return f.ready[0].priority
}

// pick takes the one whose turn it is from a turn that is not empty.
func pick[T any](turn []T, byPriority bool, top func(T) int8) (T, []T) {
	at := 0
	if byPriority {
		best := top(turn[0])
		for i, t := range turn {
			if v := top(t); v > best {
				at, best = i, v
			}
		}
	}
	t := turn[at]
	if at == 0 {
		return t, turn[1:]
	}
	return t, slices.Delete(turn, at, at+1)
}

// take cuts a batch of at most so many recipients.
func (s *site) take(recipients int, byPriority bool) Batch {
	f, rest := pick(s.turn, byPriority, (*flow).top)
	s.turn, f.queued = rest, false
	b := f.take(recipients)
	s.count -= len(b.N)
	s.enqueue(f)
	if f.count == 0 && len(f.missed) == 0 {
		delete(s.flows, f.sender)
	}
	return b
}

func (f *flow) add(hop mail.Domain, d Due) {
	k := key{d.Message, hop}
	if f.waiting[k] == nil {
		f.insert(readied{k, d.Priority})
	}
	f.waiting[k] = append(f.waiting[k], d.N)
	f.count++
	f.site.enqueue(f)
}

// insert puts m behind all that goes before it.
func (f *flow) insert(m readied) {
	i := len(f.ready)
	if i > 0 && f.ready[i-1].priority < m.priority {
		i, _ = slices.BinarySearchFunc(f.ready, m.priority, func(d readied, p int8) int {
			if d.priority >= p {
				return -1
			}
			return 1
		})
	}
	f.ready = slices.Insert(f.ready, i, m)
}

// take cuts a batch from the front.
func (f *flow) take(recipients int) Batch {
	m := f.ready[0]
	ns := f.waiting[m.key]
	b := Batch{Hop: m.hop, Site: f.site.name, Sender: f.sender, Message: m.message, N: ns, priority: m.priority}
	if len(ns) > recipients {
		b.N = ns[:recipients:recipients]
		f.waiting[m.key] = ns[recipients:]
	} else {
		f.ready = f.ready[1:]
		delete(f.waiting, m.key)
	}
	f.count -= len(b.N)
	return b
}

// miss remembers the place of what found no room.
func (f *flow) miss(part uint8, at Cursor) {
	if f.missed == nil {
		f.missed = map[uint8]Cursor{}
	}
	if old, ok := f.missed[part]; ok {
		at = at.Least(old)
	}
	f.missed[part] = at
}
