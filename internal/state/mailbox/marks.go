package mailbox

import (
	"errors"
	"iter"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// In a mailbox of someone else's everyone has a \Seen of his own. The owner's is
// a flag of the placement, as without sharing; those of others are marks, which
// stand in rows of markSpan UIDs a reader. They have change numbers of their own
// and a log, as placements have, so that all that is told of a placement (MODSEQ,
// Changes) is what the one who asks may see. A mark outlives its message until
// Tidy: whoever expunges does not look for the marks of all readers.

// markSpan is how many UIDs have their marks in one row.
const markSpan = 256

// mark is what one reader has made of the \Seen of one message.
type mark struct {
	at     uint8 // UID % markSpan
	seen   bool
	modSeq ModSeq
}

// markRow is the marks of a span of UIDs, ascending.
type markRow struct {
	logged ModSeq // of its last change, by which the log has it; 0 before the first
	marks  []mark
	dirty  bool
}

func (r *markRow) encode() []byte {
	b := putUint([]byte{format1}, r.logged)
	for _, m := range r.marks {
		back := (r.logged - m.modSeq) << 1
		if m.seen {
			back |= 1
		}
		b = putUint(append(b, m.at), back)
	}
	return b
}

func decodeMarks(b []byte) (markRow, error) {
	d := open(b)
	r := markRow{logged: d.uint()}
	for !d.bad && len(d.b) > 0 {
		at, back := d.octet(), d.uint()
		if n := len(r.marks); n > 0 && r.marks[n-1].at >= at || back>>1 > r.logged {
			d.fail()
		}
		r.marks = append(r.marks, mark{at, back&1 != 0, r.logged - back>>1})
	}
	return r, d.done()
}

func (r *markRow) find(u UID) (int, bool) {
	return slices.BinarySearchFunc(r.marks, uint8(u%markSpan), func(m mark, at uint8) int { return int(m.at) - int(at) })
}

// markHead is what is kept, not counted, of one reader's marks in a mailbox.
type markHead struct {
	seen    uint32 // messages that were there at `at` and are seen
	at      ModSeq
	highest ModSeq // of the last change to a mark
	dirty   bool
}

func (h *markHead) encode() []byte {
	return putUint(putUint(putUint([]byte{format1}, uint64(h.seen)), h.at), h.highest)
}

func decodeMarkHead(b []byte) (markHead, error) {
	d := open(b)
	h := markHead{seen: d.uint32(), at: d.uint(), highest: d.uint()}
	return h, d.done()
}

func (t *Tx) readerKey(tag byte, b BoxID, who mail.AccountID) kv.Key {
	return t.boxKey(tag, b).Uint64(uint64(who))
}

func (t *Tx) markKey(b BoxID, span UID) kv.Key {
	return t.readerKey(tagMark, b, t.who).Uint32(span)
}

func (t *Tx) markLogKey(b BoxID, seq ModSeq, span UID) kv.Key {
	return t.readerKey(tagMarkLog, b, t.who).Uint64(seq).Uint32(span)
}

// marksOf is the row with the mark of u, which may have none.
func (t *Tx) marksOf(b *boxState, u UID) (*markRow, error) {
	span := u / markSpan
	if r := b.marks[span]; r != nil {
		return r, nil
	}
	if b.marks == nil || t.w == nil && len(b.marks) > 16 { // a view need not keep all
		b.marks = map[UID]*markRow{}
	}
	r := &markRow{}
	_, err := t.get("mailbox.marks", t.markKey(b.row.ID, span), func(v []byte) (err error) {
		*r, err = decodeMarks(v)
		return err
	})
	if err == nil {
		b.marks[span] = r
	}
	return r, err
}

// asSeen makes p what the reader sees of it: his own \Seen.
func (t *Tx) asSeen(b *boxState, p *placed) error {
	r, err := t.marksOf(b, p.uid)
	if err != nil {
		return err
	}
	p.row.flags &^= seen
	if i, found := r.find(p.uid); found {
		if r.marks[i].seen {
			p.row.flags |= seen
		}
		p.row.modSeq = max(p.row.modSeq, r.marks[i].modSeq)
	}
	return nil
}

// setMark changes the reader's \Seen of a message that is there, and says
// whether it was different.
func (t *Tx) setMark(b *boxState, u UID, on bool) (bool, error) {
	r, err := t.marksOf(b, u)
	if err != nil {
		return false, err
	}
	i, found := r.find(u)
	if found && r.marks[i].seen == on || !found && !on {
		return false, nil
	}
	h, err := t.markHead(b)
	if err != nil {
		return false, err
	}
	if !r.dirty {
		r.dirty = true
		t.weigh(100 + 6*len(r.marks))
		t.load.writes += 2
	}
	if !h.dirty {
		h.dirty = true
		t.weigh(60)
	}
	if !found {
		r.marks = slices.Insert(r.marks, i, mark{at: uint8(u % markSpan)})
	}
	r.marks[i].seen, r.marks[i].modSeq, h.highest = on, t.seq(), t.seq()
	if on {
		h.seen++
	} else {
		h.seen--
	}
	return true, nil
}

// flushMarks writes the rows in hand of one mailbox.
func (t *Tx) flushMarks(id BoxID, b *boxState) {
	for span, r := range b.marks {
		if !r.dirty {
			continue
		}
		if r.logged != 0 {
			t.w.Delete(t.markLogKey(id, r.logged, span))
		}
		r.logged, r.dirty = t.seq(), false
		t.w.Set(t.markKey(id, span), r.encode())
		t.w.Set(t.markLogKey(id, r.logged, span), []byte{format1})
	}
	if h := b.head; h != nil && h.dirty {
		t.w.Set(t.readerKey(tagReader, id, t.who), h.encode())
		h.dirty = false
	}
}

// markHead is the reader's head, brought up to what others had committed when
// the transaction began: what vanished since counts no more.
func (t *Tx) markHead(b *boxState) (*markHead, error) {
	if b.head != nil {
		return b.head, nil
	}
	h := &markHead{}
	there, err := t.get("mailbox.marks", t.readerKey(tagReader, b.row.ID, t.who), func(v []byte) (err error) {
		*h, err = decodeMarkHead(v)
		return err
	})
	if err != nil {
		return nil, err
	}
	// What vanishes in this transaction is for the next one.
	now := ModSeq(t.r.Version(t.shard))
	switch {
	case !there || b.row.HighestModSeq <= h.at:
	case b.row.floor > h.at:
		if h.seen, err = t.countSeen(b); err != nil {
			return nil, err
		}
	default:
		for p, err := range t.scanLog(tagVanished, b.row.ID, h.at) {
			if err != nil {
				return nil, err
			}
			if p.seq > now {
				break
			}
			r, err := t.marksOf(b, p.uid)
			if err != nil {
				return nil, err
			}
			if i, found := r.find(p.uid); found && r.marks[i].seen {
				h.seen--
			}
		}
	}
	h.at, b.head = now, h
	return h, nil
}

// spans gives the reader's rows of marks with the first UID of each. A row in
// hand is not the stored one.
func (t *Tx) markSpans(b *boxState) iter.Seq2[UID, *markRow] {
	prefix := t.readerKey(tagMark, b.row.ID, t.who)
	return func(yield func(UID, *markRow) bool) {
		for p, err := range t.r.Scan(kv.Prefix(prefix)) {
			var r markRow
			k := kv.ReadKey(p.Key, prefix)
			if err == nil {
				span := k.Uint32()
				if r, err = decodeMarks(p.Value); errors.Join(err, k.Err()) == nil {
					if !yield(span*markSpan, &r) {
						return
					}
					continue
				}
			}
			return
		}
	}
}

// countSeen counts the messages that are there and that the reader has seen.
func (t *Tx) countSeen(b *boxState) (n uint32, err error) {
	for first, r := range t.markSpans(b) {
		for _, m := range r.marks {
			if !m.seen {
				continue
			}
			k, err := t.blockOf(b, first+UID(m.at))
			if err != nil {
				return 0, err
			}
			if k != nil {
				n++
			}
		}
	}
	return n, nil
}

// marked is the UIDs that are there and whose marks have changed behind since.
func (t *Tx) marked(b *boxState, since ModSeq) (uids []UID, err error) {
	prefix := t.readerKey(tagMarkLog, b.row.ID, t.who)
	for p, err := range t.r.Scan(kv.Range{From: t.markLogKey(b.row.ID, since+1, 0), To: kv.PrefixEnd(prefix)}) {
		if err != nil {
			return nil, fault.Wrap("mailbox.Changes", err)
		}
		k := kv.ReadKey(p.Key, prefix)
		k.Uint64()
		first := k.Uint32() * markSpan
		if err := k.Err(); err != nil {
			return nil, fault.As(fault.Corrupt, "mailbox.Changes", err)
		}
		r, err := t.marksOf(b, first)
		if err != nil {
			return nil, err
		}
		for _, m := range r.marks {
			if u := first + UID(m.at); m.modSeq > since {
				if k, err := t.blockOf(b, u); err != nil {
					return nil, err
				} else if k != nil {
					uids = append(uids, u)
				}
			}
		}
	}
	return uids, nil
}

// firstUnmarked is FirstUnseen of a reader.
func (t *Tx) firstUnmarked(b *boxState) (uid UID, number uint32, err error) {
	blocks, err := t.allBlocks(b)
	if err != nil {
		return 0, 0, err
	}
	for _, k := range blocks {
		for _, s := range k.spans {
			for u := s.from; u <= s.to; u++ {
				number++
				r, err := t.marksOf(b, u)
				if err != nil {
					return 0, 0, err
				}
				if i, found := r.find(u); !found || !r.marks[i].seen {
					return u, number, nil
				}
			}
		}
	}
	return 0, 0, nil
}

// dropMarks forgets the marks of all readers of a mailbox that goes.
func (t *Tx) dropMarks(id BoxID) {
	for _, tag := range []byte{tagMark, tagMarkLog, tagReader} {
		t.w.Clear(kv.Prefix(t.boxKey(tag, id)))
		t.weigh(40)
	}
}

// readers is who has marks in a mailbox.
func (t *Tx) readers(id BoxID) (all []mail.AccountID, err error) {
	prefix := t.boxKey(tagReader, id)
	for p, err := range t.r.Scan(kv.Prefix(prefix)) {
		k := kv.ReadKey(p.Key, prefix)
		if err == nil {
			all = append(all, mail.AccountID(k.Uint64()))
			err = fault.As(fault.Corrupt, "mailbox.readers", k.Err())
		}
		if err != nil {
			return nil, fault.Wrap("mailbox.readers", err)
		}
	}
	return all, nil
}

// trimMarks forgets those marks of the reader whose messages are gone, a row
// when all of it is.
func (t *Tx) trimMarks(b *boxState) error {
	h, err := t.markHead(b)
	if err != nil {
		return err
	}
	dead := 0
	for first, r := range t.markSpans(b) {
		live := false
		for _, m := range r.marks {
			k, err := t.blockOf(b, first+UID(m.at))
			if err != nil {
				return err
			}
			live = live || k != nil
		}
		if live || dead == t.store.piece {
			continue
		}
		dead++
		t.del(t.markKey(b.row.ID, first/markSpan))
		t.del(t.markLogKey(b.row.ID, r.logged, first/markSpan))
		delete(b.marks, first/markSpan)
	}
	if dead > 0 { // with the count, which knows of what vanished
		h.dirty = true
		t.weigh(60)
	}
	return nil
}
