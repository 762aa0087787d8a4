package mailbox

import (
	"errors"
	"iter"

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
	k, err := t.blockBefore(b, t.runKey(b.row.ID, u).Uint8(0))
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
	k := b.last
	if k == nil || k.count == 0 || k.spans[len(k.spans)-1].to != u-1 {
		var err error
		if k, err = t.blockBefore(b, kv.PrefixEnd(t.boxKey(tagRun, b.row.ID))); err != nil {
			return nil, err
		}
	}
	if k == nil || k.count >= t.store.run {
		k = &block{first: u}
		b.blocks[u] = k
		// Written at once, so that blockBefore finds its key.
		t.set(t.runKey(b.row.ID, u), k.encode())
	}
	b.last = k
	return k, nil
}

// blockBefore is the last block whose key is below end, or nil.
func (t *Tx) blockBefore(b *boxState, end []byte) (*block, error) {
	r := kv.Range{From: t.boxKey(tagRun, b.row.ID), To: end, Reverse: true, Limit: 1}
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
			first := key.Uint32()
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

// allBlocks is scanBlocks over the whole mailbox.
func (t *Tx) allBlocks(b *boxState) iter.Seq2[*block, error] {
	return t.scanBlocks(b, kv.Prefix(t.boxKey(tagRun, b.row.ID)))
}

// blockChanged notes that a block's row must be written.
func (t *Tx) blockChanged(k *block) {
	if !k.dirty {
		k.dirty = true
		t.weigh(40 + 4*len(k.spans))
	}
}

// UIDs is all UIDs of a mailbox in order: the map from sequence numbers. It
// reads one row for up to 1,000 of them.
func (t *Tx) UIDs(id BoxID) ([]UID, error) {
	b, err := t.live(id)
	if err != nil {
		return nil, err
	}
	uids := make([]UID, 0, min(b.row.Messages, 1<<20))
	for k, err := range t.allBlocks(b) {
		if err != nil {
			return nil, err
		}
		uids = k.appendTo(uids)
	}
	return uids, nil
}

// FirstUnseen is the first message without \Seen and its sequence number, for
// SELECT's UNSEEN (RFC 3501 §7.1); zeros if there is none. It reads the blocks
// up to the first with an unseen one, and the placements of that one.
func (t *Tx) FirstUnseen(id BoxID) (uid UID, number uint32, err error) {
	b, err := t.live(id)
	if err != nil || b.row.Unseen == 0 {
		return 0, 0, err
	}
	for k, err := range t.allBlocks(b) {
		if err != nil {
			return 0, 0, err
		}
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

// deleted is the UIDs with \Deleted, found without a look at blocks that have
// none.
func (t *Tx) deleted(b *boxState) ([]UID, error) {
	var uids []UID
	if b.row.Deleted == 0 {
		return nil, nil
	}
	for k, err := range t.allBlocks(b) {
		if err != nil {
			return nil, err
		}
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
