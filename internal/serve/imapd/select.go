package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// selectBox is SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2). Whatever happens,
// the mailbox selected before is not any more. RECENT is always 0: to remember
// which session saw a message first would need a write for each SELECT, and no
// client of today asks.
func (c *session) selectBox(cmd *imap.SelectCommand) (reply, error) {
	c.sel = nil
	v := &view{readOnly: cmd.ReadOnly, words: map[string]string{}}
	var box mailbox.Box
	var words []string
	unseen := uint32(0)
	err := c.read(func(tx *mailbox.Tx) (err error) {
		if box, err = tx.BoxByName(cmd.Mailbox); err != nil {
			return err
		}
		v.box, v.inbox, v.seen = box.ID, box.Name == inbox, tx.Version()
		if v.uids, err = tx.UIDs(box.ID); err != nil {
			return err
		}
		if words, err = tx.Keywords(); err != nil {
			return err
		}
		_, unseen, err = tx.FirstUnseen(box.ID)
		return err
	})
	if err != nil {
		return reply{}, err
	}
	c.sel = v
	for _, w := range words {
		v.addWord(w)
	}
	c.tellFlags()
	c.enc.Untagged().Raw("OK [PERMANENTFLAGS ").Words(v.permanentFlags()).Raw("] flags that are kept\r\n")
	c.enc.Untagged().Number(int64(len(v.uids))).Raw(" EXISTS\r\n* 0 RECENT\r\n")
	if unseen > 0 {
		c.enc.Untagged().Raw("OK [UNSEEN ").Number(int64(unseen)).Raw("] first unseen\r\n")
	}
	c.enc.Untagged().Raw("OK [UIDVALIDITY ").Number(int64(box.UIDValidity)).Raw("] UIDs are valid\r\n")
	c.enc.Untagged().Raw("OK [UIDNEXT ").Number(int64(box.UIDNext)).Raw("] next UID\r\n")
	if v.readOnly {
		return reply{"OK", "READ-ONLY", cmd.Name() + " done"}, nil
	}
	return reply{"OK", "READ-WRITE", cmd.Name() + " done"}, nil
}

func (v *view) permanentFlags() []string {
	if v.readOnly {
		return nil
	}
	return append(v.flagNames(), `\*`)
}
