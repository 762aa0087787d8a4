package imapd

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/search"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// Bounds of the searches whose results a session keeps up to date. Beyond them
// UPDATE is refused (RFC 5267 §4.3.1).
const (
	maxContexts    = 16
	maxContextHits = 200_000 // of one search, at 4 octets each
	maxSortedHits  = 20_000  // of one sort, which keeps what it sorts by
)

// searchContext is a search with UPDATE (RFC 5267 §4.3).
type searchContext struct {
	tag, correlator string
	uid, sort       bool // results are UIDs; and in the order of a SORT
	f               *finder
	uids            []mailbox.UID // of the result, ascending
	sorted          []*sortable   // of a SORT, in its order
}

// context is the one with that tag, or nil.
func (v *view) context(tag string) *searchContext {
	for _, x := range v.contexts {
		if x.tag == tag {
			return x
		}
	}
	return nil
}

// keepUpdated keeps the result of a search up to date, or says that it will not.
func (c *session) keepUpdated(f *finder, x *searchContext) {
	limit := maxContextHits
	if x.sort {
		limit = maxSortedHits
	}
	if len(f.v.contexts) >= maxContexts || len(f.hits) > limit || f.lowest > 0 {
		c.enc.Status("", "NO", `NOUPDATE "`+x.tag+`"`, "too many searches with UPDATE, or too large a one")
		return
	}
	x.f, x.sorted = f, f.sorted
	for i := range f.hits {
		x.uids = append(x.uids, f.hits[i].uid)
	}
	slices.Sort(x.uids)
	f.hits, f.sorted, f.answers, f.scratch = nil, nil, nil, search.Scratch{}
	f.v.contexts = append(f.v.contexts, x)
}

// cancelUpdate is CANCELUPDATE (RFC 5267 §4.3.5).
func (c *session) cancelUpdate(cmd *imap.CancelUpdateCommand) (reply, error) {
	c.sel.contexts = slices.DeleteFunc(c.sel.contexts, func(x *searchContext) bool { return slices.Contains(cmd.Tags, x.tag) })
	return ok("no further updates"), nil
}

// removeFound tells of results that are gone, as must be before their EXPUNGE
// (RFC 5267 §4.3.4).
func (c *session) removeFound(uids []mailbox.UID) {
	for _, x := range c.sel.contexts {
		var gone []mailbox.UID
		for _, u := range uids {
			if _, found := slices.BinarySearch(x.uids, u); found {
				gone = append(gone, u)
			}
		}
		x.remove(gone)
	}
}

// updateFound tells of results that are new, and of those that are none any more.
func (c *session) updateFound(changed []mailbox.Placement) {
	for _, x := range c.sel.contexts {
		x.f.hits = nil
		rows := make([]row, len(changed))
		for i := range changed {
			rows[i].Placement = changed[i]
		}
		if err := x.f.again(rows); err != nil {
			c.report(err) // and the result stays as it was told
			continue
		}
		var gone []mailbox.UID
		for i := range changed {
			u := changed[i].UID
			_, was := slices.BinarySearch(x.uids, u)
			_, is := slices.BinarySearchFunc(x.f.hits, u, func(h hit, u mailbox.UID) int { return cmp.Compare(h.uid, u) })
			if was && !is {
				gone = append(gone, u)
			}
		}
		x.f.hits = slices.DeleteFunc(x.f.hits, func(h hit) bool {
			_, was := slices.BinarySearch(x.uids, h.uid)
			return was
		})
		slices.Sort(gone)
		x.remove(gone)
		if err := x.add(); err != nil {
			c.report(err)
		}
	}
}

// again judges rows that may have changed.
func (f *finder) again(rows []row) error {
	var likely []row
	err := f.c.readOf(f.v, func(tx *mailbox.Tx) error {
		if err := f.rename(tx, &f.all); err != nil {
			return err
		}
		likely = likely[:0]
		for _, r := range rows {
			if r.sure = f.all.cheap(&r); r.sure != never {
				likely = append(likely, r)
			}
		}
		return loadUnsure(tx, likely, f.all.needs())
	})
	if err != nil {
		return err
	}
	for i := range likely {
		err := f.judge(likely[i:i+1], 0, 0)
		if lost(err) != nil {
			return err
		}
	}
	inMailboxOrder(f.hits)
	return nil
}

// begin writes an ESEARCH response as far as the data.
func (x *searchContext) begin(item string) *imap.Encoder {
	e := x.f.c.enc.Untagged().Raw("ESEARCH ").Raw(x.correlator)
	if x.uid {
		e.Raw(" UID")
	}
	return e.SP().Raw(item).Raw(" (")
}

// remove takes UIDs, which ascend, out of the result and says so.
func (x *searchContext) remove(gone []mailbox.UID) {
	if len(gone) == 0 {
		return
	}
	x.uids = slices.DeleteFunc(x.uids, func(u mailbox.UID) bool {
		_, found := slices.BinarySearch(gone, u)
		return found
	})
	if !x.sort {
		x.begin("REMOVEFROM").Raw("0 " + x.set(gone)).Raw(")\r\n")
		return
	}
	e, sep := x.begin("REMOVEFROM"), ""
	for i := len(x.sorted) - 1; i >= 0; i-- { // from the end, so that no position moves
		if _, found := slices.BinarySearch(gone, x.sorted[i].uid); found {
			e.Raw(sep + strconv.Itoa(i+1) + " " + x.set([]mailbox.UID{x.sorted[i].uid}))
			x.sorted = slices.Delete(x.sorted, i, i+1)
			sep = " "
		}
	}
	e.Raw(")\r\n")
}

// add puts the finder's hits, which ascend, into the result and says so.
func (x *searchContext) add() error {
	var fresh []mailbox.UID
	for i := range x.f.hits {
		fresh = append(fresh, x.f.hits[i].uid)
	}
	if len(fresh) == 0 {
		return nil
	}
	if !x.sort {
		x.uids = slices.Concat(x.uids, fresh)
		slices.Sort(x.uids)
		x.begin("ADDTO").Raw("0 " + x.set(fresh)).Raw(")\r\n")
		return nil
	}
	sorted, err := x.f.sortables()
	if err != nil {
		return err
	}
	x.uids = slices.Concat(x.uids, fresh)
	slices.Sort(x.uids)
	e, sep := x.begin("ADDTO"), ""
	for i := range sorted {
		at, _ := slices.BinarySearchFunc(x.sorted, &sorted[i], x.f.compare)
		x.sorted = slices.Insert(x.sorted, at, &sorted[i])
		e.Raw(sep + strconv.Itoa(at+1) + " " + x.set([]mailbox.UID{sorted[i].uid}))
		sep = " "
	}
	e.Raw(")\r\n")
	return nil
}

// set is UIDs as the search told of them.
func (x *searchContext) set(uids []mailbox.UID) string {
	ns := slices.Clone(uids)
	if !x.uid {
		for i, u := range ns {
			ns[i] = uint32(x.f.v.number(u))
		}
	}
	return imap.SetOf(ns).String()
}
