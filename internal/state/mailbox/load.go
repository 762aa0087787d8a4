package mailbox

import (
	"bytes"
	"cmp"
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
		r, err := decodeMessage(ids[i], bytes.Clone(v))
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

// Sources is Messages without threads and places: what is needed to read their
// content. They go into out, which is as long as ids; prefixes lie in room, which
// grows and is given back.
func (t *Tx) Sources(ids []MessageID, out []Message, room []byte) ([]byte, error) {
	ids, err := t.readableIDs(ids)
	if err != nil {
		return room, err
	}
	err = t.rowsOf(tagMessage, ids, func(i int, v []byte) error {
		m, err := decodeSource(ids[i], v)
		if err != nil {
			return fault.As(fault.Corrupt, "mailbox.Sources", err)
		}
		at := len(room)
		room = append(room, m.Prefix...)
		m.Prefix = room[at:len(room):len(room)]
		out[i] = m
		return nil
	})
	return room, fault.Wrap("mailbox.Sources", err)
}

// Indexes gives what was kept of many messages, in the order of ids: nil where
// nothing was, or it cannot be read. The content tells the same.
func (t *Tx) Indexes(ids []MessageID) ([]*message.Index, error) {
	out := make([]*message.Index, len(ids))
	err := t.Views(ids, func(i int, v []byte) {
		if ix, err := message.Unmarshal(v); err == nil {
			out[i] = ix
		}
	})
	return out, err
}

// Views reads what was kept of many messages, and calls found with the place in
// ids of each of which something was, and with that, as message.Index.Marshal
// wrote it. It is good during the call only.
func (t *Tx) Views(ids []MessageID, found func(i int, view []byte)) error {
	ids, err := t.readableIDs(ids)
	if err != nil {
		return err
	}
	return fault.Wrap("mailbox.Views", t.rowsOf(tagView, ids, func(i int, v []byte) error {
		found(i, v)
		return nil
	}))
}

// readableIDs is ids with 0, which no message has, for those of messages that who
// looks may not read.
func (t *Tx) readableIDs(ids []MessageID) ([]MessageID, error) {
	if !t.foreign() {
		return ids, nil
	}
	messages, err := t.Messages(ids)
	if err != nil {
		return nil, err
	}
	readable := make([]MessageID, len(ids))
	for i := range messages {
		readable[i] = messages[i].ID
	}
	return readable, nil
}

// rowsOf reads a row of each message, and calls found for those that are there.
// The values are good during the call only.
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
	order := byID(ids)
	next := 0
	prefix := t.key(tag)
	for p, err := range t.r.Scan(kv.Range{From: t.msgKey(tag, first), To: kv.PrefixEnd(t.msgKey(tag, last)), Borrow: true}) {
		if err != nil {
			return err
		}
		k := kv.ReadKey(p.Key, prefix)
		id := MessageID(k.Uint64())
		if err := k.Err(); err != nil {
			return fault.As(fault.Corrupt, "mailbox.rowsBetween", err)
		}
		for ; next < len(order) && ids[order[next]] <= id; next++ {
			if ids[order[next]] < id {
				continue // not there
			}
			if err := found(int(order[next]), p.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// byID is the places in ids, in the order of the ids. Most come so.
func byID(ids []MessageID) []int32 {
	order := make([]int32, len(ids))
	for i := range order {
		order[i] = int32(i)
	}
	if !slices.IsSorted(ids) {
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(ids[a], ids[b]) })
	}
	return order
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
		r, err := decodeMessage(ids[i], bytes.Clone(v))
		if err != nil {
			return fault.As(fault.Corrupt, "mailbox.message", err)
		}
		if t.messages[ids[i]] == nil {
			t.messages[ids[i]] = &messageState{row: &r}
		}
		return nil
	}))
}
