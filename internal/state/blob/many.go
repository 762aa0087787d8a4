package blob

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Opened is what OpenMany gives for a blob.
type Opened struct {
	Reader
	Err error // why it cannot be read: fault.NotFound or fault.Corrupt
}

// OpenMany opens blobs that are read together, in the order of ids, by one look at
// the rows. Small bodies are unpacked into room, which grows and is given back:
// it may be used again once none of them is read any more. Of large ones the rows
// alone are read; what is wrong with the rest the first read tells. A failure of
// the store as a whole is the error.
func (s *Store) OpenMany(ctx context.Context, ids []mail.BlobID, room []byte) ([]Opened, []byte, error) {
	all := make([]Opened, len(ids))
	err := s.db.View(ctx, nil, func(rows kv.Reader) (err error) {
		room, err = s.openMany(ctx, rows, ids, all, room)
		return err
	})
	return all, room, fault.Wrap("blob.OpenMany", err)
}

func (s *Store) openMany(ctx context.Context, rows kv.Reader, ids []mail.BlobID, all []Opened, room []byte) ([]byte, error) {
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = bodyKey(id, 0)
		all[i].Reader = Reader{s: s, id: id, cached: -1}
		all[i].Err = errUnknown
	}
	err := rows.Each(keys, func(i int, first []byte) error {
		r := &all[i]
		r.body, room, r.Err = readBodyInto(rows, ids[i], first, room)
		r.size = int64(len(r.body))
		return nil
	})
	if err != nil {
		return room, err
	}
	var larger []int
	keys = keys[:0]
	for i := range all {
		if all[i].Err == errUnknown {
			larger, keys = append(larger, i), append(keys, atKey(ids[i]))
			all[i].Err = fault.New(fault.NotFound, "blob.OpenMany", "")
		}
	}
	return room, rows.Each(keys, func(n int, v []byte) error {
		r := &all[larger[n]]
		r.large = true
		r.again = func() (*Reader, error) { return s.Open(ctx, r.id) }
		r.place, r.size, r.Err = decodeLocation(v)
		return nil
	})
}

// errUnknown stands for a blob of which no row was seen.
var errUnknown = fault.New(fault.NotFound, "blob.OpenMany", "")
