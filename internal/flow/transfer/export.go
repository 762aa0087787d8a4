package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// pageSize is how many placements are read at a time.
const pageSize = 500

// exporter carries an account out.
type exporter struct {
	store   *mailbox.Store
	account mail.AccountID
	out     *packer
}

// Export writes mailboxes of an account as a parcel. Each page of messages is of
// one moment. Whatever is damaged is named in the parcel in its place.
func Export(ctx context.Context, store *mailbox.Store, a mail.AccountID, boxes []mailbox.Box, w io.Writer) error {
	e := &exporter{store, a, newPacker(w)}
	for _, b := range boxes {
		if err := e.box(ctx, b); err != nil {
			return err
		}
	}
	return e.out.close()
}

// Mailboxes chooses those of an account to export: all, or, where name is not
// empty, that one and, unless it is wanted alone, those within it.
// fault.NotFound if there is none.
func Mailboxes(ctx context.Context, store *mailbox.Store, a mail.AccountID, name string, alone bool) (boxes []mailbox.Box, err error) {
	err = store.View(ctx, a, func(t *mailbox.Tx) error {
		boxes, err = t.Boxes()
		return err
	})
	if err != nil || name == "" {
		return boxes, err
	}
	canonical, err := mailbox.CanonicalName(name)
	if err != nil {
		return nil, err
	}
	var chosen []mailbox.Box
	for _, b := range boxes {
		if b.Name == canonical || !alone && strings.HasPrefix(b.Name, canonical+mailbox.Separator) {
			chosen = append(chosen, b)
		}
	}
	if len(chosen) == 0 {
		return nil, fault.Newf(fault.NotFound, "transfer.Export", "there is no mailbox %q", canonical)
	}
	return chosen, nil
}

// box writes a mailbox.
func (e *exporter) box(ctx context.Context, b mailbox.Box) error {
	if err := e.out.put(Item{Mailbox: b.Name, Box: true, UIDValidity: b.UIDValidity, UIDNext: b.UIDNext}); err != nil {
		return err
	}
	for from := mailbox.UID(1); from > 0; {
		page, err := e.page(ctx, b.ID, from)
		if fault.Is(err, fault.NotFound) {
			return nil // it was removed meanwhile
		} else if err != nil {
			return err
		}
		for _, m := range page {
			if err := e.message(ctx, b.Name, m); err != nil {
				return err
			}
		}
		from = 0
		if len(page) == pageSize {
			from = page[pageSize-1].UID + 1
		}
	}
	return nil
}

// outgoing is a placement with its message.
type outgoing struct {
	mailbox.Placement
	message mailbox.Message
	err     error
}

func (e *exporter) page(ctx context.Context, b mailbox.BoxID, from mailbox.UID) (page []outgoing, err error) {
	err = e.store.View(ctx, e.account, func(t *mailbox.Tx) error {
		page = page[:0]
		for p, err := range t.Placements(b, from, math.MaxUint32) {
			if err != nil {
				return err
			}
			page = append(page, outgoing{Placement: p})
			if len(page) == pageSize {
				break
			}
		}
		for i := range page {
			page[i].message, page[i].err = t.Message(page[i].Message)
		}
		return nil
	})
	return page, err
}

// message writes one. Its content is read to its end before its size is
// promised, since what is damaged must not stop the rest.
func (e *exporter) message(ctx context.Context, box string, m outgoing) error {
	it := Item{
		Mailbox: box, UID: m.UID, Flags: m.Flags, Keywords: m.Keywords, Received: m.Received,
		Where: fmt.Sprintf("%s, UID %d", box, m.UID),
	}
	lost := func(err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if fault.Is(err, fault.Unavailable) {
			return err
		}
		it.Lost = fault.Public(err)
		return e.out.put(it)
	}
	if m.err != nil {
		return lost(m.err)
	}
	c, err := e.store.OpenMessage(ctx, e.account, m.message)
	if fault.Is(err, fault.Corrupt) {
		// It may have been removed since the page was read.
		if _, gone := e.placement(ctx, m.Placement); fault.Is(gone, fault.Expunged) {
			return nil
		}
	}
	if err != nil {
		return lost(err)
	}
	defer c.Close()
	it.Size = c.Size()
	if it.Size <= maxMemory {
		b := make([]byte, it.Size)
		if _, err := c.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			return lost(err)
		}
		it.Content = bytes.NewReader(b)
		return e.out.put(it)
	}
	if _, err := c.WriteTo(io.Discard); err != nil {
		return lost(err)
	}
	it.Content = io.NewSectionReader(c, 0, it.Size)
	return e.out.put(it)
}

func (e *exporter) placement(ctx context.Context, p mailbox.Placement) (now mailbox.Placement, err error) {
	err = e.store.View(ctx, e.account, func(t *mailbox.Tx) error {
		now, err = t.Placement(p.Box, p.UID)
		return err
	})
	return now, err
}
