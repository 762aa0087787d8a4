package queue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// due makes the n-th recipient of message m at a domain.
func due(m byte, n uint32, domain mail.Domain) Due {
	return Due{Ref: Ref{mail.ArrivalID{m}, n}, Domain: domain, At: place{laneNow, uint64(m)}.cursor(Ref{mail.ArrivalID{m}, n})}
}

func show(b Batch, ok bool) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%s m%d %v", b.Hop, b.Message[0], b.N)
}

func TestPlanGroups(t *testing.T) {
	p := NewPlan(Limits{PerHop: 2, Recipients: 2}, Ways{})
	for _, d := range []Due{
		due(1, 0, "a"), due(1, 1, "b"), due(1, 2, "a"), due(1, 3, "a"), due(2, 0, "a"), due(3, 0, "b"), due(1, 0, "a"),
	} {
		p.Offer(d)
	}
	var got []string
	var batches []Batch
	for range 5 {
		b, ok := p.Next(t0)
		got, batches = append(got, show(b, ok)), append(batches, b)
	}
	// Hops take turns; a hop has two batches at most; a batch two recipients.
	want := []string{"a m1 [0 2]", "b m1 [1]", "a m1 [3]", "b m3 [0]", "-"}
	if !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	p.Offer(due(1, 0, "a")) // under way
	if s := show(p.More(batches[0], t0)); s != "a m2 [0]" {
		t.Errorf("more of a: %s", s)
	}
	if s := show(p.More(batches[1], t0)); s != "-" {
		t.Errorf("more of b: %s", s)
	}
	p.Offer(due(1, 0, "a")) // due again
	p.Done(batches[2])
	if s := show(p.Next(t0)); s != "a m1 [0]" {
		t.Errorf("after done: %s", s)
	}
}

func TestPlanBounds(t *testing.T) {
	p := NewPlan(Limits{Batches: 4, PerHop: 2, Remembered: 4, Total: 100}, Ways{})
	var all []Due
	for n := range 10 {
		all = append(all, numbered(n, 0, "slow"))
		p.Offer(all[n])
	}
	p.Offer(due(20, 0, "x"))
	p.Offer(due(21, 0, "y"))
	var bs []Batch
	for {
		b, ok := p.Next(t0)
		if !ok {
			break
		}
		bs = append(bs, b)
	}
	if got := fmt.Sprint(len(bs), bs[0].Hop, bs[1].Hop, bs[2].Hop, bs[3].Hop); got != "4slowxyslow" {
		t.Fatalf("started %s", got)
	}
	// Two of four are left: there is room for two.
	part, from, ok := p.Hungry()
	if !ok || part != 0 || from != all[4].At {
		t.Fatalf("hungry: %d %v %v", part, from, ok)
	}
	p.Refill(part, from, front, Look{Due: all[4:8], Next: all[7].At, More: true})
	if p.known[all[4].Ref] && p.known[all[5].Ref] && !p.known[all[6].Ref] {
		if _, _, ok := p.Hungry(); ok {
			t.Error("looks again at once")
		}
	} else {
		t.Errorf("known: %v", p.known)
	}
	for _, b := range bs {
		for ok := true; ok; {
			b, ok = p.More(b, t0)
		}
	}
	part, from, ok = p.Hungry()
	if !ok || from.now <= all[5].At.now || from.now > all[6].At.now {
		t.Fatalf("then hungry: %d %v %v", part, from, ok)
	}
	p.Refill(part, from, front, Look{Due: all[6:], Next: Cursor{now: mark(99)}})
	if _, _, ok := p.Hungry(); ok {
		t.Error("hungry although all was read")
	}
	for range 4 {
		b, ok := p.Next(t0)
		if !ok {
			t.Fatal("nothing left")
		}
		p.Done(b)
	}
	if len(p.sites) != 0 || len(p.short) != 0 || len(p.known) != 0 {
		t.Errorf("remembers %v %v %v", p.sites, p.short, p.known)
	}
}

// front is a cursor that has passed all that tests make.
var front = Cursor{end, end, end}

func TestPlanSmartHost(t *testing.T) {
	p := NewPlan(Limits{}, Ways{Hop: func(mail.Domain) mail.Domain { return "smart:25" }})
	p.Offer(due(1, 0, "a"))
	p.Offer(due(1, 1, "b"))
	if s := show(p.Next(t0)); s != "smart:25 m1 [0 1]" {
		t.Errorf("%s", s)
	}
}

// TestPlanAtRandom plays at random with a small plan over an index that is
// looked at again where something was missed: nothing is under way twice, no
// limit is broken, and in the end everything was started once.
func TestPlanAtRandom(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		limits := Limits{Batches: 4, PerHop: 2, Recipients: 2, Remembered: 4, Total: 9}
		p := NewPlan(limits, Ways{})
		left := map[Ref]Due{}
		for m := range byte(40) {
			for n := range rnd.Uint32N(4) {
				d := due(m, n, mail.Domain("abc"[rnd.IntN(3):][:1]))
				left[d.Ref] = d
			}
		}
		offer := func() {
			for _, d := range left {
				p.Offer(d)
			}
		}
		offer()
		var flying []Batch
		inFlight := map[Ref]bool{}
		start := func(b Batch) {
			if len(b.N) == 0 || len(b.N) > limits.Recipients {
				t.Fatalf("seed %d: batch of %d", seed, len(b.N))
			}
			for _, n := range b.N {
				r := Ref{b.Message, n}
				if inFlight[r] || left[r].Domain != b.Hop {
					t.Fatalf("seed %d: %v started twice or to the wrong hop", seed, r)
				}
				inFlight[r] = true
			}
			flying = append(flying, b)
		}
		land := func(b Batch) {
			for _, n := range b.N {
				delete(inFlight, Ref{b.Message, n})
				delete(left, Ref{b.Message, n})
			}
		}
		for steps := 0; len(left) > 0; steps++ {
			if steps > 10_000 {
				t.Fatalf("seed %d: %d are never started", seed, len(left))
			}
			if rnd.IntN(2) == 0 || len(flying) == 0 {
				if b, ok := p.Next(t0); ok {
					start(b)
				}
			} else {
				i := rnd.IntN(len(flying))
				b := flying[i]
				flying = slices.Delete(flying, i, i+1)
				land(b)
				if rnd.IntN(2) == 0 {
					p.Done(b)
				} else if more, ok := p.More(b, t0); ok {
					start(more)
				}
			}
			if len(flying) > limits.Batches {
				t.Fatalf("seed %d: %d under way", seed, len(flying))
			}
			if part, from, ok := p.Hungry(); ok {
				p.Refill(part, from, front, look(left, part, from, 3))
			}
		}
	}
}

// look reads an index of what is left as TakeDue does.
func look(left map[Ref]Due, part uint8, from Cursor, limit int) (l Look) {
	for _, d := range left {
		if d.Partition() == part && d.At.now >= from.now {
			l.Due = append(l.Due, d)
		}
	}
	slices.SortFunc(l.Due, func(a, b Due) int { return strings.Compare(a.At.now, b.At.now) })
	l.Next = Cursor{now: mark(1 << 40)}
	if len(l.Due) > limit {
		l.More, l.Next = true, Cursor{now: l.Due[limit].At.now}
		l.Due = l.Due[:limit]
	}
	return l
}
