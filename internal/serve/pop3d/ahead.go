package pop3d

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// What is read ahead for a client that fetches in order: at most so many
// messages, and no more small ones than have so many octets together. A large one
// is only found, and read as it goes out.
const (
	aheadMessages = 64
	aheadOctets   = 256 << 10
)

// ahead is messages that were looked up together, by number.
type ahead struct {
	found map[int]*mailbox.Opened
	of    map[int]*mailbox.Message
	room  []byte
}

// look finds message n, and what follows if the client fetches in order.
// fault.Expunged if it is gone.
func (c *conn) look(ctx context.Context, n int) (*mailbox.Message, *mailbox.Content, error) {
	const op = "pop3d.content"
	d := c.drop
	if d.ahead.of[n] == nil {
		limit := 1
		if n == d.next {
			limit = aheadMessages
		}
		if err := c.read(ctx, n, limit); err != nil {
			return nil, nil, fault.Wrap(op, err)
		}
	}
	d.next = n + 1
	m, o := d.ahead.of[n], d.ahead.found[n]
	switch {
	case m == nil:
		return nil, nil, fault.New(fault.Expunged, op, "")
	case o.Err != nil:
		return nil, nil, fault.Wrap(op, o.Err)
	}
	return m, &o.Content, nil
}

// read looks up messages from number n on. They take the place of those before.
func (c *conn) read(ctx context.Context, n, limit int) error {
	d := c.drop
	page, _, err := c.placements(ctx, n, limit)
	if err != nil {
		return err
	}
	ids := make([]mailbox.MessageID, 0, len(page))
	sum := int64(0)
	for i, p := range page {
		if sum += p.Size; i > 0 && sum > aheadOctets {
			page = page[:i]
			break
		}
		ids = append(ids, p.Message)
	}
	var messages []mailbox.Message
	err = c.o.Mailbox.View(ctx, c.who.Account, func(tx *mailbox.Tx) (err error) {
		messages, err = tx.Messages(ids)
		return err
	})
	if err != nil {
		return err
	}
	opened, room, err := c.o.Mailbox.OpenMessages(ctx, c.who.Account, messages, d.ahead.room[:0])
	if err != nil {
		return err
	}
	d.ahead = ahead{found: make(map[int]*mailbox.Opened, len(page)), of: make(map[int]*mailbox.Message, len(page)), room: room}
	for i, p := range page {
		if messages[i].ID != 0 {
			d.ahead.of[p.n], d.ahead.found[p.n] = &messages[i], &opened[i]
		}
	}
	return nil
}
