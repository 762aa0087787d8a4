package blob

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// OpenHandle opens a blob that was stored just now, though no transaction has
// referred to it yet. Its errors are those of Open.
func (s *Store) OpenHandle(ctx context.Context, h Handle) (*Reader, error) {
	if !h.fresh {
		return s.Open(ctx, h.id)
	}
	r := &Reader{s: s, id: h.id, size: h.size, cached: -1}
	if h.at == (location{}) {
		r.body = h.body
		return r, nil
	}
	r.large = true
	if err := r.at(h.at); err != nil {
		return nil, fault.Wrap("blob.OpenHandle", err)
	}
	return r, nil
}
