package mailbox

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// The most that one transaction of a bulk operation does. One message more may
// add some thirty writes to what full allows.
const (
	maxPiece       = 1_000 // messages
	maxPieceWrites = kv.MaxWrites - 500
	maxPieceOctets = kv.MaxTxBytes / 2
)

// full says that the transaction should take no further message.
func (t *Tx) full() bool {
	return t.load.writes > maxPieceWrites || t.load.octets > maxPieceOctets
}

// ordered is uids ascending and each once.
func ordered(uids []UID) []UID {
	uids = slices.Clone(uids)
	slices.Sort(uids)
	return slices.Compact(uids)
}

// pieces runs step over uids in transactions. Step deals with the first n of
// what it is given; done is called when that is durable.
func (s *Store) pieces(ctx context.Context, who, a mail.AccountID, uids []UID, step func(t *Tx, uids []UID) (n int, err error), done func()) error {
	for len(uids) > 0 {
		n := 0
		err := s.Update(ctx, who, a, func(t *Tx) (err error) {
			n, err = step(t, uids[:min(len(uids), s.piece)])
			return err
		})
		if err != nil {
			return err
		}
		done()
		uids = uids[n:]
	}
	return nil
}

// displace takes p out of b, and its message with it if this was the last place.
func (t *Tx) displace(b *boxState, p placed) error {
	if err := t.settle(b, &p); err != nil {
		return err
	}
	k, err := t.blockOf(b, p.uid)
	if err != nil {
		return err
	}
	if k == nil {
		return fault.As(fault.Corrupt, "mailbox.Expunge", errRow)
	}
	m, err := t.message(p.row.message)
	if fault.Is(err, fault.NotFound) {
		return fault.As(fault.Corrupt, "mailbox.Expunge", err)
	} else if err != nil {
		return err
	}
	t.changed(b)
	id := b.row.ID
	k.remove(p.uid)
	tally(b, k, p.row.flags, minusOne)
	t.blockChanged(k)
	if err := t.thin(b, k); err != nil {
		return err
	}
	b.row.Messages--
	b.row.Size -= p.row.size
	t.del(t.uidKey(id, p.uid))
	if !b.row.hidden {
		t.del(t.logKey(tagChanged, id, p.row.modSeq, p.uid))
	}
	m.row.Places = slices.DeleteFunc(m.row.Places, func(q Place) bool { return q == Place{id, p.uid} })
	v := vanishedRow{message: m.row.ID, created: p.row.created, at: now()}
	if len(m.row.Places) > 0 {
		t.messageChanged(m)
	} else {
		lone, err := t.destroy(m, b, p)
		if err != nil {
			return err
		}
		v.last, v.lone, v.thread, v.born, v.arrival = true, lone, m.row.Thread, m.row.Created, m.row.Arrival
	}
	if b.row.hidden && !v.last {
		return nil // nobody has seen it
	}
	t.set(t.logKey(tagVanished, id, t.seq(), p.uid), v.encode())
	return t.touched(b)
}

