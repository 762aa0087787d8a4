package imapd

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// anyone is the identifier of all (RFC 4314 §2): here, of all in the owner's
// domain.
const anyone = "anyone"

// acl is the commands of RFC 4314 §3. None of them tells whoever may not know
// that a mailbox is there.
func (c *session) acl(cmd *imap.ACLCommand) (reply, error) {
	if !c.shares() {
		return bad("mailboxes are not shared here"), nil
	}
	need := mailbox.RightAdminister
	if cmd.Verb == "MYRIGHTS" {
		need = 0
	}
	box, err := c.open(cmd.Mailbox, need)
	if err == nil {
		switch cmd.Verb {
		case "SETACL", "DELETEACL":
			err = c.setACL(cmd, &box)
		case "GETACL":
			err = c.getACL(cmd.Mailbox, &box)
		case "LISTRIGHTS":
			err = c.listRights(cmd, &box)
		case "MYRIGHTS":
			err = c.tellMyRights(cmd.Mailbox, &box)
		}
	}
	if err != nil {
		return reply{}, err
	}
	return ok(cmd.Verb + " done"), nil
}

// subject reads an identifier: an address, one's local part within the owner's domain, or
// anyone; "-" before it takes rights away (RFC 4314 §2).
func (c *session) subject(identifier string, owner mail.AccountID) (s mailbox.Subject, err error) {
	name, negative := strings.CutPrefix(identifier, "-")
	s.Negative = negative
	if name == anyone {
		return s, nil
	}
	addr, err := mail.ParseAddress(name)
	if err != nil && !strings.Contains(name, "@") {
		if addr, err = c.o.People.Address(c.work, owner); err == nil {
			addr.Local = name
		}
	}
	if err != nil || addr.Local == "" {
		return s, fault.Newf(fault.NotFound, "imapd.subject", "%.100q is no account", name)
	}
	s.Account, err = c.o.People.Find(c.work, addr)
	return s, err
}

// identifier writes a subject; ok is false for an account that is no more.
func (c *session) identifier(s mailbox.Subject) (name string, there bool, err error) {
	if s.Negative {
		name = "-"
	}
	if s.Account == 0 {
		return name + anyone, true, nil
	}
	addr, err := c.o.People.Address(c.work, s.Account)
	if fault.Is(err, fault.NotFound) {
		return "", false, nil
	}
	return name + addr.String(), true, err
}

func (c *session) setACL(cmd *imap.ACLCommand, box *mailbox.Box) error {
	// Letters that are no rights are BAD, whoever they are for.
	rights, err := mailbox.ParseRights(cmd.Rights)
	if err != nil {
		return err
	}
	who, err := c.subject(cmd.Identifier, box.Account)
	if err != nil {
		return err
	}
	op := map[imap.FlagOp]mailbox.FlagOp{imap.FlagsAdd: mailbox.FlagsAdd, imap.FlagsRemove: mailbox.FlagsRemove}[cmd.Op]
	return c.o.Mailbox.SetACL(c.work, c.account(), box.Account, box.ID, who, op, rights)
}

// getACL writes the list, the owner first.
func (c *session) getACL(name string, box *mailbox.Box) error {
	all := []mailbox.ACL{{Subject: mailbox.Subject{Account: box.Account}, Rights: mailbox.AllRights}}
	err := c.readIn(box.Account, func(tx *mailbox.Tx) error {
		acl, err := tx.ACL(box.ID)
		all = append(all[:1], acl...)
		return err
	})
	if err != nil {
		return err
	}
	names := make([]string, len(all))
	for i := range all {
		if names[i], _, err = c.identifier(all[i].Subject); err != nil {
			return err
		}
	}
	c.enc.Untagged().Raw("ACL ").Mailbox(name)
	for i, e := range all {
		if names[i] != "" {
			c.enc.SP().AString(names[i]).SP().AString(e.Rights.String())
		}
	}
	c.enc.CRLF()
	return nil
}

// listRights writes what can be given: each right by itself, and to the owner
// nothing that he has not.
func (c *session) listRights(cmd *imap.ACLCommand, box *mailbox.Box) error {
	who, err := c.subject(cmd.Identifier, box.Account)
	if err != nil {
		return err
	}
	c.enc.Untagged().Raw("LISTRIGHTS ").Mailbox(cmd.Mailbox).SP().AString(cmd.Identifier).SP()
	if who.Account == box.Account {
		c.enc.AString(mailbox.AllRights.String()).CRLF()
		return nil
	}
	c.enc.String("")
	for _, letter := range mailbox.AllRights.String() {
		c.enc.SP().AString(string(letter))
	}
	c.enc.CRLF()
	return nil
}

// tellMyRights writes a MYRIGHTS response, by the name that the client uses.
func (c *session) tellMyRights(name string, box *mailbox.Box) error {
	rights := mailbox.AllRights
	err := c.readIn(box.Account, func(tx *mailbox.Tx) (err error) {
		rights, err = tx.Rights(box.ID)
		return err
	})
	if err == nil {
		c.enc.Untagged().Raw("MYRIGHTS ").Mailbox(name).SP().AString(rights.String()).CRLF()
	}
	return err
}
