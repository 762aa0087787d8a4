package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/state/search"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// fuzzyText is a text that is searched for word by word (RFC 6203), and what
// tells how well a message fits it.
type fuzzyText struct {
	whole search.Needle
	words []search.Needle
}

func newFuzzyText(text string, words []string) fuzzyText {
	t := fuzzyText{whole: search.NewNeedle(text)}
	for _, w := range words {
		t.words = append(t.words, search.NewNeedle(w))
	}
	return t
}

// in is how much of t is in a text: 1 if all of it is, as it was written.
func (t fuzzyText) in(text string) float64 {
	if t.whole.In(text) {
		return 1
	}
	n := 0
	for _, w := range t.words {
		if w.In(text) {
			n++
		}
	}
	return 0.8 * float64(n) / float64(len(t.words))
}

// What a text in the subject, and in an address, is worth to relevance. What is
// in neither is in the body, and has the rest.
const (
	subjectWorth = 0.75
	addressWorth = 0.5
	restWorth    = 0.25
)

// score gives each hit its relevance: how much of what was searched for stands
// where a person would look first.
func (f *finder) score() error {
	return f.headers([]string{"Subject", "From", "To"}, func(h *hit, header message.Header) {
		sum := 0.0
		for _, t := range f.fuzzy {
			best := subjectWorth * t.in(message.DecodeHeader(header.Get("Subject")))
			for _, name := range []string{"From", "To"} {
				best = max(best, addressWorth*t.in(message.DecodeHeader(header.Get(name))))
			}
			sum += min(1, best+restWorth)
		}
		h.score = uint8(1 + 99*sum/float64(max(1, len(f.fuzzy))))
	})
}
