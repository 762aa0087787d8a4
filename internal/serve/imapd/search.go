package imapd

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// lost is err, but nil where a message went away or cannot be read: a search goes
// on without it.
func lost(err error) error {
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Expunged) || fault.Is(err, fault.Corrupt) {
		return nil
	}
	return err
}

// refuses is the reply to a search that cannot be done here; empty if it can.
func (c *session) refuses(cmd *imap.SearchCommand) reply {
	switch {
	case !imap.KnownCharset(cmd.Charset):
		return reply{"NO", "BADCHARSET (US-ASCII UTF-8)", "unknown charset"}
	case c.has(uidOnly) && slices.ContainsFunc(cmd.Keys, byNumber):
		return uidRequired()
	}
	return reply{}
}

// byNumber says whether a key names messages by their numbers.
func byNumber(k imap.SearchKey) bool {
	return k.Op == "SET" && !k.Set.Saved() || slices.ContainsFunc(k.Keys, byNumber)
}

// search is SEARCH and UID SEARCH (RFC 9051 §6.4.4). What the placements cannot
// decide is looked up in the kept index, and only then in the content.
func (c *session) search(cmd *imap.SearchCommand) (reply, error) {
	if cmd.Return == nil && c.has(rev2) {
		cmd.Return = &imap.SearchReturn{All: true} // RFC 9051 §6.4.4
	}
	return c.searching(cmd, (*finder).find, "SEARCH")
}

// searching does what SEARCH and SORT have in common; find finds the hits in the
// order wanted, name is that of the response where none is asked for.
func (c *session) searching(cmd *imap.SearchCommand, find func(*finder) error, name string) (reply, error) {
	v, ret := c.sel, cmd.Return
	if r := c.refuses(cmd); r.status != "" {
		if r.status == "NO" {
			v.savedNothing(ret)
		}
		return r, nil
	}
	if ret != nil && ret.Update && v.context(c.tag) != nil {
		return clientBug("the tag is that of a search with UPDATE (RFC 5267 4.3)"), nil
	}
	f, err := c.newFinder(v, cmd.Keys)
	if err == nil {
		if f.modSeq { // RFC 7162 §3.1
			c.turnOn(condstore)
		}
		f.rows = f.modSeq || ret != nil && ret.Relevancy
		f.keep = ret != nil && ret.Update
		err = find(f)
	}
	if err == nil && ret != nil && ret.Relevancy {
		err = f.score()
	}
	if err != nil {
		if !fault.Is(err, fault.Invalid) { // which is BAD
			v.savedNothing(ret)
		}
		return reply{}, err
	}
	if ret == nil {
		c.tellNumbers(name, f, cmd.UID)
	} else {
		correlator := `(TAG "` + c.tag + `")`
		c.tellFound(f, cmd, correlator)
		v.save(ret, f)
		if ret.Update {
			c.keepUpdated(f, &searchContext{tag: c.tag, correlator: correlator, uid: cmd.UID, sort: name == "SORT"})
		}
	}
	return f.done(name), nil
}

// done is the reply to a search that ended well.
func (f *finder) done(name string) reply {
	return f.c.limited(ok(name+" done"), f.lowest)
}

// id is how a hit is named.
func (f *finder) id(h *hit, uid bool) uint32 {
	if uid {
		return h.uid
	}
	return uint32(f.v.number(h.uid))
}

// tellNumbers writes a SEARCH or SORT response.
func (c *session) tellNumbers(name string, f *finder, uid bool) {
	c.enc.Untagged().Raw(name)
	for i := range f.hits {
		c.enc.SP().Number(int64(f.id(&f.hits[i], uid)))
	}
	if f.modSeq && len(f.hits) > 0 {
		c.enc.Raw(" (MODSEQ ").Number(int64(highest(f.hits))).Raw(")")
	}
	c.enc.CRLF()
}

func highest(hits []hit) (n mailbox.ModSeq) {
	for i := range hits {
		n = max(n, hits[i].modSeq)
	}
	return n
}

