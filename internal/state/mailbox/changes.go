package mailbox

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Changes is what became of a mailbox after change number since: the placements
// that came or changed, and the UIDs of those that were there at since and are
// gone, both in UID order (RFC 7162 §3.2). It costs as much as changed. If the
// log does not reach back to since it is fault.Expunged: compare UIDs instead.
func (t *Tx) Changes(id BoxID, since ModSeq) (changed []Placement, vanished []UID, err error) {
	const op = "mailbox.Changes"
	b, err := t.may(id, RightRead)
	if err != nil {
		return nil, nil, err
	}
	if since < b.row.floor {
		return nil, nil, fault.New(fault.Expunged, op, "")
	}
	if highest, err := t.highest(b); err != nil || since >= highest {
		return nil, nil, err
	}
	uids, _, err := t.changedUIDs(b, since, math.MaxInt)
	if err != nil {
		return nil, nil, err
	}
	rows, err := t.getRows(id, uids)
	if err != nil {
		return nil, nil, err
	}
	if len(rows) != len(uids) {
		return nil, nil, fault.As(fault.Corrupt, op, errRow)
	}
	for _, p := range rows {
		out, err := t.exportPlacement(id, p)
		if err != nil {
			return nil, nil, err
		}
		changed = append(changed, out)
	}
	vanished, err = t.vanishedUIDs(id, since, true)
	return changed, vanished, err
}

// ChangedUIDs is the UIDs of the placements that Changes would give, if they
// are at most limit: it costs less than they themselves. all says whether it is
// all of them.
func (t *Tx) ChangedUIDs(id BoxID, since ModSeq, limit int) (uids []UID, all bool, err error) {
	b, err := t.may(id, RightRead)
	if err != nil {
		return nil, true, err
	}
	if highest, err := t.highest(b); err != nil || since >= highest {
		return nil, true, err
	}
	return t.changedUIDs(b, since, limit)
}

// highest is the change number of the last change to a mailbox's placements, as
// whom the transaction is for sees them.
func (t *Tx) highest(b *boxState) (ModSeq, error) {
	if !t.foreign() {
		return b.row.HighestModSeq, nil
	}
	h, err := t.markHead(b)
	if err != nil {
		return 0, err
	}
	return max(b.row.HighestModSeq, h.highest), nil
}

func (t *Tx) changedUIDs(b *boxState, since ModSeq, limit int) (uids []UID, all bool, err error) {
	for p, err := range t.scanLog(tagChanged, b.row.ID, since) {
		if err != nil || len(uids) == limit {
			return nil, false, err
		}
		uids = append(uids, p.uid)
	}
	stages, err := t.stagesOf(b)
	if err != nil {
		return nil, false, err
	}
	for _, s := range stages {
		if s.joined <= since {
			continue
		}
		for p, err := range t.staged(s, 1, math.MaxUint32) {
			if err != nil || len(uids) == limit {
				return nil, false, err
			}
			uids = append(uids, p.uid)
		}
	}
	if t.foreign() {
		more, err := t.marked(b, since)
		if err != nil {
			return nil, false, err
		}
		uids = ordered(append(uids, more...))
		return uids[:min(limit, len(uids))], len(uids) <= limit, nil
	}
	slices.Sort(uids)
	return uids, true, nil
}

// Vanished is the UIDs that vanished from a mailbox after change number since,
// also of messages that came only after it: a client may know of those without
// knowing a later change number (RFC 7162 §3.2.6). If the log does not reach
// back to since it is fault.Expunged.
func (t *Tx) Vanished(id BoxID, since ModSeq) ([]UID, error) {
	b, err := t.may(id, RightRead)
	if err != nil {
		return nil, err
	}
	if since < b.row.floor {
		return nil, fault.New(fault.Expunged, "mailbox.Vanished", "")
	}
	if since >= b.row.HighestModSeq {
		return nil, nil
	}
	return t.vanishedUIDs(id, since, false)
}

// vanishedUIDs is the UIDs that vanished after since; with old those that had
// come before it.
func (t *Tx) vanishedUIDs(id BoxID, since ModSeq, old bool) (uids []UID, err error) {
	for p, err := range t.scanLog(tagVanished, id, since) {
		if err != nil {
			return nil, err
		}
		v, err := decodeVanished(p.value)
		if err != nil {
			return nil, fault.As(fault.Corrupt, "mailbox.Changes", err)
		}
		if !old || v.created <= since {
			uids = append(uids, p.uid)
		}
	}
	slices.Sort(uids)
	return uids, nil
}

// logged is one row of the log.
type logged struct {
	key   []byte
	seq   ModSeq
	uid   UID
	value []byte
}

// scanLog reads a mailbox's log behind since.
func (t *Tx) scanLog(tag byte, id BoxID, since ModSeq) func(yield func(logged, error) bool) {
	prefix := t.boxKey(tag, id)
	r := kv.Range{From: t.boxKey(tag, id).Uint64(since + 1), To: kv.PrefixEnd(prefix)}
	return func(yield func(logged, error) bool) {
		for p, err := range t.r.Scan(r) {
			if err != nil {
				yield(logged{}, fault.Wrap("mailbox.Changes", err))
				return
			}
			k := kv.ReadKey(p.Key, prefix)
			l := logged{key: p.Key, seq: k.Uint64(), uid: k.Uint32(), value: p.Value}
			if err := k.Err(); err != nil {
				yield(logged{}, fault.As(fault.Corrupt, "mailbox.Changes", err))
				return
			}
			if !yield(l, nil) {
				return
			}
		}
	}
}

