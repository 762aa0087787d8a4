package imapd

import (
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// maxAppended is how many messages one APPEND may bring, as all or none of them
// come in one transaction.
const maxAppended = 200

// discard is how large a message we read only to throw it away, in octets.
func (c *session) discard() int64 { return 2 * c.o.Limits.Message }

// append is APPEND (RFC 3501 §6.3.11), of any number of messages (RFC 3502), and
// REPLACE (RFC 8508), with APPENDUID (RFC 4315). All that can be refused is refused
// before a message comes; each is then streamed into the store, and one
// transaction puts them into their mailbox.
func (c *session) append(cmd *imap.AppendCommand) (reply, error) {
	in := &incoming{c: c, cmd: cmd}
	defer in.abort()
	r, err := in.refused()
	for err == nil && r.status == "" {
		var more bool
		if r, more, err = in.step(); !more {
			break
		}
	}
	if err != nil || r.status != "" {
		if err, lost := err.(*lostStep); lost {
			return reply{}, err.error
		}
		if fatal := c.dec.Refuse(cmd, c.discard()); fatal != nil {
			return reply{}, fatal
		}
		return r, err
	}
	return in.keep()
}

// refused says why the first message should not even be sent; an empty reply means
// that it may come.
func (in *incoming) refused() (reply, error) {
	c := in.c
	if in.cmd.Replaced != nil {
		if r, err := in.findReplaced(); err != nil || r.status != "" {
			return r, err
		}
	}
	var err error
	if in.at, err = c.locate(in.cmd.Mailbox); fault.Is(err, fault.NotFound) {
		return reply{"NO", "NONEXISTENT", "there is no such mailbox"}, nil
	}
	if err == nil {
		in.quota, err = c.quotaOf(in.at.account)
	}
	if err != nil {
		return reply{}, err
	}
	if in.old > 0 && in.at.account != c.sel.account {
		return reply{"NO", codes[fault.Unsupported], "a message is replaced within one account"}, nil
	}
	err = c.readIn(in.at.account, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName(in.at.name)
		if err == nil {
			err = tx.Demand(box.ID, mailbox.RightInsert)
		}
		if err == nil {
			in.usage, err = tx.Usage()
		}
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return tryCreate(), nil
	}
	return reply{}, err
}

// findReplaced finds the message that REPLACE replaces.
func (in *incoming) findReplaced() (reply, error) {
	v, old := in.c.sel, in.cmd.Replaced
	if v.readOnly {
		return reply{}, denied("the mailbox is selected read-only")
	}
	r := imap.Range{First: old.Number, Last: old.Number}
	spans, err := v.spans(imap.Set{r}, old.UID)
	if err != nil {
		return reply{}, err
	}
	uids, missing := v.pick(spans)
	if len(uids) != 1 || missing {
		return reply{"NO", codes[fault.NotFound], "the message to be replaced is not there"}, nil
	}
	in.old = uids[0]
	return reply{}, nil
}

// room says whether a message of size octets may come.
func (in *incoming) room(size int64) (reply, error) {
	if size > in.c.o.Limits.Message {
		return reply{"NO", "TOOBIG", "the message is too large"}, nil
	}
	return reply{}, in.quota.Room(in.usage, mailbox.Usage{Octets: in.octets + size, Messages: int64(len(in.messages)) + 1})
}

// keep puts what was received into its mailbox, all in one moment.
func (in *incoming) keep() (reply, error) {
	c, cmd := in.c, in.cmd
	var box mailbox.Box
	var uids []mailbox.UID
	err := c.updateIn(in.at.account, func(tx *mailbox.Tx) (err error) {
		if box, err = tx.BoxByName(in.at.name); err != nil {
			return err
		}
		uids = uids[:0]
		for _, m := range in.messages {
			p, err := tx.Add(box.ID, m)
			if err != nil {
				return err
			}
			uids = append(uids, p.UID)
		}
		if in.old > 0 {
			err = tx.Displace(c.sel.box, in.old)
		}
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return tryCreate(), nil
	} else if err != nil {
		return reply{}, err
	}
	code := "APPENDUID " + strconv.FormatUint(uint64(box.UIDValidity), 10) + " " + imap.SetOf(uids).String()
	if cmd.Replaced == nil {
		return reply{"OK", code, "APPEND done"}, nil
	}
	// RFC 8508 §3.4: the code comes before the EXPUNGE response.
	c.enc.Status("", "OK", code, "the replacement is there")
	if c.has(qresync) {
		return reply{"OK", highestModSeq, "REPLACE done"}, nil
	}
	return ok("REPLACE done"), nil
}
