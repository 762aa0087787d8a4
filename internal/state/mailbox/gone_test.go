package mailbox

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

func (b *bench) expungeAll(name string) {
	b.t.Helper()
	id := b.box(name).ID
	_, err := b.Expunge(b.t.Context(), alice, alice, id, b.uids(id), true)
	b.must(err)
}

func (b *bench) uids(id BoxID) (uids []UID) {
	b.t.Helper()
	b.view(func(t *Tx) (err error) { uids, err = t.UIDs(id); return err })
	return uids
}

func (b *bench) usage() (used, kept Usage) {
	b.t.Helper()
	b.view(func(t *Tx) (err error) {
		used, _ = t.Usage()
		kept, err = t.GoneUsage()
		return err
	})
	return used, kept
}

func TestRestore(t *testing.T) {
	b := newBench(t)
	b.update(func(t *Tx) error { _, err := t.CreateBox("A/B", RoleNone); return err })
	first := b.add("A/B", b.letter("Subject: one|Message-ID: <1@x>", "body one"))
	m := b.letter("Subject: Re: one|Message-ID: <2@x>|References: <1@x>", "body two")
	m.Flags, m.Keywords = mail.FlagSeen|mail.FlagDeleted, []string{"$Forwarded"}
	old := b.add("A/B", m)
	size := old.Size
	b.expungeAll("A/B")
	used, kept := b.usage()
	equal(t, "usage", used, Usage{})
	equal(t, "kept", kept, Usage{first.Size + size, 2})
	b.audit()

	all := b.listGone(GoneFilter{})
	equal(t, "gone", len(all), 2)
	g := all[0]
	equal(t, "id", g.ID.Message, old.Message)
	equal(t, "mailbox", g.Mailbox, "A/B")
	equal(t, "subject", g.Index.Header.Get("Subject"), "Re: one")
	again, err := ParseGoneID(g.ID.String())
	b.must(err)
	equal(t, "id", again, g.ID)

	got, err := b.Restore(t.Context(), alice, alice, []GoneID{all[1].ID, g.ID, g.ID}, "")
	b.must(err)
	equal(t, "restored", len(got), 2)
	p := got[1]
	equal(t, "place", Place{p.Box, p.UID}, Place{b.box("A/B").ID, 4})
	equal(t, "flags", p.Flags, mail.FlagSeen)
	equalList(t, "keywords", p.Keywords, []string{"$Forwarded"})
	equal(t, "received", p.Received, when)
	equal(t, "text", b.text(p.Message), "Received: by us\r\nSubject: Re: one\r\nMessage-ID: <2@x>\r\nReferences: <1@x>\r\n\r\nbody two")
	b.view(func(tx *Tx) error {
		ids, err := tx.Thread(ThreadID(got[0].Message))
		equalList(t, "thread", ids, []MessageID{got[0].Message, p.Message})
		ix, e := tx.Index(p.Message)
		b.must(e)
		equal(t, "subject", ix.Header.Get("Subject"), "Re: one")
		return err
	})
	if len(b.listGone(GoneFilter{})) != 0 {
		t.Error("what was restored is gone still")
	}
	b.audit()
}

func (b *bench) text(id MessageID) string {
	b.t.Helper()
	var m Message
	b.view(func(t *Tx) (err error) { m, err = t.Message(id); return err })
	c, err := b.OpenMessage(b.t.Context(), alice, m)
	b.must(err)
	defer func() { b.must(c.Close()) }()
	text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	b.must(err)
	return string(text)
}

// What was in a mailbox that is gone too comes back into INBOX.
func TestRestoreFromDeletedMailbox(t *testing.T) {
	b := newBench(t)
	b.piece = 2
	b.update(func(t *Tx) error { _, err := t.CreateBox("A", RoleNone); return err })
	b.addMany("A", 5)
	b.must(b.DeleteBox(t.Context(), alice, alice, "A"))
	var ids []GoneID
	for _, g := range b.listGone(GoneFilter{Mailbox: "A"}) {
		ids = append(ids, g.ID)
	}
	equal(t, "gone", len(ids), 5)
	equal(t, "of another mailbox", len(b.listGone(GoneFilter{Mailbox: "B"})), 0)
	got, err := b.Restore(t.Context(), alice, alice, ids[:1], "")
	b.must(err)
	equal(t, "to", got[0].Box, b.box("INBOX").ID)
	_, err = b.Restore(t.Context(), alice, alice, ids[1:], "A")
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("into a mailbox that is not there: %v", err)
	}
	got, err = b.Restore(t.Context(), alice, alice, ids[1:], "Archive")
	b.must(err)
	equal(t, "restored", len(got), 4)
	equalList(t, "uids", b.uids(b.box("Archive").ID), []UID{1, 2, 3, 4})
	if _, err := b.Restore(t.Context(), alice+1, alice, ids, ""); !fault.Is(err, fault.Denied) {
		t.Errorf("by somebody else: %v", err)
	}
	b.audit()
}

