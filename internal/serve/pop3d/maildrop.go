package pop3d

import (
	"context"
	"fmt"
	"math"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// row is what the door keeps of a message, for STAT, LIST and UIDL without
// another look.
type row struct {
	uid     uint32
	deleted bool
	message mailbox.MessageID
	size    int64
}

// maildrop is the INBOX as it was at login (RFC 1939 §4): what comes in later
// is seen by the next session.
type maildrop struct {
	box      mailbox.BoxID
	validity uint32
	rows     []row
}

// left counts the messages not marked as deleted.
func (d *maildrop) left() int {
	n := 0
	for i := range d.rows {
		if !d.rows[i].deleted {
			n++
		}
	}
	return n
}

// octets adds up their sizes.
func (d *maildrop) octets() int64 {
	var n int64
	for i := range d.rows {
		if !d.rows[i].deleted {
			n += d.rows[i].size
		}
	}
	return n
}

// uid is the unique-id of row i: a UID means the same message as long as
// UIDVALIDITY stays (RFC 9051 §2.3.1.1), which is what RFC 1939 §7 asks for.
func (d *maildrop) uid(i int) string { return fmt.Sprintf("%d.%d", d.validity, d.rows[i].uid) }

// at finds message number n. It says false if there is none, or it is marked
// as deleted.
func (d *maildrop) at(n int) (*row, bool) {
	if n < 1 || n > len(d.rows) || d.rows[n-1].deleted {
		return nil, false
	}
	return &d.rows[n-1], true
}

// openMaildrop locks who's maildrop and reads its rows. fault.Conflict means
// that another session has it.
func (c *conn) openMaildrop(ctx context.Context, who login.Who) error {
	const op = "pop3d.open"
	if !c.o.Locks.take(who.Account) {
		return fault.New(fault.Conflict, op, "another session has the maildrop open; please try again later")
	}
	d := &maildrop{}
	err := c.readRows(ctx, who, d)
	if err != nil {
		c.o.Locks.release(who.Account)
		return fault.Wrap(op, err)
	}
	c.drop, c.who = d, who
	return nil
}

// readRows reads the INBOX page by page. An account that never got mail has
// none, which is an empty maildrop.
func (c *conn) readRows(ctx context.Context, who login.Who, d *maildrop) error {
	next, last := uint32(1), uint32(math.MaxUint32)
	for next <= last {
		err := c.o.Mailbox.View(ctx, who.Account, func(tx *mailbox.Tx) error {
			if d.rows == nil {
				box, err := tx.BoxByName("INBOX")
				if fault.Is(err, fault.NotFound) {
					last = 0
					return nil
				}
				if err != nil {
					return err
				}
				d.box, d.validity, last = box.ID, box.UIDValidity, box.UIDNext-1
				d.rows = make([]row, 0, box.Messages)
			}
			n := 0
			for p, err := range tx.Placements(d.box, next, last) {
				if err != nil {
					return err
				}
				if n++; n > c.o.page {
					return nil
				}
				d.rows = append(d.rows, row{uid: p.UID, message: p.Message, size: p.Size})
				next = p.UID + 1
			}
			last = 0
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// closeMaildrop gives the lock back. Nothing is removed here.
func (c *conn) closeMaildrop() {
	if c.drop != nil {
		c.drop = nil
		c.o.Locks.release(c.who.Account)
	}
}

// remove deletes what is marked; what is gone already is no error.
func (c *conn) remove(ctx context.Context) error {
	var uids []mailbox.UID
	for _, r := range c.drop.rows {
		if r.deleted {
			uids = append(uids, r.uid)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	_, err := c.o.Mailbox.Expunge(ctx, c.who.Account, c.who.Account, c.drop.box, uids, true)
	return fault.Wrap("pop3d.remove", err)
}
