package search

import (
	"bytes"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// unsure gives the messages that are not indexed completely.
func (s *segment) unsure(h shelf) (*set, error) {
	hits := newSet(s.size())
	if len(s.pieces) == 0 || s.pieces[0].first[0] != inUnsure { // it is before all others
		return hits, nil
	}
	f := finder{h: h, s: s, hits: hits}
	return hits, f.prefixed([]byte{inUnsure}, []byte{'\n', inUnsure, '\n'}, f.take)
}

// find gives the messages that have a term that t names, somewhere in the regions.
func (s *segment) find(h shelf, t *token, in Regions) (*set, error) {
	f := finder{h: h, s: s, hits: newSet(s.size())}
	return f.hits, f.terms(t, in, f.take)
}

// finder looks through the terms of a segment.
type finder struct {
	h     shelf
	s     *segment
	hits  *set
	lists []list
	docs  []uint32
	last  []byte // the piece of lists that was read last: neighbours share it
	lastN uint64
	kind  byte
}

// terms calls take with the list of each term that t names.
func (f *finder) terms(t *token, in Regions, take func(list) error) error {
	if t.open() {
		pattern := bytes.Clone(t.word)
		if t.right {
			pattern = append(pattern, '\n')
		}
		return f.contained(in, pattern, take)
	}
	for b := byte(inSubject); b <= inBody; b++ {
		if !in.has(b) {
			continue
		}
		term := append([]byte{b | t.kind}, t.word...)
		pattern := append([]byte{'\n'}, term...)
		if t.right {
			pattern = append(pattern, '\n')
		}
		if err := f.prefixed(term, pattern, take); err != nil {
			return err
		}
	}
	return nil
}

// lookup gives the lists of the terms that t names in one region.
func (f *finder) lookup(t *token, region byte) (k sought, err error) {
	k.token = t
	err = f.terms(t, 1<<(region-inSubject), func(l list) error {
		k.lists = append(k.lists, l)
		k.size += l.size()
		return nil
	})
	return k, err
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

func (f *finder) prefixed(term, pattern []byte, take func(list) error) error {
	lo, hi := f.s.span(term, append(bytes.Clone(term), 0xff))
	return f.pieces(lo, hi, pattern, 1, func(byte) bool { return true }, take)
}

// contained looks for words that contain pattern in the regions of in.
func (f *finder) contained(in Regions, pattern []byte, take func(list) error) error {
	for b := byte(inSubject); b <= inBody; b++ {
		if !in.has(b) {
			continue
		}
		end := b + 1
		for end <= inBody && in.has(end) {
			end++
		}
		lo, hi := f.s.span([]byte{b}, []byte{end})
		if err := f.pieces(lo, hi, pattern, 0, in.has, take); err != nil {
			return err
		}
		b = end - 1
	}
	return nil
}

// pieces goes through pieces lo..hi-1 of the terms. skip is how many octets of
// pattern stand before the term.
func (f *finder) pieces(lo, hi int, pattern []byte, skip int, want func(region byte) bool, take func(list) error) error {
	if lo >= hi {
		return nil
	}
	n := lo
	terms := kv.Range{From: f.h.dataKey(f.s.id, kindTerms, uint64(lo)), To: f.h.dataKey(f.s.id, kindTerms, uint64(hi))}
	for p, err := range f.h.r.Scan(terms) {
		if err != nil {
			return err
		}
		if n >= hi {
			return corrupt(errRow)
		}
		if err := f.piece(n, p.Value, pattern, skip, want, take); err != nil {
			return err
		}
		n++
	}
	if n != hi {
		return corrupt(errRow)
	}
	return nil
}

func (f *finder) piece(n int, terms, pattern []byte, skip int, want func(region byte) bool, take func(list) error) error {
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
			if f.lists, err = lists(b, f.s.pieces[n], f.lists); err != nil {
				return err
			}
			loaded = true
		}
		ordinal += bytes.Count(terms[counted:start], []byte{'\n'})
		counted = start
		if ordinal >= len(f.lists) {
			return corrupt(errRow)
		}
		if err := take(f.lists[ordinal]); err != nil {
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
	b, err := f.read(kindPostings, l.postings, l.length)
	if err != nil {
		return err
	}
	return corrupt(runs(b, f.hits.n, f.hits.addRun))
}

// places calls fn with where the term of a list stands in the messages of docs, or
// in all if that is nil.
func (f *finder) places(l list, region byte, docs *set, fn func(doc uint32, at []uint32)) error {
	b, err := f.read(kindPostings, l.postings, l.length)
	if err != nil {
		return err
	}
	if f.docs, err = l.docs(b, f.s.size(), f.docs[:0]); err != nil {
		return err
	}
	if docs != nil && !slices.ContainsFunc(f.docs, docs.has) {
		return nil
	}
	if b, err = f.read(kindPlaces, l.places, l.placesLen); err != nil {
		return err
	}
	return corrupt(readPlaces(region, b, f.docs, docs, fn))
}

// read gives n octets of a stream of lists.
func (f *finder) read(kind byte, offset, n uint64) (out []byte, err error) {
	if n > f.s.octets {
		return nil, corrupt(errRow)
	}
	for n > 0 {
		if at := offset / pieceSize; f.kind != kind || f.lastN != at {
			if f.last, err = f.h.data(f.s.id, kind, at); err != nil {
				return nil, err
			}
			f.lastN, f.kind = at, kind
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
