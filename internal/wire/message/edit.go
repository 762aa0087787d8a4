package message

import (
	"io"
	"strings"
)

// Spans is where the fields of that name lie, in their order.
func (h Header) Spans(name string) []Span {
	var spans []Span
	for _, f := range h.fields {
		if strings.EqualFold(f.Name, name) {
			spans = append(spans, f.Span())
		}
	}
	return spans
}

// Lacks says which of the fields that every message needs (RFC 5322 §3.6) and
// that a submission server may add (RFC 6409 §8) are not there.
type Lacks struct {
	Date, MessageID, From bool
}

// Lacks looks for missing or empty fields.
func (h Header) Lacks() Lacks {
	return Lacks{Date: h.Get("Date") == "", MessageID: h.Get("Message-ID") == "", From: len(h.Addresses("From")) == 0}
}

// Without reads a message and leaves out the spans, which are in order and do
// not overlap: so Bcc is removed (RFC 5322 §3.6.3) and the rest stays as it
// is, octet by octet. size is what is left.
func Without(r io.ReaderAt, size int64, cut []Span) (io.Reader, int64) {
	var pieces []io.Reader
	var at, left int64
	add := func(to int64) {
		if to > at {
			pieces = append(pieces, io.NewSectionReader(r, at, to-at))
			left += to - at
		}
	}
	for _, s := range cut {
		add(min(s.Offset, size))
		at = max(at, s.Offset+s.Length)
	}
	add(size)
	return io.MultiReader(pieces...), left
}
