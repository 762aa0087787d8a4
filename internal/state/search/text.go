package search

import (
	"bytes"
	"io"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Regions are the parts of a message that a search looks into.
type Regions uint8

// The regions. A field that has none of its own lies in Others; the names of all
// fields do.
const (
	Subject Regions = 1 << iota
	From
	To
	Cc
	Bcc
	Others
	Body

	Header = Subject | From | To | Cc | Bcc | Others
	Text   = Header | Body
)

// RegionOf is where the value of a header field lies.
func RegionOf(field string) Regions {
	switch strings.ToLower(field) {
	case "subject":
		return Subject
	case "from":
		return From
	case "to":
		return To
	case "cc":
		return Cc
	case "bcc":
		return Bcc
	}
	return Others
}

// signature says whether a field holds nothing but a computer's signature, which
// no search of the whole header looks into: it is longer than most letters, in
// no words, and different in each of them.
func signature(field string) bool {
	switch strings.ToLower(field) {
	case "dkim-signature", "x-google-dkim-signature", "arc-seal", "arc-message-signature", "x-gm-message-state":
		return true
	}
	return false
}

// Fields calls fn with each field of h that a search of the whole header looks
// into, as a person reads it, until fn says false.
func Fields(h message.Header, fn func(name, value string) bool) {
	for _, f := range h.Fields() {
		if !signature(f.Name) && !fn(f.Name, message.DecodeHeader(f.Value())) {
			return
		}
	}
}

// OddAddresses is what else a field's value, as a person reads it, is found by: the
// addresses in it that do not stand there as they are written elsewhere. IMAP looks
// into addresses, and not into the text of a field (RFC 9051 §6.4.4, FROM).
func OddAddresses(field, value string) string {
	if RegionOf(field)&(From|To|Cc|Bcc) == 0 {
		return ""
	}
	return message.OddAddresses(value)
}

// maxName is how much of an attachment's name is looked at, in octets.
const maxName = 1 << 10

// Texts calls fn with each text of the body that ix found in r, until fn says
// false: the parts that are text, in UTF-8 and without the marks of HTML, the
// headers of messages within the message, and the names of attachments.
func Texts(ix *message.Index, r io.ReaderAt, fn func(io.Reader) bool) (err error) {
	ix.Walk(func(_ []int, p *message.Part) bool {
		if name := p.Filename(); name != "" && !fn(strings.NewReader(name[:min(len(name), maxName)])) {
			return false
		}
		more := true
		switch {
		case p.Message != nil:
			root := p.Message.Root
			raw := make([]byte, min(root.BodyStart-root.HeaderStart, message.MaxHeader))
			if _, e := r.ReadAt(raw, root.HeaderStart); e != nil && e != io.EOF {
				err = e
				return false
			}
			Fields(message.ParseHeader(raw), func(name, value string) bool {
				more = fn(strings.NewReader(name + ": " + value))
				return more
			})
		case p.Type == "text":
			text := message.DecodeText(io.NewSectionReader(r, p.BodyStart, p.Size()), p.Encoding, p.Charset())
			if p.Subtype == "html" {
				text = newHTML(text)
			}
			e := failure{r: text}
			more = fn(&e)
			err = e.err
		}
		return more && err == nil
	})
	return err
}

// failure remembers why a text could not be read.
type failure struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (f *failure) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// chunk is how much of a text is folded at a time, in octets.
const chunk = 32 << 10

// Scratch is the memory that one goroutine folds with, from text to text.
type Scratch struct {
	raw, folded []byte
	fold        folder
}

// each folds r and calls fn with it, piece by piece, until fn says false.
func (s *Scratch) each(r io.Reader, fn func(folded []byte) bool) error {
	if cap(s.raw) < chunk {
		s.raw = make([]byte, chunk)
	}
	s.fold = folder{slow: s.fold.slow}
	raw := s.raw[:0]
	for {
		n, err := io.ReadFull(r, raw[len(raw):chunk])
		raw = raw[:len(raw)+n]
		last := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !last {
			return err
		}
		cut := len(raw)
		if !last {
			cut = boundary(raw)
		}
		s.folded = s.fold.append(s.folded[:0], raw[:cut])
		if last {
			s.folded = s.fold.flush(s.folded)
		}
		if !fn(s.folded) || last {
			return nil
		}
		raw = s.raw[:copy(s.raw, raw[cut:])]
	}
}

// whole folds s and calls fn with it, in one piece if it is not long.
func (s *Scratch) whole(text string, fn func(folded []byte) bool) {
	if len(text) > chunk {
		_ = s.each(strings.NewReader(text), fn) // which does not fail
		return
	}
	s.raw = append(s.raw[:0], text...)
	s.fold = folder{slow: s.fold.slow}
	s.folded = s.fold.flush(s.fold.append(s.folded[:0], s.raw))
	fn(s.folded)
}

// Needle is a text to look for, folded.
type Needle struct{ folded []byte }

// NewNeedle folds s.
func NewNeedle(s string) Needle { return Needle{fold(s)} }

// Empty says whether everything has it in it.
func (n Needle) Empty() bool { return len(n.folded) == 0 }

// In says whether text has it in it.
func (n Needle) In(text string) bool { return n.Empty() || bytes.Contains(fold(text), n.folded) }

// InReader says whether a text of any length in UTF-8 has it in it, in bounded memory.
func (n Needle) InReader(r io.Reader, s *Scratch) (hit bool, err error) {
	if n.Empty() {
		return true, nil
	}
	var tail []byte // the end of what was, as long as a hit may begin there
	err = s.each(r, func(folded []byte) bool {
		if hit = bytes.Contains(folded, n.folded); hit {
			return false
		}
		keep := len(n.folded) - 1
		begin := folded[:min(len(folded), keep)]
		if tail = append(tail, begin...); bytes.Contains(tail, n.folded) {
			hit = true
			return false
		}
		tail = append(tail, folded[len(begin):]...)
		tail = append(tail[:0], tail[max(0, len(tail)-keep):]...)
		return true
	})
	return hit, err
}
