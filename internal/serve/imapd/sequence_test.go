package imapd

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// TestSequence compares a sequence with a list of UIDs.
func TestSequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.SampledFrom([]mailbox.UID{1, math.MaxUint32 - 200}).Draw(t, "near")
		var list []mailbox.UID
		var runs []mailbox.Run
		for u := near; len(list) < 60; {
			n := rapid.Uint32Range(1, 9).Draw(t, "run")
			runs = append(runs, mailbox.Run{First: u, Last: u + n - 1})
			for range n {
				list = append(list, u)
				u++
			}
			u += rapid.Uint32Range(0, 3).Draw(t, "gap")
		}
		s := newSequence(runs)
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			compareSequence(t, &s, list, near)
			for range rapid.IntRange(0, 5).Draw(t, "more") {
				u := s.top() + rapid.Uint32Range(1, 3).Draw(t, "next")
				if len(list) == 0 {
					u = near
				}
				s.addRun(u, 1)
				list = append(list, u)
			}
			compareSequence(t, &s, list, near)
			var gone []mailbox.UID
			most := rapid.IntRange(0, 3).Draw(t, "most")
			for _, u := range list {
				if rapid.IntRange(0, 3).Draw(t, "gone") <= most {
					gone = append(gone, u)
				}
			}
			s.remove(gone)
			list = slices.DeleteFunc(list, func(u mailbox.UID) bool { return slices.Contains(gone, u) })
		}
		compareSequence(t, &s, list, near)
	})
}

func compareSequence(t *rapid.T, s *sequence, list []mailbox.UID, near mailbox.UID) {
	t.Helper()
	if s.n != len(list) {
		t.Fatalf("%d UIDs, want %d", s.n, len(list))
	}
	for i, u := range list {
		if s.at(i) != u {
			t.Fatalf("at(%d) is %d, want %d", i, s.at(i), u)
		}
	}
	for u := near; u < near+150; u++ {
		i, found := s.find(u)
		if wi, wf := slices.BinarySearch(list, u); i != wi || found != wf {
			t.Fatalf("find(%d) is %d %v, want %d %v", u, i, found, wi, wf)
		}
	}
	from := rapid.IntRange(0, len(list)).Draw(t, "from")
	to := rapid.IntRange(from, len(list)).Draw(t, "to")
	if got := slices.Collect(s.between(from, to)); !slices.Equal(got, list[from:to]) {
		t.Fatalf("between(%d, %d) is %v, want %v", from, to, got, list[from:to])
	}
	for k := 1; k < len(s.runs); k++ {
		if a := s.runs[k-1]; s.length(k-1) < 1 || a.first+mailbox.UID(s.length(k-1)) >= s.runs[k].first {
			t.Fatalf("runs %d and %d are not apart: %v", k-1, k, s.runs)
		}
	}
}
