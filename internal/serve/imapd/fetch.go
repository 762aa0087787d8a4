package imapd

import (
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
// needed, and where each brings its index.
const (
	pageOfPlacements = 1000
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
}

// want says what of a message a command needs.
type want struct {
	message bool     // its row
	index   bool     // its kept index
	content bool     // its octets
	fields  []string // of its header
	flags   bool     // its flags are told
	seen    bool     // it becomes \Seen

	since mailbox.ModSeq // only what changed later
}

// rich says whether more than placements is needed.
func (w want) rich() bool { return w.content || w.index }

// fetchPlan finds out what items need.
func fetchPlan(items []imap.FetchItem) want {
	var w want
	for i := range items {
		if need := fetchItems[items[i].Name].need; need != nil {
			need(&w, &items[i])
		}
	}
	w.message = w.message || w.content
	return w
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
	items := cmd.Items
	if cmd.UID && !hasItem(items, "UID") && !c.has(uidOnly) {
		items = append([]imap.FetchItem{{Name: "UID"}}, items...)
	}
	items = c.wantsModSeqs(cmd, items)
	w := fetchPlan(items)
	if cmd.ChangedSince != nil {
		w.since = *cmd.ChangedSince
		if spans, err = c.changedSince(cmd, spans); err != nil {
			return reply{}, err
		}
	}
	if v.readOnly {
		w.seen = false
	}
	var failed error
	missing, there := false, 0
	for p := newPager(v, spans, w); !p.done(); {
		rows, err := c.page(p)
		if err != nil {
			return reply{}, err
		}
		missing = missing || p.missing
		there += len(rows)
		if err := c.fetchPage(items, w, rows, &failed); err != nil {
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
		return reply{"OK", codes[fault.Expunged], "FETCH done; some of these messages are gone"}, nil
	}
	return ok("FETCH done"), nil
}

func hasItem(items []imap.FetchItem, name string) bool {
	for i := range items {
		if items[i].Name == name {
			return true
		}
	}
	return false
}

// fetchPage answers for one page. What cannot be read of a message is left out,
// and the first such failure is kept for the command's end; an error that comes
// back is the connection's.
func (c *session) fetchPage(items []imap.FetchItem, w want, rows []row, failed *error) error {
	var read []mailbox.UID
	for i := range rows {
		r := &rows[i]
		if err := c.fetchRow(items, w, r); err != nil {
			c.report(err)
			if c.enc.Err() != nil {
				return &ending{reason: err.Error()}
			}
			if *failed == nil {
				*failed = err
			}
			continue
		}
		if w.seen && !r.Flags.Has(flagSeen) {
			read = append(read, r.UID)
		}
	}
	if len(read) == 0 {
		return c.enc.Err()
	}
	// Only what went out is \Seen: a message lost on the way stays new.
	if err := c.enc.Flush(); err != nil {
		return err
	}
	change := mailbox.FlagChange{Op: mailbox.FlagsAdd, Flags: flagSeen}
	changed, _, err := c.o.Mailbox.SetFlags(c.work, c.account(), c.sel.account, c.sel.box, read, change, 0)
	if err != nil {
		c.report(err)
		if *failed == nil {
			*failed = err
		}
		return nil
	}
	for i := range changed {
		if c.sel.number(changed[i].UID) > 0 {
			c.fetchFlags(&changed[i], hasItem(items, "UID"))
			c.sel.tell(&changed[i])
		}
	}
	return c.enc.Err()
}

// fetchRow writes one FETCH response.
func (c *session) fetchRow(items []imap.FetchItem, w want, r *row) error {
	b := body{c: c, row: r}
	defer b.close()
	// What may fail is found out before the response begins.
	if w.rich() {
		if err := b.prepare(w); err != nil {
			return err
		}
	}
	if w.flags {
		c.noteWords(r.Keywords)
	}
	c.beginFetch(&r.Placement)
	for i := range items {
		if i > 0 {
			c.enc.SP()
		}
		it := &items[i]
		c.enc.Raw(it.Name)
		if err := fetchItems[it.Name].write(c, it, r, &b); err != nil {
			return err
		}
	}
	c.enc.Raw(")\r\n")
	if w.flags {
		c.sel.tell(&r.Placement)
	}
	return nil
}

// pager walks through spans of a view, a page at a time.
type pager struct {
	v       *view
	spans   []span
	w       want
	size    int
	missing bool // some of the last page are gone

	walked, goal int // messages
}

func newPager(v *view, spans []span, w want) *pager {
	p := &pager{v: v, spans: spans, w: w, size: pageOfPlacements}
	if w.rich() {
		p.size = pageOfMessages
	}
	for _, s := range spans {
		p.goal += s.to - s.from
	}
	return p
}

func (p *pager) done() bool { return len(p.spans) == 0 }

// take gives the spans of the next page.
func (p *pager) take() []span {
	var page []span
	for left := p.size; left > 0 && len(p.spans) > 0; {
		s := &p.spans[0]
		n := min(left, s.to-s.from)
		page = append(page, span{s.from, s.from + n})
		left -= n
		p.walked += n
		if s.from += n; s.from == s.to {
			p.spans = p.spans[1:]
		}
	}
	return page
}

// page reads the next page in one transaction.
func (c *session) page(p *pager) ([]row, error) {
	c.progress(p.walked, p.goal)
	page := p.take()
	var rows []row
	err := c.readSelected(func(tx *mailbox.Tx) error {
		rows, p.missing = rows[:0], false
		for _, s := range page {
			there := 0
			for pl, err := range tx.Placements(p.v.box, p.v.uids.at(s.from), p.v.uids.at(s.to-1)) {
				if err != nil {
					return err
				}
				// A UID between two that we know is one we know.
				n := p.v.number(pl.UID)
				if n == 0 {
					continue
				}
				if there++; pl.ModSeq > p.w.since {
					rows = append(rows, row{Placement: pl, number: n})
				}
			}
			if there < s.to-s.from {
				p.missing = true
			}
		}
		return loadAll(tx, rows, p.w)
	})
	return rows, err
}

// loadAll reads what is kept of a page of messages beside their placements.
func loadAll(tx *mailbox.Tx, rows []row, w want) error {
	ids := make([]mailbox.MessageID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Placement.Message
	}
	if w.message {
		messages, err := tx.Messages(ids)
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i].message = messages[i]
		}
	}
	if w.index {
		indexes, err := tx.Indexes(ids)
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i].index = indexes[i]
		}
	}
	return nil
}

// load reads what is kept of a message beside its placement.
func load(tx *mailbox.Tx, r *row, w want) (err error) {
	if w.message {
		if r.message, err = tx.Message(r.Placement.Message); err != nil {
			return err
		}
	}
	if w.index {
		// Without a kept index the content is parsed.
		if r.index, err = tx.Index(r.Placement.Message); err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Corrupt) {
			return err
		}
	}
	return nil
}
