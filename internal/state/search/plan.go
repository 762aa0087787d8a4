package search

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// need is one thing that a message must have to have the text: a term that is,
// begins with, ends in, or contains a word of it.
type need struct {
	word  []byte
	left  bool // the term begins with it
	right bool // the term ends with it
	dense bool // the term is
	in    Regions
}

// plan is a query ready to be asked of segments.
type plan struct {
	needs []need
	exact bool // who has what is needed has the text
}

func newPlan(q Query) *plan {
	p := &plan{}
	folded := fold(q.Text)
	for i := 0; i < len(folded); {
		r, n := utf8.DecodeRune(folded[i:])
		c := classOf(r)
		end := i + n
		for end < len(folded) {
			r, n := utf8.DecodeRune(folded[end:])
			if classOf(r) != c {
				break
			}
			end += n
		}
		switch c {
		case classWord:
			p.word(folded, i, end, q)
		case classDense:
			p.dense(folded[i:end], q)
		}
		i = end
	}
	p.exact = q.Mode == Words
	if q.Mode == Substring && len(p.needs) == 1 {
		p.exact = len(p.needs[0].word) == len(folded)
	}
	if q.Field != "" && RegionOf(q.Field) == Others {
		// That the field is there; whether the text is in it, somebody must look.
		p.exact = false
		t := tokenizer{long: func() {}, emit: func(term []byte, dense bool) {
			p.needs = append(p.needs, need{word: bytes.Clone(term), left: true, right: true, dense: dense, in: Others})
		}}
		t.write(fold(q.Field))
		t.end()
	}
	// What costs least and is rarest first, as far as one can guess.
	slices.SortStableFunc(p.needs, func(a, b need) int { return b.rank() - a.rank() })
	return p
}

// rank is higher for what is found by a look into few pieces, and for long words.
func (n *need) rank() int {
	rank := len(n.word)
	if n.left {
		rank += maxTerm
		if n.right {
			rank += maxTerm
		}
	}
	return rank
}

// fewHits is when looking at the messages costs less than asking further.
const fewHits = 32

func (p *plan) word(folded []byte, from, to int, q Query) {
	n := need{word: folded[from:to], left: from > 0 || q.Mode == Words, right: to < len(folded) || q.Mode == Words, in: q.In}
	if len(n.word) <= maxTerm {
		p.needs = append(p.needs, n)
	}
}

// dense needs each two neighbours. One character is found in any pair.
func (p *plan) dense(run []byte, q Query) {
	_, n := utf8.DecodeRune(run)
	if n == len(run) {
		p.needs = append(p.needs, need{word: run, dense: true, in: q.In})
		return
	}
	for n < len(run) {
		_, b := utf8.DecodeLastRune(run[:n])
		_, k := utf8.DecodeRune(run[n:])
		p.needs = append(p.needs, need{word: run[n-b : n+k], left: true, right: true, dense: true, in: q.In})
		n += k
	}
}

// ask adds what seg knows to out.
func (p *plan) ask(h shelf, seg *segment, out *Result) error {
	var hits *set
	for i := range p.needs {
		s, err := seg.find(h, &p.needs[i])
		if err != nil {
			return err
		}
		if hits == nil {
			hits = s
		} else {
			hits.and(s)
		}
		if n := hits.count(); n == 0 || n <= fewHits && !p.exact {
			break
		}
	}
	unsure, err := seg.find(h, &need{in: unsureRegion})
	if err != nil {
		return err
	}
	maybe := unsure
	if p.exact {
		hits.each(func(i uint32) { out.Sure = append(out.Sure, seg.from+uint64(i)) })
		maybe.without(hits)
	} else {
		maybe.or(hits)
	}
	maybe.each(func(i uint32) { out.Maybe = append(out.Maybe, seg.from+uint64(i)) })
	return nil
}

// unsureRegion stands for messages that are not indexed completely.
const unsureRegion Regions = 0

// find gives the messages that have a term that n names.
func (s *segment) find(h shelf, n *need) (*set, error) {
	hits := newSet(s.size())
	f := finder{h: h, s: s, hits: hits}
	if n.in == unsureRegion {
		if len(s.pieces) == 0 || s.pieces[0].first[0] != inUnsure { // it is before all others
			return hits, nil
		}
		return hits, f.prefixed([]byte{inUnsure}, []byte{'\n', inUnsure, '\n'})
	}
	kind := byte(0)
	if n.dense {
		kind = inDense
	}
	if !n.left {
		pattern := bytes.Clone(n.word)
		if n.right {
			pattern = append(pattern, '\n')
		}
		return hits, f.contained(n.in, kind, pattern)
	}
	for b := byte(inSubject); b <= inBody; b++ {
		if !n.in.has(b) {
			continue
		}
		term := append([]byte{b + kind}, n.word...)
		pattern := append([]byte{'\n'}, term...)
		if n.right {
			pattern = append(pattern, '\n')
		}
		if err := f.prefixed(term, pattern); err != nil {
			return nil, err
		}
	}
	return hits, nil
}

