package search

import (
	"bytes"
	"slices"
)

// token is one term that a message must have: a term that is, begins with, ends
// in, or contains word.
type token struct {
	word  []byte
	kind  byte
	left  bool  // the term begins with it
	right bool  // the term ends with it
	at    int32 // its position, counted from the first token
}

// open says that only a look at all terms finds those that match.
func (t *token) open() bool { return !t.left }

// phrase is tokens that must stand where they are to one another.
type phrase struct {
	tokens []token
	bare   bool // and no odd space before the first, a word: there is a space
	exact  bool // who has them so has the text
	// A field's name, colon and value are one text to who searches whole headers,
	// but not in the index: crossing says that the phrase may lie across.
	crossing bool
}

// plan is a query ready to be asked of segments.
type plan struct {
	in      Regions
	phrases []phrase
	field   []token // of the name of the field that is asked for
	blind   bool
	few     int // when looking at the messages costs less than asking further
}

func newPlan(q Query, few int) *plan {
	p := &plan{in: q.In, few: few}
	if q.Mode == Words {
		p.words(q.Text)
	} else {
		p.substring(q.Text)
	}
	if q.Field != "" && RegionOf(q.Field) == Others {
		// That the field is there; whether the text is in it, somebody must look.
		p.field, _ = tokens(fold(q.Field))
		for i := range p.field {
			p.field[i].left, p.field[i].right = true, true
		}
	}
	p.blind = p.blind || len(p.phrases)+len(p.field) == 0
	return p
}

// tokens cuts a folded text; whole is false if a word of it is no term. The first
// and the last one may be a part of a term, if no space is before or behind.
func tokens(folded []byte) (all []token, whole bool) {
	whole = true
	at := int32(0)
	t := tokenizer{needle: true, long: func() { whole = false }, emit: func(term []byte, kind byte, gap uint32) {
		if len(all) > 0 {
			at += int32(gap)
		}
		all = append(all, token{bytes.Clone(term), kind, true, true, at})
	}}
	t.write(folded)
	t.end()
	if n := len(all); n > 0 {
		all[0].left = all[0].kind != inWord || folded[0] == ' '
		all[n-1].right = all[n-1].kind != inWord || folded[len(folded)-1] == ' '
	}
	return all, whole
}

func (p *plan) substring(text string) {
	folded := fold(text)
	all, whole := tokens(folded)
	// Positions tell of a space before a term, not of one behind it.
	ph := phrase{tokens: all, exact: whole && !bytes.HasSuffix(folded, []byte{' '})}
	ph.bare = len(all) > 0 && all[0].kind == inWord && folded[0] == ' '
	if p.in&Header == Header && crosses(folded) {
		ph.crossing = true
		if len(lettered(all)) == 0 {
			p.blind = true
			return
		}
	}
	if len(all) > 0 && whole {
		p.phrases = []phrase{ph}
		return
	}
	// Each of what is left, wherever it stands.
	for _, t := range all {
		p.phrases = append(p.phrases, phrase{tokens: []token{t}, crossing: ph.crossing})
	}
}

// crosses says whether a text may begin in the name of a field, or at the space
// behind it, and end in its value.
func crosses(folded []byte) bool {
	return bytes.HasPrefix(folded, []byte(" ")) || bytes.Contains(folded, []byte(": ")) || bytes.HasSuffix(folded, []byte(":"))
}

// lettered is the tokens that are no marks.
func lettered(all []token) []token {
	return slices.DeleteFunc(slices.Clone(all), func(t token) bool { return t.kind == inMark })
}

// words wants each word, and of what is written without spaces each run.
func (p *plan) words(text string) {
	all, _ := tokens(fold(text))
	for i := 0; i < len(all); {
		n := i + 1
		for all[i].kind == inDense && n < len(all) && all[n].kind == inDense && all[n].at == all[n-1].at+gapNext {
			n++
		}
		run := all[i:n]
		if i = n; run[0].kind == inMark {
			continue
		}
		for j := range run {
			run[j].left, run[j].right = true, true
		}
		p.phrases = append(p.phrases, phrase{tokens: run, exact: true})
	}
}

// ask adds what seg knows to out.
func (p *plan) ask(h shelf, seg *segment, out *Result) error {
	var sure, maybe *set
	for i := range p.phrases {
		s := seeker{h: h, seg: seg, phrase: &p.phrases[i], in: p.in, few: p.few, room: p.few - len(out.Maybe), sure: newSet(seg.size()), maybe: newSet(seg.size())}
		if err := s.run(); err != nil {
			return err
		}
		s.maybe.or(s.sure)
		if maybe == nil {
			sure, maybe = s.sure, s.maybe
		} else {
			sure.and(s.sure)
			maybe.and(s.maybe)
		}
		if maybe.empty() {
			break
		}
	}
	if len(p.field) > 0 {
		found, err := seg.having(h, p.field, Others, p.few)
		if err != nil {
			return err
		}
		if sure = newSet(seg.size()); maybe == nil {
			maybe = found
		} else {
			maybe.and(found)
		}
	}
	unsure, err := seg.unsure(h)
	if err != nil {
		return err
	}
	maybe.or(unsure)
	maybe.without(sure)
	sure.each(func(i uint32) { out.Sure = append(out.Sure, seg.from+uint64(i)) })
	maybe.each(func(i uint32) { out.Maybe = append(out.Maybe, seg.from+uint64(i)) })
	return nil
}
