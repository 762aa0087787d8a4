package mailbox

import (
	"errors"
	"iter"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// blockOf is the block that holds u, or nil.
func (t *Tx) blockOf(b *boxState, u UID) (*block, error) {
	if b.last != nil {
		if _, ok := b.last.find(u); ok {
			return b.last, nil
		}
	}
	k, err := t.blockFrom(b, t.runKey(b.row.ID, u))
	if err != nil || k == nil {
		return nil, err
	}
	b.last = k
	if _, ok := k.find(u); !ok {
		return nil, nil
	}
	return k, nil
}

// tail is the last block with room for one more; u begins a new one if need be.
func (t *Tx) tail(b *boxState, u UID) (*block, error) {
	first := b.row.tail
	k := b.blocks[first]
	if k == nil && first > 0 {
		_, err := t.get("mailbox.blocks", t.runKey(b.row.ID, first), func(v []byte) error {
			row, err := decodeBlock(first, v)
			k, b.blocks[first] = &row, &row
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if k == nil || k.count == 0 || k.count >= t.store.run {
		k = &block{first: u}
		b.blocks[u], b.row.tail = k, u
		// Written at once, so that blockFrom finds its key.
		t.set(t.runKey(b.row.ID, u), k.encode())
	}
	b.last = k
	return k, nil
}

// blockFrom is the block with the first key from there on, or nil.
func (t *Tx) blockFrom(b *boxState, from []byte) (*block, error) {
	r := kv.Range{From: from, To: kv.PrefixEnd(t.boxKey(tagRun, b.row.ID)), Limit: 1}
	for k, err := range t.scanBlocks(b, r) {
		return k, err
	}
	return nil, nil
}

// scanBlocks reads blocks, in hand or stored.
func (t *Tx) scanBlocks(b *boxState, r kv.Range) iter.Seq2[*block, error] {
	const op = "mailbox.blocks"
	return func(yield func(*block, error) bool) {
		for p, err := range t.r.Scan(r) {
			if err != nil {
				yield(nil, fault.Wrap(op, err))
				return
			}
			key := kv.ReadKey(p.Key, t.boxKey(tagRun, b.row.ID))
			first := ^key.Uint32()
			k := b.blocks[first]
			if k == nil {
				row, err := decodeBlock(first, p.Value)
				if err = errors.Join(err, key.Err()); err != nil {
					yield(nil, fault.As(fault.Corrupt, op, err))
					return
				}
				k = &row
				// A view looks at each block once; it need not keep them.
				if t.w != nil {
					b.blocks[first] = k
				}
			}
			if !yield(k, nil) {
				return
			}
		}
	}
}

// allBlocks is the blocks of a mailbox in UID order, without those that were
// emptied in this transaction.
func (t *Tx) allBlocks(b *boxState) ([]*block, error) {
	if b.all != nil {
		return b.all, nil
	}
	var all []*block
	for k, err := range t.scanBlocks(b, kv.Prefix(t.boxKey(tagRun, b.row.ID))) {
		if err != nil {
			return nil, err
		}
		if k.count > 0 {
			all = append(all, k)
		}
	}
	slices.Reverse(all)
	if t.w == nil {
		b.all = all
	}
	return all, nil
}

// blockChanged notes that a block's row must be written.
func (t *Tx) blockChanged(k *block) {
	if !k.dirty {
		k.dirty = true
		t.weigh(40 + 4*len(k.spans))
	}
}

// thin merges a block that has lost a UID with its neighbours if all fit well
// into one, so that what is left of a large mailbox does not lie in many blocks.
// It looks for them when half was lost, and half of that, and so on.
func (t *Tx) thin(b *boxState, k *block) error {
	if k.count == 0 || 2*k.count > t.store.run || k.count&(k.count-1) != 0 {
		return nil
	}
	rows := t.boxKey(tagRun, b.row.ID)
	at := t.runKey(b.row.ID, k.first)
	for _, r := range []kv.Range{
		{From: append(at[:len(at):len(at)], 0), To: kv.PrefixEnd(rows), Limit: 1}, // smaller UIDs
		{From: rows, To: at, Limit: 1, Reverse: true},
	} {
		for other, err := range t.scanBlocks(b, r) {
			if err != nil {
				return err
			}
			if other.count == 0 || other.count+k.count > t.store.run*3/4 {
				continue
			}
			low, high := k, other
			if high.first < low.first {
				low, high = high, low
			}
			t.merge(b, low, high)
			k = low
		}
	}
	return nil
}

// merge puts the UIDs of block high behind those of low, with none between them.
func (t *Tx) merge(b *boxState, low, high *block) {
	t.del(t.runKey(b.row.ID, high.first)) // at once, so that nobody finds it
	delete(b.blocks, high.first)
	low.take(high)
	b.blocks[low.first], b.last = low, low
	if b.row.tail == high.first {
		b.row.tail = low.first
	}
	t.blockChanged(low)
}

// Run is the UIDs First..Last, both included: all of them are there.
type Run struct{ First, Last UID }

// Runs is all UIDs of a mailbox in order, as UIDs gives them one by one: the map
// from sequence numbers. It reads one row for up to 1,000 UIDs.
func (t *Tx) Runs(id BoxID) ([]Run, error) {
	b, err := t.may(id, RightRead)
	if err != nil {
		return nil, err
	}
	blocks, err := t.allBlocks(b)
	var runs []Run
	for _, k := range blocks {
		for _, s := range k.spans {
			if n := len(runs); n > 0 && runs[n-1].Last == s.from-1 {
				runs[n-1].Last = s.to
				continue
			}
			runs = append(runs, Run{s.from, s.to})
		}
	}
	return runs, err
}

// UIDs is all UIDs of a mailbox in order.
func (t *Tx) UIDs(id BoxID) ([]UID, error) {
	b, err := t.may(id, RightRead)
	if err != nil {
		return nil, err
	}
	blocks, err := t.allBlocks(b)
	uids := make([]UID, 0, min(b.row.Messages, 1<<20))
	for _, k := range blocks {
		uids = k.appendTo(uids)
	}
	return uids, err
}

// FirstUnseen is the first message without \Seen and its sequence number, for
// SELECT's UNSEEN (RFC 3501 §7.1); zeros if there is none. It reads the blocks
// up to the first with an unseen one, and the placements of that one.
func (t *Tx) FirstUnseen(id BoxID) (uid UID, number uint32, err error) {
	b, err := t.may(id, RightRead)
	if err != nil {
		return 0, 0, err
	}
	if t.foreign() {
		return t.firstUnmarked(b)
	}
	if b.row.Unseen == 0 {
		return 0, 0, nil
	}
	blocks, err := t.allBlocks(b)
	if err != nil {
		return 0, 0, err
	}
	for _, k := range blocks {
		if k.unseen == 0 {
			number += k.count
			continue
		}
		for p, err := range t.rows(id, k.first, k.spans[len(k.spans)-1].to) {
			if err != nil {
				return 0, 0, err
			}
			number++
			if !p.row.flags.Has(seen) {
				return p.uid, number, nil
			}
		}
		return 0, 0, fault.As(fault.Corrupt, "mailbox.FirstUnseen", errRow)
	}
	return 0, 0, fault.As(fault.Corrupt, "mailbox.FirstUnseen", errRow)
}

// DeletedSize is how many octets the messages with \Deleted of a mailbox have.
func (t *Tx) DeletedSize(id BoxID) (n int64, err error) {
	b, err := t.may(id, RightRead)
	if err != nil {
		return 0, err
	}
	uids, err := t.deleted(b)
	if err != nil {
		return 0, err
	}
	rows, err := t.getRows(id, uids)
	for _, p := range rows {
		n += p.row.size
	}
	return n, err
}

// deleted is the UIDs with \Deleted, found without a look at blocks that have
// none.
func (t *Tx) deleted(b *boxState) ([]UID, error) {
	var uids []UID
	if b.row.Deleted == 0 {
		return nil, nil
	}
	blocks, err := t.allBlocks(b)
	if err != nil {
		return nil, err
	}
	for _, k := range blocks {
		if k.deleted == 0 {
			continue
		}
		for p, err := range t.rows(b.row.ID, k.first, k.spans[len(k.spans)-1].to) {
			if err != nil {
				return nil, err
			}
			if p.row.flags.Has(deleted) {
				uids = append(uids, p.uid)
			}
		}
	}
	return uids, nil
}