// finder looks through the terms of a segment.
type finder struct {
	h     shelf
	s     *segment
	hits  *set
	lists []list
	last  []byte // the piece of posting lists that was read last: neighbours share it
	lastN uint64
}

// span is the pieces in which terms from..to may lie, to not included; nil is the end.
func (s *segment) span(from, to []byte) (lo, hi int) {
	lo, exact := slices.BinarySearchFunc(s.pieces, from, func(p piece, t []byte) int { return bytes.Compare(p.first, t) })
	if !exact && lo > 0 {
		lo--
	}
	hi, _ = slices.BinarySearchFunc(s.pieces, to, func(p piece, t []byte) int { return bytes.Compare(p.first, t) })
	if to == nil {
		hi = len(s.pieces)
	}
	return lo, hi
}

func (f *finder) prefixed(term, pattern []byte) error {
	lo, hi := f.s.span(term, append(bytes.Clone(term), 0xff))
	return f.pieces(lo, hi, pattern, 1, func(byte) bool { return true })
}

// contained looks for terms of a kind that contain pattern in the regions of in.
func (f *finder) contained(in Regions, kind byte, pattern []byte) error {
	want := func(b byte) bool { return in.has(b - kind) }
	for b := byte(inSubject); b <= inBody; b++ {
		if !in.has(b) {
			continue
		}
		end := b + 1
		for end <= inBody && in.has(end) {
			end++
		}
		lo, hi := f.s.span([]byte{b + kind}, []byte{end + kind})
		if err := f.pieces(lo, hi, pattern, 0, want); err != nil {
			return err
		}
		b = end - 1
	}
	return nil
}

// pieces goes through pieces lo..hi-1 of the terms. skip is how many octets of
// pattern stand before the term.
func (f *finder) pieces(lo, hi int, pattern []byte, skip int, want func(region byte) bool) error {
	if lo >= hi {
		return nil
	}
	n := lo
	terms := kv.Range{From: f.h.dataKey(f.s.id, kindTerms, uint64(lo)), To: f.h.dataKey(f.s.id, kindTerms, uint64(hi))}
	for p, err := range f.h.r.Scan(terms) {
		if err != nil {
			return err
		}
		if err := f.piece(n, p.Value, pattern, skip, want); err != nil {
			return err
		}
		n++
	}
	if n != hi {
		return corrupt(errRow)
	}
	return nil
}

func (f *finder) piece(n int, terms, pattern []byte, skip int, want func(region byte) bool) error {
	loaded, ordinal, counted := false, 0, 1
	if len(terms) < 3 || terms[0] != '\n' || terms[len(terms)-1] != '\n' {
		return corrupt(errRow)
	}
	for at := 0; at < len(terms); {
		i := bytes.Index(terms[at:], pattern)
		if i < 0 {
			return nil
		}
		i += at + skip
		// The line that the hit lies in; its first octet is the region.
		start := bytes.LastIndexByte(terms[:i+1-skip], '\n') + 1
		if skip > 0 {
			start = i
		}
		end := bytes.IndexByte(terms[i:], '\n')
		if start == 0 || end < 0 {
			return corrupt(errRow)
		}
		at = i + end
		if !want(terms[start]) {
			continue
		}
		if !loaded {
			b, err := f.h.data(f.s.id, kindLists, uint64(n))
			if err != nil {
				return err
			}
			if f.lists, err = lists(b, f.s.pieces[n].offset, f.lists); err != nil {
				return err
			}
			loaded = true
		}
		ordinal += bytes.Count(terms[counted:start], []byte{'\n'})
		counted = start
		if ordinal >= len(f.lists) {
			return corrupt(errRow)
		}
		if err := f.take(f.lists[ordinal]); err != nil {
			return err
		}
	}
	return nil
}

// take adds a list's messages to the hits.
func (f *finder) take(l list) error {
	if l.single {
		if l.only >= uint64(f.hits.n) {
			return corrupt(errRow)
		}
		f.hits.add(uint32(l.only))
		return nil
	}
	b, err := f.postings(l.offset, l.length)
	if err != nil {
		return err
	}
	return corrupt(runs(b, f.hits.n, f.hits.addRun))
}

// postings reads n octets of posting lists.
func (f *finder) postings(offset, n uint64) (out []byte, err error) {
	if n > f.s.octets {
		return nil, corrupt(errRow)
	}
	for n > 0 {
		if at := offset / pieceSize; f.last == nil || f.lastN != at {
			if f.last, err = f.h.data(f.s.id, kindPostings, at); err != nil {
				return nil, err
			}
			f.lastN = at
		}
		b := f.last[min(offset%pieceSize, uint64(len(f.last))):]
		if b = b[:min(uint64(len(b)), n)]; len(b) == 0 {
			return nil, corrupt(errRow)
		}
		if out == nil && uint64(len(b)) == n {
			return b, nil
		}
		out = append(out, b...)
		offset += uint64(len(b))
		n -= uint64(len(b))
	}
	return out, nil
}
