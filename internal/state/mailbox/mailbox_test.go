package mailbox

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

const alice = mail.AccountID(7)

var when = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// tb is what a test and a rapid run have in common.
type tb interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	FailNow()
	Failed() bool
	Context() context.Context
}

// bench is a store with one provisioned account.
type bench struct {
	t     tb
	db    kv.DB
	blobs *blob.Store
	*Store
}

func openBench(t testing.TB, db kv.DB) *bench {
	t.Helper()
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t, db, blobs, New(Options{DB: db, Blobs: blobs})}
}

func newBench(t testing.TB) *bench {
	t.Helper()
	db := memkv.New(memkv.Options{})
	b := openBench(t, db)
	t.Cleanup(func() { b.blobs.Close(); db.Close() })
	b.update(func(t *Tx) error { return t.Provision() })
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) update(fn func(*Tx) error) {
	b.t.Helper()
	b.must(b.Update(b.t.Context(), alice, alice, fn))
}

func (b *bench) view(fn func(*Tx) error) {
	b.t.Helper()
	b.must(b.View(b.t.Context(), alice, fn))
}

func (b *bench) box(name string) (box Box) {
	b.t.Helper()
	b.view(func(t *Tx) (err error) { box, err = t.BoxByName(name); return err })
	return box
}

func (b *bench) put(text string) blob.Handle {
	b.t.Helper()
	h, err := b.blobs.Put(b.t.Context(), []byte(text))
	b.must(err)
	return h
}

// letter is a message with an index; header lines are separated by "|".
func (b *bench) letter(header, body string) NewMessage {
	b.t.Helper()
	text := strings.ReplaceAll(header, "|", "\r\n") + "\r\n\r\n" + body
	prefix := "Received: by us\r\n"
	ix, err := message.Parse(strings.NewReader(prefix+text), int64(len(prefix+text)))
	b.must(err)
	return NewMessage{Content: b.put(text), Prefix: []byte(prefix), Index: ix, Received: when}
}

func (b *bench) add(name string, m NewMessage) (p Placement) {
	b.t.Helper()
	id := b.box(name).ID
	b.update(func(t *Tx) (err error) { p, err = t.Add(id, m); return err })
	return p
}

func (b *bench) addMany(name string, n int) {
	b.t.Helper()
	id := b.box(name).ID
	for n > 0 {
		k := min(n, 300)
		hs := make([]blob.Handle, k)
		for i := range hs {
			hs[i] = b.put(fmt.Sprintf("message %d %d", n, i))
		}
		b.update(func(t *Tx) error {
			for _, h := range hs {
				if _, err := t.Add(id, NewMessage{Content: h, Received: when}); err != nil {
					return err
				}
			}
			return nil
		})
		n -= k
	}
}

func (b *bench) names() (names []string) {
	b.t.Helper()
	b.view(func(t *Tx) error {
		boxes, err := t.Boxes()
		names = nil
		for _, x := range boxes {
			names = append(names, x.Name)
		}
		return err
	})
	return names
}

func (b *bench) fails(k fault.Kind, err error) {
	b.t.Helper()
	if !fault.Is(err, k) {
		b.t.Fatalf("got %v, want kind %v", err, k)
	}
}

func (b *bench) try(fn func(*Tx) error) error {
	return b.Update(b.t.Context(), alice, alice, fn)
}

