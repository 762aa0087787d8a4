package imapd

import (
	"math"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/search"
)

// fewIDs says when a search goes by the index's candidates instead of the
// mailbox's rows: when they are less than one in so many.
const fewIDs = 10

// maxSeen is how many messages a search remembers to have looked at.
const maxSeen = 50_000

// answers are what the index of an account said. It is the same for all its mailboxes.
type answers map[accountQuery]search.Result

type accountQuery struct {
	account mail.AccountID
	query   search.Query
}

// ask asks the index, or remembers what it said.
func (f *finder) ask(q search.Query) (search.Result, error) {
	k := accountQuery{f.v.account, q}
	if r, known := f.answers[k]; known {
		return r, nil
	}
	r, err := f.c.o.Mailbox.Search(f.c.work, f.v.account, q)
	if err == nil && f.answers != nil {
		f.answers[k] = r
	}
	return r, err
}

// consult asks the index for each key that looks into texts.
func (f *finder) consult(k *key) error {
	for i := range k.keys {
		if err := f.consult(&k.keys[i]); err != nil {
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
	r, err := f.ask(q)
	if fault.Is(err, fault.Corrupt) {
		// The index can be made again; the messages themselves are looked at.
		f.c.report(err)
		return nil
	}
	if err == nil && !r.Blind {
		k.found, k.asked, k.seen = &r, q, map[uint64]bool{}
	}
	return err
}

// learn tells the index what was found out beside it.
func (f *finder) learn(k *key) {
	for i := range k.keys {
		f.learn(&k.keys[i])
	}
	if k.found != nil {
		f.c.o.Mailbox.Learn(f.v.account, k.asked, k.seen)
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
	case k.op == "ID":
		return candidates{k.ids, math.MaxUint64}, true
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
	case "HEADER", "BODY", "TEXT", "SENTBEFORE", "SENTON", "SENTSINCE", "ALL", "ID", "UID":
		return false
	}
	return !slices.Contains([]string{"AND", "OR", "NOT"}, string(k.op)) || slices.ContainsFunc(k.keys, func(k key) bool { return k.placed() })
}

// findFew looks at the candidates, and at all messages that the index does not
// know yet.
func (f *finder) findFew(some candidates) error {
	ids, err := f.idsIn(some)
	if err != nil {
		return err
	}
	size := pageOfPlacements
	if f.rows || f.all.placed() {
		size = pageOfMessages
	}
	for done := 0; done < len(ids); done += size {
		rows, err := f.rowsOf(ids[done:min(done+size, len(ids))])
		if err != nil {
			return err
		}
		if err := f.judge(rows, done, len(ids)); err != nil {
			return err
		}
	}
	inMailboxOrder(f.hits)
	return nil
}

// rowsOf reads those of a page of messages that lie in the mailbox and may match.
func (f *finder) rowsOf(page []mailbox.MessageID) ([]row, error) {
	w := f.all.needs()
	var rows []row
	err := f.c.readOf(f.v, func(tx *mailbox.Tx) error {
		var err error
		if rows, err = f.standing(tx, page, rows[:0]); err != nil {
			return err
		}
		if f.rows || f.all.placed() {
			if err := f.place(tx, rows); err != nil {
				return err
			}
		}
		likely := rows[:0]
		for _, r := range rows {
			if r.sure = f.all.cheap(&r); r.sure != never && r.Placement.Message != 0 {
				likely = append(likely, r)
			}
		}
		rows = likely
		return loadUnsure(tx, rows, w)
	})
	return rows, err
}

// standing gives where the messages of a page stand in the mailbox, without what
// placements say.
func (f *finder) standing(tx *mailbox.Tx, page []mailbox.MessageID, rows []row) ([]row, error) {
	add := func(id mailbox.MessageID, u mailbox.UID, m mailbox.Message) {
		if u >= f.lowest && f.v.number(u) > 0 && !f.v.isGone(u) {
			rows = append(rows, row{Placement: mailbox.Placement{Box: f.v.box, UID: u, Message: id}, message: m})
		}
	}
	if f.v.mapped != nil {
		from := 0
		for _, id := range page {
			var u mailbox.UID
			if u, from = f.v.mapped.find(id, from); u != 0 {
				add(id, u, mailbox.Message{})
			}
		}
		return rows, nil
	}
	messages, err := tx.Messages(page)
	for _, m := range messages { // one that is gone has no places
		for _, p := range m.Places {
			if p.Box == f.v.box {
				add(m.ID, p.UID, m)
			}
		}
	}
	return rows, err
}

// place reads the placements of rows; one that is gone loses its message.
func (f *finder) place(tx *mailbox.Tx, rows []row) error {
	uids := make([]mailbox.UID, len(rows))
	for i := range rows {
		uids[i] = rows[i].UID
	}
	slices.Sort(uids)
	places, err := tx.PlacementsAt(f.v.box, uids)
	if err != nil {
		return err
	}
	at := make(map[mailbox.UID]*mailbox.Placement, len(places))
	for i := range places {
		at[places[i].UID] = &places[i]
	}
	for i := range rows {
		if p := at[rows[i].UID]; p != nil {
			rows[i].Placement = *p
		} else {
			rows[i].Placement.Message = 0
		}
	}
	return nil
}
