package search

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// maxMessages is the most messages of a segment.
const maxMessages = 256 << 10

// flushAt is how much of a segment one transaction takes, in octets; far below
// what the engine allows, as others wait for the same disk.
const flushAt = 2 << 20

// writer lays a segment down, term by term, in as many transactions as it needs.
// It is nothing until activate has run.
type writer struct {
	ctx   context.Context
	store *Store
	shard kv.Shard

	seg      segment
	id       uint64 // 0 until the first transaction has run
	rows     []row
	size     int
	last     []byte // term
	terms    []byte
	lists    []byte
	postings stream
	places   stream
}

// stream is octets that are cut into rows of one size.
type stream struct {
	kind byte
	b    []byte // not in a row yet
	laid uint64 // octets before b
}

func (s *stream) end() uint64 { return s.laid + uint64(len(s.b)) }

// row is a piece that is to be written when the segment's id is known.
type row struct {
	kind  byte
	n     uint64
	value []byte
}

func (s *Store) newWriter(ctx context.Context, a mail.AccountID, from, to, level uint64) *writer {
	return &writer{
		ctx: ctx, store: s, shard: kv.SearchShard(a), seg: segment{from: from, to: to, level: level},
		postings: stream{kind: kindPostings}, places: stream{kind: kindPlaces},
	}
}

// add appends a term, which comes behind all before it, with its messages.
func (w *writer) add(term []byte, p *postings) error {
	if w.terms == nil {
		w.seg.pieces = append(w.seg.pieces, piece{separator(w.last, term), w.postings.end(), w.places.end()})
		w.terms, w.lists = append(make([]byte, 0, pieceSize+maxTerm+3), '\n'), append(make([]byte, 0, pieceSize/2), format2)
	}
	w.terms = append(append(w.terms, term...), '\n')
	w.last = append(w.last[:0], term...)
	if p.num == 1 {
		w.lists = binary.AppendUvarint(w.lists, uint64(p.first)<<1|1)
	} else {
		p.flush()
		w.lists = binary.AppendUvarint(w.lists, uint64(len(p.b))<<1)
		w.postings.b = append(w.postings.b, p.b...)
	}
	at := len(w.places.b)
	w.places.b = p.places.appendTo(w.places.b)
	w.lists = binary.AppendUvarint(w.lists, uint64(len(w.places.b)-at))
	w.cut(&w.postings, pieceSize)
	w.cut(&w.places, pieceSize)
	if len(w.terms) >= pieceSize {
		w.endPiece()
	}
	if w.size < flushAt {
		return nil
	}
	return w.update(func(kv.Tx, shelf, *cursor) error { return nil })
}

// cut makes rows of what is in a stream, as long as least is.
func (w *writer) cut(s *stream, least int) {
	for len(s.b) >= least && len(s.b) > 0 {
		n := min(len(s.b), pieceSize)
		w.row(s.kind, s.laid/pieceSize, bytes.Clone(s.b[:n]))
		s.b = s.b[:copy(s.b, s.b[n:])]
		s.laid += uint64(n)
	}
}

// separator is the shortest beginning of term that comes behind last.
func separator(last, term []byte) []byte {
	n := 0
	for n < len(last) && n < len(term) && last[n] == term[n] {
		n++
	}
	return bytes.Clone(term[:min(n+1, len(term))])
}

func (w *writer) endPiece() {
	if w.terms != nil {
		n := uint64(len(w.seg.pieces) - 1)
		w.row(kindTerms, n, w.terms)
		w.row(kindLists, n, w.lists)
		w.terms, w.lists = nil, nil
	}
}

func (w *writer) row(kind byte, n uint64, value []byte) {
	w.rows = append(w.rows, row{kind, n, value})
	w.size += len(value)
	w.seg.octets += uint64(len(value))
}

// update writes the rows in hand, and what fn does with them.
func (w *writer) update(fn func(kv.Tx, shelf, *cursor) error) error {
	id := w.id
	err := w.store.db.Update(w.ctx, []kv.Shard{w.shard}, func(tx kv.Tx) error {
		h := shelf{w.shard, tx}
		c, err := h.cursor()
		if err != nil {
			return err
		}
		was := c
		if c.old {
			tx.Clear(kv.Prefix(w.shard))
			c = cursor{}
		}
		if id = w.id; id == 0 {
			c.last++
			id = c.last
			tx.Set(h.segKey(tagUnready, id), []byte{format2})
		} else if _, ok, err := tx.Get(h.segKey(tagUnready, id)); err != nil || !ok {
			// The account was removed, or somebody took this segment for a left-over.
			return first(err, fault.New(fault.Conflict, "search.write", ""))
		}
		for _, r := range w.rows {
			tx.Set(h.dataKey(id, r.kind, r.n), r.value)
		}
		w.seg.id = id
		if err := fn(tx, h, &c); err != nil {
			return err
		}
		if c != was {
			tx.Set(h.key(tagCursor), c.encode())
		}
		return nil
	})
	if err == nil {
		w.id, w.rows, w.size = id, nil, 0
	}
	return fault.Wrap("search.write", err)
}

// activate makes the segment count, and in the same transaction does fn.
func (w *writer) activate(fn func(kv.Tx, shelf, *cursor) error) error {
	w.endPiece()
	w.cut(&w.postings, 0)
	w.cut(&w.places, 0)
	return w.update(func(tx kv.Tx, h shelf, c *cursor) error {
		tx.Delete(h.segKey(tagUnready, w.seg.id))
		if len(w.seg.pieces) > 0 {
			tx.Set(h.segKey(tagSegment, w.seg.id), w.seg.encode())
		}
		return fn(tx, h, c)
	})
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
