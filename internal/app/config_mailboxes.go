package app

import (
	"context"
	"fmt"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/pop3d"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// Mailboxes is about what lies in them. A domain and an account may have other
// words on all but pop3_login_delay (`ekiden domain set`, `ekiden account set`).
type Mailboxes struct {
	ClearInbox int      `toml:"clear_inbox"`      // days after which messages in INBOX are deleted; 0: never
	ClearJunk  int      `toml:"clear_junk"`       // days after which messages in Junk are deleted; 0: never
	ClearTrash int      `toml:"clear_trash"`      // days after which messages in Trash are deleted; 0: never
	POPSeen    bool     `toml:"pop3_seen"`        // what was fetched by POP3 is seen in other programs
	POPDelay   Duration `toml:"pop3_login_delay"` // least time between two logins of an account by POP3
}

// maxPOPDelay is more than any client would wait.
const maxPOPDelay = 24 * time.Hour

func (m *Mailboxes) check() error {
	for _, days := range []int{m.ClearInbox, m.ClearJunk, m.ClearTrash} {
		if days < 0 || days > directory.MaxClearDays {
			return fmt.Errorf("mailboxes: messages are deleted after 0 (never) to %d days", directory.MaxClearDays)
		}
	}
	if d := time.Duration(m.POPDelay); d < 0 || d > maxPOPDelay || d%time.Second != 0 {
		return fmt.Errorf("mailboxes: pop3_login_delay is a number of whole seconds up to %s", maxPOPDelay)
	}
	return nil
}

// use is what the server says of all accounts.
func (m *Mailboxes) use() directory.Use {
	u := directory.Use{Inbox: m.ClearInbox, Junk: m.ClearJunk, Trash: m.ClearTrash, POPSeen: directory.No}
	if m.POPSeen {
		u.POPSeen = directory.Yes
	}
	return u
}

// useOf is what holds for an account.
func (r *rooms) useOf(ctx context.Context, a mail.AccountID) (directory.Use, error) {
	u, err := r.directory.Use(ctx, a)
	return u.Over(r.use), err
}

// popUse is what POP3 has to know of it.
func (r *rooms) popUse(ctx context.Context, a mail.AccountID) (pop3d.Use, error) {
	u, err := r.useOf(ctx, a)
	return pop3d.Use{Expire: max(0, u.Inbox), Seen: u.POPSeen == directory.Yes}, err
}

// clearPiece is how many messages of a mailbox are deleted in one run: what is
// left the next one takes.
const clearPiece = 100_000

// clear deletes what has lain in INBOX, Junk and Trash for longer than it may.
func (r *rooms) clear(ctx context.Context, a mail.AccountID, now time.Time) error {
	u, err := r.useOf(ctx, a)
	if fault.Is(err, fault.NotFound) {
		return nil // it has just gone
	} else if err != nil {
		return err
	}
	for role, days := range map[mailbox.Role]int{mailbox.RoleInbox: u.Inbox, mailbox.RoleJunk: u.Junk, mailbox.RoleTrash: u.Trash} {
		if days <= 0 {
			continue
		}
		if _, err := r.mailbox.ClearBefore(ctx, a, role, now.AddDate(0, 0, -days), clearPiece); err != nil {
			return err
		}
	}
	return nil
}

// setQuota gives an account other limits in the name of another account, which
// must be one that administers quotas in the same domain; a nil q only asks.
func (r *rooms) setQuota(ctx context.Context, who, a mail.AccountID, q *mailbox.Quota) error {
	admin, err := r.directory.AccountByID(ctx, who)
	if err != nil {
		return err
	}
	acct, err := r.directory.AccountByID(ctx, a)
	if err != nil {
		return err
	}
	if !admin.QuotaAdmin || admin.Address.Domain != acct.Address.Domain {
		return fault.New(fault.Denied, "app.setQuota", "quotas are set by those who administer them")
	}
	if q == nil {
		return nil
	}
	return r.directory.UpdateAccount(ctx, acct.Address, func(a *directory.Account) error {
		a.Quota, a.MaxMessages, a.MaxMailboxes, a.MaxAnnotations = q.Octets, q.Messages, q.Boxes, q.Annotations
		return nil
	})
}
