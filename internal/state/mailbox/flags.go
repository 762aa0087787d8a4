package mailbox

import (
	"context"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// SetFlags changes the flags of the uids that are still in mailbox b, in pieces
// of up to 1,000 messages. It gives the placements that really changed, with
// their new change number; one that has the flags already keeps its own. With
// unchangedSince (0 is no condition) those changed later are left alone and
// their UIDs given in modified (RFC 7162 §3.1.3). After an error changed is what
// was done before it.
func (s *Store) SetFlags(ctx context.Context, who, a mail.AccountID, b BoxID, uids []UID, c FlagChange, unchangedSince ModSeq) (changed []Placement, modified []UID, err error) {
	ctx = kv.Freeing(ctx)
	if err := checkKeywords(c.Keywords); err != nil {
		return nil, nil, err
	}
	var set []Placement
	var late []UID
	err = s.pieces(ctx, who, a, ordered(uids), func(t *Tx, uids []UID) (n int, err error) {
		set, late, n, err = t.setFlags(b, uids, c, unchangedSince)
		return n, err
	}, func() {
		changed, modified = append(changed, set...), append(modified, late...)
	})
	return changed, modified, err
}

// setFlags does one piece and says how many of uids it dealt with.
func (t *Tx) setFlags(id BoxID, uids []UID, c FlagChange, unchangedSince ModSeq) (changed []Placement, modified []UID, n int, err error) {
	b, err := t.live(id)
	if err != nil {
		return nil, nil, 0, err
	}
	rights, err := t.rights(b)
	if err == nil {
		c, err = c.within(rights)
	}
	if err != nil {
		return nil, nil, 0, err
	}
	words, err := t.keywordNumbers(c.Keywords, c.Op != FlagsRemove)
	if err != nil {
		return nil, nil, 0, err
	}
	rows, err := t.getRows(id, uids)
	if err != nil {
		return nil, nil, 0, err
	}
	for i := range rows {
		p := &rows[i]
		if t.full() {
			return changed, modified, slices.Index(uids, p.uid), nil
		}
		view := *p
		if t.foreign() {
			if err := t.asSeen(b, &view); err != nil {
				return nil, nil, 0, err
			}
		}
		if unchangedSince > 0 && view.row.modSeq > unchangedSince {
			modified = append(modified, p.uid)
			continue
		}
		flags, kws := combine(view.row, c, words, rights)
		if flags == view.row.flags && slices.Equal(kws, p.row.keywords) {
			continue
		}
		if len(kws) > MaxKeywords {
			return nil, nil, 0, fault.Newf(fault.TooMany, "mailbox.SetFlags", "a message has at most %d keywords", MaxKeywords)
		}
		if t.foreign() {
			if _, err := t.setMark(b, p.uid, flags.Has(seen)); err != nil {
				return nil, nil, 0, err
			}
			flags = flags&^seen | p.row.flags&seen // the owner's
		}
		if flags != p.row.flags || !slices.Equal(kws, p.row.keywords) {
			if err := t.reflag(b, p, flags, kws); err != nil {
				return nil, nil, 0, err
			}
		}
		out, err := t.exportPlacement(id, *p)
		if err != nil {
			return nil, nil, 0, err
		}
		changed = append(changed, out)
	}
	return changed, modified, len(uids), nil
}

// flags are the system flags that rights let change (RFC 4314 §4).
func (r Rights) flags() mail.Flags {
	f := ^(seen | deleted)
	if !r.Has(RightWrite) {
		f = 0
	}
	if r.Has(RightSeen) {
		f |= seen
	}
	if r.Has(RightDeleteMail) {
		f |= deleted
	}
	return f
}

// narrow leaves out of a row that is laid down what rights do not let set.
func (r Rights) narrow(row placementRow) placementRow {
	row.flags &= r.flags()
	if !r.Has(RightWrite) {
		row.keywords = nil
	}
	return row
}

// within is what of a change rights allow. Nothing at all of it is fault.Denied
// (RFC 4314 §4: STORE should not fail where one flag may be changed).
func (c FlagChange) within(r Rights) (FlagChange, error) {
	asked := c
	c.Flags &= r.flags()
	if !r.Has(RightWrite) {
		c.Keywords = nil
	}
	none := c.Flags == 0 && len(c.Keywords) == 0 && (asked.Flags != 0 || len(asked.Keywords) > 0)
	if r&(RightSeen|RightWrite|RightDeleteMail) == 0 || none && c.Op != FlagsSet {
		return c, fault.New(fault.Denied, "mailbox.SetFlags", "you may not change these flags in that mailbox")
	}
	return c, nil
}

// ownSeen takes \Seen out of a row that someone else than the owner lays down,
// and says whether it was there: it is his alone.
func (t *Tx) ownSeen(r *placementRow) (was bool) {
	if !t.foreign() {
		return false
	}
	was = r.flags.Has(seen)
	r.flags &^= seen
	return was
}

// combine gives flags and keywords after a change that rights allow. Words are
// those of c.
func combine(r placementRow, c FlagChange, words []uint32, rights Rights) (mail.Flags, []uint32) {
	switch c.Op {
	case FlagsAdd:
		if len(words) == 0 {
			return r.flags | c.Flags, r.keywords
		}
		all := append(slices.Clone(r.keywords), words...)
		slices.Sort(all)
		return r.flags | c.Flags, slices.Compact(all)
	case FlagsRemove:
		if len(words) == 0 {
			return r.flags &^ c.Flags, r.keywords
		}
		rest := slices.Clone(r.keywords)
		return r.flags &^ c.Flags, slices.DeleteFunc(rest, func(k uint32) bool { return slices.Contains(words, k) })
	}
	if !rights.Has(RightWrite) {
		words = r.keywords
	}
	return r.flags&^rights.flags() | c.Flags, words
}

// reflag writes p with other flags.
func (t *Tx) reflag(b *boxState, p *placed, flags mail.Flags, words []uint32) error {
	if err := t.settle(b, p); err != nil {
		return err
	}
	if err := t.touched(b); err != nil {
		return err
	}
	if (flags^p.row.flags)&(seen|deleted) != 0 {
		k, err := t.blockOf(b, p.uid)
		if err != nil {
			return err
		}
		if k == nil {
			return fault.As(fault.Corrupt, "mailbox.SetFlags", errRow)
		}
		tally(b, k, p.row.flags, minusOne)
		tally(b, k, flags, 1)
		t.blockChanged(k)
	}
	t.del(t.logKey(tagChanged, b.row.ID, p.row.modSeq, p.uid))
	p.row.flags, p.row.keywords, p.row.modSeq = flags, words, t.seq()
	t.set(t.uidKey(b.row.ID, p.uid), p.row.encode())
	t.set(t.logKey(tagChanged, b.row.ID, p.row.modSeq, p.uid), []byte{format1})
	return nil
}
