package queue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// numbered makes a delivery of the n-th message of a sender, in partition 0.
func numbered(n int, sender uint64, domain mail.Domain) Due {
	id := mail.ArrivalID{0, byte(sender), byte(n >> 16), byte(n >> 8), byte(n)}
	return Due{
		Ref: Ref{Message: id}, Domain: domain, Sender: sender,
		At: place{laneNow, uint64(n)<<8 | sender}.cursor(Ref{Message: id}),
	}
}

// index is rows that are due, in their order, as a reader finds them.
type index struct {
	rows  []Due
	gone  map[Ref]bool
	reads int
}

func (x *index) look(from Cursor, limit int) (l Look) {
	at, _ := slices.BinarySearchFunc(x.rows, from.now, func(d Due, now string) int { return strings.Compare(d.At.now, now) })
	l.Next = Cursor{now: "\xfe"}
	for _, d := range x.rows[at:] {
		if x.gone[d.Ref] {
			continue
		}
		if len(l.Due) == limit {
			l.More, l.Next = true, Cursor{now: d.At.now}
			break
		}
		l.Due = append(l.Due, d)
	}
	x.reads += len(l.Due)
	return l
}

// drain offers an index to a plan and plays its batches, one step a batch, until
// all are done. It gives the step at which each sender's and domain's last began.
func drain(t *testing.T, p *Plan, x *index) (last map[string]int) {
	t.Helper()
	last, x.gone = map[string]int{}, map[Ref]bool{}
	cursor, more := Cursor{}, true
	var flying []Batch
	for step, idle := 0, 0; idle < 3; {
		if more {
			l := x.look(cursor, 500)
			for _, d := range l.Due {
				p.Offer(d)
			}
			cursor, more = l.Next, l.More
		}
		if part, from, ok := p.Hungry(); ok {
			p.Refill(part, from, cursor, x.look(from, 500))
			idle = 0
		}
		idle++
		for len(flying) < 8 {
			b, ok := p.Next(t0)
			if !ok {
				break
			}
			idle = 0
			step++
			last[fmt.Sprint("sender ", b.Sender)], last[string(b.Hop)] = step, step
			flying = append(flying, b)
		}
		if len(flying) > 0 {
			idle = 0
			b := flying[0]
			flying = flying[1:]
			p.Done(b)
			for _, n := range b.N {
				x.gone[Ref{b.Message, n}] = true
			}
		}
		if _, ready := p.Under(); ready > 2*p.limits.Total {
			t.Fatalf("%d are remembered", ready)
		}
	}
	if len(x.gone) < len(x.rows) {
		t.Fatalf("%d are never started", len(x.rows)-len(x.gone))
	}
	return last
}

// TestFairBetweenSenders: one sender's many messages do not hold up another's few.
func TestFairBetweenSenders(t *testing.T) {
	x := &index{}
	for n := range 20_000 {
		x.rows = append(x.rows, numbered(n, 1, "a"))
		if n == 15_000 {
			x.rows = append(x.rows, numbered(n, 2, "a"))
		}
		if n > 10_000 && n <= 10_100 {
			x.rows = append(x.rows, numbered(n, 3, "a"))
		}
	}
	last := drain(t, NewPlan(Limits{}, Ways{}), x)
	// All are read at 500 a step.
	if last["sender 2"] > 100 || last["sender 3"] > 600 {
		t.Errorf("last at %v", last)
	}
	if x.reads > 3*20_101 {
		t.Errorf("%d rows were read for 20,101", x.reads)
	}
}

// TestFairBetweenSites: a site with many messages does not hold up another.
func TestFairBetweenSites(t *testing.T) {
	x := &index{}
	for n := range 30_000 {
		x.rows = append(x.rows, numbered(n, 1, "many"))
		if n%1000 == 0 {
			x.rows = append(x.rows, numbered(n, 2, mail.Domain(fmt.Sprint("few", n))))
		}
	}
	last := drain(t, NewPlan(Limits{Total: 2000}, Ways{}), x)
	for n := 0; n < 30_000; n += 1000 {
		if at := last[fmt.Sprint("few", n)]; at > 200+n/100 {
			t.Errorf("few%d ended at %d", n, at)
		}
	}
}

// TestFairAtRandom drains queues of many senders to many domains with little
// memory: everything is started, and the rows are not read over and over.
func TestFairAtRandom(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		x := &index{}
		senders, domains := 1+rnd.Uint64N(20), 1+rnd.IntN(20)
		for n := range 1 + rnd.IntN(3000) {
			x.rows = append(x.rows, numbered(n, 1+rnd.Uint64N(senders), mail.Domain(fmt.Sprint("d", rnd.IntN(domains)))))
		}
		rows := len(x.rows)
		drain(t, NewPlan(Limits{Total: 200 + rnd.IntN(1000), Remembered: 20 + rnd.IntN(100), PerHop: 1 + rnd.IntN(4)}, Ways{}), x)
		if x.reads > 60*rows+1000 {
			t.Errorf("seed %d: %d rows were read for %d", seed, x.reads, rows)
		}
	}
}

// TestPrioritiesDoNotStarve: what has no hurry gets its turn beside what has.
func TestPrioritiesDoNotStarve(t *testing.T) {
	p := NewPlan(Limits{PerHop: 1}, Ways{})
	low := numbered(1, 1, "a")
	low.Priority = -4
	p.Offer(low)
	for n := 2; n < 40; n++ {
		d := numbered(n, 2, "a")
		d.Priority = 4
		p.Offer(d)
	}
	for n := 1; ; n++ {
		b, ok := p.Next(t0)
		if !ok || n > 20 {
			t.Fatal("starved")
		}
		p.Done(b)
		if b.Message == low.Message {
			if n < 5 {
				t.Errorf("had its turn at %d", n)
			}
			return
		}
	}
}

// TestSitesAreLearned moves what waits for a hop to its site, once one batch has
// gone ahead, and bounds the site.
func TestSitesAreLearned(t *testing.T) {
	known := false
	p := NewPlan(Limits{PerHop: 2}, Ways{Site: func(hop mail.Domain) (mail.Domain, bool) {
		if known {
			return "site", true
		}
		return hop, false
	}})
	for n := range 4 {
		p.Offer(numbered(n, 1, "a"))
		p.Offer(numbered(n, 2, "b"))
	}
	a, _ := p.Next(t0)
	b, _ := p.Next(t0)
	if _, more := p.Next(t0); more || !a.Ahead || !b.Ahead || a.Hop == b.Hop {
		t.Fatalf("%v %v %v", a, b, more)
	}
	known = true
	p.Back(a)
	p.Back(b)
	for started := 0; started < 8; {
		var flying []Batch
		for b, ok := p.Next(t0); ok; b, ok = p.Next(t0) {
			if b.Ahead || b.Site != "site" {
				t.Errorf("%+v", b)
			}
			flying = append(flying, b)
		}
		if len(flying) != 2 {
			t.Fatalf("%d under way, %d done", len(flying), started)
		}
		for _, b := range flying {
			p.Done(b)
			started++
		}
	}
	if _, ok := p.Next(t0); ok || len(p.sites)+len(p.known) > 0 {
		t.Errorf("left: %v %v", p.sites, p.known)
	}
}
