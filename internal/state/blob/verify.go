package blob

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

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
			ids, next, broken := s.ids(ctx, from, prefix)
			for _, id := range ids {
				n++
				if err := s.verify(ctx, id, bad); err != nil {
					return n, fault.Wrap("blob.Verify", err)
				}
			}
			if broken != nil {
				if next == nil {
					next = from
				}
				var err error
				if next, err = s.pass(ctx, next, prefix, broken, bad); err != nil {
					return n, fault.Wrap("blob.Verify", err)
				}
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
	for from := []byte(refPrefix); from != nil; {
		n := 0
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
		for _, id := range missing {
			bad(id, corrupt("blob.Verify", errMissing))
		}
		switch {
		case err != nil:
			if from, err = s.pass(ctx, from, refPrefix, err, bad); err != nil {
				return err
			}
		case n < page:
			from = nil
		}
	}
	return nil
}

// pass tells of a row that cannot be read, the first one from a key on, and finds
// where rows can be read again; nil if nowhere. Another error than damage comes
// back.
func (s *Store) pass(ctx context.Context, from []byte, prefix string, damage error, bad func(mail.BlobID, error)) (next []byte, err error) {
	if !fault.Is(damage, fault.Corrupt) {
		return nil, damage
	}
	var at mail.BlobID
	copy(at[:], from[len(prefix):])
	bad(at, fmt.Errorf("rows %s from here on: %w", prefix, damage))
	readable := func(key []byte) bool {
		e := s.db.View(ctx, nil, func(r kv.Reader) error {
			for _, err := range r.Scan(kv.Range{From: key, To: kv.PrefixEnd([]byte(prefix)), Limit: 1}) {
				return err
			}
			return nil
		})
		if !fault.Is(e, fault.Corrupt) {
			err = errors.Join(err, e)
		}
		return e == nil || err != nil
	}
	if readable(from) { // one row alone was not of its form
		return from, err
	}
	// The ids are spread evenly: step ahead, each time much farther, then halve.
	// Each look at damage is dear, as the engine searches for the bit.
	key := func(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte(prefix), n) }
	start, step := binary.BigEndian.Uint64(at[:]), uint64(1)<<40
	for ; !readable(key(start + step)); step *= 8 {
		if step > (math.MaxUint64-start)/8 {
			return nil, err
		}
	}
	low, high := start, start+step
	for high-low > (high-start)/8 {
		if mid := low + (high-low)/2; readable(key(mid)) {
			high = mid
		} else {
			low = mid
		}
	}
	return key(high), err
}

// ids reads a page of rows, up to one that cannot be read, and says where the
// next one begins.
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
	if err == nil && rows < page {
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
