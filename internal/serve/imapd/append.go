package imapd

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// discard is how large a message we read only to throw it away, in octets.
func (c *session) discard() int64 { return 2 * c.o.Limits.Message }

// append is APPEND (RFC 3501 §6.3.11) with APPENDUID (RFC 4315). All that can be
// refused is refused before the message comes; then it is streamed into the
// store, and one transaction puts it into its mailbox.
func (c *session) append(cmd *imap.AppendCommand) (reply, error) {
	refused, err := c.appendRefused(cmd)
	if err != nil || refused.status != "" {
		if fatal := c.dec.Refuse(cmd, c.discard()); fatal != nil {
			return reply{}, fatal
		}
		return refused, err
	}
	w, err := c.o.Mailbox.Blob(c.work)
	if err != nil {
		if fatal := c.dec.Refuse(cmd, c.discard()); fatal != nil {
			return reply{}, fatal
		}
		return reply{}, err
	}
	defer w.Abort()
	if err := c.receive(cmd, w); err != nil {
		return reply{}, err
	}
	return c.keep(cmd, w)
}

// appendRefused says why the message should not even be sent; an empty reply
// means that it may come.
func (c *session) appendRefused(cmd *imap.AppendCommand) (reply, error) {
	switch {
	case cmd.Size > c.o.Limits.Message:
		return reply{"NO", "TOOBIG", "the message is too large"}, nil
	case cmd.Size == 0:
		return no("an empty message"), nil
	}
	at, err := c.locate(cmd.Mailbox)
	if fault.Is(err, fault.NotFound) {
		return reply{"NO", "NONEXISTENT", "there is no such mailbox"}, nil
	}
	quota := mailbox.Quota{}
	if err == nil {
		quota, err = c.quotaOf(at.account)
	}
	if err != nil {
		return reply{}, err
	}
	err = c.readIn(at.account, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName(at.name)
		if err == nil {
			err = tx.Demand(box.ID, mailbox.RightInsert)
		}
		if err != nil {
			return err
		}
		usage, err := tx.Usage()
		if err != nil {
			return err
		}
		return quota.Room(usage, mailbox.Usage{Octets: cmd.Size, Messages: 1})
	})
	if fault.Is(err, fault.NotFound) {
		return tryCreate(), nil
	}
	return reply{}, err
}

// receive streams the message into w. Where the store fails the message is
// still read to its end, so that the conversation stays in step. So it is with
// a NUL, which no literal may hold: what came in could not go out again
// (RFC 3501 §4.3).
func (c *session) receive(cmd *imap.AppendCommand, w io.Writer) error {
	r, err := c.dec.Message(cmd)
	if err != nil {
		return err
	}
	var kept error
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if kept == nil && bytes.IndexByte(buf[:n], 0) >= 0 {
			kept = fault.New(fault.Unsupported, "imapd.append", "the message holds a NUL")
		}
		if kept == nil && n > 0 {
			_, kept = w.Write(buf[:n])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := c.dec.EndMessage(); err != nil {
		return err
	}
	return fault.Wrap("imapd.append", kept)
}

// keep puts what was received into its mailbox.
func (c *session) keep(cmd *imap.AppendCommand, w *mailbox.ContentWriter) (reply, error) {
	h, err := w.Commit()
	if err != nil {
		return reply{}, err
	}
	m := mailbox.NewMessage{Content: h, Received: cmd.Date, Flags: cmd.Flags.System, Keywords: cmd.Flags.Keywords}
	if m.Received.IsZero() {
		m.Received = time.Now()
	}
	if m.Index, err = c.o.Mailbox.Index(c.work, nil, h); err != nil {
		return reply{}, err
	}
	m.Prepare()
	at, err := c.locate(cmd.Mailbox)
	if err != nil {
		return reply{}, err
	}
	var box mailbox.Box
	var place mailbox.Placement
	err = c.updateIn(at.account, func(tx *mailbox.Tx) (err error) {
		if box, err = tx.BoxByName(at.name); err != nil {
			return err
		}
		place, err = tx.Add(box.ID, m)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return tryCreate(), nil
	} else if err != nil {
		return reply{}, err
	}
	code := "APPENDUID " + strconv.FormatUint(uint64(box.UIDValidity), 10) + " " + strconv.FormatUint(uint64(place.UID), 10)
	return reply{"OK", code, "APPEND done"}, nil
}
