package search

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// errRow means that a row is not of the form that it is written in.
var errRow = errors.New("damaged search row")

// A posting list names messages of a segment by their distance from its first,
// as runs: how many lie between the last run and this one, with a bit for runs
// of more than one, and for these how many more than two.
//
// postings writes one, and the positions with it.
type postings struct {
	b          []byte
	next       uint32 // behind the last run written
	from, to   uint32 // the run in hand, to not included
	first, num uint32
	places     places
	at         []uint32
}

func (p *postings) reset() {
	p.places.reset()
	*p = postings{b: p.b[:0], places: p.places, at: p.at}
}

// add appends n, which is not below what was added before.
func (p *postings) add(n uint32) { p.addRun(n, n+1) }

func (p *postings) addRun(from, to uint32) {
	if p.num == 0 {
		p.first = from
	}
	p.num += to - from
	if p.to == from && p.to > p.from {
		p.to = to
		return
	}
	p.flush()
	p.from, p.to = from, to
}

func (p *postings) flush() {
	if p.to == p.from {
		return
	}
	gap, more := uint64(p.from-p.next)<<1, p.to-p.from
	if more > 1 {
		p.b = binary.AppendUvarint(p.b, gap|1)
		p.b = binary.AppendUvarint(p.b, uint64(more-2))
	} else {
		p.b = binary.AppendUvarint(p.b, gap)
	}
	p.next, p.from, p.to = p.to, 0, 0
}

// runs calls fn for each run of a list whose numbers are below n.
func runs(b []byte, n uint32, fn func(from, to uint32)) error {
	at := uint64(0)
	for len(b) > 0 {
		x, k := binary.Uvarint(b)
		if k <= 0 {
			return errRow
		}
		b = b[k:]
		more := uint64(0)
		if x&1 != 0 {
			if more, k = binary.Uvarint(b); k <= 0 || more > uint64(n) {
				return errRow
			}
			b = b[k:]
			more++
		}
		if x>>1 > uint64(n) {
			return errRow
		}
		from := at + x>>1
		if at = from + more + 1; at > uint64(n) {
			return errRow
		}
		fn(uint32(from), uint32(at))
	}
	return nil
}

// set is some of a segment's messages, a bit each.
type set struct {
	words []uint64
	n     uint32
}

func newSet(n uint32) *set { return &set{make([]uint64, (n+63)/64), n} }

func (s *set) add(i uint32) { s.words[i/64] |= 1 << (i % 64) }

func (s *set) has(i uint32) bool { return i < s.n && s.words[i/64]>>(i%64)&1 != 0 }

func (s *set) addRun(from, to uint32) {
	for ; from < to && from%64 != 0; from++ {
		s.add(from)
	}
	for ; from+64 <= to; from += 64 {
		s.words[from/64] = ^uint64(0)
	}
	for ; from < to; from++ {
		s.add(from)
	}
}

func (s *set) empty() bool {
	return !slices.ContainsFunc(s.words, func(w uint64) bool { return w != 0 })
}

func (s *set) count() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s *set) and(t *set) {
	for i := range s.words {
		s.words[i] &= t.words[i]
	}
}

func (s *set) or(t *set) {
	for i := range s.words {
		s.words[i] |= t.words[i]
	}
}

func (s *set) without(t *set) {
	for i := range s.words {
		s.words[i] &^= t.words[i]
	}
}

// each calls fn in ascending order.
func (s *set) each(fn func(uint32)) {
	for i, w := range s.words {
		for ; w != 0; w &= w - 1 {
			fn(uint32(i*64 + bits.TrailingZeros64(w)))
		}
	}
}
