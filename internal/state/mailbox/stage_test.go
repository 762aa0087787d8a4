package mailbox

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Who looks while many messages are copied sees all of them or none.
func TestCopyIsAllOrNothing(t *testing.T) {
	const n = 40
	b := newBench(t)
	b.addMany("INBOX", n)
	b.piece, b.run = 3, 5
	in, to := b.box("INBOX").ID, b.box("Archive").ID
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			err := b.View(context.Background(), alice, func(tx *Tx) error {
				box, err := tx.Box(to)
				if err != nil {
					return err
				}
				uids, err := tx.UIDs(to)
				if err == nil && len(uids) != int(box.Messages) || box.Messages > 0 && box.Messages < n {
					err = errors.New("half of it shows")
				}
				for _, err := range tx.Placements(to, 1, 1<<32-1) {
					if err != nil {
						return err
					}
				}
				return err
			})
			if err != nil {
				done <- err
				return
			}
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
		}
	}()
	src, dst, _, err := b.Copy(t.Context(), alice, alice, in, b.uids(in), to)
	b.must(err)
	equal(t, "pairs", len(src), n)
	equalList(t, "uids", b.uids(to), dst)
	equal(t, "stages", b.stages(), 0)
	close(stop)
	b.must(<-done)
	b.audit()
}

// An unsettled COPY is read and changed as any other.
func TestUnsettled(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.addMany("INBOX", 7)
	in, to := b.box("INBOX").ID, b.box("Archive")
	b.piece = 2
	since := to.HighestModSeq
	_, dst, _, err := b.copyUnsettled(ctx, alice, alice, in, b.uids(in), to.ID)
	b.must(err)
	b.piece = 100
	equal(t, "stages", b.stages(), 1)
	b.audit()
	b.addMany("Archive", 1)
	ch, _, err := b.SetFlags(ctx, alice, alice, to.ID, []UID{3, 5}, FlagChange{Flags: mail.FlagSeen}, 0)
	b.must(err)
	equal(t, "changed", len(ch), 2)
	gone, err := b.Expunge(ctx, alice, alice, to.ID, []UID{4}, true)
	b.must(err)
	equalList(t, "expunged", gone, []UID{4})
	b.audit()
	var uids []UID
	b.view(func(tx *Tx) error {
		uids = nil
		for p, err := range tx.Placements(to.ID, 2, 8) {
			if err != nil {
				return err
			}
			uids = append(uids, p.UID)
		}
		changed, vanished, err := tx.Changes(to.ID, since)
		equal(t, "changed", len(changed), 7)
		equal(t, "vanished", len(vanished), 0)
		m, e := tx.Message(1)
		b.must(e)
		equalList(t, "places", m.Places, []Place{{in, 1}, {to.ID, dst[0]}})
		return err
	})
	equalList(t, "placements", uids, []UID{2, 3, 5, 6, 7, 8})
	b.must(b.Tidy(ctx, alice, time.Unix(0, 0)))
	equal(t, "stages", b.stages(), 0)
	equalList(t, "after", b.uids(to.ID), []UID{1, 2, 3, 5, 6, 7, 8})
	b.audit()
}

// A mailbox that is deleted takes what is not settled with it.
func TestDeleteUnsettled(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.addMany("INBOX", 5)
	b.piece = 2
	in := b.box("INBOX").ID
	_, _, _, err := b.copyUnsettled(ctx, alice, alice, in, b.uids(in), b.box("Junk").ID)
	b.must(err)
	b.must(b.DeleteBox(ctx, alice, alice, "Junk"))
	equal(t, "stages", b.stages(), 0)
	b.audit()
}

// What a crash left goes with Tidy, but not while it may be under way.
func TestTidyRemovesStages(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 5)
	in := b.box("INBOX").ID
	b.piece = 2
	b.beginCopy(in, b.uids(in))
	b.view(func(tx *Tx) error {
		a, err := tx.acctRow()
		b.must(err)
		_, err = tx.Box(a.lastBox)
		b.fails(fault.NotFound, err)
		m, err := tx.Message(1)
		equalList(t, "places", m.Places, []Place{{in, 1}})
		return err
	})
	b.expungeAll("INBOX")
	equal(t, "gone", len(b.listGone(GoneFilter{})), 0)
	b.must(b.Tidy(t.Context(), alice, time.Unix(0, 0)))
	equal(t, "stages", b.stages(), 1)
	b.must(b.sweepStages(t.Context(), alice, -1))
	equal(t, "stages", b.stages(), 0)
	all := b.listGone(GoneFilter{})
	equal(t, "gone", len(all), 5)
	equal(t, "from", all[0].Mailbox, "INBOX")
	b.audit()
}

// A COPY whose stage was swept fails, and leaves nothing.
func TestStageSwept(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 2)
	in := b.box("INBOX").ID
	var id BoxID
	b.update(func(tx *Tx) (err error) { id, err = tx.newStage(in); return err })
	b.must(b.sweepStages(t.Context(), alice, -1))
	b.fails(fault.Unavailable, b.try(func(tx *Tx) error { _, _, err := tx.join(id, in); return err }))
	b.fails(fault.NotFound, b.try(func(tx *Tx) error { _, err := tx.Box(id); return err }))
	b.audit()
}
