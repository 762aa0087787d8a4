package queue

import (
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Limits bound what Plan hands out and what it remembers. A zero field takes
// the default.
type Limits struct {
	Batches    int // under way at once; 200
	PerHop     int // of them to one site that has no rule; 8
	Recipients int // in one batch; 100 (RFC 5321 §4.5.3.1.8)
	Remembered int // deliveries that are due, of one sender to one site; 1,000
	Share      int // of them that are remembered however much others have; 16
	Total      int // of all; 20,000, and twice that for those who have little
}

func (l Limits) filled() Limits {
	def := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	def(&l.Batches, 200)
	def(&l.PerHop, 8)
	def(&l.Recipients, 100)
	def(&l.Remembered, 1000)
	def(&l.Share, min(16, l.Remembered))
	def(&l.Total, 20000)
	return l
}

// Ways tell where mail goes. They are asked often and must be quick. A nil
// function takes the default.
type Ways struct {
	// Hop names the next hop of a domain: what shares it may leave in one
	// transaction. The domain itself by default.
	Hop func(mail.Domain) mail.Domain
	// Site names what several hops may be, such as a provider of many domains:
	// what shares it is bounded together. Until it is known it is the hop, and one
	// batch goes ahead to find it out. The hop by default.
	Site func(hop mail.Domain) (site mail.Domain, known bool)
	// Rule bounds what a site is sent.
	Rule func(site mail.Domain) Rule
}

func (w Ways) filled() Ways {
	if w.Hop == nil {
		w.Hop = func(d mail.Domain) mail.Domain { return d }
	}
	if w.Site == nil {
		w.Site = func(hop mail.Domain) (mail.Domain, bool) { return hop, true }
	}
	if w.Rule == nil {
		w.Rule = func(mail.Domain) Rule { return Rule{} }
	}
	return w
}

// Batch is what one transaction to one next hop carries: some recipients of
// one message.
type Batch struct {
	Hop     mail.Domain
	Site    mail.Domain // of Hop
	Sender  uint64      // of the message
	Message mail.ArrivalID
	N       []uint32
	Put     string // "": it is tried; else the answer with which it is put off
	Ahead   bool   // its site is not known: that is all to be found out
	Fresh   *Fresh // what was read of it already; nil: nothing

	priority int8
}

// To is a batch of some of b's deliveries that go by another hop.
func (b Batch) To(hop mail.Domain, ns ...uint32) Batch {
	return Batch{Hop: hop, Sender: b.Sender, Message: b.Message, N: ns, priority: b.priority}
}

// Plan chooses what to start now among the deliveries that are due: grouped by
// message and next hop, each site in its turn and each of its senders in their
// turn, no site more than its share and not faster than its pace. What has a
// higher priority goes before what has a lower one (RFC 6710 §5.1), but for
// every eighth batch, so that nothing waits for ever. It is pure bookkeeping in
// memory for one goroutine; the rows it stands for wait until they are settled.
// What it has no room for it remembers by place only; who has little waiting
// always finds room, and so does what is urgent.
type Plan struct {
	limits    Limits
	ways      Ways
	sites     map[mail.Domain]*site
	paces     map[mail.Domain]*Pace
	suspended map[mail.Domain]bool // and whether Suspensions has told so
	turn      []*site              // those that may start a batch, in their turn
	slowed    []*site              // those that may start one later
	known     map[Ref]bool
	short     map[*flow]bool // flows that missed something
	busy      int
	ready     int
	uneven    int // of ready, those of a priority that is not 0
	picks     int
}

// NewPlan makes an empty plan.
func NewPlan(l Limits, w Ways) *Plan {
	return &Plan{
		limits: l.filled(), ways: w.filled(), sites: map[mail.Domain]*site{}, paces: map[mail.Domain]*Pace{}, suspended: map[mail.Domain]bool{},
		known: map[Ref]bool{}, short: map[*flow]bool{},
	}
}

// Full says that nothing more should be offered for now, but for what is urgent.
func (p *Plan) Full() bool { return p.ready >= 2*p.limits.Total }

// Offer tells of a delivery that is due. One that is known, waiting or under
// way, is not taken twice. One for which there is no room is remembered by its
// place, and so is one whose sender has missed others to this site: they come
// first. It says whether the delivery was taken.
func (p *Plan) Offer(d Due) bool {
	if p.known[d.Ref] {
		return false
	}
	hop := Hop(d.Via, d.Domain, p.ways.Hop)
	f := p.flow(hop, d.Sender)
	if len(f.missed) > 0 && d.Priority <= 0 || !p.room(f, d.Priority) {
		p.miss(f, d)
		return false
	}
	p.add(f, hop, d)
	return true
}

// room says whether f may have one more: the less there is left for all, the
// less has each that has much.
func (p *Plan) room(f *flow, priority int8) bool {
	own := max(min(p.limits.Remembered, (p.limits.Total-p.ready)/4), p.limits.Share)
	all := 2 * p.limits.Total
	if priority > 0 {
		own, all = 2*own, 2*all
	}
	return f.count < own && p.ready < all
}

func (p *Plan) add(f *flow, hop mail.Domain, d Due) {
	p.known[d.Ref] = true
	f.add(hop, d)
	f.site.count++
	p.ready++
	if d.Priority != 0 {
		p.uneven++
	}
	p.enqueue(f.site)
}

// flow finds the flow of a sender to the site of a hop.
func (p *Plan) flow(hop mail.Domain, sender uint64) *flow {
	name, known := p.ways.Site(hop)
	return p.site(name, known).flow(sender)
}

func (p *Plan) site(name mail.Domain, known bool) *site {
	s := p.sites[name]
	if s == nil {
		s = &site{name: name, known: known, flows: map[uint64]*flow{}}
		p.sites[name] = s
	}
	s.known = s.known || known
	return s
}

// places is how many batches of s may be under way at now, and when to ask
// again if that changes by itself.
func (p *Plan) places(s *site, now time.Time) (n int, again time.Time) {
	n = 1 // goes ahead
	if s.known {
		n = p.limits.PerHop
		if pace := p.paced(s, now); pace != nil {
			n, again = pace.Places(now)
		}
	}
	if p.busy >= p.limits.Batches*3/4 {
		n = min(n, 2) // the last places are for those that have few
	}
	return n, again
}

// enqueue puts s at the end of the turn if it may start a batch.
func (p *Plan) enqueue(s *site) {
	if !s.queued && s.count > 0 {
		s.queued = true
		p.turn = append(p.turn, s)
	}
}

// Next gives the batch to start now, if there is one and a place for it. It
// counts as under way until Done.
func (p *Plan) Next(now time.Time) (Batch, bool) {
	p.wake(now)
	for p.busy < p.limits.Batches && len(p.turn) > 0 {
		s := p.first()
		s.queued = false
		p.rehome(s)
		if s.count == 0 {
			p.tidy(s)
			continue
		}
		n, again := p.places(s, now)
		switch {
		case n == 0:
			s.queued, s.again = true, again
			p.slowed = append(p.slowed, s)
			continue
		case s.busy >= n:
			continue // it is back when one of its own is done
		}
		s.busy++
		p.busy++
		b := p.take(s, now)
		p.enqueue(s)
		return b, true
	}
	return Batch{}, false
}

// wake puts those back whose time has come.
func (p *Plan) wake(now time.Time) {
	left := p.slowed[:0]
	for _, s := range p.slowed {
		if s.again.After(now) {
			left = append(left, s)
			continue
		}
		s.queued = false
		p.enqueue(s)
	}
	clear(p.slowed[len(left):])
	p.slowed = left
}

// Wake is when Next may have something although nothing was offered or done;
// zero if that is not so.
func (p *Plan) Wake() (at time.Time) {
	for _, s := range p.slowed {
		if at.IsZero() || s.again.Before(at) {
			at = s.again
		}
	}
	return at
}

// first takes the site whose turn it is: the one with the highest priority, and
// among those the one that has waited longest.
func (p *Plan) first() *site {
	p.picks++
	s, rest := pick(p.turn, p.byPriority(), (*site).top)
	p.turn = rest
	return s
}

func (p *Plan) byPriority() bool { return p.uneven > 0 && p.picks%8 != 0 }

// rehome moves what waits for a hop whose site was found out meanwhile.
func (p *Plan) rehome(s *site) {
	if s.known {
		return
	}
	name, known := p.ways.Site(s.name)
	if !known {
		return
	}
	s.known = true
	if name == s.name {
		return
	}
	to := p.site(name, true)
	for sender, f := range s.flows {
		p.move(f, to.flow(sender))
		delete(s.flows, sender)
	}
	to.count += s.count
	s.count, s.turn = 0, nil
	p.enqueue(to)
}

func (p *Plan) move(from, to *flow) {
	for _, m := range from.ready {
		to.insert(m)
		to.waiting[m.key] = append(to.waiting[m.key], from.waiting[m.key]...)
	}
	to.count += from.count
	for part, at := range from.missed {
		to.miss(part, at)
		p.short[to] = true
	}
	delete(p.short, from)
	to.site.enqueue(to)
}

// More gives another batch for the site of one that is done. It counts as under
// way in its place; after false the place is free.
func (p *Plan) More(done Batch, now time.Time) (Batch, bool) {
	p.forget(done)
	s := p.sites[done.Site]
	p.rehome(s)
	n, _ := p.places(s, now)
	if s.count == 0 || s.busy > n || p.waitsTurn(s) {
		p.free(s)
		return Batch{}, false
	}
	p.picks++
	return p.take(s, now), true
}

// waitsTurn says whether another site must have its turn first because no place
// is left, or has something more urgent.
func (p *Plan) waitsTurn(s *site) bool {
	if p.busy < p.limits.Batches && !p.byPriority() {
		return false
	}
	for _, other := range p.turn {
		if other != s && other.count > 0 && (other.busy == 0 || other.top() > s.top()) {
			return true
		}
	}
	return false
}

// Done ends a batch and frees its place.
func (p *Plan) Done(b Batch) {
	p.forget(b)
	p.free(p.sites[b.Site])
}

// Back ends a batch that went ahead: its deliveries wait again, and those of
// its hop with them.
func (p *Plan) Back(b Batch) {
	p.Done(b)
	p.Again(b)
}

// Again has the deliveries of a batch that was done, or of a part of it, wait for
// another turn.
func (p *Plan) Again(b Batch) {
	for _, n := range b.N {
		f := p.flow(b.Hop, b.Sender)
		p.add(f, b.Hop, Due{Ref: Ref{b.Message, n}, Sender: b.Sender, Priority: b.priority})
	}
}

func (p *Plan) forget(b Batch) {
	for _, n := range b.N {
		delete(p.known, Ref{b.Message, n})
	}
}

func (p *Plan) free(s *site) {
	s.busy--
	p.busy--
	p.enqueue(s)
	p.tidy(s)
}

// tidy forgets a site of which nothing is left.
func (p *Plan) tidy(s *site) {
	if s.count > 0 || s.busy > 0 || s.queued {
		return
	}
	for sender, f := range s.flows {
		if f.count == 0 && len(f.missed) == 0 {
			delete(s.flows, sender)
		}
	}
	if len(s.flows) == 0 {
		delete(p.sites, s.name)
	}
}

// take cuts a batch from the flow of s whose turn it is.
func (p *Plan) take(s *site, now time.Time) Batch {
	b := s.take(p.limits.Recipients, p.byPriority())
	b.Ahead = !s.known
	p.ready -= len(b.N)
	if b.priority != 0 {
		p.uneven -= len(b.N)
	}
	if pace := p.paced(s, now); pace != nil && s.known {
		b.Put = pace.Start(now)
	}
	return b
}

// Under says how many batches are under way and how many deliveries are ready.
func (p *Plan) Under() (batches, ready int) { return p.busy, p.ready }
