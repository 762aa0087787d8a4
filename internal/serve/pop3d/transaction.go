package pop3d

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// transaction are the commands of the TRANSACTION state.
var transaction = map[string]action{
	"STAT": (*conn).stat, "LIST": (*conn).list, "UIDL": (*conn).uidl, "RETR": (*conn).retr, "TOP": (*conn).topCommand,
	"DELE": (*conn).dele, "NOOP": (*conn).noop, "RSET": (*conn).rset,
}

// message says whether there is the message a command names, or answers that
// there is none.
func (c *conn) message(n int) bool {
	if !c.drop.has(n) {
		c.reply("-ERR no such message")
		return false
	}
	return true
}

func (c *conn) stat(_ context.Context, cmd command) {
	if _, ok := cmd.numbers(0); !ok {
		c.mistake("STAT has no argument")
		return
	}
	c.reply("+OK %d %d", c.drop.left(), c.drop.octets())
}

// list is LIST: sizes are read page by page as they are told, and a message that
// is gone is not told of.
func (c *conn) list(ctx context.Context, cmd command) {
	c.listing(ctx, cmd, func(n, limit int) (int, error) {
		page, next, err := c.placements(ctx, n, limit)
		for _, p := range page {
			if c.drop.has(p.n) {
				c.tell(p.n, strconv.AppendInt(c.line[:0], p.Size, 10))
			}
		}
		if limit == 1 && len(page) == 0 && err == nil {
			err = fault.New(fault.Expunged, "pop3d.list", "")
		}
		return next, err
	})
}

// uidl is UIDL: an imported message has the unique-id it had before, and any
// other one made of its UID, for which no row is read.
func (c *conn) uidl(ctx context.Context, cmd command) {
	c.listing(ctx, cmd, func(n, limit int) (int, error) {
		d := c.drop
		next := min(n+limit, d.count+1)
		names, err := c.names(ctx, n, next)
		if err != nil {
			return 0, err
		}
		for ; n < next; n++ {
			if !d.has(n) {
				continue
			}
			u := d.uid(n)
			if name, ok := names[u]; ok {
				c.tell(n, append(c.line[:0], name...))
			} else {
				c.tell(n, d.appendID(c.line[:0], u))
			}
		}
		return next, nil
	})
}

// tell writes "n fact", in a multi-line response or as the only line.
func (c *conn) tell(n int, fact []byte) {
	c.line = fact // its memory is used again
	if c.alone {
		c.reply("+OK %d %s", n, fact)
		return
	}
	var number [12]byte
	_, _ = c.out.Write(append(strconv.AppendInt(number[:0], int64(n), 10), ' '))
	_, _ = c.out.Write(fact)
	_, _ = c.out.WriteString("\r\n")
}

