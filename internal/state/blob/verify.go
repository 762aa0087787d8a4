package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Verify reads every blob that has rows and tells bad of each that is damaged, or
// that somebody refers to and that is not there: fault.Corrupt. It returns how
// many it read, and an error if it could not go on.
func (s *Store) Verify(ctx context.Context, bad func(mail.BlobID, error)) (int, error) {
	if err := s.verifyRefs(ctx, bad); err != nil {
		return 0, fault.Wrap("blob.Verify", err)
	}
	n := 0
	for _, prefix := range []string{atPrefix, bodyPrefix} {
		for from := []byte(prefix); from != nil; {
			ids, next, err := s.ids(ctx, from, prefix)
			for _, id := range ids {
				if err != nil {
					break
				}
				n++
				err = s.verify(ctx, id, bad)
			}
			if err != nil {
				return n, fault.Wrap("blob.Verify", err)
			}
			from = next
		}
	}
	return n, nil
}

// errMissing means that a reference leads nowhere.
var errMissing = errors.New("somebody refers to it, and it is not there")

// verifyRefs looks for the blob of every reference.
func (s *Store) verifyRefs(ctx context.Context, bad func(mail.BlobID, error)) error {
	var last mail.BlobID
	for from, n := []byte(refPrefix), page; n == page; {
		n = 0
		var missing []mail.BlobID
		err := s.db.View(ctx, nil, func(r kv.Reader) error {
			for p, err := range r.Scan(kv.Range{From: from, To: kv.PrefixEnd([]byte(refPrefix)), Limit: page}) {
				if err != nil {
					return err
				}
				n++
				from = append(p.Key, 0)
				var id mail.BlobID
				if copy(id[:], p.Key[len(refPrefix):]) < len(id) {
					return corrupt("blob", errRow)
				}
				if id == last {
					continue
				}
				last = id
				if l, err := look(r, id, false); err != nil && !fault.Is(err, fault.Corrupt) {
					return err
				} else if err == nil && !l.there {
					missing = append(missing, id)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, id := range missing {
			bad(id, corrupt("blob.Verify", errMissing))
		}
	}
	return nil
}

// ids reads a page of rows, and says where the next one begins.
func (s *Store) ids(ctx context.Context, from []byte, prefix string) (ids []mail.BlobID, next []byte, err error) {
	rows := 0
	err = s.scan(ctx, from, prefix, func(p kv.Pair) error {
		r := kv.ReadKey(p.Key, []byte(prefix))
		var id mail.BlobID
		copy(id[:], r.Fixed(len(id)))
		if prefix != bodyPrefix || r.Uint32() == 0 {
			ids = append(ids, id)
		}
		rows++
		next = append(p.Key, 0)
		if r.Err() != nil {
			return corrupt("blob", r.Err())
		}
		return nil
	})
	if rows < page {
		next = nil
	}
	return ids, next, err
}

func (s *Store) verify(ctx context.Context, id mail.BlobID, bad func(mail.BlobID, error)) error {
	r, err := s.Open(ctx, id)
	if err == nil {
		sum := sha256.New()
		_, err = io.Copy(sum, r)
		if err == nil && mail.BlobID(sum.Sum(nil)) != id {
			err = corrupt("blob.Verify", errChecksum)
		}
		err = errors.Join(err, r.Close())
	}
	switch {
	case fault.Is(err, fault.NotFound): // swept meanwhile
		return nil
	case fault.Is(err, fault.Corrupt):
		bad(id, err)
		return nil
	}
	return err
}
