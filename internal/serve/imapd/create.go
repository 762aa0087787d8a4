package imapd

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// uses are the special uses of RFC 6154 that a mailbox here can have.
var uses = map[mailbox.Role]string{
	mailbox.RoleSent: `\Sent`, mailbox.RoleDrafts: `\Drafts`, mailbox.RoleTrash: `\Trash`,
	mailbox.RoleJunk: `\Junk`, mailbox.RoleArchive: `\Archive`,
}

// create is CREATE (RFC 3501 §6.3.3, RFC 6154 §3). Like all that one makes by
// hand, the mailbox is subscribed when its client says so.
func (c *session) create(cmd *imap.CreateCommand) (reply, error) {
	role, known := roleOf(cmd.Use)
	if !known {
		return reply{"NO", "USEATTR", "a mailbox here has one of the known special uses"}, nil
	}
	at, err := c.locate(cmd.Mailbox)
	if err != nil {
		return reply{}, err
	}
	if role != mailbox.RoleNone && at.account != c.account() {
		return reply{"NO", "USEATTR", "a special use is for its owner to give"}, nil
	}
	quota, err := c.quotaOf(at.account)
	if err != nil {
		return reply{}, err
	}
	taken := false
	var box mailbox.Box
	err = c.updateIn(at.account, func(tx *mailbox.Tx) error {
		if role != mailbox.RoleNone {
			_, err := tx.BoxByRole(role)
			if taken = err == nil; taken {
				return nil
			}
			if !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		h, err := tx.Holdings()
		if err == nil {
			err = quota.RoomForBox(h)
		}
		if err != nil {
			return err
		}
		box, err = tx.CreateBox(at.name, role)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	if taken {
		return reply{"NO", "USEATTR", "another mailbox has that special use"}, nil
	}
	box.Name = at.prefix + box.Name
	if name := strings.TrimSuffix(cmd.Mailbox, mailbox.Separator); name != box.Name && c.has(rev2) {
		c.tellRenamed(&box, name)
	}
	return reply{"OK", "MAILBOXID (" + mailboxID(box.ID) + ")", "CREATE done"}, nil
}

// roleOf gives the role for special uses; a mailbox has at most one.
func roleOf(use []string) (mailbox.Role, bool) {
	if len(use) == 0 {
		return mailbox.RoleNone, true
	}
	for role, name := range uses {
		if len(use) == 1 && strings.EqualFold(name, use[0]) {
			return role, true
		}
	}
	return mailbox.RoleNone, false
}
