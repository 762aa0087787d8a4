package imapd

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

const (
	flagSeen    = mail.FlagSeen
	flagDeleted = mail.FlagDeleted
)

// How many messages are read in one transaction: where only placements are
// needed, where each brings what was kept of it, and where its content is read.
const (
	pageOfPlacements = 1000
	pageOfViews      = 400
	pageOfMessages   = 200
)

// errGone is what a command by sequence number gets when it named messages that
// another session expunged (RFC 2180 §4.1.3, §4.2.1).
func errGone() error {
	return fault.New(fault.Expunged, "imapd", "some of these messages are gone")
}

// row is one message in hand.
type row struct {
	mailbox.Placement
	number  int
	message mailbox.Message
	index   *message.Index // nil unless asked for, or where none was kept
	kept    []byte         // what was kept, as it stands; nil likewise
	labels  []string
	sure    answer // of a search, whether it matches
}

// want says what of a message a command needs.
type want struct {
	message bool     // its row
	labels  bool     // the mailboxes it lies in
	lazy    bool     // its preview, if it is kept
	check   bool     // something is to be found out before the response begins
	texts   bool     // what is kept of it ready to go out
	index   bool     // its index, kept or made
	content bool     // its octets
	fields  []string // of its header
	short   bool     // what is kept ready to go out holds those fields
	flags   bool     // its flags are told
	seen    bool     // it becomes \Seen
	modSeq  bool     // its mod-sequence is told

	since mailbox.ModSeq // only what changed later
}

// kept says whether something kept beside the message is needed.
func (w want) kept() bool { return w.texts || w.index || len(w.fields) > 0 }

// rich says whether more than placements is needed.
func (w want) rich() bool { return w.content || w.kept() }

// planned is an item of a FETCH in hand.
type planned struct {
	*imap.FetchItem
	head  string // what stands before its value, the space between items too
	check func(*imap.FetchItem, *body) error
	write func(*session, *imap.FetchItem, *row, *body) error
}

// fetchPlan finds out what items need, and what is the same for all messages.
func fetchPlan(items []imap.FetchItem) (want, []planned) {
	var w want
	plan := make([]planned, len(items))
	for i := range items {
		it, kind := &items[i], fetchItems[items[i].Name]
		if kind.need != nil {
			kind.need(&w, it)
		}
		plan[i] = planned{it, it.Name, kind.check, kind.write}
		w.check = w.check || kind.check != nil
		if kind.head != nil {
			plan[i].head = kind.head(it)
		}
		if i > 0 {
			plan[i].head = " " + plan[i].head
		}
	}
	w.message = w.message || w.content
	w.short = message.ViewKeeps(w.fields)
	return w, plan
}

// isWhole says whether a section is the message itself, for which no index is
// needed.
func isWhole(s *imap.Section) bool { return len(s.Path) == 0 && s.Kind == "" }

// fetch is FETCH and UID FETCH (RFC 3501 §6.4.5, §6.4.8). Messages are read in
// pages, and no transaction is open while the client takes what it asked for.
func (c *session) fetch(cmd *imap.FetchCommand) (reply, error) {
	if cmd.Vanished && !c.has(qresync) {
		return bad("QRESYNC has to be enabled first"), nil
	}
	v := c.sel
	spans, err := v.spans(cmd.Set, cmd.UID)
	if err != nil {
		return reply{}, err
	}
	spans, lowest := c.limit(v, through(spans, cmd.Window))
	if lowest > 0 && cmd.Window != nil {
		return c.tooMany(), nil
	}
	items := cmd.Items
	if cmd.UID && !hasItem(items, "UID") && !c.has(uidOnly) {
		items = append([]imap.FetchItem{{Name: "UID"}}, items...)
	}
	items = c.wantsModSeqs(cmd, items)
	w, plan := fetchPlan(items)
	if cmd.ChangedSince != nil {
		w.since = *cmd.ChangedSince
		if spans, err = c.changedSince(cmd, spans); err != nil {
			return reply{}, err
		}
	}
	if onlyUIDs(items) && cmd.ChangedSince == nil {
		c.fetchUIDs(spans, cmd.UID)
		return c.limited(ok("FETCH done"), lowest), nil
	}
	if v.readOnly {
		w.seen = false
	}
	if !c.enc.Lent() {
		c.enc.Lend(c.s.buffers.take())
	}
	m := c.s.shelves.take()
	defer c.s.putShelf(m)
	var failed error
	missing, there := false, 0
	for p := newPager(v, spans, w); !p.done(); {
		p.shelf = m
		rows, err := c.page(p)
		if err != nil {
			return reply{}, err
		}
		missing = missing || p.missing
		there += len(rows)
		if err := c.fetchPage(plan, w, rows, m, &failed); err != nil {
			return reply{}, err
		}
	}
	switch {
	case failed != nil:
		return reply{}, failed
	case missing && !cmd.UID && there == 0:
		return reply{}, errGone()
	case missing && !cmd.UID:
		// RFC 2180 §4.1 leaves a choice; the code of RFC 5530 says it without
		// failing what was fetched.
		if lowest > 0 {
			c.tellLimit(lowest)
		}
		return reply{"OK", codes[fault.Expunged], "FETCH done; some of these messages are gone"}, nil
	}
	return c.limited(ok("FETCH done"), lowest), nil
}

// onlyUIDs says whether nothing else is asked for.
func onlyUIDs(items []imap.FetchItem) bool {
	return !slices.ContainsFunc(items, func(it imap.FetchItem) bool { return it.Name != "UID" })
}

// fetchUIDs tells the UIDs of messages as the view has them, by number also of
// those that are gone, which the client has not heard of yet (RFC 2180 §4.1.1).
func (c *session) fetchUIDs(spans []span, uid bool) {
	v, number := c.sel, !c.has(uidOnly)
	for _, s := range spans {
		i := s.from
		for u := range v.uids.between(s.from, s.to) {
			if i++; uid && v.isGone(u) {
				continue
			}
			if number {
				c.enc.Untagged().Number(int64(i)).Raw(" FETCH (UID ")
			} else {
				c.enc.Untagged().Number(int64(u)).Raw(" UIDFETCH (UID ")
			}
			c.enc.Number(int64(u)).Raw(")\r\n")
		}
	}
}

func hasItem(items []imap.FetchItem, name string) bool {
	for i := range items {
		if items[i].Name == name {
			return true
		}
	}
	return false
}
