package mailbox

import (
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

func newShared(t *testing.T) *bench {
	b := newBench(t)
	b.circle = circle
	for _, a := range []mail.AccountID{bob, carol} {
		b.must(b.Update(t.Context(), 0, a, func(tx *Tx) error { return tx.Provision() }))
	}
	return b
}

func (b *bench) boxAs(a mail.AccountID, name string) (box Box) {
	b.t.Helper()
	b.must(b.View(b.t.Context(), a, func(t *Tx) (err error) { box, err = t.BoxByName(name); return err }))
	return box
}

func (b *bench) share(name string, s Subject, letters string) {
	b.t.Helper()
	r, err := ParseRights(letters)
	b.must(err)
	b.must(b.SetACL(b.t.Context(), alice, alice, b.box(name).ID, s, FlagsSet, r))
}

func TestRightsText(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"", ""}, {"lrs", "lrs"}, {"srl", "lrs"}, {"c", "kxc"}, {"d", "ted"}, {"k", "kc"}, {"lrswipkxtea", "lrswipkxteacd"},
	} {
		r, err := ParseRights(c.in)
		if err != nil || r.String() != c.out {
			t.Errorf("%s: %s, %v; want %s", c.in, r, err, c.out)
		}
		// The obsolete c and d give more than they were written for.
		if again, err := ParseRights(rightNames(r)); err != nil || again != r {
			t.Errorf("%s is not read back: %v", r, err)
		}
	}
	if _, err := ParseRights("lrQ"); !fault.Is(err, fault.Invalid) {
		t.Error("an unknown right was taken:", err)
	}
}

func TestSharersAreFound(t *testing.T) {
	b := newShared(t)
	found := func(who mail.AccountID, want ...mail.AccountID) {
		t.Helper()
		got, err := b.Sharers(t.Context(), who)
		b.must(err)
		equalList(t, "sharers", got, want)
	}
	found(bob)
	b.share("Archive", Subject{Account: carol}, "lr")
	found(carol, alice)
	found(bob)
	b.share("Sent", Subject{}, "lr")
	found(bob, alice)
	// What is taken back is still hinted at, and Tidy finds that it is wrong once
	// the hint is old enough.
	b.share("Archive", Subject{Account: carol}, "")
	found(carol, alice)
	b.must(b.Tidy(t.Context(), carol, when))
	found(carol, alice)
	b.must(b.db.Update(t.Context(), []kv.Shard{kv.ShareShard()}, func(tx kv.Tx) error {
		tx.Set(readerHints(carol).Uint64(uint64(alice)), kv.Value{}.Byte(format1).Time(time.Now().Add(-2*hintLife)))
		return nil
	}))
	b.must(b.Tidy(t.Context(), carol, when))
	found(carol)
	b.must(b.RemoveAccount(t.Context(), alice))
	found(bob)
}

// A right that is denied by name counts more than what anyone has, and nobody
// but the owner makes mailboxes at the top.
func TestRightsOfNames(t *testing.T) {
	b := newShared(t)
	b.update(func(t *Tx) error { _, err := t.CreateBox("Projects", RoleNone); return err })
	b.share("Projects", Subject{}, "lrk")
	b.share("Projects", Subject{Account: bob, Negative: true}, "r")
	create := func(name string) error {
		return b.Update(t.Context(), bob, alice, func(t *Tx) error { _, err := t.CreateBox(name, RoleNone); return err })
	}
	b.must(create("Projects/one/two"))
	b.must(b.ViewAs(t.Context(), bob, alice, func(tx *Tx) error {
		for _, name := range []string{"Projects", "Projects/one", "Projects/one/two"} {
			box, err := tx.BoxByName(name)
			b.must(err)
			r, err := tx.Rights(box.ID)
			b.must(err)
			equal(t, name, r.String(), "lkc")
		}
		return nil
	}))
	b.fails(fault.Denied, create("Top"))
	b.fails(fault.Denied, create("Sent")) // that it is there is not told
	b.fails(fault.Denied, create("Sent/in"))
	b.fails(fault.Denied, b.DeleteBox(t.Context(), bob, alice, "Projects/one/two"))
	b.fails(fault.NotFound, b.DeleteBox(t.Context(), bob, alice, "Sent"))
	b.fails(fault.Denied, b.SetACL(t.Context(), bob, alice, b.box("Projects").ID, Subject{Account: bob}, FlagsSet, AllRights))
	b.fails(fault.Denied, b.SetACL(t.Context(), alice, alice, b.box("Projects").ID, Subject{Account: alice}, FlagsSet, RightRead))
	b.must(b.SetACL(t.Context(), alice, alice, b.box("Projects").ID, Subject{Account: bob}, FlagsSet, RightDelete))
	rename := func(from, to string) error {
		return b.Update(t.Context(), bob, alice, func(t *Tx) error { return t.RenameBox(from, to) })
	}
	b.must(b.SetACL(t.Context(), alice, alice, b.box("Projects/one").ID, Subject{Account: bob}, FlagsSet, RightDelete))
	b.must(rename("Projects/one", "Projects/1"))
	b.fails(fault.Denied, rename("Projects/1", "Top"))
	problems, err := b.Verify(t.Context(), alice)
	b.must(err)
	equalList(t, "problems", problems, nil)
}

