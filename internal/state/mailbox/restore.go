package mailbox

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
)

// Restore lays messages that are gone down again, in pieces, in the mailbox
// named into; "" is the one each was in, by its name, or INBOX where there is
// none of that name. They keep flags (but \Deleted), keywords and received date,
// and are new messages by id and UID, as ids are never used twice (RFC 8620
// §1.2). What is not, or no longer, gone is passed over. Restore does not ask
// about quota: see Usage.Room. After an error restored is what was done before it.
func (s *Store) Restore(ctx context.Context, who, a mail.AccountID, ids []GoneID, into string) (restored []Placement, err error) {
	if who != a && who != 0 {
		return nil, fault.New(fault.Denied, "mailbox.Restore", "")
	}
	for len(ids) > 0 {
		part := ids[:min(len(ids), s.piece)]
		handles, err := s.goneHandles(ctx, a, part)
		if err != nil {
			return restored, err
		}
		var some []Placement
		n := 0
		err = s.Update(ctx, who, a, func(t *Tx) (err error) {
			some, n, err = t.restore(part, handles, into)
			return err
		})
		if err != nil {
			return restored, err
		}
		restored, ids = append(restored, some...), ids[n:]
	}
	return restored, nil
}

// goneHandles finds the blobs of what is gone. Their messages hold them.
func (s *Store) goneHandles(ctx context.Context, a mail.AccountID, ids []GoneID) (map[mail.BlobID]blob.Handle, error) {
	handles := map[mail.BlobID]blob.Handle{}
	err := s.View(ctx, a, func(t *Tx) error {
		clear(handles)
		for _, id := range ids {
			r, ok, err := t.goneRow(id)
			if err != nil {
				return err
			}
			if ok {
				handles[r.Blob] = blob.Handle{}
			}
		}
		return nil
	})
	for id := range handles {
		if err != nil {
			break
		}
		handles[id], err = s.blobs.Handle(ctx, id)
		if fault.Is(err, fault.NotFound) {
			// Purged meanwhile, or lost: the transaction will know.
			delete(handles, id)
			err = nil
		}
	}
	return handles, err
}

func (t *Tx) goneRow(id GoneID) (r goneRow, ok bool, err error) {
	ok, err = t.get("mailbox.Restore", t.goneKey(id), func(v []byte) (err error) {
		r, err = decodeGone(id.Message, v)
		return err
	})
	return r, ok, err
}

func (t *Tx) restore(ids []GoneID, handles map[mail.BlobID]blob.Handle, into string) (restored []Placement, n int, err error) {
	for i, id := range ids {
		if t.full() {
			return restored, i, nil
		}
		r, ok, err := t.goneRow(id)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			continue
		}
		h, ok := handles[r.Blob]
		if !ok {
			return nil, 0, fault.New(fault.Corrupt, "mailbox.Restore", "")
		}
		name := into
		if name == "" {
			name = r.mailbox
		}
		box, err := t.BoxByName(name)
		if into == "" && fault.Is(err, fault.NotFound) {
			box, err = t.BoxByName(inbox)
		}
		if err != nil {
			return nil, 0, err
		}
		p, err := t.revive(box.ID, id, &r, h)
		if err != nil {
			return nil, 0, err
		}
		restored = append(restored, p)
	}
	return restored, len(ids), nil
}

// revive makes a new message of one that is gone.
func (t *Tx) revive(box BoxID, id GoneID, r *goneRow, h blob.Handle) (Placement, error) {
	b, err := t.live(box)
	if err != nil {
		return Placement{}, err
	}
	view, viewed, err := t.r.Get(t.msgKey(tagView, id.Message))
	if err != nil {
		return Placement{}, fault.Wrap("mailbox.Restore", err)
	}
	if err := t.dig(id, r); err != nil {
		return Placement{}, err
	}
	if !viewed {
		view = nil
	}
	m := r.messageRow
	if m.Arrival, err = t.rearrive(r.Arrival, id.Message); err != nil {
		return Placement{}, err
	}
	ms, err := t.enter(m, h, view)
	if err != nil {
		return Placement{}, err
	}
	if m.Arrival != (mail.ArrivalID{}) {
		arrival, _, err := t.arrived(m.Arrival, 0)
		if err != nil {
			return Placement{}, err
		}
		arrival.message = ms.row.ID
		t.set(t.arrivalKey(m.Arrival), arrival.encode())
	}
	p, err := t.place(b, ms, placementRow{
		flags: r.flags &^ deleted, keywords: r.keywords, size: m.Size, received: m.Received, saved: now(),
	})
	if err != nil {
		return Placement{}, err
	}
	return t.exportPlacement(box, p)
}

// rearrive gives the arrival that a restored message comes with: its own, unless
// that was repeated and became another message meanwhile.
func (t *Tx) rearrive(a mail.ArrivalID, old MessageID) (mail.ArrivalID, error) {
	r, _, err := t.arrived(a, 0)
	if err != nil || r.message != 0 && r.message != old {
		return mail.ArrivalID{}, err
	}
	return a, nil
}

// keepUntil is the time before which what went is purged.
func (s *Store) keepUntil(now time.Time) time.Time { return now.Add(-max(0, s.keep)) }