// Expunge takes messages out of mailbox b, in pieces, and gives their UIDs in
// order: all that have \Deleted if uids is nil, else those of uids that have it
// (RFC 9051 §6.4.9). With force \Deleted is not asked for. A message that loses
// its last place is gone, and can be restored for a time (Restore). After an
// error the UIDs are what was done before it.
func (s *Store) Expunge(ctx context.Context, who, a mail.AccountID, b BoxID, uids []UID, force bool) (gone []UID, err error) {
	ctx = kv.Freeing(ctx)
	if uids == nil {
		err := s.ViewAs(ctx, who, a, func(t *Tx) (err error) {
			bs, err := t.may(b, RightExpunge)
			switch {
			case err != nil:
			case force:
				uids, err = t.UIDs(b)
			default:
				uids, err = t.deleted(bs)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var part []UID
	crowded := false
	err = s.pieces(ctx, who, a, ordered(uids), func(t *Tx, uids []UID) (n int, err error) {
		part, n, err = t.expunge(b, uids, force)
		crowded = t.crowded()
		return n, err
	}, func() { gone = append(gone, part...) })
	if crowded {
		_ = s.purgeOldest(context.WithoutCancel(ctx), a) // else Tidy does
	}
	return gone, err
}

// Displace takes one message out of mailbox b as Expunge does with force, in this
// transaction (RFC 8508 §3); fault.Expunged if it is not there.
func (t *Tx) Displace(b BoxID, u UID) error {
	const op = "mailbox.Displace"
	if err := t.begin(op); err != nil {
		return err
	}
	defer t.done()
	gone, _, err := t.expunge(b, []UID{u}, true)
	if err == nil && len(gone) == 0 {
		err = fault.New(fault.Expunged, op, "the message is gone")
	}
	return err
}

func (t *Tx) expunge(id BoxID, uids []UID, force bool) (gone []UID, n int, err error) {
	need := RightExpunge
	if force {
		need |= RightDeleteMail
	}
	b, err := t.may(id, need)
	if err != nil {
		return nil, 0, err
	}
	rows, err := t.getRows(id, uids)
	if !force {
		rows = slices.DeleteFunc(rows, func(p placed) bool { return !p.row.flags.Has(deleted) })
	}
	if err == nil {
		err = t.loadMessages(rows)
	}
	if err != nil {
		return nil, 0, err
	}
	for _, p := range rows {
		if t.full() {
			return gone, slices.Index(uids, p.uid), nil
		}
		if err := t.displace(b, p); err != nil {
			return nil, 0, err
		}
		gone = append(gone, p.uid)
	}
	return gone, len(uids), nil
}

// Copy gives the messages uids of mailbox b another place in dest, with their
// flags, keywords and received date (RFC 9051 §6.4.7): all of them in one
// moment, however many, or none. It gives the UIDs of both sides, pair by pair,
// and dest's UIDVALIDITY for COPYUID.
func (s *Store) Copy(ctx context.Context, who, a mail.AccountID, b BoxID, uids []UID, dest BoxID) (src, dst []UID, uidvalidity uint32, err error) {
	uids = ordered(uids)
	all := len(uids) <= s.piece
	if all {
		err = s.Update(ctx, who, a, func(t *Tx) error {
			d, err := t.may(dest, RightInsert)
			if err != nil {
				return err
			}
			rights, err := t.rights(d)
			if err != nil {
				return err
			}
			var n int
			src, dst, n, err = t.transfer(b, uids, d, rights, false)
			if all = err != nil || n == len(uids); !all {
				return errPiece
			}
			uidvalidity = d.row.UIDValidity
			return err
		})
	}
	if !all {
		var id BoxID
		id, src, dst, uidvalidity, err = s.copyStaged(ctx, who, a, b, uids, dest)
		if err == nil {
			// It is done for all who look. What fails here Tidy does.
			_ = s.settleStage(context.WithoutCancel(ctx), a, id)
		}
		if err == nil && who != 0 && who != a {
			err = s.copySeen(ctx, who, place{a, b}, src, place{a, dest}, dst)
		}
	}
	if err != nil {
		return nil, nil, 0, err
	}
	return src, dst, uidvalidity, nil
}

// errPiece ends a transaction that is too small for what was to be one step.
var errPiece = errors.New("more than one piece")

// Move is Copy and Expunge of the same messages as one step (RFC 6851), each
// piece atomic. After an error src and dst are what was moved before it.
func (s *Store) Move(ctx context.Context, who, a mail.AccountID, b BoxID, uids []UID, dest BoxID) (src, dst []UID, uidvalidity uint32, err error) {
	ctx = kv.Freeing(ctx)
	uids = ordered(uids)
	// Also says that there is no such mailbox. Where b is dest a later piece must
	// not take what an earlier one made.
	err = s.ViewAs(ctx, who, a, func(t *Tx) error {
		d, err := t.may(dest, RightInsert)
		if err != nil {
			return err
		}
		uidvalidity = d.row.UIDValidity
		if b == dest {
			n, _ := slices.BinarySearch(uids, d.row.UIDNext)
			uids = uids[:n]
		}
		_, err = t.may(b, moveRights)
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	var from, to []UID
	err = s.pieces(ctx, who, a, uids, func(t *Tx, uids []UID) (n int, err error) {
		d, err := t.may(dest, RightInsert)
		var rights Rights
		if err == nil {
			rights, err = t.rights(d)
		}
		if err == nil {
			from, to, n, err = t.transfer(b, uids, d, rights, true)
		}
		return n, err
	}, func() { src, dst = append(src, from...), append(dst, to...) })
	return src, dst, uidvalidity, err
}

// moveRights are what MOVE needs where it takes from: those of COPY, of STORE
// \Deleted and of EXPUNGE (RFC 6851 §3.3).
const moveRights = RightRead | RightDeleteMail | RightExpunge

// transfer copies or moves a piece. Rights are those to what d is, or is a stage of.
func (t *Tx) transfer(id BoxID, uids []UID, d *boxState, rights Rights, move bool) (from, to []UID, n int, err error) {
	need := RightRead
	if move {
		need = moveRights
	}
	b, err := t.may(id, need)
	if err != nil {
		return nil, nil, 0, err
	}
	rows, err := t.getRows(id, uids)
	if err == nil {
		err = t.loadMessages(rows)
	}
	if err != nil {
		return nil, nil, 0, err
	}
	for _, p := range rows {
		if t.full() {
			return from, to, slices.Index(uids, p.uid), nil
		}
		m, err := t.message(p.row.message)
		if err != nil {
			return nil, nil, 0, fault.As(fault.Corrupt, "mailbox.Copy", err)
		}
		view := p
		if t.foreign() {
			if err := t.asSeen(b, &view); err != nil {
				return nil, nil, 0, err
			}
		}
		row := rights.narrow(view.row)
		row.saved = now()
		mine := t.ownSeen(&row)
		q, err := t.place(d, m, row)
		if err == nil && mine && !d.row.hidden {
			_, err = t.setMark(d, q.uid, true)
		}
		if err != nil {
			return nil, nil, 0, err
		}
		if move {
			if err := t.displace(b, p); err != nil {
				return nil, nil, 0, err
			}
		}
		from, to = append(from, p.uid), append(to, q.uid)
	}
	return from, to, len(uids), nil
}

// DeleteBox is Tx.DeleteBox, and the rest of the messages in pieces.
func (s *Store) DeleteBox(ctx context.Context, who, a mail.AccountID, name string) error {
	ctx = kv.Freeing(ctx)
	var id BoxID
	err := s.Update(ctx, who, a, func(t *Tx) error {
		box, err := t.BoxByName(name)
		if err != nil {
			return err
		}
		id = box.ID
		return t.DeleteBox(name)
	})
	if err != nil {
		return err
	}
	return s.finishBox(ctx, a, id)
}

// finishBox removes the messages of a mailbox that was deleted, and its row.
func (s *Store) finishBox(ctx context.Context, a mail.AccountID, id BoxID) error {
	for more := true; more; {
		err := s.Update(ctx, 0, a, func(t *Tx) error {
			b, err := t.state(id)
			if err != nil {
				return err
			}
			if more = b.row != nil; more {
				return t.emptyBox(b)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteBox removes a mailbox with its messages (RFC 9051 §6.3.5). It is gone at
// once, whatever its size; of its messages as many go as this transaction can
// take, and Store.DeleteBox or Tidy removes the rest, whose UIDs nobody sees any
// more. A subscription stays. INBOX is refused with fault.Unsupported. A mailbox
// with others within it is fault.Conflict: a \Noselect shell in its place
// (RFC 3501 §6.3.4 allows either) would be a second kind of mailbox everywhere.
func (t *Tx) DeleteBox(name string) error {
	const op = "mailbox.DeleteBox"
	if err := t.begin(op); err != nil {
		return err
	}
	defer t.done()
	box, err := t.BoxByName(name)
	if err != nil {
		return err
	}
	if box.Name == inbox {
		return fault.New(fault.Unsupported, op, "INBOX cannot be deleted")
	}
	r := kv.Prefix(t.boxKey(tagName, box.ID))
	r.Limit = 1
	for _, err := range t.r.Scan(r) {
		if err != nil {
			return fault.Wrap(op, err)
		}
		return fault.New(fault.Conflict, op, "the mailbox has others within it")
	}
	a, err := t.acctRow()
	if err != nil {
		return err
	}
	b, err := t.may(box.ID, RightDelete)
	if err != nil {
		return err
	}
	if b.row.Subscribed {
		if err := t.leaveSubscription(box.Name); err != nil {
			return err
		}
	}
	t.del(t.nameKey(b.row.Parent, b.row.leaf))
	if b.row.Role != RoleNone {
		t.del(t.roleKey(b.row.Role))
	}
	t.del(t.boxKey(tagACL, box.ID))
	if err := t.dropAnnotations(box.ID); err != nil {
		return err
	}
	dead := deadRow{created: b.row.Created, at: now()}
	t.set(t.deadKey(t.seq(), box.ID), dead.encode())
	a.boxes--
	b.row.doomed = true
	if err := t.renamed(b); err != nil {
		return err
	}
	return t.emptyBox(b)
}

// emptyBox removes what the transaction can take of a doomed mailbox's
// messages, and the mailbox itself when none is left.
func (t *Tx) emptyBox(b *boxState) error {
	id := b.row.ID
	var some []placed
	for p, err := range t.rows(id, 1, math.MaxUint32) {
		if err != nil {
			return err
		}
		if some = append(some, p); len(some) == t.store.piece {
			break
		}
	}
	if err := t.loadMessages(some); err != nil {
		return err
	}
	for _, p := range some {
		if t.full() {
			return nil
		}
		if err := t.displace(b, p); err != nil {
			return err
		}
	}
	if b.row.Messages > 0 {
		return nil
	}
	for _, k := range b.blocks {
		t.flushBlock(id, k)
	}
	for _, s := range b.row.stages {
		st, err := t.stageOf(s)
		if err != nil {
			return err
		}
		t.dropBox(st)
	}
	t.dropBox(b)
	return nil
}