// listing answers LIST and UIDL: one message, or all in a multi-line response.
// part tells of at most limit messages from number n and gives the next number.
func (c *conn) listing(ctx context.Context, cmd command, part func(n, limit int) (int, error)) {
	if _, all := cmd.numbers(0); all {
		c.alone = false
		c.reply("+OK %d messages (%d octets)", c.drop.left(), c.drop.octets())
		for n := 1; n <= c.drop.count; {
			var err error
			if n, err = part(n, c.o.page); err != nil {
				c.report(ctx, err)
				c.reason = "broken off: " + err.Error() // a part must not pass for the whole
				return
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
	if c.message(v[0]) {
		c.alone = true
		if _, err := part(v[0], 1); err != nil {
			c.fail(ctx, err)
		}
	}
}

// dele marks a message. One that is gone meanwhile is marked all the same.
func (c *conn) dele(ctx context.Context, cmd command) {
	v, ok := cmd.numbers(1)
	if !ok {
		c.mistake("DELE wants a message number")
		return
	}
	if n := v[0]; c.message(n) {
		page, _, err := c.placements(ctx, n, 1)
		if err != nil {
			c.fail(ctx, err)
			return
		}
		size := int64(0)
		for _, p := range page {
			size = p.Size
		}
		c.drop.deleted[n] = size
		c.drop.freed += size
		c.reply("+OK marked as deleted")
	}
}

func (c *conn) noop(context.Context, command) { c.reply("+OK") }

func (c *conn) rset(context.Context, command) {
	clear(c.drop.deleted)
	c.drop.freed = 0
	c.reply("+OK %d messages (%d octets)", c.drop.left(), c.drop.octets())
}

func (c *conn) retr(ctx context.Context, cmd command) {
	v, ok := cmd.numbers(1)
	if !ok {
		c.mistake("RETR wants a message number")
		return
	}
	if c.message(v[0]) && c.send(ctx, v[0], -1) && c.drop.use.Seen {
		c.drop.fetched = append(c.drop.fetched, c.drop.uid(v[0]))
		if len(c.drop.fetched) >= maxFetched {
			c.noteFetched(ctx)
		}
	}
}

func (c *conn) topCommand(ctx context.Context, cmd command) {
	v, ok := cmd.numbers(2)
	if !ok {
		c.mistake("TOP wants a message number and a number of lines")
		return
	}
	if c.message(v[0]) {
		c.send(ctx, v[0], v[1])
	}
}

// maxFetched is how many fetched messages are marked as seen at once.
const maxFetched = 1_000

// send writes a message, or its header and the first lines of its body if
// lines is not negative, and says whether all of it went out. Of a large message
// no more than a chunk is in memory.
func (c *conn) send(ctx context.Context, n, lines int) bool {
	content, err := c.content(ctx, n)
	if err != nil {
		c.fail(ctx, err)
		return false
	}
	c.widen()
	size := content.Size()
	if lines >= 0 {
		buf := make([]byte, min(chunk, size+1))
		if size, err = top(io.NewSectionReader(content, 0, size), lines, buf); err != nil {
			c.fail(ctx, fault.Wrap("pop3d.send", err))
			return false
		}
		c.reply("+OK top of the message follows")
	} else {
		// The first octet is looked at before +OK is said: damage that shows at
		// once can still be answered.
		var first [1]byte
		if got, err := content.ReadAt(first[:], 0); got == 0 && size > 0 {
			c.fail(ctx, fault.Wrap("pop3d.send", err))
			return false
		}
		c.number("+OK ", size, " octets\r\n")
	}
	w := newStuffer(c.out)
	if _, err = content.Section(0, size).WriteTo(w); err == nil {
		err = w.end()
	}
	if err != nil {
		// The client must not take a part for the whole: no full stop is sent.
		c.reason = "broken off: " + err.Error()
		if kind := fault.KindOf(err); kind == fault.Corrupt {
			c.o.Sink.Emit(ctx, event.Failed{Where: "pop3d", Peer: c.peer, Err: err})
		}
		return false
	}
	_, _ = c.out.WriteString(".\r\n")
	return true
}

// wide is how much of a session that fetches goes out at once: most messages
// whole.
const wide = 16 << 10

// widen gives a session that begins to fetch more room to write in.
func (c *conn) widen() {
	if c.out.Size() < wide && c.flush() == nil {
		c.out = bufio.NewWriterSize(deadlineWriter{c}, wide)
	}
}

// number writes a reply with a number in it.
func (c *conn) number(before string, n int64, behind string) {
	_, _ = c.out.WriteString(before)
	_, _ = c.out.Write(strconv.AppendInt(c.line[:0], n, 10))
	_, _ = c.out.WriteString(behind)
}

// content opens a message, unless its header is in UTF-8 and the client did
// not say that it can take that (RFC 6856 §5).
func (c *conn) content(ctx context.Context, n int) (*mailbox.Content, error) {
	m, content, err := c.look(ctx, n)
	if err != nil {
		return nil, err
	}
	if !c.utf8 && internationalized(m.Prefix) {
		return nil, fault.New(fault.Unsupported, "pop3d.content", utf8Needed)
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
	c.closeMaildrop(ctx)
	if err != nil {
		c.fail(ctx, &fault.Error{Kind: fault.KindOf(err), Op: "pop3d.quit", Public: "not all marked messages could be removed", Err: err})
		return
	}
	c.reply("+OK goodbye")
}
