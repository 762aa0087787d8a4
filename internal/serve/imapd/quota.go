package imapd

import (
	"math"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// kilo is the unit of storage (RFC 9208 §5.1, §5.4).
const kilo = 1024

// A quota root is an account, and its name the account's address.

// getQuota is GETQUOTA (RFC 9208 §4.1.1).
func (c *session) getQuota(cmd *imap.QuotaCommand) (reply, error) {
	a, err := c.root(cmd.Root)
	if err == nil {
		err = c.tellQuota(cmd.Root, a)
	}
	if err != nil {
		return reply{}, err
	}
	return ok("GETQUOTA done"), nil
}

// root finds a quota root: one's own, or that of an account that shares
// something, as then the names of its mailboxes are known.
func (c *session) root(name string) (mail.AccountID, error) {
	none := fault.New(fault.NotFound, "imapd.root", "there is no such quota root")
	if name == "" || name == c.who.Address.String() {
		return c.account(), nil
	}
	addr, err := mail.ParseAddress(name)
	if err != nil || !c.shares() {
		return 0, none
	}
	a, err := c.o.People.Find(c.work, addr)
	if fault.Is(err, fault.NotFound) {
		return 0, none
	} else if err != nil {
		return 0, err
	}
	var boxes []mailbox.Box
	err = c.readIn(a, func(tx *mailbox.Tx) (err error) {
		boxes, err = tx.Boxes()
		return err
	})
	if err == nil && len(boxes) == 0 && !c.maySetQuota(a) {
		return 0, none
	}
	return a, err
}

func (c *session) maySetQuota(a mail.AccountID) bool {
	return c.o.SetQuota != nil && c.o.SetQuota(c.work, c.account(), a, nil) == nil
}

// getQuotaRoot is GETQUOTAROOT (RFC 9208 §4.1.2). The mailbox need not be there;
// one of someone else's must be readable (§6).
func (c *session) getQuotaRoot(cmd *imap.BoxCommand) (reply, error) {
	at, err := c.locate(cmd.Mailbox)
	root := c.who.Address
	if err == nil && at.account != c.account() {
		if _, err = c.open(cmd.Mailbox, mailbox.RightRead); err == nil {
			root, err = c.o.People.Address(c.work, at.account)
		}
	}
	if err != nil {
		return reply{}, err
	}
	c.enc.Untagged().Raw("QUOTAROOT ").Mailbox(cmd.Mailbox).SP().AString(root.String()).CRLF()
	if err := c.tellQuota(root.String(), at.account); err != nil {
		return reply{}, err
	}
	return ok("GETQUOTAROOT done"), nil
}

// tellQuota writes a QUOTA response: the resources that are limited, and
// MAILBOX, which always is.
func (c *session) tellQuota(root string, a mail.AccountID) error {
	quota, err := c.quotaOf(a)
	if err != nil {
		return err
	}
	var h mailbox.Holdings
	if err := c.readIn(a, func(tx *mailbox.Tx) (err error) { h, err = tx.Holdings(); return err }); err != nil {
		return err
	}
	boxes := int64(mailbox.MaxBoxes)
	if quota.Boxes > 0 {
		boxes = min(boxes, quota.Boxes)
	}
	c.enc.Untagged().Raw("QUOTA ").AString(root).Raw(" (")
	for _, r := range []struct {
		name        string
		used, limit int64
	}{
		{"STORAGE", units(h.Octets), quota.Octets / kilo}, {"MESSAGE", h.Messages, quota.Messages},
		{"ANNOTATION-STORAGE", units(h.Annotations), quota.Annotations / kilo},
	} {
		if r.limit > 0 {
			c.enc.Raw(r.name).SP().Number(r.used).SP().Number(r.limit).SP()
		}
	}
	c.enc.Raw("MAILBOX ").Number(h.Boxes).SP().Number(boxes).Raw(")\r\n")
	return nil
}

func units(octets int64) int64 { return (octets + kilo - 1) / kilo }

// setQuota is SETQUOTA (RFC 9208 §4.1.3): what is not named is not limited any
// more.
func (c *session) setQuota(cmd *imap.QuotaCommand) (reply, error) {
	if c.o.SetQuota == nil {
		return reply{}, denied("quotas are not set here")
	}
	a, err := c.root(cmd.Root)
	if err != nil {
		return reply{}, err
	}
	var q mailbox.Quota
	for _, l := range cmd.Limits {
		if l.Limit == 0 || l.Limit > math.MaxInt64/kilo {
			return reply{}, fault.New(fault.Unsupported, "imapd.setQuota", "a limit is at least 1; leave a resource out that is not to be limited")
		}
		switch n := int64(l.Limit); l.Resource {
		case "STORAGE":
			q.Octets = n * kilo
		case "MESSAGE":
			q.Messages = n
		case "MAILBOX":
			q.Boxes = n
		case "ANNOTATION-STORAGE":
			q.Annotations = n * kilo
		default:
			return reply{}, fault.Newf(fault.Unsupported, "imapd.setQuota", "%.40s is no resource that is limited here", l.Resource)
		}
	}
	if err := c.o.SetQuota(c.work, c.account(), a, &q); err != nil {
		return reply{}, err
	}
	if err := c.tellQuota(cmd.Root, a); err != nil {
		return reply{}, err
	}
	return ok("SETQUOTA done"), nil
}

// deletedStorage is the size of what EXPUNGE would remove, in octets (RFC 9208
// §4.1.4).
func (c *session) deletedStorage(box *mailbox.Box) (string, error) {
	n := int64(0)
	err := c.readIn(box.Account, func(tx *mailbox.Tx) (err error) {
		n, err = tx.DeletedSize(box.ID)
		return err
	})
	return decimal(n), err
}
