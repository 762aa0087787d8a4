package queue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// due makes the n-th recipient of message m at a domain.
func due(m byte, n uint32, domain mail.Domain) Due {
	return Due{Ref: Ref{mail.ArrivalID{m}, n}, Domain: domain, At: Cursor{now: mark(uint64(m)), later: "\xff"}}
}

func show(b Batch, ok bool) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%s m%d %v", b.Hop, b.Message[0], b.N)
}

func TestPlanGroups(t *testing.T) {
	p := NewPlan(Limits{PerHop: 2, Recipients: 2}, nil)
	for _, d := range []Due{
		due(1, 0, "a"), due(1, 1, "b"), due(1, 2, "a"), due(1, 3, "a"), due(2, 0, "a"), due(3, 0, "b"), due(1, 0, "a"),
	} {
		p.Offer(d)
	}
	var got []string
	var batches []Batch
	for range 5 {
		b, ok := p.Next()
		got, batches = append(got, show(b, ok)), append(batches, b)
	}
	// Hops take turns; a hop has two batches at most; a batch two recipients.
	want := []string{"a m1 [0 2]", "b m1 [1]", "a m1 [3]", "b m3 [0]", "-"}
	if !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	p.Offer(due(1, 0, "a")) // under way
	if s := show(p.More(batches[0])); s != "a m2 [0]" {
		t.Errorf("more of a: %s", s)
	}
	if s := show(p.More(batches[1])); s != "-" {
		t.Errorf("more of b: %s", s)
	}
	p.Offer(due(1, 0, "a")) // due again
	p.Done(batches[2])
	if s := show(p.Next()); s != "a m1 [0]" {
		t.Errorf("after done: %s", s)
	}
}

func TestPlanBounds(t *testing.T) {
	p := NewPlan(Limits{Batches: 3, PerHop: 2, Remembered: 4, Total: 100}, nil)
	for m := range byte(10) {
		p.Offer(due(m, 0, "slow"))
	}
	p.Offer(due(20, 0, "x"))
	p.Offer(due(21, 0, "y"))
	var bs []Batch
	for {
		b, ok := p.Next()
		if !ok {
			break
		}
		bs = append(bs, b)
	}
	if got := fmt.Sprint(show(bs[0], true), ", ", show(bs[1], true), ", ", show(bs[2], true), len(bs)); got != "slow m0 [0], x m20 [0], y m21 [0]3" {
		t.Fatalf("started %s", got)
	}
	// Three of four are left; half of the room must be free before it looks again.
	if missed := p.Missed(); missed != nil {
		t.Errorf("looks again at once: %v", missed)
	}
	b, _ := p.More(bs[0])
	if missed := p.Missed(); len(missed) != 6 || missed[4].now != mark(4) || missed[9].later != "\xff" {
		t.Errorf("missed %v", missed)
	}
	if missed := p.Missed(); missed != nil {
		t.Errorf("missed twice: %v", missed)
	}
	p.Done(b)
	p.Done(bs[1])
	p.Done(bs[2])
	if n := len(p.hops); n != 1 {
		t.Errorf("%d hops are remembered", n)
	}
}

func TestPlanSmartHost(t *testing.T) {
	p := NewPlan(Limits{}, func(mail.Domain) mail.Domain { return "smart:25" })
	p.Offer(due(1, 0, "a"))
	p.Offer(due(1, 1, "b"))
	if s := show(p.Next()); s != "smart:25 m1 [0 1]" {
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
		p := NewPlan(limits, nil)
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
				if b, ok := p.Next(); ok {
					start(b)
				}
			} else {
				i := rnd.IntN(len(flying))
				b := flying[i]
				flying = slices.Delete(flying, i, i+1)
				land(b)
				if rnd.IntN(2) == 0 {
					p.Done(b)
				} else if more, ok := p.More(b); ok {
					start(more)
				}
			}
			if len(flying) > limits.Batches {
				t.Fatalf("seed %d: %d under way", seed, len(flying))
			}
			if len(p.Missed()) > 0 {
				offer()
			}
		}
	}
}
