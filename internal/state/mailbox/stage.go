package mailbox

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// A COPY of more messages than a transaction takes is all or nothing to whoever
// looks (RFC 9051 §6.4.7), and its UIDs may not be given before it shows. So its
// placements are first laid down, piece by piece, in a stage: a mailbox that
// nobody sees, with UIDs from 1. Then one commit joins the stage to the mailbox:
// UIDs and counts of all are given, and from then on readers find what is not in
// its place yet in the stage. At last the rows are settled, piece by piece, with
// the UIDs and the change number that the join gave them.

// stageLife is how long a COPY may take. What an older stage holds that was not
// joined was left by a crash.
const stageLife = time.Hour

// stage is a boxRow's part in this. The zero value has none.
type stage struct {
	hidden bool    // it is a stage
	into   BoxID   // of a stage: where it was joined; 0 before
	first  UID     // the UID that its UID 1 became
	joined ModSeq  // the change number of that
	stages []BoxID // of a mailbox: joined and not settled, in the order of UIDs
}

func (s *stage) encode(b []byte) []byte {
	if s.into == 0 && len(s.stages) == 0 {
		return b
	}
	b = putUint(b, uint64(s.into))
	b = putUint(b, uint64(s.first))
	b = putUint(b, s.joined)
	for _, id := range s.stages {
		b = putUint(b, uint64(id))
	}
	return b
}

func decodeStage(d *reader) (s stage) {
	if d.bad || len(d.b) == 0 {
		return s
	}
	s.into, s.first, s.joined = BoxID(d.uint()), d.uint32(), d.uint()
	for !d.bad && len(d.b) > 0 {
		s.stages = append(s.stages, BoxID(d.uint()))
	}
	return s
}

// uid is what UID u of a stage became.
func (s *stage) uid(u UID) UID { return s.first + u - 1 }

// newStage makes a stage for messages of b.
func (t *Tx) newStage(b BoxID) (BoxID, error) {
	name, err := t.Box(b)
	if err != nil {
		return 0, err
	}
	a, err := t.acctRow()
	if err != nil {
		return 0, err
	}
	a.lastBox++
	t.acctChanged()
	s := &boxState{blocks: map[UID]*block{}, row: &boxRow{leaf: name.Name, stage: stage{hidden: true}, Box: Box{
		ID: a.lastBox, UIDValidity: uint32(time.Now().Unix()), UIDNext: 1, Created: t.seq(),
	}}}
	t.boxes[a.lastBox] = s
	t.changed(s)
	return a.lastBox, nil
}

// stageOf is a stage that must be there.
func (t *Tx) stageOf(id BoxID) (*boxState, error) {
	s, err := t.state(id)
	if err == nil && (s.row == nil || !s.row.hidden) {
		err = fault.New(fault.Unavailable, "mailbox.Copy", "this took too long; please try again")
	}
	return s, err
}

// join gives the placements of a stage to mailbox dest: one small commit, as
// only blocks and counts are written. It gives the first UID.
func (t *Tx) join(id, dest BoxID) (first UID, uidvalidity uint32, err error) {
	d, err := t.may(dest, RightInsert)
	if err != nil {
		return 0, 0, err
	}
	s, err := t.stageOf(id)
	if err != nil {
		return 0, 0, err
	}
	n := s.row.UIDNext - 1
	if n >= math.MaxUint32-d.row.UIDNext {
		return 0, 0, fault.New(fault.TooMany, "mailbox.Copy", "the mailbox has used up its UIDs")
	}
	blocks, err := t.allBlocks(s)
	if err != nil {
		return 0, 0, err
	}
	if err := t.touched(d); err != nil {
		return 0, 0, err
	}
	first = d.row.UIDNext
	s.row.into, s.row.first, s.row.joined = dest, first, t.seq()
	t.changed(s)
	d.row.stages = append(slices.Clone(d.row.stages), id)
	for _, k := range blocks {
		moved := &block{first: s.row.uid(k.first), count: k.count, unseen: k.unseen, deleted: k.deleted}
		for _, p := range k.spans {
			moved.spans = append(moved.spans, span{s.row.uid(p.from), s.row.uid(p.to)})
		}
		d.blocks[moved.first], d.row.tail = moved, moved.first
		t.set(t.runKey(dest, moved.first), moved.encode())
	}
	d.row.UIDNext += n
	d.row.Messages += s.row.Messages
	d.row.Unseen += s.row.Unseen
	d.row.Deleted += s.row.Deleted
	d.row.Size += s.row.Size
	t.w.Clear(kv.Prefix(t.boxKey(tagRun, id)))
	t.weigh(40)
	clear(s.blocks)
	s.last = nil
	s.row.Messages, s.row.Unseen, s.row.Deleted, s.row.Size = 0, 0, 0, 0
	return first, d.row.UIDValidity, nil
}

