package imapd

import (
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// tryCreate is the reply where a mailbox to write to is not there, but could be
// (RFC 3501 §7.1).
func tryCreate() reply { return reply{"NO", "TRYCREATE", "there is no such mailbox"} }

// target finds the mailbox to write to; zero if there is none.
func (c *session) target(name string) (mailbox.Box, error) {
	box, err := c.open(name, mailbox.RightInsert)
	if fault.Is(err, fault.NotFound) {
		return mailbox.Box{}, nil
	}
	return box, err
}

// copy is COPY (RFC 3501 §6.4.7) and MOVE (RFC 6851), by UID or not, with the
// COPYUID of RFC 4315.
func (c *session) copy(cmd *imap.CopyCommand) (reply, error) {
	v := c.sel
	if cmd.Move && v.readOnly {
		return reply{}, denied("the mailbox is selected read-only")
	}
	spans, err := v.spans(cmd.Set, cmd.UID)
	if err != nil {
		return reply{}, err
	}
	spans, lowest := c.limit(v, spans)
	if lowest > 0 && !cmd.Move {
		return c.tooMany(), nil
	}
	dest, err := c.target(cmd.Mailbox)
	if err != nil {
		return reply{}, err
	}
	if dest.ID == 0 {
		return tryCreate(), nil
	}
	uids, missing := v.pick(spans)
	if missing && !cmd.UID {
		return reply{}, errGone()
	}
	if len(uids) == 0 {
		return ok("no messages"), nil
	}
	quota, err := c.quotaOf(dest.Account)
	if err != nil {
		return reply{}, err
	}
	transfer := c.o.Mailbox.CopyAcross
	if cmd.Move {
		transfer = c.o.Mailbox.MoveAcross
	}
	src, dst, validity, err := transfer(c.work, c.account(), v.account, v.box, uids, dest.Account, dest.ID, quota)
	code := ""
	if len(src) > 0 {
		code = "COPYUID " + strconv.FormatUint(uint64(validity), 10) + " " + imap.SetOf(src).String() + " " + imap.SetOf(dst).String()
	}
	if !cmd.Move {
		if err != nil {
			return reply{}, err
		}
		return reply{"OK", code, "COPY done"}, nil
	}
	// RFC 6851 §4.3: the code comes before the EXPUNGE responses.
	if code != "" {
		c.tellOK(code, "moved")
	}
	if err != nil {
		return reply{}, err
	}
	return c.limited(ok("MOVE done"), lowest), nil
}
