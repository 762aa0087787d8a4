package imapd

import (
	"cmp"
	"math"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// messageMap is where the messages of a mailbox stand in it: what a search index
// finds are messages. It is kept as runs in which both ids and UIDs follow one
// another; in an INBOX that is seldom more than one for each message that went
// elsewhere.
type messageMap struct{ runs []messageRun } // ascending by message; none overlap

type messageRun struct {
	message mailbox.MessageID
	uid     mailbox.UID
	n       uint32
}

// add notes where a message stands, in ascending order of UIDs.
func (m *messageMap) add(id mailbox.MessageID, u mailbox.UID) {
	if k := len(m.runs) - 1; k >= 0 {
		if r := &m.runs[k]; r.message+mailbox.MessageID(r.n) == id && r.uid+r.n == u {
			r.n++
			return
		}
	}
	m.runs = append(m.runs, messageRun{id, u, 1})
}

// settle puts the runs into order. It is false where a message stands in more than one
// place.
func (m *messageMap) settle() bool {
	slices.SortFunc(m.runs, func(a, b messageRun) int { return cmp.Compare(a.message, b.message) })
	for i := 1; i < len(m.runs); i++ {
		if m.runs[i-1].message+mailbox.MessageID(m.runs[i-1].n) > m.runs[i].message {
			return false
		}
	}
	return true
}

// find gives the UID of a message, and the run to begin with for the next one; ids
// ascend from call to call. 0 is none.
func (m *messageMap) find(id mailbox.MessageID, from int) (mailbox.UID, int) {
	for from < len(m.runs) && m.runs[from].message+mailbox.MessageID(m.runs[from].n) <= id {
		from++
	}
	if from == len(m.runs) || m.runs[from].message > id {
		return 0, from
	}
	return m.runs[from].uid + mailbox.UID(id-m.runs[from].message), from
}

// When a view maps its messages: when an index finds one in mapShare of them, or by
// the mapSearches-th search that the index helps.
const (
	mapShare    = 10
	mapSearches = 3
)

// mapMessages makes the map of the selected mailbox, if it is worth it for n candidates
// and there is none. It costs a look at each placement, and every search after it less.
func (c *session) mapMessages(v *view, n int) (*messageMap, error) {
	if v.searches++; v != c.sel || v.mapped != nil || v.unmapped || n < v.uids.n/mapShare && v.searches < mapSearches {
		return v.mapped, nil
	}
	var m *messageMap
	err := c.readOf(v, func(tx *mailbox.Tx) error {
		m = &messageMap{}
		for p, err := range tx.Placements(v.box, 1, max(v.uids.top(), 1)) {
			if err != nil {
				return err
			}
			m.add(p.Message, p.UID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !m.settle() {
		v.unmapped = true
		return nil, nil
	}
	v.mapped = m
	return m, nil
}

// arrive adds a message that came into the mailbox. One that is older than others
// there makes the map useless.
func (v *view) arrive(p *mailbox.Placement) {
	if v.mapped == nil {
		return
	}
	last := mailbox.MessageID(0)
	if k := len(v.mapped.runs); k > 0 {
		last = v.mapped.runs[k-1].message + mailbox.MessageID(v.mapped.runs[k-1].n) - 1
	}
	if v.mapped.add(p.Message, p.UID); p.Message <= last {
		v.mapped = nil
	}
}

// findMapped is findFew where the view knows where each message stands.
func (f *finder) findMapped(m *messageMap, some candidates) error {
	ids, err := f.idsIn(some)
	if err != nil {
		return err
	}
	from, w := 0, f.all.needs()
	var rows []row
	var r row
	for done, id := range ids {
		if r.UID, from = m.find(id, from); r.UID != 0 && r.UID >= f.lowest && f.v.number(r.UID) > 0 && !f.v.isGone(r.UID) {
			r.Placement.Box, r.Placement.Message = f.v.box, id
			rows = f.consider(&r, rows)
		}
		if len(rows) < pageOfMessages && done < len(ids)-1 {
			continue
		}
		if err := f.c.readOf(f.v, func(tx *mailbox.Tx) error { return loadUnsure(tx, rows, w) }); err != nil {
			return err
		}
		if err := f.judge(rows, done, len(ids)); err != nil {
			return err
		}
		rows = rows[:0]
	}
	inMailboxOrder(f.hits)
	return nil
}

// idsIn is the candidates, and all messages that the index does not know yet.
func (f *finder) idsIn(some candidates) ([]mailbox.MessageID, error) {
	ids := make([]mailbox.MessageID, 0, len(some.ids))
	for _, id := range some.ids {
		if id <= some.upTo {
			ids = append(ids, mailbox.MessageID(id))
		}
	}
	if some.upTo == math.MaxUint64 {
		return ids, nil
	}
	err := f.c.readOf(f.v, func(tx *mailbox.Tx) error {
		behind, err := tx.Behind(mailbox.MessageID(some.upTo))
		ids = append(ids[:len(ids):len(ids)], behind...)
		return err
	})
	return ids, err
}