// settle puts a placement that is still in a stage in its place.
func (t *Tx) settle(b *boxState, p *placed) error {
	if p.stage == (Place{}) {
		return nil
	}
	m, err := t.message(p.row.message)
	if err != nil {
		return fault.As(fault.Corrupt, "mailbox.settle", err)
	}
	i := slices.Index(m.row.Places, p.stage)
	if i < 0 {
		return fault.As(fault.Corrupt, "mailbox.settle", errRow)
	}
	m.row.Places[i] = Place{b.row.ID, p.uid}
	t.messageChanged(m)
	t.del(t.uidKey(p.stage.Box, p.stage.UID))
	t.set(t.uidKey(b.row.ID, p.uid), p.row.encode())
	t.set(t.logKey(tagChanged, b.row.ID, p.row.modSeq, p.uid), []byte{format1})
	p.stage = Place{}
	return nil
}

// settlePiece settles what the transaction can take of a stage, and says whether
// there is more. The last piece removes the stage.
func (t *Tx) settlePiece(id BoxID) (more bool, err error) {
	s, err := t.state(id)
	if err != nil || s.row == nil || s.row.into == 0 {
		return false, err
	}
	b, err := t.state(s.row.into)
	if err != nil || b.row == nil {
		return false, err
	}
	var some []placed
	for p, err := range t.staged(s.row, 1, math.MaxUint32) {
		if err != nil {
			return false, err
		}
		if some = append(some, p); len(some) == t.store.piece {
			more = true
			break
		}
	}
	if err := t.loadMessages(some); err != nil {
		return false, err
	}
	for i := range some {
		if t.full() {
			return true, nil
		}
		if err := t.settle(b, &some[i]); err != nil {
			return false, err
		}
	}
	if !more {
		b.row.stages = slices.DeleteFunc(slices.Clone(b.row.stages), func(x BoxID) bool { return x == id })
		t.changed(b)
		t.dropBox(s)
	}
	return more, nil
}

// dropBox removes the row of a mailbox whose placements are gone.
func (t *Tx) dropBox(b *boxState) {
	b.due = false
	t.del(t.boxKey(tagBox, b.row.ID))
	if !b.row.hidden {
		t.dropMarks(b.row.ID)
		t.w.Clear(kv.Prefix(t.boxKey(tagUIDL, b.row.ID)))
	}
	b.row = nil
}

// staged reads the placements of a joined stage that have UIDs from..to in their
// mailbox, both included.
func (t *Tx) staged(s *boxRow, from, to UID) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		last := s.uid(s.UIDNext - 1)
		if s.UIDNext == 1 || to < s.first || from > last {
			return
		}
		from, to := max(from, s.first)-s.first+1, min(to, last)-s.first+1
		for p, err := range t.plainRows(s.ID, from, to) {
			if !yield(s.adopt(p), err) || err != nil {
				return
			}
		}
	}
}

// adopt is p of a stage as its mailbox has it.
func (s *boxRow) adopt(p placed) placed {
	p.stage = Place{s.ID, p.uid}
	p.uid = s.uid(p.uid)
	p.row.created, p.row.modSeq = s.joined, s.joined
	return p
}

// stagesOf is the stages that are joined to b and not settled.
func (t *Tx) stagesOf(b *boxState) ([]*boxRow, error) {
	if b.row == nil || len(b.row.stages) == 0 {
		return nil, nil
	}
	var all []*boxRow
	for _, id := range b.row.stages {
		s, err := t.state(id)
		if err != nil {
			return nil, err
		}
		if s.row == nil || s.row.into != b.row.ID {
			return nil, fault.As(fault.Corrupt, "mailbox.stage", errRow)
		}
		all = append(all, s.row)
	}
	return all, nil
}

