package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// shelf is the memory that one page of messages after the other is read into.
type shelf struct {
	rows     []row
	ids      []mailbox.MessageID
	messages []mailbox.Message
	kept     []byte   // what was kept of them, and their prefixes
	batches  [2]batch // of their content
	text     []byte   // what is written next
}

// pager walks through spans of a view, a page at a time.
type pager struct {
	v       *view
	spans   []span
	w       want
	size    int
	missing bool // some of the last page are gone
	shelf   *shelf

	walked, goal int // messages
}

func newPager(v *view, spans []span, w want) *pager {
	p := &pager{v: v, spans: spans, w: w, size: pageOfPlacements, shelf: &shelf{}}
	switch {
	case w.content:
		p.size = pageOfMessages
	case w.rich():
		p.size = pageOfViews
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

// page reads the next page in one transaction. The rows are good until the next.
func (c *session) page(p *pager) ([]row, error) {
	c.progress(p.walked, p.goal)
	page, m := p.take(), p.shelf
	err := c.readSelected(func(tx *mailbox.Tx) error {
		m.rows, p.missing = m.rows[:0], false
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
					m.rows = append(m.rows, row{Placement: pl, number: n})
				}
			}
			if there < s.to-s.from {
				p.missing = true
			}
		}
		return m.load(tx, p.w)
	})
	return m.rows, err
}

// load reads what is kept of a page of messages beside their placements.
func (m *shelf) load(tx *mailbox.Tx, w want) (err error) {
	m.ids, m.kept = m.ids[:0], m.kept[:0]
	for i := range m.rows {
		m.ids = append(m.ids, m.rows[i].Placement.Message)
	}
	if w.message {
		m.messages = append(m.messages[:0], make([]mailbox.Message, len(m.ids))...)
		if m.kept, err = tx.Sources(m.ids, m.messages, m.kept); err != nil {
			return err
		}
		for i := range m.rows {
			m.rows[i].message = m.messages[i]
		}
	}
	if w.labels {
		if err := m.label(tx); err != nil {
			return err
		}
	}
	if w.kept() || w.lazy {
		return tx.Views(m.ids, func(i int, view []byte) {
			at := len(m.kept)
			m.kept = append(m.kept, view...)
			m.rows[i].kept = m.kept[at:len(m.kept):len(m.kept)]
		})
	}
	return nil
}

// fetchPage answers for one page. What cannot be read of a message is left out,
// and the first such failure is kept for the command's end; an error that comes
// back is the connection's.
func (c *session) fetchPage(plan []planned, w want, rows []row, m *shelf, failed *error) error {
	var read []mailbox.UID
	var contents *ahead
	if w.content {
		contents = c.readAhead(rows, m)
		defer contents.stop()
	}
	var b body
	for i := range rows {
		r := &rows[i]
		b = body{c: c, account: c.sel.account, row: r, shelf: m}
		if w.content {
			o, err := contents.take()
			if err != nil {
				return err
			}
			if r.message.ID != 0 { // else the row is asked for again, and why it is not there
				b.content, b.failed = &o.Content, o.Err
			}
		}
		if err := c.fetchRow(plan, w, r, &b); err != nil {
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
	if len(read) == 0 || !c.sel.rights.Has(mailbox.RightSeen) {
		return c.enc.Err()
	}
	// Only what went out is \Seen: a message lost on the way stays new.
	if err := c.enc.Flush(); err != nil {
		return err
	}
	change := mailbox.FlagChange{Op: mailbox.FlagsAdd, Flags: flagSeen}
	changed, _, err := c.o.Mailbox.SetFlags(c.work, c.account(), c.sel.account, c.sel.box, read, change, 0)
	if fault.Is(err, fault.Denied) { // the right was taken away just now
		return c.enc.Err()
	} else if err != nil {
		c.report(err)
		if *failed == nil {
			*failed = err
		}
		return nil
	}
	for i := range changed {
		if c.sel.number(changed[i].UID) > 0 {
			c.fetchFlags(&changed[i], plansUID(plan))
			c.sel.tell(&changed[i])
		}
	}
	return c.enc.Err()
}

func plansUID(plan []planned) bool {
	for i := range plan {
		if plan[i].Name == "UID" {
			return true
		}
	}
	return false
}

// fetchRow writes one FETCH response.
func (c *session) fetchRow(plan []planned, w want, r *row, b *body) error {
	defer b.close()
	// What may fail is found out before the response begins.
	if w.rich() {
		if err := b.prepare(w); err != nil {
			return err
		}
	}
	for i := range plan {
		if !w.check || plan[i].check == nil {
			continue
		}
		if err := plan[i].check(plan[i].FetchItem, b); err != nil {
			return err
		}
	}
	if w.flags {
		c.noteWords(r.Keywords)
	}
	c.beginFetch(&r.Placement)
	for i := range plan {
		it := &plan[i]
		c.enc.Raw(it.head)
		if err := it.write(c, it.FetchItem, r, b); err != nil {
			return err
		}
	}
	c.enc.Raw(")\r\n")
	if w.flags && (w.modSeq || !c.has(condstore)) {
		c.sel.tell(&r.Placement)
	}
	return nil
}