// Tidy ends what was left unfinished (mailboxes deleted but not yet emptied,
// stages of a COPY), forgets what is known of shares and readers that are gone,
// purges what went too long ago to be restored, and forgets what vanished before
// the given time, in pieces. Changes that reach back behind that are
// fault.Expunged from then on.
func (s *Store) Tidy(ctx context.Context, a mail.AccountID, before time.Time) error {
	ctx = kv.Freeing(ctx)
	if err := s.sweepStages(ctx, a, stageLife); err != nil {
		return err
	}
	var doomed []BoxID
	err := s.View(ctx, a, func(t *Tx) error {
		doomed = nil
		if _, err := t.Boxes(); err != nil {
			return err
		}
		for id, b := range t.boxes {
			if b.row != nil && b.row.doomed {
				doomed = append(doomed, id)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range slices.SortedFunc(slices.Values(doomed), cmp.Compare[BoxID]) {
		if err := s.finishBox(ctx, a, id); err != nil {
			return err
		}
	}
	if err := errors.Join(s.tidyShares(ctx, a), s.tidyMarks(ctx, a)); err != nil {
		return err
	}
	if err := errors.Join(s.Purge(ctx, a, s.keepUntil(time.Now())), s.purgeOldest(ctx, a)); err != nil {
		return err
	}
	for more := true; more; {
		err := s.Update(ctx, 0, a, func(t *Tx) (err error) {
			more, err = t.trim(before)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// trim forgets one piece and says whether there is more.
func (t *Tx) trim(before time.Time) (more bool, err error) {
	from := t.key(tagVanished)
	end := kv.PrefixEnd(from)
	for done := 0; ; {
		// Step from mailbox to mailbox, those that are gone too.
		id, found, err := t.nextVanished(from, end)
		if err != nil {
			return false, err
		}
		if !found {
			return false, t.trimDead(before)
		}
		n, err := t.trimBox(id, before)
		if done += n; err != nil || done >= t.store.piece {
			return true, err
		}
		if id == math.MaxUint64 {
			return false, t.trimDead(before)
		}
		from = t.boxKey(tagVanished, id+1)
	}
}

func (t *Tx) nextVanished(from, end []byte) (id BoxID, found bool, err error) {
	for p, err := range t.r.Scan(kv.Range{From: from, To: end, Limit: 1}) {
		if err != nil {
			return 0, false, fault.Wrap("mailbox.Tidy", err)
		}
		k := kv.ReadKey(p.Key, t.key(tagVanished))
		id = BoxID(k.Uint64())
		k.Fixed(8 + 4)
		return id, true, fault.As(fault.Corrupt, "mailbox.Tidy", k.Err())
	}
	return 0, false, nil
}

// trimBox forgets up to maxPiece of what vanished from one mailbox.
func (t *Tx) trimBox(id BoxID, before time.Time) (n int, err error) {
	var old []logged
	var ended []vanishedRow
	for p, err := range t.scanLog(tagVanished, id, 0) {
		if err != nil {
			return 0, err
		}
		v, err := decodeVanished(p.value)
		if err != nil {
			return 0, fault.As(fault.Corrupt, "mailbox.Tidy", err)
		}
		if !v.at.Before(before) || len(old) == t.store.piece {
			break
		}
		old = append(old, p)
		if v.arrival != (mail.ArrivalID{}) {
			ended = append(ended, v)
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	for _, p := range old {
		t.del(p.key)
	}
	for _, v := range ended {
		// A repeat may have made another message of the same arrival since.
		if r, _, err := t.arrived(v.arrival, 0); err != nil {
			return 0, err
		} else if r.message == v.message {
			t.del(t.arrivalKey(v.arrival))
		}
	}
	a, err := t.acctRow()
	if err != nil {
		return 0, err
	}
	b, err := t.state(id)
	if err != nil {
		return 0, err
	}
	floor := old[len(old)-1].seq
	a.floor = max(a.floor, floor)
	t.acctChanged()
	if b.row != nil {
		b.row.floor = floor
		t.changed(b)
	}
	return len(old), nil
}

// trimDead forgets mailboxes that went before the given time.
func (t *Tx) trimDead(before time.Time) error {
	r := kv.Prefix(t.key(tagDead))
	r.Limit = maxPiece
	var old [][]byte
	for p, err := range t.r.Scan(r) {
		if err != nil {
			return fault.Wrap("mailbox.Tidy", err)
		}
		k := kv.ReadKey(p.Key, t.key(tagDead))
		k.Fixed(8 + 8)
		d, err := decodeDead(p.Value)
		if err = errors.Join(err, k.Err()); err != nil {
			return fault.As(fault.Corrupt, "mailbox.Tidy", err)
		}
		if !d.at.Before(before) {
			break
		}
		old = append(old, p.Key)
	}
	for _, k := range old {
		t.del(k)
	}
	return nil
}
