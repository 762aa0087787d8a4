package imapd

import (
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// source is a mailbox that an ESEARCH looks into.
type source struct {
	account mail.AccountID
	box     mailbox.Box
	name    string // as the client knows it
}

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
	for _, s := range sources {
		if err := c.searchIn(s, cmd); err != nil {
			return reply{}, err
		}
	}
	return ok("ESEARCH done"), nil
}

// searchIn searches one mailbox, and tells if there is something in it.
func (c *session) searchIn(s source, cmd *imap.ESearchCommand) error {
	v := c.sel
	here := v != nil && v.account == s.account && v.box == s.box.ID
	if !here {
		err := c.readIn(s.account, func(tx *mailbox.Tx) (err error) {
			v, err = c.oneBox(tx, s.account, s.box.ID)
			return err
		})
		if err != nil {
			return lost(err)
		}
	}
	f, err := c.newFinder(v, cmd.Keys)
	if err == nil {
		f.rows = f.modSeq || cmd.Return.Relevancy
		err = f.find()
	}
	if err == nil && cmd.Return.Relevancy {
		err = f.score()
	}
	if err != nil {
		return lost(err)
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
	return nil
}

// sources is the mailboxes that filters name, each once (RFC 7377 §2.2). What is
// not there is passed over.
func (c *session) sources(filters []imap.MailboxFilter) (all []source, err error) {
	seen := map[mailbox.BoxID]bool{}
	err = c.read(func(tx *mailbox.Tx) error {
		all, seen = nil, map[mailbox.BoxID]bool{}
		boxes, err := tx.Boxes()
		if err != nil {
			return err
		}
		for i := range filters {
			for _, b := range boxes {
				if !seen[b.ID] && c.filtered(&filters[i], b) {
					seen[b.ID] = true
					all = append(all, source{c.account(), b, b.Name})
				}
			}
		}
		return nil
	})
	return all, fault.Wrap("imapd.sources", err)
}

// filtered says whether a filter names a mailbox.
func (c *session) filtered(f *imap.MailboxFilter, b mailbox.Box) bool {
	switch f.Kind {
	case "SELECTED":
		return c.sel.account == c.account() && c.sel.box == b.ID
	case "INBOXES":
		return b.Role == mailbox.RoleInbox
	case "PERSONAL":
		return true
	case "SUBSCRIBED":
		return b.Subscribed
	}
	return slices.ContainsFunc(f.Names, func(name string) bool {
		below, under := strings.CutPrefix(b.Name, name+mailbox.Separator)
		switch f.Kind {
		case "SUBTREE":
			return under || b.Name == name
		case "SUBTREE-ONE":
			return under && !strings.Contains(below, mailbox.Separator) || b.Name == name
		}
		return b.Name == name
	})
}
