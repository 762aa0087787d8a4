package pop3d

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// transaction are the commands of the TRANSACTION state.
var transaction = map[string]action{
	"STAT": (*conn).stat, "LIST": (*conn).list, "UIDL": (*conn).uidl, "RETR": (*conn).retr, "TOP": (*conn).topCommand,
	"DELE": (*conn).dele, "NOOP": (*conn).noop, "RSET": (*conn).rset,
}

// message finds the message a command names, or answers that there is none.
func (c *conn) message(n int) (*row, bool) {
	r, ok := c.drop.at(n)
	if !ok {
		c.reply("-ERR no such message")
	}
	return r, ok
}

func (c *conn) stat(_ context.Context, cmd command) {
	if _, ok := cmd.numbers(0); !ok {
		c.mistake("STAT has no argument")
		return
	}
	c.reply("+OK %d %d", c.drop.left(), c.drop.octets())
}

func (c *conn) list(_ context.Context, cmd command) {
	c.listing(cmd, func(i int) string { return fmt.Sprint(c.drop.rows[i].size) })
}

func (c *conn) uidl(_ context.Context, cmd command) {
	c.listing(cmd, c.drop.uid)
}

// listing answers LIST and UIDL: one message, or all in a multi-line response.
func (c *conn) listing(cmd command, fact func(i int) string) {
	if _, ok := cmd.numbers(0); ok {
		c.reply("+OK %d messages (%d octets)", c.drop.left(), c.drop.octets())
		for i := range c.drop.rows {
			if !c.drop.rows[i].deleted {
				c.reply("%d %s", i+1, fact(i))
			}
		}
		c.reply(".")
		return
	}
	v, ok := cmd.numbers(1)
	if !ok {
		c.mistake(cmd.Keyword + " wants a message number, or nothing")
		return
	}
	if _, ok := c.message(v[0]); ok {
		c.reply("+OK %d %s", v[0], fact(v[0]-1))
	}
}

func (c *conn) dele(_ context.Context, cmd command) {
	v, ok := cmd.numbers(1)
	if !ok {
		c.mistake("DELE wants a message number")
		return
	}
	if r, ok := c.message(v[0]); ok {
		r.deleted = true
		c.reply("+OK marked as deleted")
	}
}

func (c *conn) noop(context.Context, command) { c.reply("+OK") }

func (c *conn) rset(context.Context, command) {
	for i := range c.drop.rows {
		c.drop.rows[i].deleted = false
	}
	c.reply("+OK %d messages (%d octets)", c.drop.left(), c.drop.octets())
}

func (c *conn) retr(ctx context.Context, cmd command) {
	v, ok := cmd.numbers(1)
	if !ok {
		c.mistake("RETR wants a message number")
		return
	}
	if r, ok := c.message(v[0]); ok {
		c.send(ctx, r, -1)
	}
}

func (c *conn) topCommand(ctx context.Context, cmd command) {
	v, ok := cmd.numbers(2)
	if !ok {
		c.mistake("TOP wants a message number and a number of lines")
		return
	}
	if r, ok := c.message(v[0]); ok {
		c.send(ctx, r, v[1])
	}
}

// send writes a message, or its header and the first lines of its body if
// lines is not negative. Of the message no more than a chunk is in memory.
func (c *conn) send(ctx context.Context, r *row, lines int) {
	content, err := c.content(ctx, r)
	if err != nil {
		c.fail(ctx, err)
		return
	}
	defer func() { _ = content.Close() }()
	size, buf := content.Size(), make([]byte, min(chunk, content.Size()+1))
	if lines >= 0 {
		if size, err = top(io.NewSectionReader(content, 0, size), lines, buf); err != nil {
			c.fail(ctx, fault.Wrap("pop3d.send", err))
			return
		}
		c.reply("+OK top of the message follows")
	} else {
		// The first octet is looked at before +OK is said: damage that shows at
		// once can still be answered.
		if n, err := content.ReadAt(buf[:1], 0); n == 0 && size > 0 {
			c.fail(ctx, fault.Wrap("pop3d.send", err))
			return
		}
		c.reply("+OK %d octets", size)
	}
	if err := stuff(c.out, io.NewSectionReader(content, 0, size), buf); err != nil {
		// The client must not take a part for the whole: no full stop is sent.
		c.reason = "broken off: " + err.Error()
		if kind := fault.KindOf(err); kind == fault.Corrupt {
			c.o.Sink.Emit(ctx, event.Failed{Where: "pop3d", Peer: c.peer, Err: err})
		}
		return
	}
	c.reply(".")
}

// content opens a message, unless its header is in UTF-8 and the client did
// not say that it can take that (RFC 6856 §5).
func (c *conn) content(ctx context.Context, r *row) (*mailbox.Content, error) {
	var m mailbox.Message
	err := c.o.Mailbox.View(ctx, c.who.Account, func(tx *mailbox.Tx) error {
		var err error
		m, err = tx.Message(r.message)
		return err
	})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Expunged) {
		return nil, fault.New(fault.Expunged, "pop3d.content", "")
	}
	if err != nil {
		return nil, fault.Wrap("pop3d.content", err)
	}
	if !c.utf8 && internationalized(m.Prefix) {
		return nil, fault.New(fault.Unsupported, "pop3d.content", utf8Needed)
	}
	content, err := c.o.Mailbox.OpenMessage(ctx, c.who.Account, m)
	if err != nil {
		return nil, fault.Wrap("pop3d.content", err)
	}
	return content, nil
}

// utf8Needed is refused with a response code of its own, see negative.
const utf8Needed = "this message has UTF-8 in its header; UTF8 first"

// internationalized says whether a message came with SMTPUTF8, by the protocol
// in the Received field on top that this server put there (RFC 6531 §4.3). Raw
// octets in the header of any other message are its sender's slip, and go out
// as they came in.
func internationalized(prefix []byte) bool {
	for _, protocol := range [][]byte{[]byte(" with UTF8SMTP"), []byte(" with UTF8LMTP")} {
		if bytes.Contains(bytes.ReplaceAll(prefix, []byte("\r\n"), nil), protocol) {
			return true
		}
	}
	return false
}

// quit ends the session. Only here are messages removed (RFC 1939 §6); the
// lock is free before the client reads the answer.
func (c *conn) quit(ctx context.Context, cmd command) {
	if _, ok := cmd.numbers(0); !ok {
		c.mistake("QUIT has no argument")
		return
	}
	c.reason = "quit"
	if c.drop == nil {
		c.reply("+OK goodbye")
		return
	}
	err := c.o.remove(ctx, c)
	c.closeMaildrop()
	if err != nil {
		c.fail(ctx, &fault.Error{Kind: fault.KindOf(err), Op: "pop3d.quit", Public: "not all marked messages could be removed", Err: err})
		return
	}
	c.reply("+OK goodbye")
}