func TestGoneByTime(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 3)
	b.expungeAll("INBOX")
	at := b.listGone(GoneFilter{})[0].At
	for _, c := range []struct {
		f    GoneFilter
		want int
	}{
		{GoneFilter{After: at.Add(-time.Minute)}, 3},
		{GoneFilter{After: at.Add(time.Minute)}, 0},
		{GoneFilter{Before: at.Add(-time.Minute)}, 0},
		{GoneFilter{Before: at, After: at.Add(-time.Minute)}, 3},
	} {
		if n := len(b.listGone(c.f)); n != c.want {
			t.Errorf("%v: %d, want %d", c.f, n, c.want)
		}
	}
	for _, s := range []string{"", "1", "1-", "-1", "01-1", "1-1x", " 1-1", "1--1"} {
		if _, err := ParseGoneID(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func held(b *bench) (n int) {
	b.must(b.blobs.References(context.Background(), func(refs []blob.Reference) error { n += len(refs); return nil }))
	return n
}

func TestPurge(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 5)
	b.expungeAll("INBOX")
	b.must(b.Tidy(t.Context(), alice, time.Now()))
	equal(t, "held after Tidy", held(b), 5)
	b.keep = time.Nanosecond // rows have whole seconds
	b.must(b.Tidy(t.Context(), alice, time.Now()))
	b.must(b.Purge(t.Context(), alice, time.Now().Add(2*time.Second)))
	equal(t, "held after Purge", held(b), 0)
	b.keep = -1
	b.addMany("INBOX", 2)
	b.expungeAll("INBOX")
	equal(t, "held where nothing is kept", held(b), 0)
	equal(t, "gone", len(b.listGone(GoneFilter{})), 0)
	b.audit()
}

func TestRemoveAccountForgetsGone(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 3)
	b.expungeAll("INBOX")
	b.addMany("INBOX", 3)
	b.must(b.RemoveAccount(t.Context(), alice))
	equal(t, "held", held(b), 0)
	rows := slices.DeleteFunc(b.rowsOf(), func(p kv.Pair) bool { return string(p.Key[:2]) == kv.Loose })
	equal(t, "rows", len(rows), 0)
}

// What can be restored is bounded: the oldest goes for good, at once where
// messages are expunged, and by Tidy where a mailbox was deleted.
func TestGoneIsBounded(t *testing.T) {
	b := newBench(t)
	b.piece = 3
	in := b.box("INBOX").ID
	for i := range 20 {
		b.add("INBOX", NewMessage{Content: b.put(fmt.Sprintf("%0100d", i)), Received: when})
	}
	b.most = 1_000
	_, err := b.Expunge(t.Context(), alice, alice, in, []UID{1, 2, 3, 4, 5, 6, 7, 8}, true)
	b.must(err)
	_, kept := b.usage()
	equal(t, "kept", kept, Usage{Octets: 800, Messages: 8})
	for u := UID(9); u < 16; u++ {
		_, err := b.Expunge(t.Context(), alice, alice, in, []UID{u}, true)
		b.must(err)
	}
	_, kept = b.usage()
	equal(t, "kept", kept, Usage{Octets: 1_000, Messages: 10})
	left := b.listGone(GoneFilter{})
	for _, g := range left {
		if g.Message.ID < 6 {
			t.Errorf("message %d is kept, and later ones are not", g.Message.ID)
		}
	}
	b.most = 350
	b.must(b.Tidy(t.Context(), alice, time.Unix(0, 0)))
	_, kept = b.usage()
	equal(t, "kept", kept, Usage{Octets: 300, Messages: 3})
	b.audit()
}
