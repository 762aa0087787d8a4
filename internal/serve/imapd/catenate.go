package imapd

import (
	"bytes"
	"io"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// badURL is the reply to a URL that leads to nothing (RFC 4469 §4.1).
func badURL(url string) reply {
	code := "BADURL"
	if !strings.ContainsFunc(url, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ']' }) {
		code += " " + url
	}
	return reply{"NO", code, "there is nothing at this URL"}
}

// fromURL adds what a URL names to the message in hand (RFC 4469 §3).
func (in *incoming) fromURL(s string) (reply, error) {
	u, err := imap.ParseURL(s)
	if err != nil || !in.c.here(&u) {
		return badURL(s), nil
	}
	b, err := in.c.messageAt(&u)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Expunged) {
		return badURL(s), nil
	}
	if err != nil {
		return reply{}, err
	}
	defer b.close()
	r, n, found, err := b.find(u.Section)
	switch {
	case err != nil:
		return reply{}, err
	case !found:
		return badURL(s), nil
	}
	from := int64(0)
	if u.Partial != nil {
		if from = min(int64(u.Partial.Offset), n); u.Partial.Count > 0 {
			n = min(n, from+int64(u.Partial.Count))
		}
	}
	if r, err := in.room(in.size + n - from); err != nil || r.status != "" {
		return r, err
	}
	_, err = io.Copy(in, io.NewSectionReader(r, from, n-from))
	return reply{}, fault.Wrap("imapd.catenate", err)
}

// here says whether a URL leads to this server and account.
func (c *session) here(u *imap.URL) bool {
	return (u.Host == "" || strings.EqualFold(u.Host, c.o.Hostname)) && (u.User == "" || strings.EqualFold(u.User, c.who.Address.String()))
}

// messageAt opens the message that a URL names.
func (c *session) messageAt(u *imap.URL) (*body, error) {
	notThere := fault.New(fault.NotFound, "imapd.messageAt", "")
	b := &body{c: c, row: &row{}, account: c.account(), shelf: &shelf{}}
	if u.Mailbox == "" {
		if c.sel == nil {
			return nil, notThere
		}
		b.account = c.sel.account
	}
	at, err := c.locate(u.Mailbox)
	if err != nil {
		return nil, err
	}
	if u.Mailbox != "" {
		b.account = at.account
	}
	err = c.readIn(b.account, func(tx *mailbox.Tx) error {
		var box mailbox.Box
		var err error
		if u.Mailbox == "" {
			box, err = tx.Box(c.sel.box)
		} else {
			box, err = tx.BoxByName(at.name)
		}
		if err != nil {
			return err
		}
		if u.UIDValidity > 0 && u.UIDValidity != box.UIDValidity {
			return notThere
		}
		if b.row.Placement, err = tx.Placement(box.ID, u.UID); err != nil {
			return err
		}
		if b.row.message, err = tx.Message(b.row.Placement.Message); err != nil {
			return err
		}
		// Without a kept index the content is parsed.
		if b.index, err = tx.Index(b.row.message.ID); fault.Is(err, fault.NotFound) || fault.Is(err, fault.Corrupt) {
			return nil
		}
		return err
	})
	if err == nil {
		err = b.open()
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// find gives a section of the message in n octets; nil is all of it.
func (b *body) find(s *imap.Section) (r io.ReaderAt, n int64, found bool, err error) {
	if s == nil {
		s = &imap.Section{}
	}
	if len(s.Fields) > 0 {
		text, found, err := b.fields(s)
		return bytes.NewReader(text), int64(len(text)), found, err
	}
	at, found, err := b.span(s)
	return io.NewSectionReader(b.content, at.Offset, at.Length), at.Length, found, err
}
