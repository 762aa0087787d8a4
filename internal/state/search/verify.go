package search

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Verified is what Verify found of an account's index.
type Verified struct {
	UpTo uint64 // the last message that is indexed
	// Spans is the messages that there is an index of, those from [0] on and
	// before [1], ascending. Messages up to UpTo in none of them have no text, or
	// were gone when segments were merged.
	Spans    [][2]uint64
	Problems []string // in words, at most 100
}

const maxProblems = 100

func (v *Verified) tell(format string, args ...any) {
	if len(v.Problems) < maxProblems {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

// Verify reads the whole index of account a, a segment at a time, while others
// write: every row must be of its form, of a segment that is there, and as long
// as its segment says; terms must ascend, each with a posting list of messages of
// the segment. Whether a message has the terms is not looked at.
func (s *Store) Verify(ctx context.Context, a mail.AccountID) (v Verified, err error) {
	const op = "search.Verify"
	shard := kv.SearchShard(a)
	var all []*segment
	err = s.db.View(ctx, shard, func(r kv.Reader) (err error) {
		v = Verified{}
		all, err = v.shelf(shelf{shard, r})
		return err
	})
	for _, seg := range all {
		if err != nil {
			break
		}
		if err = ctx.Err(); err != nil {
			break
		}
		err = s.db.View(ctx, shard, func(r kv.Reader) error {
			h := shelf{shard, r}
			if _, ok, err := r.Get(h.segKey(tagSegment, seg.id)); err != nil || !ok {
				return err // merged meanwhile
			}
			return v.segment(h, seg)
		})
	}
	return v, fault.Wrap(op, err)
}

// shelf looks at the rows that say what there is.
func (v *Verified) shelf(h shelf) ([]*segment, error) {
	c, err := h.cursor()
	if err != nil {
		return nil, v.damaged(err, "the cursor")
	}
	if c.old { // it counts as none
		return nil, nil
	}
	v.UpTo = c.upTo
	all, err := h.segments()
	if err != nil {
		return nil, v.damaged(err, "the row of a segment")
	}
	end := uint64(0)
	known := map[uint64]bool{}
	for _, s := range all {
		if s.from < end || s.to > c.upTo+1 || s.id > c.last {
			v.tell("segment %d of messages %d to %d overlaps another, or is ahead of the cursor", s.id, s.from, s.to-1)
		}
		end = s.to
		known[s.id] = true
		v.Spans = append(v.Spans, [2]uint64{s.from, s.to})
	}
	for p, err := range h.r.Scan(kv.Prefix(h.key(tagUnready))) {
		if err != nil {
			return nil, err
		}
		known[kv.ReadKey(p.Key, h.key(tagUnready)).Uint64()] = true
	}
	return all, v.strays(h, known)
}

// strays looks for rows of no segment, and of no kind we know.
func (v *Verified) strays(h shelf, known map[uint64]bool) error {
	for from := h.key(tagData); from != nil; {
		rows := kv.Range{From: from, To: kv.PrefixEnd(h.key(tagData)), Limit: 1}
		from = nil
		for p, err := range h.r.Scan(rows) {
			if err != nil {
				return err
			}
			id := kv.ReadKey(p.Key, h.key(tagData)).Uint64()
			if !known[id] {
				v.tell("rows of segment %d, which is not there", id)
			}
			from = kv.PrefixEnd(h.segKey(tagData, id))
		}
	}
	from := []byte(h.shard)
	for _, tag := range []byte{tagCursor, tagData, tagSegment, tagUnready, 0} {
		to := []byte(h.key(tag))
		if tag == 0 {
			to = kv.PrefixEnd(h.shard)
		}
		for p, err := range h.r.Scan(kv.Range{From: from, To: to, Limit: 1}) {
			if err != nil {
				return err
			}
			v.tell("row %x is of no kind we know", p.Key[len(h.shard):])
		}
		if from = kv.PrefixEnd(to); tag == tagCursor { // it is one row
			from = append(to, 0)
		}
	}
	return nil
}

// damaged makes a problem of what cannot be read, and leaves other errors.
func (v *Verified) damaged(err error, what string) error {
	if fault.Is(err, fault.Corrupt) {
		v.tell("%s: %v", what, err)
		return nil
	}
	return err
}

// segment reads all of one.
func (v *Verified) segment(h shelf, s *segment) error {
	octets := uint64(0)
	rows := map[byte]uint64{}
	laid := map[byte]uint64{} // octets of each stream of lists
	for p, err := range h.r.Scan(kv.Prefix(h.segKey(tagData, s.id))) {
		if err != nil {
			return v.damaged(err, fmt.Sprintf("segment %d", s.id))
		}
		k := kv.ReadKey(p.Key, h.segKey(tagData, s.id))
		kind, n := k.Uint8(), k.Uint32()
		octets += uint64(len(p.Value))
		stream := kind == kindPostings || kind == kindPlaces
		if k.Err() != nil || uint64(n) != rows[kind] || stream && laid[kind]%pieceSize != 0 {
			v.tell("segment %d: row %x is not where it belongs", s.id, p.Key[len(h.shard):])
			return nil
		}
		laid[kind] += uint64(len(p.Value))
		rows[kind]++
	}
	if n := uint64(len(s.pieces)); octets != s.octets || rows[kindTerms] != n || rows[kindLists] != n || len(rows) > 4 {
		v.tell("segment %d: it has %d octets in %v pieces; there are %d in %v", s.id, s.octets, n, octets, rows[kindTerms])
		return nil
	}
	c := check{finder: finder{h: h, s: s, hits: newSet(s.size())}}
	for n := range s.pieces {
		if err := c.piece(n); err != nil {
			return v.damaged(err, fmt.Sprintf("segment %d, piece %d", s.id, n))
		}
	}
	if c.end != laid[kindPostings] || c.places != laid[kindPlaces] {
		v.tell("segment %d: its lists have %d and %d octets; there are %d and %d", s.id, c.end, c.places, laid[kindPostings], laid[kindPlaces])
	}
	return nil
}

// check is a walk through all of a segment.
type check struct {
	finder
	term   []byte // the one before
	end    uint64 // of the posting lists so far
	places uint64 // end of the positions so far
}

func (c *check) piece(n int) error {
	terms, err := c.h.data(c.s.id, kindTerms, uint64(n))
	if err != nil {
		return err
	}
	b, err := c.h.data(c.s.id, kindLists, uint64(n))
	if err != nil {
		return err
	}
	p := c.s.pieces[n]
	if c.lists, err = lists(b, p, c.lists); err != nil {
		return err
	}
	if len(terms) < 3 || terms[0] != '\n' || terms[len(terms)-1] != '\n' || p.postings != c.end || p.places != c.places ||
		bytes.Count(terms, []byte{'\n'}) != len(c.lists)+1 || c.term != nil && bytes.Compare(p.first, c.term) <= 0 {
		return corrupt(errRow)
	}
	for i, term := range bytes.Split(terms[1:len(terms)-1], []byte{'\n'}) {
		region, kind := byte(0), byte(0)
		if len(term) > 0 {
			region, kind = term[0]&inRegion, term[0]&^inRegion
		}
		if kind > inMark || region < inUnsure || region > inBody || bytes.Compare(term, c.term) <= 0 || i == 0 && bytes.Compare(term, p.first) < 0 {
			return corrupt(fmt.Errorf("%w: term %q behind %q", errRow, term, c.term))
		}
		l := c.lists[i]
		err := c.take(l)
		if err == nil && positional(region) {
			err = c.finder.places(l, region, nil, func(uint32, []uint32) {})
		}
		if err != nil {
			return errors.Join(err, fmt.Errorf("term %q", term))
		}
		c.end += l.length
		c.places += l.placesLen
		c.term = append(c.term[:0], term...)
	}
	return nil
}