func TestAcross(t *testing.T) {
	for _, n := range []int{3, 11} { // at once, and staged
		b := newShared(t)
		b.piece = 4
		b.addMany("Archive", n)
		b.share("Archive", Subject{Account: bob}, "lrste")
		from, inbox := b.box("Archive").ID, b.boxAs(bob, "INBOX").ID
		_, _, err := b.SetFlags(t.Context(), bob, alice, from, []UID{2}, FlagChange{Op: FlagsAdd, Flags: seen}, 0)
		b.must(err)
		uids := []UID{}
		for i := range n {
			uids = append(uids, UID(i+1))
		}
		_, _, _, err = b.CopyAcross(t.Context(), bob, alice, from, uids, bob, inbox, Quota{Messages: 2})
		b.fails(fault.OverQuota, err)
		equal(t, "messages after a refusal", b.boxAs(bob, "INBOX").Messages, 0)
		src, dst, _, err := b.CopyAcross(t.Context(), bob, alice, from, uids, bob, inbox, Quota{})
		b.must(err)
		equalList(t, "copied", src, uids)
		equalList(t, "to", dst, uids)
		box := b.boxAs(bob, "INBOX")
		equal(t, "copies", box.Messages, uint32(n))
		equal(t, "unseen copies", box.Unseen, uint32(n-1))
		// Back, into what bob may not add to, and then may.
		_, _, _, err = b.CopyAcross(t.Context(), bob, bob, inbox, uids, alice, from, Quota{})
		b.fails(fault.Denied, err)
		b.share("Archive", Subject{Account: bob}, "lrstei")
		_, _, _, err = b.MoveAcross(t.Context(), bob, bob, inbox, uids, alice, from, Quota{})
		b.must(err)
		equal(t, "left", b.boxAs(bob, "INBOX").Messages, 0)
		equal(t, "moved", b.box("Archive").Messages, uint32(2*n))
		equal(t, "unseen by alice", b.box("Archive").Unseen, uint32(2*n))
		b.must(b.ViewAs(t.Context(), bob, alice, func(tx *Tx) error {
			box, err := tx.Box(from)
			equal(t, "unseen by bob", box.Unseen, uint32(2*n-2))
			return err
		}))
		_, _, _, err = b.MoveAcross(t.Context(), bob, alice, from, []UID{1}, bob, inbox, Quota{})
		b.must(err)
		equal(t, "moved out", b.box("Archive").Messages, uint32(2*n-1))
		for _, a := range []mail.AccountID{alice, bob} {
			problems, err := b.Verify(t.Context(), a)
			b.must(err)
			equalList(t, "problems", problems, nil)
		}
	}
}

// What a deleted mailbox was shared with is forgotten with it.
func TestSharesGo(t *testing.T) {
	b := newShared(t)
	b.addMany("Archive", 3)
	b.share("Archive", Subject{Account: bob}, "lrsx")
	_, _, err := b.SetFlags(t.Context(), bob, alice, b.box("Archive").ID, []UID{2, 3}, FlagChange{Op: FlagsAdd, Flags: seen}, 0)
	b.must(err)
	b.must(b.DeleteBox(t.Context(), bob, alice, "Archive"))
	b.view(func(tx *Tx) error {
		for _, tag := range []byte{tagACL, tagMark, tagMarkLog, tagReader} {
			for p := range tx.r.Scan(kv.Prefix(tx.key(tag))) {
				t.Errorf("left: %x", p.Key)
			}
		}
		return nil
	})
}

func FuzzShareRows(f *testing.F) {
	f.Add(aclRow{{Subject{bob, false}, RightRead}, {Subject{0, true}, AllRights}}.encode())
	marks := markRow{logged: 9, marks: []mark{{1, true, 5}, {2, false, 9}}}
	f.Add(marks.encode())
	head := markHead{seen: 3, at: 9, highest: 9}
	f.Add(head.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeACL(b); err == nil && len(r.encode()) > len(b) {
			t.Error("a list grew")
		}
		if r, err := decodeMarks(b); err == nil && len(r.encode()) > len(b) {
			t.Error("marks grew")
		}
		_, _ = decodeMarkHead(b)
		if r, err := ParseRights(string(b)); err == nil {
			if again, err := ParseRights(rightNames(r)); err != nil || again != r {
				t.Error("rights are not read back")
			}
		}
	})
}
