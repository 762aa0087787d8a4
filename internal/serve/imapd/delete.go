package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// delete is DELETE (RFC 3501 §6.3.4). A session that deletes what it has
// selected has nothing selected any more; other sessions are cut off.
func (c *session) delete(cmd *imap.BoxCommand) (reply, error) {
	mine, err := c.selected(cmd.Mailbox)
	if err != nil {
		return reply{}, err
	}
	at, err := c.locate(cmd.Mailbox)
	if err != nil {
		return reply{}, err
	}
	if err := c.o.Mailbox.DeleteBox(c.work, c.account(), at.account, at.name); fault.Is(err, fault.Conflict) {
		return reply{"NO", "HASCHILDREN", "there are mailboxes within it"}, nil // RFC 9051 §7.1
	} else if err != nil {
		return reply{}, err
	}
	if mine {
		c.deselect()
	}
	return ok("DELETE done"), nil
}

// selected says whether the mailbox of that name is the selected one.
func (c *session) selected(name string) (mine bool, err error) {
	if c.sel == nil {
		return false, nil
	}
	box, err := c.open(name, 0)
	return err == nil && box.Account == c.sel.account && box.ID == c.sel.box, err
}
