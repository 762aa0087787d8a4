package mailbox

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// scanSpread is how far apart ids may lie, on average, for one scan over all
// rows between them to be cheaper than to get each.
const scanSpread = 3

// Messages gives many messages in the order of ids, as they were when the
// transaction began. One that is not there has the zero ID.
func (t *Tx) Messages(ids []MessageID) ([]Message, error) {
	out := make([]Message, len(ids))
	err := t.rowsOf(tagMessage, ids, func(i int, v []byte) error {
		r, err := decodeMessage(ids[i], v)
		if err != nil {
			return fault.As(fault.Corrupt, "mailbox.Messages", err)
		}
		if out[i], err = t.exportMessage(&r); t.foreign() && fault.Is(err, fault.NotFound) {
			err = nil
		}
		return err
	})
	return out, fault.Wrap("mailbox.Messages", err)
}

// Indexes gives what was kept of many messages, in the order of ids: nil where
// nothing was, or it cannot be read. The content tells the same.
func (t *Tx) Indexes(ids []MessageID) ([]*message.Index, error) {
	out := make([]*message.Index, len(ids))
	if t.foreign() {
		readable, err := t.Messages(ids)
		if err != nil {
			return nil, err
		}
		ids = make([]MessageID, len(ids)) // no message is 0
		for i := range readable {
			ids[i] = readable[i].ID
		}
	}
	err := t.rowsOf(tagView, ids, func(i int, v []byte) error {
		if ix, err := message.Unmarshal(v); err == nil {
			out[i] = ix
		}
		return nil
	})
	return out, fault.Wrap("mailbox.Indexes", err)
}

// rowsOf reads a row of each message, and calls found for those that are there.
func (t *Tx) rowsOf(tag byte, ids []MessageID, found func(i int, v []byte) error) error {
	if len(ids) == 0 {
		return nil
	}
	first, last := slices.Min(ids), slices.Max(ids)
	if uint64(last-first) < scanSpread*uint64(len(ids)) {
		return t.rowsBetween(tag, ids, first, last, found)
	}
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = t.msgKey(tag, id)
	}
	rows, err := t.r.GetMany(keys)
	if err != nil {
		return err
	}
	for i, v := range rows {
		if v == nil {
			continue
		}
		if err := found(i, v); err != nil {
			return err
		}
	}
	return nil
}

// rowsBetween reads the rows from first to last, and picks those of ids.
func (t *Tx) rowsBetween(tag byte, ids []MessageID, first, last MessageID, found func(int, []byte) error) error {
	wanted := make(map[MessageID][]int, len(ids))
	for i, id := range ids {
		wanted[id] = append(wanted[id], i)
	}
	prefix := t.key(tag)
	for p, err := range t.r.Scan(kv.Range{From: t.msgKey(tag, first), To: kv.PrefixEnd(t.msgKey(tag, last))}) {
		if err != nil {
			return err
		}
		k := kv.ReadKey(p.Key, prefix)
		id := MessageID(k.Uint64())
		if err := k.Err(); err != nil {
			return fault.As(fault.Corrupt, "mailbox.rowsBetween", err)
		}
		for _, i := range wanted[id] {
			if err := found(i, p.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadMessages takes the messages of placements in hand: those that came
// together lie side by side, and are read with one scan.
func (t *Tx) loadMessages(rows []placed) error {
	ids := make([]MessageID, 0, len(rows))
	for _, p := range rows {
		if t.messages[p.row.message] == nil {
			ids = append(ids, p.row.message)
		}
	}
	return fault.Wrap("mailbox.message", t.rowsOf(tagMessage, ids, func(i int, v []byte) error {
		r, err := decodeMessage(ids[i], v)
		if err != nil {
			return fault.As(fault.Corrupt, "mailbox.message", err)
		}
		if t.messages[ids[i]] == nil {
			t.messages[ids[i]] = &messageState{row: &r}
		}
		return nil
	}))
}
