package imapd

import (
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// esearch is ESEARCH, which searches any mailboxes (RFC 7377).
func (c *session) esearch(cmd *imap.ESearchCommand) (reply, error) {
	if r := c.refuses(&cmd.SearchCommand); r.status != "" {
		return r, nil
	}
	if len(cmd.In) == 0 {
		cmd.In = []imap.MailboxFilter{{Kind: "SELECTED"}}
	}
	if cmd.Return == nil {
		cmd.Return = &imap.SearchReturn{All: true} // RFC 7377 §2.1
	}
	isSelected := func(m imap.MailboxFilter) bool { return m.Kind == "SELECTED" }
	switch {
	case c.sel == nil && (cmd.Return.Update || slices.ContainsFunc(cmd.In, isSelected)):
		return clientBug("no mailbox is selected"), nil
	case cmd.Return.Save && (len(cmd.In) > 1 || !isSelected(cmd.In[0])):
		return clientBug("SAVE is for the selected mailbox only (RFC 7377 2.2)"), nil
	case cmd.Return.Update && c.sel.context(c.tag) != nil:
		return clientBug("the tag is that of a search with UPDATE (RFC 5267 4.3)"), nil
	}
	sources, err := c.sources(cmd.In)
	if err != nil {
		return reply{}, err
	}
	r, said := ok("ESEARCH done"), answers{}
	for i := range sources {
		all, err := c.searchIn(&sources[i], cmd, said)
		if err != nil {
			return reply{}, err
		}
		if !all { // RFC 7377 §2.4
			r.code, r.text = "LIMIT", "ESEARCH done, but of some mailboxes for the newest messages only"
		}
	}
	return r, nil
}

// searchIn searches one mailbox, and tells if there is something in it. all is false
// if it has more messages than one command may look at.
func (c *session) searchIn(s *entry, cmd *imap.ESearchCommand, said answers) (all bool, err error) {
	v := c.sel
	here := c.isSelected(s)
	if !here {
		err := c.readIn(s.account, func(tx *mailbox.Tx) (err error) {
			if err := tx.Demand(s.box.ID, mailbox.RightRead); err != nil {
				return err
			}
			v, err = c.oneBox(tx, s.account, s.box.ID)
			return err
		})
		if fault.Is(err, fault.Denied) { // RFC 7377 §2.2 passes it over
			return true, nil
		}
		if err != nil {
			return true, lost(err)
		}
	}
	f, err := c.newFinder(v, cmd.Keys)
	if err == nil {
		if f.modSeq { // RFC 7162 §3.1
			c.turnOn(condstore)
		}
		f.rows, f.answers = f.modSeq || cmd.Return.Relevancy, said
		err = f.find()
	}
	if err == nil && cmd.Return.Relevancy {
		err = f.score()
	}
	if err != nil {
		return true, lost(err)
	}
	e := imap.Encoder{UTF8: c.enc.UTF8}
	e.Raw(`(TAG "` + c.tag + `" MAILBOX `).Mailbox(s.name).Raw(" UIDVALIDITY ").Number(int64(s.box.UIDValidity)).Raw(")")
	correlator := string(e.Bytes())
	if len(f.hits) > 0 {
		c.tellFound(f, &cmd.SearchCommand, correlator)
	}
	if here {
		v.save(cmd.Return, f)
		if cmd.Return.Update {
			c.keepUpdated(f, &searchContext{tag: c.tag, correlator: correlator, uid: true})
		}
	}
	return f.lowest == 0, nil
}

// sources is the mailboxes that filters name, each once (RFC 7377 §2.2). What is
// not there is passed over.
func (c *session) sources(filters []imap.MailboxFilter) (found []entry, err error) {
	own := func(f imap.MailboxFilter) bool { return f.Kind == "PERSONAL" || f.Kind == "INBOXES" }
	var match patterns // none: the mailboxes of others are not looked for
	if slices.ContainsFunc(filters, func(f imap.MailboxFilter) bool { return !own(f) }) {
		match = newPatterns("", []string{"*"})
	}
	all, err := c.catalogue(match)
	if err != nil {
		return nil, err
	}
	for i := range all {
		e := &all[i]
		if e.box != nil && slices.ContainsFunc(filters, func(f imap.MailboxFilter) bool { return c.names(&f, e) }) {
			found = append(found, *e)
		}
	}
	return found, nil
}

// names says whether a filter names a mailbox (RFC 5465 §6, RFC 7377 §2.2).
func (c *session) names(f *imap.MailboxFilter, e *entry) bool {
	switch f.Kind {
	case "SELECTED", "SELECTED-DELAYED":
		return c.isSelected(e)
	case "PERSONAL", "INBOXES":
		return e.account == c.account()
	case "SUBSCRIBED":
		return e.subscribed
	}
	return slices.ContainsFunc(f.Names, func(name string) bool {
		if canonical, err := mailbox.CanonicalName(name); err == nil {
			name = canonical
		}
		below, under := strings.CutPrefix(e.name, name+mailbox.Separator)
		switch f.Kind {
		case "SUBTREE":
			return under || e.name == name
		case "SUBTREE-ONE":
			return under && !strings.Contains(below, mailbox.Separator) || e.name == name
		}
		return e.name == name
	})
}
