package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// TestRecall: a plan that begins with what another has left probes a suspended site
// when its time is over, and forgets it when it is well again.
func TestRecall(t *testing.T) {
	s := New(memkv.New(memkv.Options{Rerun: true}), nil)
	keep := func(p *Plan) (n int) {
		t.Helper()
		all := p.Suspensions()
		if err := s.Keep(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	kept := func(now time.Time) []Suspension {
		t.Helper()
		all, err := s.Kept(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	now := t0
	first := NewPlan(Limits{}, Ways{})
	for range strikesOut {
		first.Note("y.test", Slower, "421 slow down", now)
	}
	first.Note("z.test", Slower, "421 once", now)
	if n := keep(first); n != 1 || keep(first) != 0 {
		t.Errorf("%d to be kept at first", n)
	}
	second := NewPlan(Limits{}, Ways{})
	second.Recall(kept(now), now)
	for n := range 3 {
		second.Offer(due(byte(n), 0, "y.test"))
	}
	if b, ok := second.Next(now); !ok || b.Put != "421 slow down" {
		t.Errorf("while it is suspended: %+v, %v", b, ok)
	}
	now = now.Add(firstPause)
	second = NewPlan(Limits{}, Ways{})
	second.Recall(kept(now), now)
	for n := range 3 {
		second.Offer(due(byte(n), 0, "y.test"))
	}
	if b, ok := second.Next(now); !ok || b.Put != "" {
		t.Errorf("behind it: %+v, %v", b, ok)
	}
	if b, ok := second.Next(now); ok {
		t.Errorf("beside the probe: %+v", b)
	}
	second.Note("y.test", Slower, "421 still", now)
	if keep(second) != 1 {
		t.Error("a longer suspension is not kept")
	}
	if all := kept(now); fmt.Sprint(all) != fmt.Sprint([]Suspension{{"y.test", now.Add(2 * firstPause), 2 * firstPause, "421 still"}}) {
		t.Errorf("kept: %+v", all)
	}
	if all := kept(now.Add(oldSuspension + time.Hour)); len(all) != 0 {
		t.Errorf("long behind: %+v", all)
	}
	now = now.Add(time.Hour)
	for range trusted {
		second.Note("y.test", Well, "", now)
	}
	if n := keep(second); n != 1 || len(kept(now)) != 0 || keep(second) != 0 {
		t.Errorf("well again: %d changed, %+v", n, kept(now))
	}
}
