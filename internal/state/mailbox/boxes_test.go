package mailbox

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

func TestCanonicalName(t *testing.T) {
	deep := strings.Repeat("x/", MaxDepth-1) + "x"
	tests := []struct {
		name, want string // "" is refused
	}{
		{"Work", "Work"}, {"inbox", "INBOX"}, {"Inbox/a", "INBOX/a"}, {"a/inbox", "a/inbox"},
		{"e\u0301", "\u00e9"}, {"日本語/メール", "日本語/メール"}, {"100%", "100%"}, {" a ", " a "},
		{"", ""}, {"/", ""}, {"a//b", ""}, {"/a", ""}, {"a/", ""}, {"a\x00b", ""}, {"a\tb", ""}, {"a\u0085", ""}, {"a\u2028b", ""},
		{"\xff", ""}, {deep, deep}, {deep + "/x", ""},
		{strings.Repeat("a", MaxLevel), strings.Repeat("a", MaxLevel)}, {strings.Repeat("a", MaxLevel+1), ""},
		{strings.Repeat("a", 1<<20), ""},
	}
	for _, c := range tests {
		got, err := CanonicalName(c.name)
		if got != c.want || (err != nil) != (c.want == "") || err != nil && !fault.Is(err, fault.Unsupported) {
			t.Errorf("CanonicalName(%.30q) = %.30q, %v", c.name, got, err)
		}
	}
}

func TestProvision(t *testing.T) {
	b := newBench(t)
	want := []string{"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"}
	equalList(t, "mailboxes", b.names(), want)
	b.view(func(tx *Tx) error {
		subs, err := tx.Subscriptions()
		equalList(t, "subscribed", subs, want)
		box, err2 := tx.BoxByRole(RoleJunk)
		equal(t, "junk", box.Name, "Junk")
		b.must(err2)
		return err
	})
	b.must(b.DeleteBox(t.Context(), alice, alice, "Junk"))
	v := b.box("INBOX").HighestModSeq
	b.update(func(t *Tx) error { return t.Provision() })
	equalList(t, "left as it is", b.names(), []string{"INBOX", "Archive", "Drafts", "Sent", "Trash"})
	equal(t, "no change", b.box("INBOX").HighestModSeq, v)
	b.fails(fault.NotFound, b.View(t.Context(), alice, func(t *Tx) error { _, err := t.BoxByRole(RoleJunk); return err }))
	b.update(func(t *Tx) error { _, err := t.CreateBox("Spam", RoleJunk); return err })
	b.fails(fault.Exists, b.try(func(t *Tx) error { _, err := t.CreateBox("Spam2", RoleJunk); return err }))
	b.view(func(tx *Tx) error {
		box, err := tx.BoxByRole(RoleJunk)
		equal(t, "junk", box.Name, "Spam")
		return err
	})
}

func TestAccountsAreApart(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 1)
	b.must(b.View(t.Context(), alice+1, func(tx *Tx) error {
		boxes, err := tx.Boxes()
		equal(t, "mailboxes of an account that is none", len(boxes), 0)
		equal(t, "version", tx.Version(), 0)
		return err
	}))
	b.fails(fault.Denied, b.Update(t.Context(), alice+1, alice, func(tx *Tx) error { return tx.Provision() }))
	b.fails(fault.Denied, b.Update(t.Context(), alice+1, alice, func(tx *Tx) error {
		_, err := tx.CreateBox("Mine", RoleNone)
		return err
	}))
	b.must(b.ViewAs(t.Context(), alice+1, alice, func(tx *Tx) error {
		boxes, err := tx.Boxes()
		equal(t, "mailboxes that a stranger sees", len(boxes), 0)
		_, err2 := tx.BoxByName("INBOX")
		b.fails(fault.NotFound, err2)
		_, err2 = tx.Message(1)
		b.fails(fault.NotFound, err2)
		return err
	}))
}

func TestCreate(t *testing.T) {
	b := newBench(t)
	create := func(name string) error {
		return b.try(func(t *Tx) error { _, err := t.CreateBox(name, RoleNone); return err })
	}
	b.must(create("a/b/c/"))
	equalList(t, "parents", b.names()[6:], []string{"a", "a/b", "a/b/c"})
	b.fails(fault.Exists, create("a/b"))
	b.fails(fault.Exists, create("iNbOx"))
	b.fails(fault.Unsupported, create("a//b"))
	b.fails(fault.NotFound, b.View(t.Context(), alice, func(t *Tx) error { _, err := t.BoxByName("a//b"); return err }))
	old := b.box("a/b/c")
	b.must(b.DeleteBox(t.Context(), alice, alice, "a/b/c"))
	b.must(create("a/b/c"))
	again := b.box("a/b/c")
	if again.UIDValidity <= old.UIDValidity || again.ID == old.ID {
		t.Errorf("made again: %+v, was %+v", again, old)
	}
	b.audit()
}

