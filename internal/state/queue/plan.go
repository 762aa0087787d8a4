package queue

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Limits bound what Plan hands out and what it remembers. A zero field takes
// the default.
type Limits struct {
	Batches    int // under way at once; 64
	PerHop     int // of them to one next hop; 8
	Recipients int // in one batch; 100 (RFC 5321 §4.5.3.1.8)
	Remembered int // deliveries that are due, of one hop; 1,000
	Total      int // of all hops; 20,000
}

func (l Limits) filled() Limits {
	def := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	def(&l.Batches, 64)
	def(&l.PerHop, 8)
	def(&l.Recipients, 100)
	def(&l.Remembered, 1000)
	def(&l.Total, 20000)
	return l
}

// Batch is what one transaction to one next hop carries: some recipients of
// one message.
type Batch struct {
	Hop     mail.Domain
	Message mail.ArrivalID
	N       []uint32
	Fresh   *Fresh // what was read of it already; nil: nothing
}

// Plan chooses what to start now among the deliveries that are due: grouped by
// message and next hop, each hop in its turn, no hop more than its share. What
// has a higher priority goes before what has a lower one, in its hop and among
// hops (RFC 6710 §5.1). It is pure bookkeeping in memory for one goroutine; the
// rows it stands for wait until they are settled. What it has no room for it
// remembers by place only; for what is urgent there is room of its own.
type Plan struct {
	limits Limits
	hopOf  func(mail.Domain) mail.Domain
	hops   map[mail.Domain]*hop
	turn   []*hop // hops that may start a batch, in their turn
	known  map[Ref]bool
	short  map[mail.Domain]*hop // hops that missed something
	busy   int
	ready  int
	uneven int // of ready, those of a priority that is not 0
}

// hop is one next hop's share.
type hop struct {
	name    mail.Domain
	ready   []readied // the highest priority first, and of one priority what came first
	waiting map[mail.ArrivalID][]uint32
	count   int // of deliveries in waiting
	busy    int
	queued  bool // is in turn
	missed  map[uint8]Cursor
}

// readied is a message that is due, with its priority.
type readied struct {
	id       mail.ArrivalID
	priority int8
}

// NewPlan makes an empty plan. hopOf names the next hop of a domain, such as
// the one smart host; nil means the domain itself.
func NewPlan(l Limits, hopOf func(mail.Domain) mail.Domain) *Plan {
	if hopOf == nil {
		hopOf = func(d mail.Domain) mail.Domain { return d }
	}
	return &Plan{limits: l.filled(), hopOf: hopOf, hops: map[mail.Domain]*hop{}, known: map[Ref]bool{}, short: map[mail.Domain]*hop{}}
}

// Full says that nothing more should be offered for now, but for what is urgent.
func (p *Plan) Full() bool { return p.ready >= p.limits.Total }

// Offer tells of a delivery that is due. One that is known, waiting or under
// way, is not taken twice. One whose hop has no room is remembered by its place. It
// says whether it was taken.
func (p *Plan) Offer(d Due) bool {
	if p.known[d.Ref] {
		return false
	}
	h := p.hop(p.hopOf(d.Domain))
	remembered, total := p.limits.Remembered, p.limits.Total
	if d.Priority > 0 {
		remembered, total = 2*remembered, 2*total
	}
	if h.count >= remembered || p.ready >= total {
		part := d.Partition()
		at, ok := h.missed[part]
		if !ok {
			at = End()
		}
		h.missed[part] = at.Least(d.At)
		p.short[h.name] = h
		return false
	}
	p.known[d.Ref] = true
	if h.waiting[d.Message] == nil {
		h.insert(readied{d.Message, d.Priority})
	}
	h.waiting[d.Message] = append(h.waiting[d.Message], d.N)
	h.count++
	p.ready++
	if d.Priority != 0 {
		p.uneven++
	}
	p.enqueue(h)
	return true
}

// insert puts m behind all that goes before it.
func (h *hop) insert(m readied) {
	i := len(h.ready)
	if i > 0 && h.ready[i-1].priority < m.priority {
		i, _ = slices.BinarySearchFunc(h.ready, m.priority, func(d readied, p int8) int {
			if d.priority >= p {
				return -1
			}
			return 1
		})
	}
	h.ready = slices.Insert(h.ready, i, m)
}

