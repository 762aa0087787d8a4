package mailbox

import (
	"cmp"
	"errors"
	"iter"
	"math"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

const (
	seen    = mail.FlagSeen
	deleted = mail.FlagDeleted
)

// placed is a placement row with its UID.
type placed struct {
	uid   UID
	row   placementRow
	stage Place // where it is while it is not settled
}

// rows reads the placements from..to, both included.
func (t *Tx) rows(b BoxID, from, to UID) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		state, err := t.state(b)
		var stages []*boxRow
		if err == nil {
			stages, err = t.stagesOf(state)
		}
		if err != nil {
			yield(placed{}, err)
			return
		}
		if len(stages) == 0 {
			t.plainRows(b, from, to)(yield)
			return
		}
		t.mergeRows(b, stages, from, to)(yield)
	}
}

// plainRows reads placement rows as they stand.
func (t *Tx) plainRows(b BoxID, from, to UID) iter.Seq2[placed, error] {
	const op = "mailbox.Placements"
	r := kv.Range{From: t.uidKey(b, from), To: t.uidKey(b, to).Uint8(0), Borrow: true}
	prefix := t.boxKey(tagUID, b)
	return func(yield func(placed, error) bool) {
		if from > to {
			return
		}
		for p, err := range t.r.Scan(r) {
			if err != nil {
				yield(placed{}, fault.Wrap(op, err))
				return
			}
			key := kv.ReadKey(p.Key, prefix)
			uid := key.Uint32()
			row, err := decodePlacement(p.Value)
			if err = errors.Join(err, key.Err()); err != nil {
				yield(placed{}, fault.As(fault.Corrupt, op, err))
				return
			}
			if !yield(placed{uid: uid, row: row}, nil) {
				return
			}
		}
	}
}

// getRows reads the placements of uids, without those that are gone.
func (t *Tx) getRows(b BoxID, uids []UID) ([]placed, error) {
	state, err := t.state(b)
	if err != nil {
		return nil, err
	}
	stages, err := t.stagesOf(state)
	if err != nil {
		return nil, err
	}
	rows, err := t.getPlain(b, uids)
	for _, s := range stages {
		if err != nil {
			return nil, err
		}
		var in []UID
		for _, u := range uids {
			if u >= s.first && u < s.uid(s.UIDNext) {
				in = append(in, u-s.first+1)
			}
		}
		var more []placed
		more, err = t.getPlain(s.ID, in)
		for _, p := range more {
			rows = append(rows, s.adopt(p))
		}
	}
	if len(stages) > 0 {
		slices.SortFunc(rows, func(a, b placed) int { return cmp.Compare(a.uid, b.uid) })
	}
	return rows, err
}

func (t *Tx) getPlain(b BoxID, uids []UID) ([]placed, error) {
	const op = "mailbox.Placements"
	keys := make([][]byte, len(uids))
	for i, u := range uids {
		keys[i] = t.uidKey(b, u)
	}
	values, err := t.r.GetMany(keys)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	out := make([]placed, 0, len(uids))
	for i, v := range values {
		if v == nil {
			continue
		}
		row, err := decodePlacement(v)
		if err != nil {
			return nil, fault.As(fault.Corrupt, op, err)
		}
		out = append(out, placed{uid: uids[i], row: row})
	}
	return out, nil
}

func (t *Tx) exportPlacement(b BoxID, p placed) (Placement, error) {
	if t.foreign() {
		s, err := t.state(b)
		if err == nil {
			err = t.asSeen(s, &p)
		}
		if err != nil {
			return Placement{}, err
		}
	}
	out := Placement{
		Box: b, UID: p.uid, Message: p.row.message, ModSeq: p.row.modSeq, Created: p.row.created,
		Flags: p.row.flags, Size: p.row.size, Received: p.row.received, Saved: p.row.saved,
	}
	var err error
	out.Keywords, err = t.wordsOf(p.row.keywords)
	return out, err
}

// Placements is the placements of a mailbox with UIDs from..to, both included,
// in order. A view of many should be taken in pages: it lasts at most 2 s.
func (t *Tx) Placements(id BoxID, from, to UID) iter.Seq2[Placement, error] {
	return func(yield func(Placement, error) bool) {
		if _, err := t.may(id, RightRead); err != nil {
			yield(Placement{}, err)
			return
		}
		for p, err := range t.rows(id, from, to) {
			var out Placement
			if err == nil {
				out, err = t.exportPlacement(id, p)
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// Placement is one of them; fault.Expunged if it is not there.
func (t *Tx) Placement(id BoxID, u UID) (Placement, error) {
	if _, err := t.may(id, RightRead); err != nil {
		return Placement{}, err
	}
	rows, err := t.getRows(id, []UID{u})
	if err != nil {
		return Placement{}, err
	}
	if len(rows) == 0 {
		return Placement{}, fault.New(fault.Expunged, "mailbox.Placement", "")
	}
	return t.exportPlacement(id, rows[0])
}

// tally adds a placement's flags to the counts of its mailbox and block, or
// takes them away.
func tally(b *boxState, k *block, f mail.Flags, by uint32) {
	if !f.Has(seen) {
		b.row.Unseen += by
		k.unseen += by
	}
	if f.Has(deleted) {
		b.row.Deleted += by
		k.deleted += by
	}
}

const minusOne = math.MaxUint32 // for tally: counts are unsigned and wrap

// place gives message m a new place in b. Row.message, created and modSeq are
// set here.
func (t *Tx) place(b *boxState, m *messageState, row placementRow) (placed, error) {
	u := b.row.UIDNext
	if u == math.MaxUint32 {
		return placed{}, fault.New(fault.TooMany, "mailbox.place", "the mailbox has used up its UIDs")
	}
	if len(m.row.Places) >= MaxPlaces {
		return placed{}, fault.Newf(fault.TooMany, "mailbox.place", "a message has at most %d copies", MaxPlaces)
	}
	k, err := t.tail(b, u)
	if err != nil {
		return placed{}, err
	}
	row.message, row.created, row.modSeq = m.row.ID, 0, 0
	if b.row.hidden {
		t.changed(b)
	} else {
		if err := t.touched(b); err != nil {
			return placed{}, err
		}
		row.created, row.modSeq = t.seq(), t.seq()
		t.set(t.logKey(tagChanged, b.row.ID, row.modSeq, u), []byte{format1})
	}
	b.row.UIDNext++
	b.row.Messages++
	b.row.Size += row.size
	k.add(u)
	tally(b, k, row.flags, 1)
	t.blockChanged(k)
	t.set(t.uidKey(b.row.ID, u), row.encode())
	m.row.Places = append(m.row.Places, Place{b.row.ID, u})
	t.messageChanged(m)
	return placed{uid: u, row: row}, nil
}
