package gather

import (
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
)

// spool takes a body that a filter puts in place of another. It keeps to the
// rule for all content: a line ends in CRLF, and there is no other CR, LF or NUL
// (docs/decisions/001-line-ends.md). What the filter did not keep to is mended,
// since the message was taken from its sender already.
type spool struct {
	w        *blob.Writer
	max      int64
	size     int64
	cr       bool // the last octet was CR, and is not written yet
	bol      bool // at the beginning of a line
	buf      []byte
	eightBit bool
}

func newSpool(w *blob.Writer, max int64) *spool { return &spool{w: w, max: max, bol: true} }

// Write takes the next octets. fault.TooLarge beyond the spool's bound.
func (s *spool) Write(p []byte) (int, error) {
	if s.size += int64(len(p)); s.size > s.max {
		return 0, fault.Newf(fault.TooLarge, "gather.spool", "the new body is over %d octets", s.max)
	}
	out := s.buf[:0]
	for _, c := range p {
		if s.cr || c == '\n' {
			out = append(out, '\r', '\n')
			s.cr, s.bol = false, true
			if c == '\n' {
				continue
			}
		}
		switch {
		case c == '\r':
			s.cr = true
		case c != 0:
			out = append(out, c)
			s.bol = false
			s.eightBit = s.eightBit || c >= 0x80
		}
	}
	s.buf = out
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// commit ends the last line and stores the body.
func (s *spool) commit() (blob.Handle, error) {
	if s.cr || !s.bol {
		if _, err := s.w.Write([]byte("\r\n")); err != nil {
			return blob.Handle{}, err
		}
	}
	return s.w.Commit()
}

// abort gives the body up. After commit it does nothing.
func (s *spool) abort() { s.w.Abort() }
