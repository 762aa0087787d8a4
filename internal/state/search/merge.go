package search

import (
	"bytes"
	"context"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Bounds of merging: how many neighbours of one level become one of the next,
// and how large it may get, in octets of its own row and of all its data.
const (
	fanOut     = 6
	maxRow     = 60_000
	maxSegment = 512 << 20
)

// Live calls keep with each message from..to-1 that there still is.
type Live func(from, to uint64, keep func(id uint64)) error

// Merge joins neighbouring segments of account a where there are too many of one
// size, once, and says whether it did. What is gone, as live tells, is left out;
// live may be nil.
func (s *Store) Merge(ctx context.Context, a mail.AccountID, live Live) (bool, error) {
	const op = "search.Merge"
	if err := s.clean(ctx, a); err != nil {
		return false, fault.Wrap(op, err)
	}
	shard := kv.SearchShard(a)
	var all []*segment
	err := s.db.View(ctx, shard, func(r kv.Reader) (err error) {
		h := shelf{shard, r}
		c, err := h.cursor()
		if err == nil && !c.old {
			all, err = h.segments()
		}
		return err
	})
	if err != nil {
		return false, fault.Wrap(op, err)
	}
	group := mergeable(all)
	if len(group) < 2 {
		return false, nil
	}
	return true, fault.Wrap(op, s.merge(ctx, a, group, live))
}

// mergeable picks the group of a level that is full, the newest first: levels
// never grow from one segment to the next.
func mergeable(all []*segment) []*segment {
	for to := len(all); to > 0; {
		from := to - 1
		for from > 0 && all[from-1].level == all[to-1].level {
			from--
		}
		if to-from >= fanOut {
			if g := fitting(all[from:to]); len(g) > 1 {
				return g
			}
		}
		to = from
	}
	return nil
}

// fitting is the first of group that may become one, if they are many.
func fitting(group []*segment) []*segment {
	for i := range group {
		row, octets := 0, uint64(0)
		n := i
		for n < len(group) && n-i < fanOut {
			row += len(group[n].encode())
			octets += group[n].octets
			if row > maxRow || octets > maxSegment || group[n].to-group[i].from > maxMessages {
				break
			}
			n++
		}
		if n-i > 1 {
			return group[i:n]
		}
	}
	return nil
}

func (s *Store) merge(ctx context.Context, a mail.AccountID, group []*segment, live Live) error {
	from, to := group[0].from, group[len(group)-1].to
	var kept *set
	if live != nil {
		kept = newSet(uint32(to - from))
		if err := live(from, to, func(id uint64) { kept.add(uint32(id - from)) }); err != nil {
			return err
		}
	}
	w := s.newWriter(ctx, a, from, to, group[0].level+1)
	var inputs []*walker
	for _, g := range group {
		in := &walker{ctx: ctx, db: s.db, shard: kv.SearchShard(a), s: g, base: uint32(g.from - from)}
		if err := in.next(); err != nil {
			return err
		}
		inputs = append(inputs, in)
	}
	var p postings
	var term []byte
	for {
		least := least(inputs)
		if least == nil {
			break
		}
		p.reset()
		term = append(term[:0], least...)
		for _, in := range inputs {
			if in.term == nil || !bytes.Equal(in.term, term) {
				continue
			}
			if err := in.copy(&p, kept); err != nil {
				return err
			}
			if err := in.next(); err != nil {
				return err
			}
		}
		if p.num > 0 {
			if err := w.add(term, &p); err != nil {
				return err
			}
		}
	}
	return w.activate(func(tx kv.Tx, h shelf, _ *cursor) error {
		for _, g := range group {
			if _, ok, err := tx.Get(h.segKey(tagSegment, g.id)); err != nil || !ok {
				return first(err, fault.New(fault.Conflict, "search.merge", ""))
			}
			tx.Delete(h.segKey(tagSegment, g.id))
			tx.Clear(kv.Prefix(h.segKey(tagData, g.id)))
		}
		return nil
	})
}

func least(inputs []*walker) []byte {
	var term []byte
	for _, in := range inputs {
		if in.term != nil && (term == nil || bytes.Compare(in.term, term) < 0) {
			term = in.term
		}
	}
	return term
}

// clean removes what a writer left behind that did not get to its end.
func (s *Store) clean(ctx context.Context, a mail.AccountID) error {
	shard := kv.SearchShard(a)
	var left [][]byte
	err := s.db.View(ctx, shard, func(r kv.Reader) error {
		for p, err := range r.Scan(kv.Prefix(shelf{shard, r}.key(tagUnready))) {
			if err != nil {
				return err
			}
			left = append(left, p.Key)
		}
		return nil
	})
	if err != nil || len(left) == 0 {
		return err
	}
	return s.db.Update(ctx, []kv.Shard{shard}, func(tx kv.Tx) error {
		h := shelf{shard, tx}
		for _, k := range left {
			r := kv.ReadKey(k, h.key(tagUnready))
			id := r.Uint64()
			if err := r.Err(); err != nil {
				return corrupt(err)
			}
			tx.Delete(k)
			tx.Clear(kv.Prefix(h.segKey(tagData, id)))
		}
		return nil
	})
}

// walker goes through the terms of a segment in order. It opens no view for
// longer than it takes to read a piece.
type walker struct {
	ctx   context.Context
	db    kv.DB
	shard kv.Shard
	s     *segment
	base  uint32 // distance of its messages from those of the merged one

	term  []byte // nil at the end
	list  list
	n     int // pieces read
	terms []byte
	lists []list
	docs  []uint32

	postings, places ahead
}

// ahead is what was read of a stream from an octet on.
type ahead struct {
	at uint64
	b  []byte
}

func (w *walker) view(fn func(h shelf) error) error {
	return w.db.View(w.ctx, w.shard, func(r kv.Reader) error { return fn(shelf{w.shard, r}) })
}

func (w *walker) next() error {
	if len(w.terms) == 0 {
		if len(w.lists) > 0 {
			return corrupt(errRow)
		}
		if w.n == len(w.s.pieces) {
			w.term = nil
			return nil
		}
		if err := w.view(w.piece); err != nil {
			return err
		}
	}
	end := bytes.IndexByte(w.terms, '\n')
	if end < 1 || len(w.lists) == 0 {
		return corrupt(errRow)
	}
	w.term, w.terms = w.terms[:end], w.terms[end+1:]
	w.list, w.lists = w.lists[0], w.lists[1:]
	return nil
}

func (w *walker) piece(h shelf) error {
	terms, err := h.data(w.s.id, kindTerms, uint64(w.n))
	if err != nil {
		return err
	}
	b, err := h.data(w.s.id, kindLists, uint64(w.n))
	if err != nil {
		return err
	}
	if w.lists, err = lists(b, w.s.pieces[w.n], slices.Clip(w.lists[:0])); err != nil {
		return err
	}
	if len(terms) < 2 || terms[0] != '\n' {
		return corrupt(errRow)
	}
	w.terms = terms[1:]
	w.n++
	return nil
}

// copy appends the messages of the term in hand that are kept.
func (w *walker) copy(to *postings, kept *set) error {
	b, err := w.read(kindPostings, &w.postings, w.list.postings, w.list.length)
	if err != nil {
		return err
	}
	put := func(from, end uint32) {
		for ; kept != nil && from < end; from++ {
			if kept.has(w.base + from) {
				to.add(w.base + from)
			}
		}
		if from < end {
			to.addRun(w.base+from, w.base+end)
		}
	}
	first := w.term[0]
	if !positional(first) && !w.list.single {
		return corrupt(runs(b, w.s.size(), put))
	}
	if w.docs, err = w.list.docs(b, w.s.size(), w.docs[:0]); err != nil {
		return err
	}
	if !positional(first) {
		put(w.docs[0], w.docs[0]+1)
		return nil
	}
	if b, err = w.read(kindPlaces, &w.places, w.list.places, w.list.placesLen); err != nil {
		return err
	}
	return corrupt(readPlaces(first, b, w.docs, nil, func(doc uint32, at []uint32) {
		if doc += w.base; kept == nil || kept.has(doc) {
			to.add(doc)
			to.places.add(first, at)
		}
	}))
}

// read gives n octets of a stream from offset on, which never goes back: lists
// stand in the order of their terms.
func (w *walker) read(kind byte, from *ahead, offset, n uint64) ([]byte, error) {
	if offset < from.at || n > w.s.octets {
		return nil, corrupt(errRow)
	}
	from.b = from.b[min(offset-from.at, uint64(len(from.b))):]
	from.at = offset
	for uint64(len(from.b)) < n {
		at := offset + uint64(len(from.b))
		var b []byte
		err := w.view(func(h shelf) (err error) {
			b, err = h.data(w.s.id, kind, at/pieceSize)
			return err
		})
		if err != nil {
			return nil, err
		}
		if at%pieceSize >= uint64(len(b)) {
			return nil, corrupt(errRow)
		}
		from.b = append(from.b, b[at%pieceSize:]...)
	}
	return from.b[:n], nil
}