func equal[T comparable](t tb, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equalList[T comparable](t tb, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestAddAndRead(t *testing.T) {
	b := newBench(t)
	m := b.letter("Subject: hello|Message-ID: <a@x>", "body")
	m.Flags, m.Keywords = mail.FlagFlagged, []string{"$Forwarded", "Work"}
	p := b.add("INBOX", m)
	equal(t, "uid", p.UID, 1)
	equal(t, "received", p.Received, when)
	equalList(t, "keywords", p.Keywords, []string{"$Forwarded", "Work"})
	box := b.box("inbox")
	equal(t, "messages", box.Messages, 1)
	equal(t, "unseen", box.Unseen, 1)
	equal(t, "uidnext", box.UIDNext, 2)
	equal(t, "size", box.Size, p.Size)
	equal(t, "highestmodseq", box.HighestModSeq, p.ModSeq)
	b.view(func(tx *Tx) error {
		got, err := tx.Message(p.Message)
		if err != nil {
			return err
		}
		c, err := b.OpenMessage(t.Context(), alice, got)
		if err != nil {
			return err
		}
		defer c.Close()
		equal(t, "content size", c.Size(), p.Size)
		text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if err != nil {
			return err
		}
		equal(t, "content", string(text), "Received: by us\r\nSubject: hello\r\nMessage-ID: <a@x>\r\n\r\nbody")
		part := make([]byte, 12)
		if _, err := c.ReadAt(part, 10); err != nil {
			return err
		}
		equal(t, "across the seam", string(part), "by us\r\nSubje"[:12])
		ix, err := tx.Index(p.Message)
		if err != nil {
			return err
		}
		equal(t, "subject", ix.Header.Get("Subject"), "hello")
		_, err = tx.Placement(box.ID, 2)
		b.fails(fault.Expunged, err)
		_, err = tx.Add(box.ID, m)
		b.fails(fault.Internal, err)
		u, err := tx.Usage()
		equal(t, "usage", u, Usage{Octets: p.Size, Messages: 1})
		b.fails(fault.OverQuota, u.Room(p.Size+10, 11))
		b.must(u.Room(p.Size+10, 10))
		b.must(u.Room(0, 1<<40))
		return err
	})
}

func TestRepeatedArrival(t *testing.T) {
	b := newBench(t)
	m := b.letter("Subject: x", "y")
	m.Arrival = mail.ArrivalID{1, 2, 3}
	p := b.add("INBOX", m)
	q := b.add("INBOX", m)
	equal(t, "second time", q.UID, p.UID)
	equal(t, "messages", b.box("INBOX").Messages, 1)
	r := b.add("Archive", m)
	equal(t, "in another mailbox it is the same message", r.Message, p.Message)
	// Moved away and expunged, it still does not come back.
	_, _, _, err := b.Move(t.Context(), alice, alice, p.Box, []UID{p.UID}, b.box("Sent").ID)
	b.must(err)
	q = b.add("INBOX", m)
	equal(t, "messages", b.box("INBOX").Messages, 0)
	for _, name := range []string{"Sent", "Archive"} {
		_, err := b.Expunge(t.Context(), alice, alice, b.box(name).ID, nil, true)
		b.must(err)
	}
	q = b.add("INBOX", m)
	equal(t, "messages", b.box("INBOX").Messages, 0)
	equal(t, "uid of then", q.UID, p.UID)
	b.audit()
	// Once the log is trimmed it is unknown.
	b.must(b.Tidy(t.Context(), alice, time.Now().Add(time.Hour)))
	b.add("INBOX", m)
	equal(t, "messages", b.box("INBOX").Messages, 1)
	b.audit()
}

func TestKeywordsKeepTheirCase(t *testing.T) {
	b := newBench(t)
	m := b.letter("Subject: x", "y")
	m.Keywords = []string{"Urgent"}
	b.add("INBOX", m)
	m = b.letter("Subject: z", "y")
	m.Keywords = []string{"URGENT", "urgent", "b"}
	p := b.add("INBOX", m)
	equalList(t, "keywords", p.Keywords, []string{"Urgent", "b"})
	m.Keywords = []string{"with space"}
	id := b.box("INBOX").ID
	b.fails(fault.Invalid, b.try(func(t *Tx) error { _, err := t.Add(id, m); return err }))
	m.Keywords = []string{strings.Repeat("k", MaxKeyword+1)}
	b.fails(fault.TooMany, b.try(func(t *Tx) error { _, err := t.Add(id, m); return err }))
	m.Keywords = make([]string, MaxKeywords+1)
	b.fails(fault.TooMany, b.try(func(t *Tx) error { _, err := t.Add(id, m); return err }))
	var many []string
	for i := range MaxKeywords {
		many = append(many, fmt.Sprint("k", i))
	}
	_, _, err := b.SetFlags(t.Context(), alice, alice, id, []UID{1}, FlagChange{Op: FlagsAdd, Keywords: many}, 0)
	b.fails(fault.TooMany, err)
	b.view(func(tx *Tx) error {
		words, err := tx.Keywords()
		equalList(t, "nothing left of what failed", words, []string{"Urgent", "b"})
		return err
	})
}

func TestSetFlags(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 5)
	box := b.box("INBOX")
	set := func(uids []UID, op FlagOp, f mail.Flags, since ModSeq, words ...string) ([]UID, []UID, ModSeq) {
		t.Helper()
		ch, mod, err := b.SetFlags(t.Context(), alice, alice, box.ID, uids, FlagChange{op, f, words}, since)
		b.must(err)
		var uidsOut []UID
		var seq ModSeq
		for _, p := range ch {
			uidsOut, seq = append(uidsOut, p.UID), p.ModSeq
		}
		b.audit()
		return uidsOut, mod, seq
	}
	ch, _, seq1 := set([]UID{3, 1, 3, 9}, FlagsAdd, mail.FlagSeen, 0)
	equalList(t, "changed", ch, []UID{1, 3})
	ch, mod, _ := set([]UID{1, 2, 3}, FlagsAdd, mail.FlagSeen, seq1-1, "x")
	equalList(t, "changed", ch, []UID{2})
	equalList(t, "modified", mod, []UID{1, 3})
	before := b.box("INBOX").HighestModSeq
	ch, _, _ = set([]UID{1, 2, 3}, FlagsAdd, mail.FlagSeen, 0)
	equalList(t, "no-op", ch, nil)
	equal(t, "modseq of a no-op", b.box("INBOX").HighestModSeq, before)
	equal(t, "unseen", b.box("INBOX").Unseen, 2)
	ch, _, _ = set([]UID{2}, FlagsRemove, 0, 0, "X", "never-seen")
	equalList(t, "keyword off, whatever its case", ch, []UID{2})
	ch, _, _ = set([]UID{2}, FlagsSet, mail.FlagDeleted, 0)
	equalList(t, "set", ch, []UID{2})
	equal(t, "unseen", b.box("INBOX").Unseen, 3)
	equal(t, "deleted", b.box("INBOX").Deleted, 1)
	b.view(func(tx *Tx) error {
		u, n, err := tx.FirstUnseen(box.ID)
		equal(t, "first unseen", [2]uint32{u, n}, [2]uint32{2, 2})
		ch, gone, err2 := tx.Changes(box.ID, seq1)
		equal(t, "changes", len(ch)+10*len(gone), 1)
		b.must(err2)
		return err
	})
	_, _, err := b.SetFlags(t.Context(), 99, alice, box.ID, []UID{1}, FlagChange{}, 0)
	b.fails(fault.NotFound, err)
}

func TestExpungeAndCopy(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.addMany("INBOX", 4)
	in, archive := b.box("INBOX"), b.box("Archive")
	_, _, err := b.SetFlags(ctx, alice, alice, in.ID, []UID{2, 3}, FlagChange{Op: FlagsAdd, Flags: mail.FlagDeleted, Keywords: []string{"kw"}}, 0)
	b.must(err)
	src, dst, validity, err := b.Copy(ctx, alice, alice, in.ID, []UID{3, 2, 77}, archive.ID)
	b.must(err)
	equalList(t, "src", src, []UID{2, 3})
	equalList(t, "dst", dst, []UID{1, 2})
	equal(t, "uidvalidity", validity, archive.UIDValidity)
	gone, err := b.Expunge(ctx, alice, alice, in.ID, []UID{1, 2}, false)
	b.must(err)
	equalList(t, "uid expunge", gone, []UID{2})
	gone, err = b.Expunge(ctx, alice, alice, in.ID, nil, false)
	b.must(err)
	equalList(t, "expunge", gone, []UID{3})
	gone, err = b.Expunge(ctx, alice, alice, in.ID, []UID{}, true)
	b.must(err)
	equalList(t, "nothing named", gone, nil)
	b.view(func(tx *Tx) error {
		p, err := tx.Placement(archive.ID, 1)
		equalList(t, "keywords", p.Keywords, []string{"kw"})
		equal(t, "flags", p.Flags, mail.FlagDeleted)
		equal(t, "received", p.Received, when)
		u, _ := tx.Usage()
		equal(t, "all messages are still held", u.Messages, 4)
		return err
	})
	b.audit()
	_, _, _, err = b.Copy(ctx, alice, alice, in.ID, []UID{1}, 999)
	b.fails(fault.NotFound, err)
	_, _, _, err = b.Copy(ctx, alice, alice, in.ID, nil, 999)
	b.fails(fault.NotFound, err)
	src, dst, _, err = b.Move(ctx, alice, alice, in.ID, []UID{1}, in.ID)
	b.must(err)
	equalList(t, "moved onto itself", append(src, dst...), []UID{1, 5})
	b.audit()
}

// TestPieces goes over what one transaction takes.
func TestPieces(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	const n = 2_600
	b.addMany("INBOX", n)
	in := b.box("INBOX")
	var uids []UID
	b.view(func(tx *Tx) (err error) { uids, err = tx.UIDs(in.ID); return err })
	equal(t, "uids", len(uids), n)
	ch, _, err := b.SetFlags(ctx, alice, alice, in.ID, uids, FlagChange{Op: FlagsAdd, Flags: mail.FlagSeen}, 0)
	b.must(err)
	equal(t, "flagged", len(ch), n)
	_, _, err = b.SetFlags(ctx, alice, alice, in.ID, uids[n-2:], FlagChange{Op: FlagsRemove, Flags: mail.FlagSeen}, 0)
	b.must(err)
	b.view(func(tx *Tx) error {
		u, k, err := tx.FirstUnseen(in.ID)
		equal(t, "first unseen", [2]uint32{u, k}, [2]uint32{n - 1, n - 1})
		return err
	})
	b.update(func(t *Tx) error { _, err := t.CreateBox("Big", RoleNone); return err })
	src, dst, _, err := b.Copy(ctx, alice, alice, in.ID, uids, b.box("Big").ID)
	b.must(err)
	equal(t, "copied", len(src)+len(dst), 2*n)
	src, _, _, err = b.Move(ctx, alice, alice, in.ID, uids[:n-1], b.box("Archive").ID)
	b.must(err)
	equal(t, "moved", len(src), n-1)
	b.audit()
	b.must(b.DeleteBox(ctx, alice, alice, "Big"))
	gone, err := b.Expunge(ctx, alice, alice, b.box("Archive").ID, nil, true)
	b.must(err)
	equal(t, "expunged", len(gone), n-1)
	equal(t, "left", b.box("INBOX").Messages, 1)
	b.audit()
	b.must(b.RemoveAccount(context.Background(), alice))
	b.audit()
	equal(t, "no mailbox", len(b.names()), 0)
}

// TestCopyTakesBack is a COPY that fails in its third piece.
func TestCopyTakesBack(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 6)
	b.piece = 2
	in, to := b.box("INBOX"), b.box("Archive")
	var before Usage
	b.update(func(tx *Tx) (err error) {
		m, err := tx.message(6)
		if err != nil {
			return err
		}
		for len(m.row.Places) < MaxPlaces {
			m.row.Places = append(m.row.Places, Place{in.ID, 6})
		}
		tx.messageChanged(m)
		before, err = tx.Usage()
		return err
	})
	src, dst, _, err := b.Copy(t.Context(), alice, alice, in.ID, []UID{1, 2, 3, 4, 5, 6}, to.ID)
	b.fails(fault.TooMany, err)
	equal(t, "told", len(src)+len(dst), 0)
	after := b.box("Archive")
	equal(t, "messages", after.Messages, 0)
	equal(t, "UIDNEXT", after.UIDNext, to.UIDNext)
	equal(t, "HIGHESTMODSEQ", after.HighestModSeq, to.HighestModSeq)
	equal(t, "stages", b.stages(), 0)
	b.view(func(tx *Tx) error {
		u, err := tx.Usage()
		equal(t, "usage", u, before)
		return err
	})
}

