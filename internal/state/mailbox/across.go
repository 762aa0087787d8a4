package mailbox

import (
	"context"
	"errors"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// place is a mailbox of an account.
type place struct {
	account mail.AccountID
	box     BoxID
}

// carried is a message on its way to another account.
type carried struct {
	uid    UID
	row    messageRow
	view   []byte
	handle blob.Handle
	place  Placement // as whoever takes it sees it
}

// CopyAcross is Copy from mailbox b of account a to mailbox dest of another
// account: all of it in one moment, or none. Quota is what the other account may
// hold: what comes is charged there. Both accounts ask their lists about who. The messages are new ones
// there, with the same content.
func (s *Store) CopyAcross(ctx context.Context, who, a mail.AccountID, b BoxID, uids []UID, to mail.AccountID, dest BoxID, quota Quota) (src, dst []UID, uidvalidity uint32, err error) {
	if a == to {
		return s.Copy(ctx, who, a, b, uids, dest)
	}
	uids = ordered(uids)
	more, err := s.weight(ctx, who, a, b, uids)
	if err == nil {
		err = s.ViewAs(ctx, who, to, func(t *Tx) error {
			if _, err := t.may(dest, RightInsert); err != nil {
				return err
			}
			u, err := t.Usage()
			if err != nil {
				return err
			}
			return quota.Room(u, more)
		})
	}
	if err != nil {
		return nil, nil, 0, err
	}
	if len(uids) <= s.piece {
		src, dst, uidvalidity, err = s.copyAtOnce(ctx, who, place{a, b}, uids, place{to, dest})
		if !errors.Is(err, errPiece) {
			return src, dst, uidvalidity, err
		}
	}
	return s.copyAcross(ctx, who, place{a, b}, uids, place{to, dest})
}

// copyAtOnce copies what one transaction takes, else errPiece.
func (s *Store) copyAtOnce(ctx context.Context, who mail.AccountID, from place, uids []UID, to place) (src, dst []UID, uidvalidity uint32, err error) {
	load, err := s.load(ctx, who, from, uids)
	if err != nil {
		return nil, nil, 0, err
	}
	err = s.Update(ctx, who, to.account, func(t *Tx) error {
		d, err := t.may(to.box, RightInsert)
		if err != nil {
			return err
		}
		rights, err := t.rights(d)
		if err != nil {
			return err
		}
		if dst, err = t.unload(d, load, rights); err == nil && len(dst) < len(load) {
			err = errPiece
		}
		uidvalidity = d.row.UIDValidity
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	for i := range load {
		src = append(src, load[i].uid)
	}
	return src, dst, uidvalidity, nil
}

// weight is what messages hold.
func (s *Store) weight(ctx context.Context, who, a mail.AccountID, b BoxID, uids []UID) (u Usage, err error) {
	for len(uids) > 0 {
		part := uids[:min(len(uids), s.piece)]
		err := s.ViewAs(ctx, who, a, func(t *Tx) error {
			if _, err := t.may(b, RightRead); err != nil {
				return err
			}
			rows, err := t.getRows(b, part)
			for _, p := range rows {
				u.Octets += p.row.size
				u.Messages++
			}
			return err
		})
		if err != nil {
			return u, err
		}
		uids = uids[len(part):]
	}
	return u, nil
}

// copyAcross lays messages down in a stage, piece by piece, and joins it: see
// copyStaged.
func (s *Store) copyAcross(ctx context.Context, who mail.AccountID, from place, uids []UID, to place) (src, dst []UID, uidvalidity uint32, err error) {
	var stage BoxID
	err = s.Update(ctx, who, to.account, func(t *Tx) error {
		if _, err := t.may(to.box, RightInsert); err != nil {
			return err
		}
		stage, err = t.newStage(to.box)
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	for len(uids) > 0 && err == nil {
		part := uids[:min(len(uids), s.piece)]
		var load []carried
		if load, err = s.load(ctx, who, from, part); err != nil {
			break
		}
		for n := 0; len(load) > 0 && err == nil; load = load[n:] {
			err = s.Update(ctx, who, to.account, func(t *Tx) error {
				rights, err := t.Rights(to.box)
				if err != nil {
					return err
				}
				st, err := t.stageOf(stage)
				if err != nil {
					return err
				}
				some, err := t.unload(st, load, rights)
				n = len(some)
				return err
			})
			for i := range load[:n] {
				src = append(src, load[i].uid)
			}
		}
		uids = uids[len(part):]
	}
	var first UID
	if err == nil {
		err = s.Update(ctx, who, to.account, func(t *Tx) error {
			first, uidvalidity, err = t.join(stage, to.box)
			return err
		})
	}
	if err != nil {
		_ = s.finishBox(context.WithoutCancel(ctx), to.account, stage) // what fails here too Tidy removes
		return nil, nil, 0, err
	}
	for i := range src {
		dst = append(dst, first+UID(i))
	}
	_ = s.settleStage(context.WithoutCancel(ctx), to.account, stage)
	return src, dst, uidvalidity, s.copySeen(ctx, who, from, src, to, dst)
}

// load reads messages to be carried.
func (s *Store) load(ctx context.Context, who mail.AccountID, from place, uids []UID) (load []carried, err error) {
	err = s.ViewAs(ctx, who, from.account, func(t *Tx) error {
		load = load[:0]
		if _, err := t.may(from.box, RightRead); err != nil {
			return err
		}
		rows, err := t.getRows(from.box, uids)
		for _, p := range rows {
			c := carried{uid: p.uid}
			if err == nil {
				c.place, err = t.exportPlacement(from.box, p)
			}
			if err != nil {
				return err
			}
			m, err := t.message(p.row.message)
			if err != nil {
				return err
			}
			c.row = *m.row
			if c.view, _, err = t.r.Get(t.msgKey(tagView, m.row.ID)); err != nil {
				return fault.Wrap("mailbox.Copy", err)
			}
			load = append(load, c)
		}
		return err
	})
	for i := range load {
		if err == nil {
			load[i].handle, err = s.blobs.Handle(ctx, load[i].row.Blob)
		}
	}
	return load, fault.Wrap("mailbox.Copy", err)
}

// unload makes messages of what the transaction can take of a load and places
// them in d. In a stage \Seen is for copySeen, where it is not the owner's.
func (t *Tx) unload(d *boxState, load []carried, rights Rights) (uids []UID, err error) {
	for _, c := range load {
		if t.full() {
			return uids, nil
		}
		row := placementRow{flags: c.place.Flags, received: c.row.Received, saved: now(), size: c.row.Size}
		if row.keywords, err = t.keywordNumbers(c.place.Keywords, true); err != nil {
			return nil, err
		}
		row = rights.narrow(row)
		mine := t.ownSeen(&row)
		m := messageRow{threads: c.row.threads, Message: Message{
			Blob: c.row.Blob, Prefix: c.row.Prefix, Size: c.row.Size, Received: c.row.Received,
		}}
		ms, err := t.enter(m, c.handle, c.view)
		var p placed
		if err == nil {
			p, err = t.place(d, ms, row)
		}
		if err == nil && mine && !d.row.hidden {
			_, err = t.setMark(d, p.uid, true)
		}
		if err != nil {
			return nil, err
		}
		uids = append(uids, p.uid)
	}
	return uids, nil
}

// copySeen marks those copies seen whose originals are, where \Seen is who's own
// and he may set it.
func (s *Store) copySeen(ctx context.Context, who mail.AccountID, from place, src []UID, to place, dst []UID) error {
	if who == 0 || who == to.account || len(src) == 0 {
		return nil
	}
	var read []UID
	err := s.ViewAs(ctx, who, to.account, func(t *Tx) error {
		r, err := t.Rights(to.box)
		if err == nil && !r.Has(RightSeen) {
			src = nil
		}
		return err
	})
	for at := 0; at < len(src) && err == nil; at += s.piece {
		end := min(at+s.piece, len(src))
		var found []UID
		err = s.ViewAs(ctx, who, from.account, func(t *Tx) error {
			found = found[:0]
			b, err := t.may(from.box, RightRead)
			if err != nil {
				return err
			}
			rows, err := t.getRows(from.box, src[at:end])
			for i := range rows {
				if err == nil && t.foreign() {
					err = t.asSeen(b, &rows[i])
				}
				if rows[i].row.flags.Has(seen) {
					found = append(found, rows[i].uid)
				}
			}
			return err
		})
		for i, j := at, 0; i < end && j < len(found); i++ {
			if src[i] == found[j] {
				read = append(read, dst[i])
				j++
			}
		}
	}
	if err == nil && len(read) > 0 {
		_, _, err = s.SetFlags(ctx, who, to.account, to.box, read, FlagChange{Op: FlagsAdd, Flags: seen}, 0)
	}
	return err
}

// MoveAcross is CopyAcross and Expunge of what was copied. Two accounts do not
// change in one moment: between the two a message may be in both, and never in
// neither.
func (s *Store) MoveAcross(ctx context.Context, who, a mail.AccountID, b BoxID, uids []UID, to mail.AccountID, dest BoxID, quota Quota) (src, dst []UID, uidvalidity uint32, err error) {
	if a == to {
		return s.Move(ctx, who, a, b, uids, dest)
	}
	err = s.ViewAs(ctx, who, a, func(t *Tx) error {
		_, err := t.may(b, moveRights)
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	if src, dst, uidvalidity, err = s.CopyAcross(kv.Freeing(ctx), who, a, b, uids, to, dest, quota); err != nil {
		return nil, nil, 0, err
	}
	_, err = s.Expunge(ctx, who, a, b, src, true)
	return src, dst, uidvalidity, err
}
