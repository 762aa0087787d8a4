package imapd

import (
	"iter"
	"sort"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// sequence is the map from sequence numbers, less one, to UIDs, which ascend
// (RFC 3501 §2.3.1.2). It is kept as runs of UIDs that follow one another: few in
// most mailboxes, of any size.
type sequence struct {
	runs []run
	n    int // UIDs in all
}

// run is UIDs from first on; at is the index of that one. It ends where the next
// begins.
type run struct {
	first mailbox.UID
	at    int
}

func newSequence(runs []mailbox.Run) sequence {
	s := sequence{runs: make([]run, 0, len(runs))}
	for _, r := range runs {
		s.addRun(r.First, int(r.Last-r.First)+1)
	}
	return s
}

// addRun puts n UIDs from first on behind all others.
func (s *sequence) addRun(first mailbox.UID, n int) {
	if n > 0 && (s.n == 0 || s.top()+1 != first) {
		s.runs = append(s.runs, run{first, s.n})
	}
	s.n += n
}

// length is how many there are of run i.
func (s *sequence) length(i int) int {
	if i+1 < len(s.runs) {
		return s.runs[i+1].at - s.runs[i].at
	}
	return s.n - s.runs[i].at
}

// at is the UID with index i, which must be there.
func (s *sequence) at(i int) mailbox.UID {
	k := sort.Search(len(s.runs), func(k int) bool { return s.runs[k].at > i }) - 1
	return s.runs[k].first + mailbox.UID(i-s.runs[k].at)
}

// runFrom is how many UIDs follow one another from index i on, which must be
// there.
func (s *sequence) runFrom(i int) int {
	k := sort.Search(len(s.runs), func(k int) bool { return s.runs[k].at > i }) - 1
	return s.runs[k].at + s.length(k) - i
}

// top is the last UID, 0 if there is none.
func (s *sequence) top() mailbox.UID {
	if s.n == 0 {
		return 0
	}
	r := s.runs[len(s.runs)-1]
	return r.first + mailbox.UID(s.n-r.at) - 1
}

// find is the index of the first UID that is not below u, and says whether it is u.
func (s *sequence) find(u mailbox.UID) (i int, found bool) {
	k := sort.Search(len(s.runs), func(k int) bool { return s.runs[k].first > u }) - 1
	if k < 0 {
		return 0, false
	}
	if n := int(u - s.runs[k].first); n < s.length(k) {
		return s.runs[k].at + n, true
	}
	return s.runs[k].at + s.length(k), false
}

// between gives the UIDs with the indexes from..to-1.
func (s *sequence) between(from, to int) iter.Seq[mailbox.UID] {
	return func(yield func(mailbox.UID) bool) {
		k := sort.Search(len(s.runs), func(k int) bool { return s.runs[k].at > from }) - 1
		for i := from; i < to; i++ {
			if k+1 < len(s.runs) && s.runs[k+1].at == i {
				k++
			}
			if !yield(s.runs[k].first + mailbox.UID(i-s.runs[k].at)) {
				return
			}
		}
	}
}

// remove takes out UIDs, which ascend.
func (s *sequence) remove(gone []mailbox.UID) {
	var left sequence
	for k, r := range s.runs {
		first, end := r.first, uint64(r.first)+uint64(s.length(k))
		for len(gone) > 0 && uint64(gone[0]) < end {
			if gone[0] >= first {
				left.addRun(first, int(gone[0]-first))
				first = gone[0] + 1
			}
			gone = gone[1:]
		}
		left.addRun(first, int(end-uint64(first)))
	}
	*s = left
}