// mergeRows is the placements of a mailbox in UID order, whether they are
// settled or not.
func (t *Tx) mergeRows(b BoxID, stages []*boxRow, from, to UID) iter.Seq2[placed, error] {
	staged := func(yield func(placed, error) bool) {
		for _, s := range stages {
			for p, err := range t.staged(s, from, to) {
				if !yield(p, err) {
					return
				}
			}
		}
	}
	return func(yield func(placed, error) bool) {
		next, stop := iter.Pull2(staged)
		defer stop()
		s, err, more := next()
		for p, plainErr := range t.plainRows(b, from, to) {
			for more && err == nil && plainErr == nil && s.uid < p.uid {
				if !yield(s, nil) {
					return
				}
				s, err, more = next()
			}
			if err := errors.Join(err, plainErr); !yield(p, err) || err != nil {
				return
			}
		}
		for more {
			if !yield(s, err) || err != nil {
				return
			}
			s, err, more = next()
		}
	}
}

// placeOf is where others see a place; ok is false while nobody does.
func (t *Tx) placeOf(p Place) (q Place, ok bool, err error) {
	b, err := t.state(p.Box)
	if err != nil || b.row == nil {
		return p, false, err
	}
	if b.row.hidden {
		if b.row.into == 0 {
			return p, false, nil
		}
		p = Place{b.row.into, b.row.uid(p.UID)}
		if b, err = t.state(p.Box); err != nil || b.row == nil {
			return p, false, err
		}
	}
	return p, !b.row.doomed, nil
}

// copyStaged is Copy of any number of messages, but for the settling.
func (s *Store) copyStaged(ctx context.Context, who, a mail.AccountID, b BoxID, uids []UID, dest BoxID) (id BoxID, src, dst []UID, uidvalidity uint32, err error) {
	err = s.Update(ctx, who, a, func(t *Tx) error {
		if _, err := t.may(dest, RightInsert); err != nil {
			return err
		}
		id, err = t.newStage(b)
		return err
	})
	if err != nil {
		return 0, nil, nil, 0, err
	}
	var from []UID
	err = s.pieces(ctx, who, a, uids, func(t *Tx, uids []UID) (n int, err error) {
		var rights Rights
		st, err := t.stageOf(id)
		if err == nil {
			rights, err = t.Rights(dest)
		}
		if err == nil {
			from, _, n, err = t.transfer(b, uids, st, rights, false)
		}
		return n, err
	}, func() { src = append(src, from...) })
	var first UID
	if err == nil {
		err = s.Update(ctx, who, a, func(t *Tx) error {
			first, uidvalidity, err = t.join(id, dest)
			return err
		})
	}
	if err != nil {
		// What fails here too Tidy removes.
		_ = s.finishBox(context.WithoutCancel(ctx), a, id)
		return 0, nil, nil, 0, err
	}
	for i := range src {
		dst = append(dst, first+UID(i))
	}
	return id, src, dst, uidvalidity, nil
}

// settleStage settles all of a stage, in pieces.
func (s *Store) settleStage(ctx context.Context, a mail.AccountID, id BoxID) error {
	for more := true; more; {
		err := s.Update(ctx, 0, a, func(t *Tx) (err error) {
			more, err = t.settlePiece(id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepStages settles what was joined, and removes the stages that were begun
// longer than life ago and not joined.
func (s *Store) sweepStages(ctx context.Context, a mail.AccountID, life time.Duration) error {
	var joined, left []BoxID
	err := s.View(ctx, a, func(t *Tx) error {
		joined, left = nil, nil
		if _, err := t.Boxes(); err != nil {
			return err
		}
		for id, b := range t.boxes {
			switch {
			case b.row == nil || !b.row.hidden:
			case b.row.into != 0:
				joined = append(joined, id)
			case time.Since(time.Unix(int64(b.row.UIDValidity), 0)) > life:
				left = append(left, id)
			}
		}
		return nil
	})
	for _, id := range joined {
		err = errors.Join(err, s.settleStage(ctx, a, id))
	}
	for _, id := range slices.Sorted(slices.Values(left)) {
		err = errors.Join(err, s.finishBox(ctx, a, id))
	}
	return err
}
