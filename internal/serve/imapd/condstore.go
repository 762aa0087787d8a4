package imapd

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// maxChanged is how many changed messages are looked up by the log of changes;
// where there are more, the mailbox is read through.
const maxChanged = 10_000

// highestModSeq is the response code whose number is known only when the reply
// is written: behind all news that belong to it (RFC 7162 §3.2.7).
const highestModSeq = "HIGHESTMODSEQ"

// tellHighest writes HIGHESTMODSEQ of the selected mailbox (RFC 7162
// §3.1.2.1).
func (c *session) tellHighest() {
	c.tellOK(highestModSeq+" "+decimal(c.sel.highest), "all changes up to here")
}

func writeModSeq(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.Raw(" (").Raw(decimal(r.ModSeq)).Raw(")")
	return nil
}

// wantsModSeqs turns CONDSTORE on for a FETCH that needs it, and adds MODSEQ to
// the items of one with CHANGEDSINCE (RFC 7162 §3.1.4.1).
func (c *session) wantsModSeqs(cmd *imap.FetchCommand, items []imap.FetchItem) []imap.FetchItem {
	if cmd.ChangedSince != nil && !hasItem(items, "MODSEQ") {
		items = append(slices.Clip(items), imap.FetchItem{Name: "MODSEQ"})
	}
	if hasItem(items, "MODSEQ") {
		c.turnOn(condstore)
	}
	return items
}

// changes is what FETCH with CHANGEDSINCE finds.
type changes struct {
	uids     []mailbox.UID // that changed, if all
	all      bool          // uids is all of them; else the mailbox must be read through
	vanished imap.Set
}

// changedSince narrows spans to what changed since, where that is known
// without reading all, and tells what vanished if the client asks for it (RFC
// 7162 §3.1.4.1, §3.2.6).
func (c *session) changedSince(cmd *imap.FetchCommand, spans []span) ([]span, error) {
	v := c.sel
	var found changes
	err := c.readSelected(func(tx *mailbox.Tx) (err error) {
		since := *cmd.ChangedSince
		if found.uids, found.all, err = tx.ChangedUIDs(v.box, since, maxChanged); err != nil || !cmd.Vanished {
			return err
		}
		box, err := tx.Box(v.box)
		if err != nil {
			return err
		}
		found.vanished, err = v.vanished(tx, since, cmd.Set.Spans(max(v.uids.top(), box.UIDNext-1)), 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.tellVanished(true, found.vanished)
	if found.all {
		spans = v.among(spans, found.uids)
	}
	return spans, nil
}

// among gives the part of spans that is of uids; both ascend.
func (v *view) among(spans []span, uids []mailbox.UID) []span {
	var out []span
	for _, u := range uids {
		i, found := v.uids.find(u)
		if !found {
			continue
		}
		for len(spans) > 0 && spans[0].to <= i {
			spans = spans[1:]
		}
		if len(spans) == 0 {
			break
		}
		if i < spans[0].from {
			continue
		}
		if n := len(out); n > 0 && out[n-1].to == i {
			out[n-1].to++
		} else {
			out = append(out, span{i, i + 1})
		}
	}
	return out
}

// vanished is what vanished of known (ascending) since a change, those apart
// that this session has yet to tell the client of, and those up to floor. Where
// the log does not go back far enough it is all that is not there (RFC 7162
// §3.2.6, §3.2.5.2).
func (v *view) vanished(tx *mailbox.Tx, since mailbox.ModSeq, known []imap.Range, floor mailbox.UID) (imap.Set, error) {
	uids, err := tx.Vanished(v.box, since)
	if fault.Is(err, fault.Expunged) {
		return v.absent(known, floor), nil
	}
	if err != nil {
		return nil, err
	}
	var gone []mailbox.UID
	for _, u := range uids {
		for len(known) > 0 && known[0].Last < u {
			known = known[1:]
		}
		if len(known) == 0 {
			break
		}
		if u >= known[0].First && u > floor && v.number(u) == 0 {
			gone = append(gone, u)
		}
	}
	return imap.SetOf(gone), nil
}

// absent is the part of known above floor that the view has not.
func (v *view) absent(known []imap.Range, floor mailbox.UID) (out imap.Set) {
	for _, k := range known {
		from := max(k.First, floor+1)
		for i, _ := v.uids.find(from); from <= k.Last && from > 0; {
			// The next run of UIDs that are there begins at index i.
			next := k.Last
			if i < v.uids.n {
				if u := v.uids.at(i); u == from {
					run := v.uids.runFrom(i)
					i += run
					from += mailbox.UID(run)
					continue
				} else if u <= k.Last {
					next = u - 1
				}
			}
			out = append(out, imap.Range{First: from, Last: next})
			from = next + 1
		}
	}
	return out
}

// tellVanished writes a VANISHED response, unless there is nothing to say (RFC
// 7162 §3.2.10).
func (c *session) tellVanished(earlier bool, set imap.Set) {
	if len(set) == 0 {
		return
	}
	c.enc.Untagged().Raw("VANISHED ")
	if earlier {
		c.enc.Raw("(EARLIER) ")
	}
	c.enc.Raw(set.String()).CRLF()
}

// resync is what SELECT found out about a mailbox that the client knows (RFC
// 7162 §3.2.5).
type resync struct {
	changes
	since mailbox.ModSeq
	known []imap.Range
}

// resync reads what happened to a mailbox since the client saw it; nothing
// where that was another mailbox.
func (v *view) resync(tx *mailbox.Tx, box *mailbox.Box, r *imap.Resync) (found *resync, err error) {
	if r == nil || r.UIDValidity != box.UIDValidity || box.UIDNext == 1 {
		return nil, nil
	}
	found = &resync{since: r.ModSeq}
	known := r.Known
	if known == nil {
		known = imap.Set{{First: 1, Last: box.UIDNext - 1}}
	}
	found.known = known.Spans(0)
	if found.uids, found.all, err = tx.ChangedUIDs(box.ID, r.ModSeq, maxChanged); err != nil {
		return nil, err
	}
	found.changes.vanished, err = v.vanished(tx, r.ModSeq, found.known, v.match(r))
	return found, err
}

// match is the last UID of the pairs the client gave up to which nothing can
// have vanished unknown to it (RFC 7162 §3.2.5.2).
func (v *view) match(r *imap.Resync) (floor mailbox.UID) {
	numbers, uids := members(r.Numbers), members(r.UIDs)
	for {
		n, one := numbers()
		u, two := uids()
		if !one || !two || int(n) > v.uids.n || v.uids.at(int(n)-1) != u {
			return floor
		}
		floor = u
	}
}

// members gives what is in a set, one by one.
func members(s imap.Set) func() (uint32, bool) {
	at := uint32(0)
	return func() (n uint32, more bool) {
		if len(s) == 0 {
			return 0, false
		}
		from, to := s[0].Span(0)
		n = from + at
		if at++; n == to {
			s, at = s[1:], 0
		}
		return n, true
	}
}

// tellResync tells what happened since the client saw the mailbox.
func (c *session) tellResync(found *resync) error {
	if found == nil {
		return nil
	}
	v := c.sel
	c.tellVanished(true, found.changes.vanished)
	set := imap.Set(found.known)
	spans, err := v.spans(set, true)
	if err != nil {
		return err
	}
	if found.all {
		spans = v.among(spans, found.uids)
	}
	for p := newPager(v, spans, want{since: found.since}); !p.done(); {
		rows, err := c.page(p)
		if err != nil {
			return err
		}
		for i := range rows {
			c.fetchFlags(&rows[i].Placement, true)
			v.tell(&rows[i].Placement)
		}
	}
	return nil
}
