package imap

import (
	"sort"
	"strconv"
)

// Range is a pair of numbers of a sequence set, in any order; 0 stands for "*".
type Range struct{ First, Last uint32 }

// Set is a sequence-set (RFC 3501 §9): message sequence numbers or UIDs. One
// without ranges is "$", the result that was saved last (RFC 5182 §4).
type Set []Range

// Saved says whether s is "$".
func (s Set) Saved() bool { return len(s) == 0 }

// Span gives the range in ascending order once "*" is known to be top.
func (r Range) Span(top uint32) (from, to uint32) {
	from, to = r.First, r.Last
	if from == 0 {
		from = top
	}
	if to == 0 {
		to = top
	}
	if from > to {
		from, to = to, from
	}
	return from, to
}

// Spans gives the set as ascending ranges that do not touch, "*" being top.
func (s Set) Spans(top uint32) []Range {
	spans := make([]Range, 0, len(s))
	for _, r := range s {
		from, to := r.Span(top)
		spans = append(spans, Range{from, to})
	}
	sort.Slice(spans, func(i, k int) bool { return spans[i].First < spans[k].First })
	out := spans[:0]
	for _, r := range spans {
		if n := len(out); n > 0 && uint64(r.First) <= uint64(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// SetOf gives the set of ns, runs drawn together. The order is kept: UIDPLUS
// pairs two sets by position (RFC 4315 §3).
func SetOf(ns []uint32) Set {
	var s Set
	for _, n := range ns {
		if k := len(s); k > 0 && s[k-1].Last+1 == n {
			s[k-1].Last = n
			continue
		}
		s = append(s, Range{n, n})
	}
	return s
}

// String is the set as IMAP writes it.
func (s Set) String() string {
	if s.Saved() {
		return "$"
	}
	var b []byte
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSetNumber(b, r.First)
		if r.First != r.Last {
			b = append(b, ':')
			b = appendSetNumber(b, r.Last)
		}
	}
	return string(b)
}

func appendSetNumber(b []byte, n uint32) []byte {
	if n == 0 {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}

// set reads a sequence-set.
func (p *parser) set() Set {
	if p.accept('$') {
		return Set{} // and not nil, which is no set at all
	}
	var s Set
	for {
		r := Range{First: p.setNumber()}
		r.Last = r.First
		if p.accept(':') {
			r.Last = p.setNumber()
		}
		s = append(s, r)
		if len(s) > MaxSet {
			p.fail("more than %d elements in a set", MaxSet)
		}
		if p.err != nil || !p.accept(',') {
			return s
		}
	}
}

func (p *parser) setNumber() uint32 {
	if p.accept('*') {
		return 0
	}
	n := p.number()
	if n == 0 && p.err == nil {
		p.fail("0 is no message")
	}
	return n
}
