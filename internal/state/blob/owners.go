package blob

import (
	"context"
	"errors"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Reference is one owner's hold on a blob.
type Reference struct {
	ID    mail.BlobID
	Owner Owner
}

var (
	errNoReference = errors.New("the reference is missing")
	errNoBlob      = errors.New("the blob is missing")
)

// Missing looks for the rows of references that somebody relies on: for each, in
// the order of refs, nil or what is not there, or cannot be read. It reads no
// body.
func (s *Store) Missing(ctx context.Context, refs []Reference) (missing []error, err error) {
	missing, err = s.missing(ctx, refs)
	if !fault.Is(err, fault.Corrupt) {
		return missing, err
	}
	missing = make([]error, len(refs))
	for i := range refs {
		one, err := s.missing(ctx, refs[i:i+1])
		switch {
		case err == nil:
			missing[i] = one[0]
		case fault.Is(err, fault.Corrupt):
			missing[i] = err
		default:
			return nil, err
		}
	}
	return missing, nil
}

func (s *Store) missing(ctx context.Context, refs []Reference) (missing []error, err error) {
	keys := make([][]byte, 0, 3*len(refs))
	for _, r := range refs {
		keys = append(keys, refKey(r.ID, r.Owner), atKey(r.ID), bodyKey(r.ID, 0))
	}
	var rows [][]byte
	err = s.db.View(ctx, nil, func(r kv.Reader) (err error) { rows, err = r.GetMany(keys); return err })
	if err != nil {
		return nil, fault.Wrap("blob.Missing", err)
	}
	missing = make([]error, len(refs))
	for i := range refs {
		switch held, at, body := rows[3*i], rows[3*i+1], rows[3*i+2]; {
		case held == nil:
			missing[i] = errNoReference
		case at == nil && body == nil:
			missing[i] = errNoBlob
		}
	}
	return missing, nil
}

// References hands every reference in the store to fn, a page at a time.
func (s *Store) References(ctx context.Context, fn func([]Reference) error) error {
	for from := []byte(refPrefix); from != nil; {
		var refs []Reference
		var next []byte
		err := s.scan(ctx, from, refPrefix, func(p kv.Pair) error {
			k := kv.ReadKey(p.Key, []byte(refPrefix))
			var r Reference
			copy(r.ID[:], k.Fixed(len(r.ID)))
			r.Owner = Owner{Kind: k.Uint8(), Shard: k.Uint64()}
			copy(r.Owner.ID[:], k.Fixed(len(r.Owner.ID)))
			refs, next = append(refs, r), append(p.Key, 0)
			if k.Err() != nil {
				return corrupt("", k.Err())
			}
			return nil
		})
		if err == nil && len(refs) > 0 {
			err = fn(refs)
		}
		if err != nil {
			return fault.Wrap("blob.References", err)
		}
		if from = next; len(refs) < page {
			from = nil
		}
	}
	return nil
}