func (p *Plan) hop(name mail.Domain) *hop {
	h := p.hops[name]
	if h == nil {
		h = &hop{name: name, waiting: map[mail.ArrivalID][]uint32{}, missed: map[uint8]Cursor{}}
		p.hops[name] = h
	}
	return h
}

// enqueue puts h at the end of the turn if it may start a batch.
func (p *Plan) enqueue(h *hop) {
	if !h.queued && h.count > 0 && h.busy < p.limits.PerHop {
		h.queued = true
		p.turn = append(p.turn, h)
	}
}

// Next gives the batch to start now, if there is one and a place for it. It
// counts as under way until Done.
func (p *Plan) Next() (Batch, bool) {
	for p.busy < p.limits.Batches && len(p.turn) > 0 {
		h := p.first()
		h.queued = false
		if h.count == 0 {
			continue
		}
		h.busy++
		p.busy++
		b := p.take(h)
		p.enqueue(h)
		return b, true
	}
	return Batch{}, false
}

// first takes the hop whose turn it is: the one with the highest priority, and
// among those the one that has waited longest.
func (p *Plan) first() *hop {
	at := 0
	if p.uneven > 0 {
		for i, h := range p.turn {
			if h.top() > p.turn[at].top() {
				at = i
			}
		}
	}
	h := p.turn[at]
	if at == 0 {
		p.turn = p.turn[1:]
	} else {
		p.turn = slices.Delete(p.turn, at, at+1)
	}
	return h
}

// top is the highest priority of what is ready.
func (h *hop) top() int8 {
	if len(h.ready) == 0 {
		return mail.MinPriority
	}
	return h.ready[0].priority
}

// More gives another batch for the hop of one that is done, to go over the
// same connection. It counts as under way in its place; after false the place
// is free.
func (p *Plan) More(done Batch) (Batch, bool) {
	p.forget(done)
	h := p.hops[done.Hop]
	if h.count == 0 {
		p.free(h)
		return Batch{}, false
	}
	return p.take(h), true
}

// Done ends a batch and frees its place.
func (p *Plan) Done(b Batch) {
	p.forget(b)
	p.free(p.hops[b.Hop])
}

func (p *Plan) forget(b Batch) {
	for _, n := range b.N {
		delete(p.known, Ref{b.Message, n})
	}
}

func (p *Plan) free(h *hop) {
	h.busy--
	p.busy--
	if h.count == 0 && h.busy == 0 && len(h.missed) == 0 {
		delete(p.hops, h.name)
		return
	}
	p.enqueue(h)
}

// take cuts a batch from the front of h.
func (p *Plan) take(h *hop) Batch {
	id, priority := h.ready[0].id, h.ready[0].priority
	ns := h.waiting[id]
	b := Batch{Hop: h.name, Message: id, N: ns}
	if len(ns) > p.limits.Recipients {
		b.N = ns[:p.limits.Recipients:p.limits.Recipients]
		h.waiting[id] = ns[p.limits.Recipients:]
	} else {
		h.ready = h.ready[1:]
		delete(h.waiting, id)
	}
	h.count -= len(b.N)
	p.ready -= len(b.N)
	if priority != 0 {
		p.uneven -= len(b.N)
	}
	return b
}

// Missed gives the places, by partition, from which hops that have room again
// must be looked for, and forgets them: what still finds no room is offered
// and remembered anew.
func (p *Plan) Missed() map[uint8]Cursor {
	if p.Full() {
		return nil
	}
	var all map[uint8]Cursor
	for name, h := range p.short {
		if h.count > p.limits.Remembered/2 {
			continue
		}
		if all == nil {
			all = map[uint8]Cursor{}
		}
		for part, at := range h.missed {
			if old, ok := all[part]; ok {
				at = at.Least(old)
			}
			all[part] = at
		}
		clear(h.missed)
		delete(p.short, name)
		if h.count == 0 && h.busy == 0 {
			delete(p.hops, name)
		}
	}
	return all
}

// Under says how many batches are under way and how many deliveries are ready.
func (p *Plan) Under() (batches, ready int) { return p.busy, p.ready }