func TestDelete(t *testing.T) {
	b := newBench(t)
	del := func(name string) error { return b.DeleteBox(t.Context(), alice, alice, name) }
	b.update(func(t *Tx) error { _, err := t.CreateBox("a/b", RoleNone); return err })
	b.update(func(t *Tx) error { return t.Subscribe("a/b", true) })
	b.addMany("a/b", 3)
	b.fails(fault.Unsupported, del("inbox"))
	b.fails(fault.Conflict, del("a"))
	b.fails(fault.NotFound, del("nope"))
	b.must(del("a/b"))
	b.must(del("a"))
	b.audit()
	b.view(func(tx *Tx) error {
		subs, err := tx.Subscriptions()
		equalList(t, "subscribed still", subs[1:3], []string{"Archive", "Drafts"})
		equal(t, "subscribed still", strings.Contains(strings.Join(subs, " "), "a/b"), true)
		u, _ := tx.Usage()
		equal(t, "usage", u, Usage{})
		return err
	})
	b.update(func(t *Tx) error { return t.Subscribe("a/b", false) })
	b.update(func(t *Tx) error { return t.Subscribe("never", false) })
	b.fails(fault.NotFound, b.try(func(t *Tx) error { return t.Subscribe("a/b", true) }))
	b.audit()
}

// TestDeleteUnfinished is a crash between the pieces of a large deletion.
func TestDeleteUnfinished(t *testing.T) {
	b := newBench(t)
	b.piece = 10
	b.update(func(t *Tx) error { _, err := t.CreateBox("Big", RoleNone); return err })
	b.addMany("Big", 35)
	b.update(func(t *Tx) error { return t.DeleteBox("Big") })
	equal(t, "gone at once", len(b.names()), 6)
	b.audit()
	b.update(func(t *Tx) error { _, err := t.CreateBox("Big", RoleNone); return err })
	b.must(b.Tidy(t.Context(), alice, when))
	b.view(func(tx *Tx) error {
		u, err := tx.Usage()
		equal(t, "usage", u, Usage{})
		return err
	})
	b.audit()
}

func TestRename(t *testing.T) {
	b := newBench(t)
	ren := func(from, to string) error { return b.try(func(t *Tx) error { return t.RenameBox(from, to) }) }
	b.update(func(t *Tx) error { _, err := t.CreateBox("a/b/c", RoleNone); return err })
	b.addMany("a/b", 2)
	before := b.box("a/b")
	b.must(ren("a/b", "x/y"))
	equalList(t, "names", b.names()[6:], []string{"a", "x", "x/y", "x/y/c"})
	after := b.box("x/y")
	equal(t, "id", after.ID, before.ID)
	equal(t, "uidvalidity", after.UIDValidity, before.UIDValidity)
	equal(t, "uidnext", after.UIDNext, 3)
	b.box("x/y/c")
	b.fails(fault.NotFound, ren("a/b", "z"))
	b.fails(fault.Exists, ren("x/y", "a"))
	b.fails(fault.Exists, ren("x", "inbox"))
	b.fails(fault.Unsupported, ren("x", "x/y/z"))
	b.fails(fault.Unsupported, ren("x", strings.Repeat("d/", MaxDepth-2)+"d"))
	b.must(ren("x", strings.Repeat("d/", MaxDepth-3)+"d"))
	b.audit()
}

func TestRenameInbox(t *testing.T) {
	b := newBench(t)
	b.update(func(t *Tx) error { _, err := t.CreateBox("INBOX/in", RoleNone); return err })
	b.addMany("INBOX", 3)
	old := b.box("INBOX")
	b.update(func(t *Tx) error { return t.RenameBox("inbox", "old/mail") })
	equal(t, "moved", b.box("old/mail").Messages, 3)
	equal(t, "role", b.box("old/mail").Role, RoleNone)
	now := b.box("INBOX")
	equal(t, "empty", now.Messages, 0)
	equal(t, "role", now.Role, RoleInbox)
	equal(t, "subscribed", now.Subscribed, true)
	equal(t, "those within stay", b.box("INBOX/in").Parent, now.ID)
	if now.UIDValidity <= old.UIDValidity {
		t.Error("INBOX with other messages needs another UIDVALIDITY")
	}
	b.view(func(tx *Tx) error {
		box, err := tx.BoxByRole(RoleInbox)
		equal(t, "role leads to", box.ID, now.ID)
		return err
	})
	b.audit()
}

func TestSubscriptionFollowsRename(t *testing.T) {
	b := newBench(t)
	b.update(func(t *Tx) error { return t.RenameBox("Sent", "Post/Out") })
	b.view(func(tx *Tx) error {
		subs, err := tx.Subscriptions()
		equal(t, "subscribed", strings.Join(subs, " "), "INBOX Archive Drafts Junk Post/Out Trash")
		return err
	})
}

