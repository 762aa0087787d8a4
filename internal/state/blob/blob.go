// Package blob keeps immutable bytes under their hash: small ones in rows,
// larger ones in append-only segment files.
package blob

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// The order of things keeps a row from ever pointing to bytes that are not
// there. Bytes are safe before their handle is given out; rows are written by
// whoever refers to the handle, within handleLife; and what nobody refers to is
// removed only graceTime after it was marked, which is longer.
const (
	handleLife = 24 * time.Hour
	graceTime  = 36 * time.Hour
	// orphanTime is how old a segment without any row must be to go: the handles
	// of its bytes have ended by then.
	orphanTime = 48 * time.Hour
)

// Handle is a blob whose bytes are safe. It can be referred to for 24 hours,
// any number of times.
type Handle struct {
	id      mail.BlobID
	size    int64
	checked time.Time // when the bytes were stored or found
	fresh   bool      // no row is known yet
	body    []byte    // fresh and small: the bytes
	rows    [][]byte  // of body
	at      location  // fresh and large: where they lie
}

// ID is the blob's name.
func (h Handle) ID() mail.BlobID { return h.id }

// Size is the blob's length in octets.
func (h Handle) Size() int64 { return h.size }

// IsZero says that h is no blob.
func (h Handle) IsZero() bool { return h.checked.IsZero() }

// Body is the bytes of a small blob that was stored just now, which are still in
// memory; nil of any other. Nobody may change them.
func (h Handle) Body() []byte { return h.body }

// Owner names one reference: who holds the blob. The same owner referring twice
// is one reference.
type Owner struct {
	Kind  byte   // 'm' message, 'q' queue, 'u' upload, 'h' held
	Shard uint64 // account id or partition
	ID    [16]byte
}

// Refer makes o hold h when tx commits. The rows of a fresh blob are written
// with it. A handle that is older than 24 hours makes the transaction fail with
// fault.Unavailable: its blob may have been swept.
func Refer(tx kv.Tx, h Handle, o Owner) { referTo(tx, h, o, strange) }

// ReferFirst is Refer for who most likely is the first to refer to h: it does not
// look whether others have written the rows of a small blob, but writes them again.
func ReferFirst(tx kv.Tx, h Handle, o Owner) {
	referTo(tx, h, o, func(r kv.Reader, place []byte) ([]byte, error) {
		if h.at != (location{}) {
			return strange(r, place) // the same bytes may lie elsewhere, and that place counts
		}
		return nil, nil
	})
}

func referTo(tx kv.Tx, h Handle, o Owner, look func(r kv.Reader, place []byte) ([]byte, error)) {
	if h.IsZero() || time.Since(h.checked) > handleLife {
		tx.Fail(fault.New(fault.Unavailable, "blob.Refer", "this took too long; please try again"))
		return
	}
	tx.Set(refKey(h.id, o), nil)
	if !h.fresh {
		return
	}
	// Another transaction may have referred to the same handle before, or stored
	// the same bytes: the first ones stay. One program writes bytes of one length
	// to one place only.
	place := bodyKey(h.id, 0)
	if h.at != (location{}) {
		place = atKey(h.id)
	}
	known, err := look(tx, place)
	switch {
	case err != nil:
		tx.Fail(err)
	case known != nil:
	case h.at != location{}:
		tx.Set(atKey(h.id), h.at.encode(h.size))
	default:
		for i, row := range h.rows {
			tx.Set(bodyKey(h.id, uint32(i)), row)
		}
	}
}

// Release ends what Refer began. The sweeper then finds out whether anybody
// else holds the blob.
func Release(tx kv.Tx, id mail.BlobID, o Owner) {
	tx.Delete(refKey(id, o))
	tx.Set(deadKey(id), nil)
}

// lookup is what the rows say about a blob.
type lookup struct {
	there bool
	size  int64
	at    location // zero: the body is in rows
	first []byte   // the first of them
}

// strange gives a row that is most likely not there: what GetMany is good at.
func strange(r kv.Reader, key []byte) ([]byte, error) {
	rows, err := r.GetMany([][]byte{key})
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// look reads where a blob lies. One that is about to be stored and small is most
// likely new, and is not looked for in the segments.
func look(r kv.Reader, id mail.BlobID, small bool) (l lookup, err error) {
	if small {
		l.first, err = strange(r, bodyKey(id, 0))
		l.there = l.first != nil
	} else {
		l.first, l.there, err = r.Get(bodyKey(id, 0))
	}
	switch {
	case err != nil || !l.there && small:
		return l, err
	case l.there:
		h, _, err := decodeBodyHead(l.first)
		l.size = h.size
		return l, err
	}
	at, there, err := r.Get(atKey(id))
	if err == nil && there {
		l.there = true
		l.at, l.size, err = decodeLocation(at)
	}
	return l, err
}

// lookMarked is look that also says whether the blob is marked with the time it
// may be removed.
func lookMarked(r kv.Reader, id mail.BlobID, small bool) (l lookup, marked bool, err error) {
	if l, err = look(r, id, small); err != nil || !l.there {
		return l, false, err
	}
	mark, _, err := r.Get(deadKey(id))
	return l, len(mark) > 0, err
}

// find looks for a blob that is there, and makes sure that it stays for as long
// as a handle lives: a mark that bears a time is reset, so that the time begins
// anew when the sweeper comes by.
func (s *Store) find(ctx context.Context, id mail.BlobID, small bool) (Handle, error) {
	h := Handle{id: id, checked: time.Now()}
	var l lookup
	var marked bool
	err := s.db.View(ctx, nil, func(r kv.Reader) (err error) { l, marked, err = lookMarked(r, id, small); return err })
	if err == nil && marked {
		err = s.db.Update(ctx, nil, func(tx kv.Tx) (err error) {
			if l, marked, err = lookMarked(tx, id, small); err == nil && marked {
				tx.Set(deadKey(id), nil)
			}
			return err
		})
	}
	if err == nil && !l.there {
		err = fault.New(fault.NotFound, "", "")
	}
	h.size = l.size
	return h, err
}

// Handle is for another Refer of a blob that is there; fault.NotFound if it is
// not.
func (s *Store) Handle(ctx context.Context, id mail.BlobID) (Handle, error) {
	h, err := s.find(ctx, id, false)
	if err != nil {
		return Handle{}, fault.Wrap("blob.Handle", err)
	}
	return h, nil
}

// Put stores b.
func (s *Store) Put(ctx context.Context, b []byte) (Handle, error) {
	w, err := s.Create(ctx)
	if err != nil {
		return Handle{}, err
	}
	defer w.Abort()
	if _, err := w.Write(b); err != nil {
		return Handle{}, err
	}
	return w.Commit()
}
