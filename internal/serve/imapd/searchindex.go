package imapd

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/search"
)

// fewIDs says when a search goes by the index's candidates instead of the
// mailbox's rows: when they are less than one in so many.
const fewIDs = 4

// maxSeen is how many messages a search remembers to have looked at.
const maxSeen = 50_000

// consult asks the index for each key that looks into texts.
func (c *session) consult(k *key) error {
	for i := range k.keys {
		if err := c.consult(&k.keys[i]); err != nil {
			return err
		}
	}
	q := search.Query{Text: k.raw}
	switch k.op {
	case "HEADER":
		if q.In, q.Field = search.RegionOf(k.field), k.field; q.In != search.Others && k.text.Empty() {
			return nil
		}
	case "BODY":
		q.In = search.Body
	case "TEXT":
		q.In = search.Text
	default:
		return nil
	}
	r, err := c.o.Mailbox.Search(c.work, c.sel.account, q)
	if fault.Is(err, fault.Corrupt) {
		// The index can be made again; the messages themselves are looked at.
		c.report(err)
		return nil
	}
	if err == nil && !r.Blind {
		k.found, k.asked, k.seen = &r, q, map[uint64]bool{}
	}
	return err
}

// learn tells the index what was found out beside it.
func (c *session) learn(k *key) {
	for i := range k.keys {
		c.learn(&k.keys[i])
	}
	if k.found != nil {
		c.o.Mailbox.Learn(c.sel.account, k.asked, k.seen)
	}
}

// indexed is what the index says of a message.
func (k *key) indexed(r *row) answer {
	id := uint64(r.Placement.Message)
	if k.found == nil || id > k.found.UpTo {
		return perhaps
	}
	if _, ok := slices.BinarySearch(k.found.Sure, id); ok {
		return surely
	}
	if _, ok := slices.BinarySearch(k.found.Maybe, id); ok {
		return perhaps
	}
	return never
}

// candidates are the messages that a key may be true of: ids, and all behind upTo.
type candidates struct {
	ids  []uint64 // ascending
	upTo uint64
}

// candidates is false if they may be any.
func (k *key) candidates() (candidates, bool) {
	switch {
	case k.found != nil:
		return candidates{merged(k.found.Sure, k.found.Maybe), k.found.UpTo}, true
	case k.op == "AND":
		var best candidates
		found := false
		for i := range k.keys {
			if s, ok := k.keys[i].candidates(); ok && (!found || len(s.ids) < len(best.ids)) {
				best, found = s, true
			}
		}
		return best, found
	case k.op == "OR":
		a, ok := k.keys[0].candidates()
		b, also := k.keys[1].candidates()
		return candidates{merged(a.ids, b.ids), min(a.upTo, b.upTo)}, ok && also
	}
	return candidates{}, false
}

func merged(a, b []uint64) []uint64 {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// placed says whether a key must see the placement, and not the text only.
func (k *key) placed() bool {
	switch k.op {
	case "HEADER", "BODY", "TEXT", "SENTBEFORE", "SENTON", "SENTSINCE", "ALL":
		return false
	}
	return !slices.Contains([]string{"AND", "OR", "NOT"}, string(k.op)) || slices.ContainsFunc(k.keys, func(k key) bool { return k.placed() })
}

// searchFew looks at the candidates, and at all messages that the index does not
// know yet.
func (c *session) searchFew(all *key, some candidates, uid bool, m *search.Scratch) ([]int64, error) {
	var found []int64
	ids := make([]mailbox.MessageID, 0, len(some.ids))
	for _, id := range some.ids {
		if id <= some.upTo {
			ids = append(ids, mailbox.MessageID(id))
		}
	}
	var behind []mailbox.MessageID
	err := c.readSelected(func(tx *mailbox.Tx) (err error) {
		behind, err = tx.Behind(mailbox.MessageID(some.upTo))
		return err
	})
	if err != nil {
		return nil, err
	}
	for ids = append(ids, behind...); len(ids) > 0; {
		page := ids[:min(len(ids), pageOfPlacements)]
		ids = ids[len(page):]
		rows, err := c.rowsOf(page, all)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			hit, err := c.matches(all, &rows[i], m)
			switch {
			case err != nil:
				return nil, err
			case !hit:
			case uid:
				found = append(found, int64(rows[i].UID))
			default:
				found = append(found, int64(rows[i].number))
			}
		}
		if err := c.work.Err(); err != nil {
			return nil, err
		}
	}
	slices.Sort(found)
	return found, nil
}

// rowsOf reads those of a page of messages that lie in the selected mailbox and
// may match.
func (c *session) rowsOf(page []mailbox.MessageID, all *key) ([]row, error) {
	v, w, placed := c.sel, all.needs(), all.placed()
	var rows []row
	err := c.readSelected(func(tx *mailbox.Tx) error {
		rows = rows[:0]
		messages, err := tx.Messages(page)
		if err != nil {
			return err
		}
		for _, m := range messages { // one that is gone has no places
			for _, p := range m.Places {
				r := row{Placement: mailbox.Placement{Box: p.Box, UID: p.UID, Message: m.ID}, message: m}
				if p.Box != v.box {
					continue
				}
				if r.number = v.number(p.UID); r.number == 0 {
					continue
				}
				if placed {
					if r.Placement, err = tx.Placement(p.Box, p.UID); err != nil {
						return err
					}
				}
				switch all.cheap(&r) {
				case never:
					continue
				case perhaps:
					if err := load(tx, &r, w); err != nil {
						return err
					}
				}
				rows = append(rows, r)
			}
		}
		return nil
	})
	return rows, err
}
