package imapd

import (
	"context"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// others is where the mailboxes of other accounts stand (RFC 2342): below it each
// account has its address for a level, and below that its own names.
const others = "Other Users"

// People knows accounts by their addresses.
type People interface {
	// Find is the account of an address. fault.NotFound.
	Find(ctx context.Context, a mail.Address) (mail.AccountID, error)
	// Address is that of an account. fault.NotFound.
	Address(ctx context.Context, a mail.AccountID) (mail.Address, error)
}

// location is where a mailbox name leads.
type location struct {
	account mail.AccountID // whose mailbox it is
	prefix  string         // before that account's names; "" before one's own
	name    string         // in the account
}

// shares says whether mailboxes of others can be reached.
func (c *session) shares() bool { return c.o.People != nil }

// locate finds where a name leads. One below others without an account is
// fault.NotFound, in the words for a mailbox that is hidden.
func (c *session) locate(name string) (location, error) {
	rest, other := strings.CutPrefix(name, others)
	if !c.shares() || !other || rest != "" && !strings.HasPrefix(rest, mailbox.Separator) {
		return location{account: c.account(), name: name}, nil
	}
	user, box, _ := strings.Cut(strings.TrimPrefix(rest, mailbox.Separator), mailbox.Separator)
	notThere := fault.New(fault.NotFound, "imapd.locate", "there is no such mailbox")
	addr, err := mail.ParseAddress(unescapeUser(user))
	if err != nil || box == "" {
		return location{}, notThere
	}
	a, err := c.o.People.Find(c.work, addr)
	if fault.Is(err, fault.NotFound) {
		return location{}, notThere
	}
	return location{a, prefixOf(addr), box}, err
}

// prefixOf is what stands before the names of an account's mailboxes.
func prefixOf(a mail.Address) string {
	return others + mailbox.Separator + escapeUser(a.String()) + mailbox.Separator
}

// A local part may hold what separates levels; it is written as in a URI.
var (
	userEscapes   = strings.NewReplacer("%", "%25", mailbox.Separator, "%2F")
	userUnescapes = strings.NewReplacer("%25", "%", "%2F", mailbox.Separator, "%2f", mailbox.Separator)
)

func escapeUser(s string) string   { return userEscapes.Replace(s) }
func unescapeUser(s string) string { return userUnescapes.Replace(s) }

// open finds the mailbox of a name, for one who has the rights.
func (c *session) open(name string, need mailbox.Rights) (box mailbox.Box, err error) {
	at, err := c.locate(name)
	if err != nil {
		return box, err
	}
	err = c.readIn(at.account, func(tx *mailbox.Tx) error {
		if box, err = tx.BoxByName(at.name); err != nil {
			return err
		}
		return tx.Demand(box.ID, need)
	})
	return box, err
}

// updateIn runs fn in one transaction on an account, with the rights of the one
// who logged in.
func (c *session) updateIn(a mail.AccountID, fn func(*mailbox.Tx) error) error {
	return c.o.Mailbox.Update(c.work, c.account(), a, fn)
}

// quotaOf is what the owner of a mailbox may hold: all that is in it is his.
func (c *session) quotaOf(a mail.AccountID) (mailbox.Quota, error) {
	if c.o.Quota == nil {
		return mailbox.Quota{}, nil
	}
	return c.o.Quota(c.work, a)
}
