package blob

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// copyMax is how many octets one sweep copies forward, so that it does not take
// the disk from those who wait for it.
const copyMax = 256 << 20

// gather gives back room. A segment that no row points to goes; the records of
// one that is less than half live are copied behind the newest ones, and it goes
// with a later sweep. Both only when nobody can hold a handle of its bytes any
// more. A segment is never changed below its end, so backups and readers need no
// lock against this: an open file stays, and Open looks again.
func (s *Store) gather(ctx context.Context, now time.Time) error {
	files, err := s.fs.List() // before the rows: what is written meanwhile is not in it
	if err != nil {
		return broken("", err)
	}
	live := map[uint64]int64{}
	err = s.places(ctx, func(_ mail.BlobID, at location, _ int64) error {
		live[at.segment] += alignUp(at.length)
		return nil
	})
	if err != nil {
		return err
	}
	thin := map[uint64]bool{}
	rest := int64(copyMax)
	for _, f := range files {
		n, ok := segmentNumber(f.Name)
		if !ok || now.Sub(f.Changed) < orphanTime || s.inUse(n) {
			continue
		}
		if live[n] == 0 {
			if f.Size == 0 && n == s.newest() {
				continue // it only keeps the number
			}
			err = errors.Join(err, s.drop(n))
		} else if live[n] < f.Size/2 && live[n] <= rest {
			thin[n] = true
			rest -= live[n]
		}
	}
	if len(thin) == 0 {
		return err
	}
	var moves []move
	err = errors.Join(err, s.places(ctx, func(id mail.BlobID, at location, size int64) error {
		if thin[at.segment] {
			moves = append(moves, move{id, at, size})
		}
		return nil
	}))
	for _, m := range moves {
		if e := s.forward(ctx, m); e != nil {
			err = errors.Join(err, e)
			if !fault.Is(e, fault.Corrupt) { // a damaged record stays where it is
				break
			}
		}
	}
	return err
}

// move is a record to be copied forward.
type move struct {
	id   mail.BlobID
	at   location
	size int64
}

// places gives every record that a row points to.
func (s *Store) places(ctx context.Context, place func(mail.BlobID, location, int64) error) error {
	for from, n := []byte(atPrefix), page; n == page; {
		n = 0
		err := s.scan(ctx, from, atPrefix, func(p kv.Pair) error {
			from = append(p.Key, 0)
			n++
			at, size, err := decodeLocation(p.Value)
			if err != nil {
				return err
			}
			id, err := idOf(p.Key, atPrefix)
			if err != nil {
				return corrupt("blob", err)
			}
			return place(id, at, size)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) newest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// inUse says whether a segment is written to.
func (s *Store) inUse(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil && s.current.number == n || s.busy[n] != nil && s.busy[n].users > 0
}

// drop removes a segment. A number is never given out twice, since a backup
// knows segments by it: the file with the highest one goes only when another
// has taken its place.
func (s *Store) drop(n uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == s.last {
		f, err := s.fs.Create(segmentName(n + 1))
		if err != nil {
			return broken("", err)
		}
		s.last++
		if err := errors.Join(f.Close(), s.fs.Sync()); err != nil {
			return broken("", err)
		}
	}
	if err := s.fs.Remove(segmentName(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return broken("", err)
	}
	delete(s.busy, n)
	return nil
}

// forward copies a record, which is verified on the way, and makes its row point
// to the copy, unless the blob has gone meanwhile. Nobody else changes the place
// of a blob that has one.
func (s *Store) forward(ctx context.Context, m move) error {
	f, err := s.fs.Open(segmentName(m.at.segment))
	if err != nil {
		return unreadable("", err)
	}
	defer func() { _ = f.Close() }()
	if err := soundRecord(f, m.id, m.at, m.size); err != nil {
		return unreadable("", err)
	}
	to, err := s.append(readAtFrom{f, m.at.offset}, m.at.length)
	if err != nil {
		return broken("", err)
	}
	old := m.at.encode(m.size)
	return s.db.Update(kv.Freeing(ctx), nil, func(tx kv.Tx) error {
		row, _, err := tx.Get(atKey(m.id))
		if err == nil && bytes.Equal(row, old) {
			tx.Set(atKey(m.id), to.encode(m.size))
		}
		return err
	})
}

// Piece is a segment file as a backup takes it.
type Piece struct {
	Name    string
	Size    int64 // octets; every record that a row pointed to when they were counted ends before
	Settled int64 // octets from the start that never change again
}

// Pieces lists the segment files. Taken after the rows, during a Pause, they
// hold every record that those point to.
func (s *Store) Pieces() ([]Piece, error) {
	s.mu.Lock()
	settled, last := map[uint64]int64{}, s.last
	if s.current != nil {
		settled[s.current.number] = s.current.tail
	}
	for n, g := range s.busy {
		settled[n] = g.tail
		for off := range g.busy {
			settled[n] = min(settled[n], off)
		}
	}
	s.mu.Unlock()
	files, err := s.fs.List()
	if err != nil {
		return nil, broken("blob.Pieces", err)
	}
	var pieces []Piece
	for _, f := range files {
		n, ok := segmentNumber(f.Name)
		if !ok {
			continue
		}
		p := Piece{Name: f.Name, Size: f.Size, Settled: f.Size}
		if end, ok := settled[n]; ok {
			p.Settled = min(end, f.Size)
		} else if n > last { // it came meanwhile
			p.Settled = 0
		}
		pieces = append(pieces, p)
	}
	return pieces, nil
}

// OpenPiece opens a segment file to be copied.
func (s *Store) OpenPiece(p Piece) (File, error) {
	f, err := s.fs.Open(p.Name)
	if err != nil {
		return nil, unreadable("blob.OpenPiece", err)
	}
	return f, nil
}
