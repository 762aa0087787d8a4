package pop3d

import (
	"context"
	"sort"
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// maildrop is the INBOX as it was at login (RFC 1939 §4): what comes in later is
// seen by the next session. Of a million messages it keeps the runs of their
// UIDs; sizes are read when they are asked for.
type maildrop struct {
	box      mailbox.BoxID
	validity uint32
	runs     []mailbox.Run
	starts   []int // how many messages stand before each run
	count    int
	size     int64         // octets of all
	deleted  map[int]int64 // those marked, by number, with their sizes
	freed    int64         // octets of those
	fetched  []mailbox.UID // whole ones, not told to the store
	use      Use

	next  int // the number that comes next, if they are fetched in order
	ahead ahead
}

// left counts the messages not marked as deleted.
func (d *maildrop) left() int { return d.count - len(d.deleted) }

// octets adds up their sizes.
func (d *maildrop) octets() int64 { return d.size - d.freed }

// uid is that of message number n.
func (d *maildrop) uid(n int) mailbox.UID {
	i := sort.Search(len(d.starts), func(i int) bool { return d.starts[i] >= n }) - 1
	return d.runs[i].First + mailbox.UID(n-1-d.starts[i])
}

// has says whether there is a message number n that is not marked as deleted.
func (d *maildrop) has(n int) bool {
	_, gone := d.deleted[n]
	return n >= 1 && n <= d.count && !gone
}

// appendID writes a unique-id: a UID means the same message as long as
// UIDVALIDITY stays (RFC 9051 §2.3.1.1), which is what RFC 1939 §7 asks for.
func (d *maildrop) appendID(b []byte, u mailbox.UID) []byte {
	b = append(strconv.AppendUint(b, uint64(d.validity), 10), '.')
	return strconv.AppendUint(b, uint64(u), 10)
}

// openMaildrop locks who's maildrop and looks at its INBOX. fault.Conflict means
// that another session has it, fault.TooMany that the last one was too short a
// time ago.
func (c *conn) openMaildrop(ctx context.Context, who login.Who) error {
	const op = "pop3d.open"
	if err := c.o.Locks.take(who.Account, c.o.Now(), c.o.LoginDelay); err != nil {
		return err
	}
	d := &maildrop{deleted: map[int]int64{}}
	err := c.readUIDs(ctx, who, d)
	if err == nil && c.o.Use != nil {
		d.use, err = c.o.Use(ctx, who.Account)
	}
	if err != nil {
		c.o.Locks.release(who.Account)
		return fault.Wrap(op, err)
	}
	c.drop, c.who = d, who
	c.arrived()
	return nil
}

// readUIDs reads which messages there are. An account that never got mail has
// no INBOX, which is an empty maildrop.
func (c *conn) readUIDs(ctx context.Context, who login.Who, d *maildrop) error {
	err := c.o.Mailbox.View(ctx, who.Account, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName("INBOX")
		if err != nil {
			return err
		}
		d.box, d.validity, d.size = box.ID, box.UIDValidity, box.Size
		d.runs, err = tx.Runs(box.ID)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	for _, r := range d.runs {
		d.starts = append(d.starts, d.count)
		d.count += int(r.Last-r.First) + 1
	}
	return err
}

// placed is a message with its number.
type placed struct {
	n int
	mailbox.Placement
}

// placements reads those of the messages from number n, in one look of at most
// limit, and says with what number to go on. What is gone meanwhile is passed
// over.
func (c *conn) placements(ctx context.Context, n, limit int) (page []placed, next int, err error) {
	d := c.drop
	next = min(n+limit, d.count+1)
	err = c.o.Mailbox.View(ctx, c.who.Account, func(tx *mailbox.Tx) error {
		page = page[:0]
		at := n
		for p, err := range tx.Placements(d.box, d.uid(n), d.uid(next-1)) {
			if err != nil {
				return err
			}
			for at < next && d.uid(at) < p.UID {
				at++
			}
			page = append(page, placed{at, p})
		}
		return nil
	})
	return page, next, err
}

// names reads the unique-ids that messages from number n to before next brought
// with them.
func (c *conn) names(ctx context.Context, n, next int) (names map[mailbox.UID]string, err error) {
	d := c.drop
	err = c.o.Mailbox.View(ctx, c.who.Account, func(tx *mailbox.Tx) error {
		names = nil
		for u, err := range tx.UIDLs(d.box, d.uid(n), d.uid(next-1)) {
			if err != nil {
				return err
			}
			if names == nil {
				names = map[mailbox.UID]string{}
			}
			names[u.UID] = u.Text
		}
		return nil
	})
	return names, err
}

// closeMaildrop gives the lock back. Nothing is removed here.
func (c *conn) closeMaildrop(ctx context.Context) {
	if c.drop != nil {
		c.noteFetched(ctx)
		c.drop = nil
		c.o.Locks.release(c.who.Account)
	}
}

// noteFetched marks as seen what was fetched, where that is wanted. It may fail:
// then they stay new, which harms nobody.
func (c *conn) noteFetched(ctx context.Context) {
	d := c.drop
	if !d.use.Seen || len(d.fetched) == 0 {
		return
	}
	change := mailbox.FlagChange{Op: mailbox.FlagsAdd, Flags: mail.FlagSeen}
	_, _, err := c.o.Mailbox.SetFlags(ctx, c.who.Account, c.who.Account, d.box, d.fetched, change, 0)
	c.report(ctx, fault.Wrap("pop3d.seen", err))
	d.fetched = nil
}

// remove deletes what is marked; what is gone already is no error.
func (c *conn) remove(ctx context.Context) error {
	var uids []mailbox.UID
	for n := range c.drop.deleted {
		uids = append(uids, c.drop.uid(n))
	}
	if len(uids) == 0 {
		return nil
	}
	_, err := c.o.Mailbox.Expunge(ctx, c.who.Account, c.who.Account, c.drop.box, uids, true)
	return fault.Wrap("pop3d.remove", err)
}
