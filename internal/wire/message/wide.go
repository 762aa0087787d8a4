package message

import (
	"errors"
	"io"
)

// WideHeaders says whether a header of a message, of its parts or of the messages
// within it has other octets than ASCII, which needs SMTPUTF8 (RFC 6532 §3). Bodies
// may have them without (RFC 6152).
func WideHeaders(r io.ReaderAt, size int64) (bool, error) {
	ix, err := Parse(r, size)
	if err != nil {
		return false, err
	}
	return wideHeaders(r, ix.Root)
}

func wideHeaders(r io.ReaderAt, p *Part) (bool, error) {
	b := make([]byte, p.BodyStart-p.HeaderStart)
	if n, err := r.ReadAt(b, p.HeaderStart); n < len(b) {
		return false, errors.Join(io.ErrUnexpectedEOF, err)
	}
	if !isASCII(string(b)) {
		return true, nil
	}
	within := p.Parts
	if p.Message != nil {
		within = []*Part{p.Message.Root}
	}
	for _, inner := range within {
		if wide, err := wideHeaders(r, inner); wide || err != nil {
			return wide, err
		}
	}
	return false, nil
}