// tellFound writes an ESEARCH response (RFC 4731 §3.1) with that correlator; none
// where the result is to be saved and nothing else (RFC 5182 §1).
func (c *session) tellFound(f *finder, cmd *imap.SearchCommand, correlator string) {
	ret, n := cmd.Return, len(f.hits)
	if *ret == (imap.SearchReturn{Save: true, Context: ret.Context}) {
		return
	}
	c.enc.Untagged().Raw("ESEARCH ").Raw(correlator)
	if cmd.UID {
		c.enc.Raw(" UID")
	}
	if ret.Min && n > 0 {
		c.enc.Raw(" MIN ").Number(int64(f.id(&f.hits[0], cmd.UID)))
	}
	if ret.Max && n > 0 {
		c.enc.Raw(" MAX ").Number(int64(f.id(&f.hits[n-1], cmd.UID)))
	}
	if ret.Count {
		c.enc.Raw(" COUNT ").Number(int64(n))
	}
	if wantsAll(ret) && n > 0 {
		c.enc.Raw(" ALL ").Raw(f.set(f.hits, cmd.UID))
	}
	if w := ret.Partial; w != nil {
		c.enc.Raw(" PARTIAL (").Raw(w.String()).SP()
		if from, to := inWindow(w, n); from < to {
			c.enc.Raw(f.set(f.hits[from:to], cmd.UID))
		} else {
			c.enc.Raw("NIL")
		}
		c.enc.Raw(")")
	}
	if ret.Relevancy {
		told := f.hits
		if ret.Partial != nil {
			from, to := inWindow(ret.Partial, n)
			told = told[from:to]
		}
		c.enc.Raw(" RELEVANCY ").List(len(told), func(i int) { c.enc.Number(int64(told[i].score)) })
	}
	if f.modSeq && n > 0 {
		c.enc.Raw(" MODSEQ ").Number(int64(highest(singled(ret, f.hits))))
	}
	c.enc.CRLF()
}

// wantsAll says whether ALL is wanted, by name or because nothing is named (RFC
// 4731 §3.1).
func wantsAll(r *imap.SearchReturn) bool {
	return r.All || !r.Min && !r.Max && !r.Count && !r.Save && !r.Update && !r.Relevancy && r.Partial == nil
}

// set is hits as a sequence-set, in their order.
func (f *finder) set(hits []hit, uid bool) string {
	ns := make([]uint32, len(hits))
	for i := range hits {
		ns[i] = f.id(&hits[i], uid)
	}
	return imap.SetOf(ns).String()
}

// inWindow is which of n results a window shows: from..to-1.
func inWindow(w *imap.Window, n int) (from, to int) {
	from, to = min(int(w.First)-1, n), min(int(w.Last), n)
	if w.FromEnd {
		from, to = n-to, n-from
	}
	return from, to
}

// singled are the hits that a response tells of one by one; all where COUNT or ALL
// does (RFC 4731 §3.2, RFC 5182 §2.4, RFC 9394 §3.2).
func singled(r *imap.SearchReturn, hits []hit) []hit {
	if r.Count || r.All || len(hits) == 0 || !r.Min && !r.Max && r.Partial == nil {
		return hits
	}
	var some []hit
	if r.Partial != nil {
		from, to := inWindow(r.Partial, len(hits))
		some = append(some, hits[from:to]...)
	}
	if r.Min {
		some = append(some, hits[0])
	}
	if r.Max {
		some = append(some, hits[len(hits)-1])
	}
	return some
}

// save keeps the result for "$", if that was asked for.
func (v *view) save(r *imap.SearchReturn, f *finder) {
	if !r.Save {
		return
	}
	some := append([]hit(nil), singled(r, f.hits)...)
	inMailboxOrder(some)
	v.saved = nil
	for i := range some {
		if n := len(v.saved); n > 0 && some[i].uid <= v.saved[n-1].Last+1 {
			v.saved[n-1].Last = some[i].uid
			continue
		}
		v.saved = append(v.saved, imap.Range{First: some[i].uid, Last: some[i].uid})
	}
}

// savedNothing empties "$" after a search that failed (RFC 5182 §2.1).
func (v *view) savedNothing(r *imap.SearchReturn) {
	if r != nil && r.Save {
		v.saved = nil
	}
}
