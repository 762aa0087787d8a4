package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// expunge is EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1). The
// responses come with the news at its end.
func (c *session) expunge(cmd *imap.ExpungeCommand) (reply, error) {
	v := c.sel
	if v.readOnly {
		return reply{}, denied("the mailbox is selected read-only")
	}
	var uids []mailbox.UID // nil: all
	if cmd.Set != nil {
		spans, err := v.spans(cmd.Set, true)
		if err != nil {
			return reply{}, err
		}
		if uids, _ = v.pick(spans); len(uids) == 0 {
			return ok("no messages"), nil
		}
	}
	gone, err := c.o.Mailbox.Expunge(c.work, c.account(), v.account, v.box, uids, false)
	if err != nil {
		return reply{}, err
	}
	if len(gone) > 0 && c.has(qresync) {
		return reply{"OK", highestModSeq, "EXPUNGE done"}, nil
	}
	return ok("EXPUNGE done"), nil
}