func TestFloor(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	b.addMany("INBOX", 4)
	id := b.box("INBOX").ID
	start := b.box("INBOX").HighestModSeq
	_, err := b.Expunge(ctx, alice, alice, id, []UID{1}, true)
	b.must(err)
	middle := b.box("INBOX").HighestModSeq
	_, _, err = b.SetFlags(ctx, alice, alice, id, []UID{2}, FlagChange{Flags: mail.FlagSeen}, 0)
	b.must(err)
	// Nothing is old enough yet.
	b.must(b.Tidy(ctx, alice, time.Now().Add(-time.Hour)))
	b.view(func(tx *Tx) error {
		ch, gone, err := tx.Changes(id, start)
		equal(t, "changed", len(ch), 1)
		equalList(t, "gone", gone, []UID{1})
		return err
	})
	b.must(b.Tidy(ctx, alice, time.Now().Add(time.Hour)))
	b.view(func(tx *Tx) error {
		_, _, err := tx.Changes(id, start)
		b.fails(fault.Expunged, err)
		ch, gone, err := tx.Changes(id, middle)
		equal(t, "changed", len(ch), 1)
		equal(t, "gone", len(gone), 0)
		return err
	})
	b.audit()
}

// TestDamage is a row that cannot be read: fault.Corrupt, whatever is asked.
func TestDamage(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 2)
	id := b.box("INBOX").ID
	for _, key := range []func(t *Tx) kv.Key{
		func(t *Tx) kv.Key { return t.uidKey(id, 2) },
		func(t *Tx) kv.Key { return t.runKey(id, 1) },
		func(t *Tx) kv.Key { return t.boxKey(tagBox, id) },
	} {
		b.update(func(t *Tx) error { t.set(key(t), []byte{99}); return nil })
		_, err := b.Expunge(t.Context(), alice, alice, id, nil, true)
		b.fails(fault.Corrupt, err)
		_, _, _, err = b.Move(t.Context(), alice, alice, id, []UID{2}, b.box("Sent").ID)
		b.fails(fault.Corrupt, err)
	}
}
