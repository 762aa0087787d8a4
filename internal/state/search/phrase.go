package search

import (
	"cmp"
	"slices"
)

// seeker looks for one phrase in one segment.
type seeker struct {
	h      shelf
	seg    *segment
	phrase *phrase
	in     Regions
	few    int // messages are sooner looked at than all terms
	room   int // so many messages may be left to look at, where that saves much

	sure, maybe *set
}

func (s *seeker) run() error {
	ph := s.phrase
	if ph.crossing {
		if err := s.somewhere(lettered(ph.tokens), s.in); err != nil {
			return err
		}
	}
	if len(ph.tokens) == 1 && !ph.bare {
		hits, err := s.seg.find(s.h, &ph.tokens[0], s.in)
		if err == nil {
			s.found(hits)
		}
		return err
	}
	for b := byte(inSubject); b <= inBody; b++ {
		switch {
		case !s.in.has(b):
		case positional(b):
			if err := s.region(b); err != nil {
				return err
			}
		default:
			if err := s.somewhere(ph.tokens, Others); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *seeker) found(hits *set) {
	if s.phrase.exact {
		s.sure.or(hits)
	} else {
		s.maybe.or(hits)
	}
}

// somewhere finds messages that have all tokens, whatever the positions.
func (s *seeker) somewhere(all []token, in Regions) error {
	hits, err := s.seg.having(s.h, all, in, s.few)
	if err == nil {
		s.maybe.or(hits)
	}
	return err
}

// having is messages that have all tokens somewhere in the regions: these, and a
// few more if that saves a look at further terms.
func (s *segment) having(h shelf, all []token, in Regions, few int) (hits *set, err error) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b token) int { return b.rank() - a.rank() })
	for i := range all {
		found, err := s.find(h, &all[i], in)
		if err != nil {
			return nil, err
		}
		if hits == nil {
			hits = found
		} else {
			hits.and(found)
		}
		if n := hits.count(); n <= few {
			break
		}
	}
	return hits, nil
}

// rank is higher for what is found by a look into few pieces, and for long words.
func (t *token) rank() int {
	rank := len(t.word)
	if t.left {
		rank += maxTerm
		if t.right {
			rank += maxTerm
		}
	}
	return rank
}

// sought is a token and the lists of the terms that match it.
type sought struct {
	*token
	lists []list
	size  uint64
}

// spot is a place where a phrase may begin: a message, and the position of its
// first token there.
type spot uint64

func newSpot(doc, pos uint32) spot { return spot(doc)<<32 | spot(pos) }

func (s spot) doc() uint32 { return uint32(s >> 32) }

// region looks for the phrase in one region, where positions tell.
func (s *seeker) region(b byte) error {
	f := finder{h: s.h, s: s.seg}
	var closed, open []sought
	for i := range s.phrase.tokens {
		t := &s.phrase.tokens[i]
		if t.open() {
			open = append(open, sought{token: t})
			continue
		}
		k, err := f.lookup(t, b)
		if err != nil || len(k.lists) == 0 {
			return err
		}
		closed = append(closed, k)
	}
	slices.SortStableFunc(closed, func(x, y sought) int { return cmp.Compare(x.size, y.size) })
	docs, err := f.together(closed)
	if err != nil {
		return err
	}
	var spots []spot
	for i := range closed {
		if docs.empty() {
			return nil
		}
		if spots, _, err = f.narrow(&closed[i], b, docs, spots, i == 0); err != nil {
			return err
		}
		docs = docsOf(spots, s.seg.size())
	}
	if docs.empty() {
		return nil
	}
	switch {
	case len(open) > 0:
		return s.beginning(&f, open[0].token, b, spots)
	case s.phrase.bare:
		k, err := f.lookup(&token{word: []byte(oddSpace), kind: inMark, left: true, right: true, at: -1}, b)
		if err != nil {
			return err
		}
		if _, spots, err = f.narrow(&k, b, docs, spots, false); err != nil {
			return err
		}
		docs = docsOf(spots, s.seg.size())
	}
	s.found(docs)
	return nil
}

// beginning decides about spots by the first token, which may be the end of a
// term. Most often it is a term, and no look at all terms is needed.
func (s *seeker) beginning(f *finder, t *token, b byte, spots []spot) error {
	same := *t
	same.left = true
	k, err := f.lookup(&same, b)
	if err != nil {
		return err
	}
	hits, left, err := f.narrow(&k, b, docsOf(spots, s.seg.size()), spots, false)
	if err != nil {
		return err
	}
	docs := docsOf(hits, s.seg.size())
	s.found(docs)
	others := docsOf(left, s.seg.size())
	others.without(docs)
	switch n := others.count(); {
	case n == 0:
		return nil
	case n <= s.room:
		s.room -= n
		s.maybe.or(others)
		return nil
	}
	if k, err = f.lookup(t, b); err != nil {
		return err
	}
	if hits, _, err = f.narrow(&k, b, others, left, false); err == nil {
		s.found(docsOf(hits, s.seg.size()))
	}
	return err
}

func docsOf(spots []spot, n uint32) *set {
	docs := newSet(n)
	for _, s := range spots {
		docs.add(s.doc())
	}
	return docs
}

// together is the messages that have all of these tokens in the region.
func (f *finder) together(all []sought) (*set, error) {
	var docs *set
	for _, k := range all {
		f.hits = newSet(f.s.size())
		for _, l := range k.lists {
			if err := f.take(l); err != nil {
				return nil, err
			}
		}
		if docs == nil {
			docs = f.hits
		} else {
			docs.and(f.hits)
		}
		if docs.empty() {
			break
		}
	}
	return docs, nil
}

// narrow parts spots, which are in order, by whether k's token stands in its
// place. The first token gives them.
func (f *finder) narrow(k *sought, region byte, docs *set, spots []spot, first bool) (in, out []spot, err error) {
	hit := make([]bool, len(spots))
	for _, l := range k.lists {
		i := 0
		err := f.places(l, region, docs, func(doc uint32, at []uint32) {
			for _, a := range at {
				begin := int64(a) - int64(k.at)
				if begin < 0 {
					continue
				}
				s := newSpot(doc, uint32(begin))
				if first {
					in = append(in, s)
					continue
				}
				for i < len(spots) && spots[i] < s {
					i++
				}
				if i < len(spots) && spots[i] == s {
					hit[i] = true
				}
			}
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if first {
		slices.Sort(in)
		return in, nil, nil
	}
	for i, s := range spots {
		if hit[i] {
			in = append(in, s)
		} else {
			out = append(out, s)
		}
	}
	return in, out, nil
}
