package blob

import "io"

// Prefixed reads a prefix and the content behind it as one, such as header fields
// of ours and what came.
type Prefixed struct {
	Prefix []byte
	Rest   io.ReaderAt
}

// ReadAt reads at off of the whole. Its errors are those of Rest.
func (p Prefixed) ReadAt(b []byte, off int64) (int, error) {
	n := int64(len(p.Prefix))
	if off >= n {
		return p.Rest.ReadAt(b, off-n)
	}
	got := copy(b, p.Prefix[off:])
	if got == len(b) {
		return got, nil
	}
	more, err := p.Rest.ReadAt(b[got:], 0)
	return got + more, err
}