func TestTooManyBoxes(t *testing.T) {
	b := newBench(t)
	for n := 6; n < MaxBoxes; {
		b.update(func(t *Tx) error {
			for range 1_400 {
				if n >= MaxBoxes {
					return nil
				}
				if _, err := t.CreateBox(fmt.Sprint("box ", n), RoleNone); err != nil {
					return err
				}
				n++
			}
			return nil
		})
	}
	b.fails(fault.TooMany, b.try(func(t *Tx) error { _, err := t.CreateBox("one more", RoleNone); return err }))
	equal(t, "mailboxes", len(b.names()), MaxBoxes)
}

// TestIn is what deliver does: several accounts, and two Tx of the same one, in
// a transaction of its own.
func TestIn(t *testing.T) {
	b := newBench(t)
	h := b.put("x")
	err := b.db.Update(t.Context(), []kv.Shard{kv.AccountShard(alice), kv.AccountShard(alice + 1)}, func(w kv.Tx) error {
		one, two := b.In(w, alice), b.In(w, alice)
		for i, tx := range []*Tx{one, two, one, b.In(w, alice+1)} {
			if err := tx.Provision(); err != nil {
				return err
			}
			box, err := tx.BoxByName("INBOX")
			if err != nil {
				return err
			}
			if _, err := tx.Add(box.ID, NewMessage{Content: h, Received: when, Arrival: mail.ArrivalID{byte(i)}}); err != nil {
				return err
			}
		}
		return nil
	})
	b.must(err)
	equal(t, "messages", b.box("INBOX").Messages, 3)
	b.audit()
}

func TestThreads(t *testing.T) {
	b := newBench(t)
	thread := func(p Placement) (id ThreadID) {
		b.view(func(t *Tx) error {
			m, err := t.Message(p.Message)
			id = m.Thread
			return err
		})
		return id
	}
	a := b.add("INBOX", b.letter("Subject: Plans|Message-ID: <a@x>", ""))
	c := b.add("INBOX", b.letter("Subject: Re: Plans|Message-ID: <b@x>|References: <a@x>", ""))
	equal(t, "a reply", thread(c), thread(a))
	b.add("INBOX", b.letter("Subject: RE: re: plans|Message-ID: <c@x>|In-Reply-To: <b@x>", ""))
	e := b.add("INBOX", b.letter("Subject: Other|Message-ID: <d@x>|References: <a@x>", ""))
	if thread(e) == thread(a) {
		t.Error("another subject is another thread")
	}
	f := b.add("INBOX", b.letter("Subject: Plans|Message-ID: <f@x>", ""))
	if thread(f) == thread(a) {
		t.Error("a subject alone makes no thread")
	}
	box := b.box("INBOX").ID
	_, err := b.Expunge(t.Context(), alice, alice, box, []UID{a.UID}, true)
	b.must(err)
	g := b.add("INBOX", b.letter("Subject: Plans|Message-ID: <g@x>|References: <a@x> <b@x>", ""))
	equal(t, "the thread outlives its first", thread(g), uint64(a.Message))
	b.view(func(tx *Tx) error {
		ids, err := tx.Thread(thread(g))
		equal(t, "members", len(ids), 3)
		return err
	})
	_, err = b.Expunge(t.Context(), alice, alice, box, nil, true)
	b.must(err)
	b.audit()
}

// A message that comes late and names two threads does not move what is there;
// what answers either later meets in the older one.
func TestThreadsMeetLate(t *testing.T) {
	b := newBench(t)
	add := func(header string) (th ThreadID) {
		p := b.add("INBOX", b.letter("Subject: Re: plan|"+header, "x"))
		b.view(func(tx *Tx) error {
			m, err := tx.Message(p.Message)
			th = m.Thread
			return err
		})
		return th
	}
	one := add("Message-ID: <1@x>")
	two := add("Message-ID: <2@x>|References: <lost@x>")
	if one == two {
		t.Fatal("two threads that have nothing in common are one")
	}
	equal(t, "late", add("Message-ID: <3@x>|References: <lost@x> <1@x>"), one)
	equal(t, "answer to the late one", add("Message-ID: <4@x>|In-Reply-To: <3@x>"), one)
	equal(t, "answer to the lost one", add("Message-ID: <5@x>|In-Reply-To: <lost@x>"), one)
	equal(t, "answer within the other", add("Message-ID: <6@x>|In-Reply-To: <2@x>"), two)
	b.view(func(tx *Tx) error {
		ids, err := tx.Thread(two)
		equalList(t, "the other thread", ids, []MessageID{2, 6})
		return err
	})
	b.audit()
}
