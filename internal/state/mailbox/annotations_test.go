package mailbox

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

func TestEntryNames(t *testing.T) {
	for _, s := range []string{"/shared/comment", "/private/Comment", "/private/vendor/kolab/x", "/shared/a b"} {
		if name, err := EntryName(s); err != nil || name != strings.ToLower(s) {
			t.Error(s, name, err)
		}
	}
	for _, s := range []string{
		"", "/", "/shared", "/shared/", "/public/comment", "shared/comment", "/shared//comment", "/shared/a*", "/shared/a%",
		"/shared/é", "/shared/a\x01", "/shared/vendor", "/shared/vendor/kolab", "/shared/" + strings.Repeat("x", maxEntry),
	} {
		if name, err := EntryName(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is taken: %s, %v", s, name, err)
		}
	}
}

func TestAnnotations(t *testing.T) {
	b := newShared(t)
	box := b.box("Archive").ID
	set := func(who mail.AccountID, entry, value string, q Quota) error {
		c := Annotation{Entry: entry}
		if value != "" {
			c.Value = []byte(value)
		}
		return b.Update(t.Context(), who, alice, func(tx *Tx) error { return tx.Annotate(box, []Annotation{c}, q) })
	}
	get := func(who mail.AccountID, depth int, entries ...string) string {
		var out []string
		b.must(b.ViewAs(t.Context(), who, alice, func(tx *Tx) error {
			all, err := tx.Annotations(box, entries, depth)
			for _, a := range all {
				out = append(out, a.Entry+"="+string(a.Value))
			}
			return err
		}))
		return strings.Join(out, " ")
	}
	b.must(set(alice, "/shared/comment", "ours", Quota{}))
	b.must(set(alice, "/private/comment", "mine", Quota{}))
	b.must(set(alice, "/private/filters/a", "1", Quota{}))
	b.must(set(alice, "/private/filters/a/b", "2", Quota{}))
	equal(t, "by name", get(alice, 0, "/shared/comment", "/private/comment", "/private/none"), "/private/comment=mine /shared/comment=ours")
	equal(t, "depth 0", get(alice, 0, "/private/filters"), "")
	equal(t, "depth 1", get(alice, 1, "/private/filters"), "/private/filters/a=1")
	equal(t, "all", get(alice, AllBelow, "/private/filters", "/private"), "/private/comment=mine /private/filters/a=1 /private/filters/a/b=2")
	// Private ones are each one's own, and shared ones are not for all to change.
	b.fails(fault.NotFound, set(bob, "/shared/comment", "x", Quota{}))
	b.share("Archive", Subject{Account: bob}, "lr")
	b.fails(fault.Denied, set(bob, "/shared/comment", "x", Quota{}))
	b.share("Archive", Subject{Account: bob}, "lrw")
	b.must(set(bob, "/private/comment", "bob's", Quota{}))
	b.must(set(bob, "/shared/comment", "theirs", Quota{}))
	equal(t, "bob's", get(bob, AllBelow, "/private", "/shared"), "/private/comment=bob's /shared/comment=theirs")
	equal(t, "alice's", get(alice, 0, "/private/comment", "/shared/comment"), "/private/comment=mine /shared/comment=theirs")
	b.fails(fault.TooLarge, set(alice, "/private/big", strings.Repeat("x", MaxAnnotation+1), Quota{}))
	b.fails(fault.OverQuota, set(alice, "/private/big", strings.Repeat("x", 100), Quota{Annotations: 100}))
	b.must(set(alice, "/private/comment", "less", Quota{Annotations: 1}))
	for i := range MaxAnnotations - 3 {
		b.must(set(alice, fmt.Sprintf("/private/n%d", i), "x", Quota{}))
	}
	b.fails(fault.TooMany, set(alice, "/private/one-more", "x", Quota{}))
	b.must(set(alice, "/private/n1", "", Quota{}))
	b.must(set(alice, "/private/one-more", "x", Quota{}))
	verify := func() {
		t.Helper()
		problems, err := b.Verify(t.Context(), alice)
		b.must(err)
		equalList(t, "problems", problems, nil)
	}
	verify()
	// They follow a rename, and go with their mailbox.
	b.update(func(tx *Tx) error { return tx.RenameBox("Archive", "Old") })
	equal(t, "after a rename", get(bob, 0, "/private/comment"), "/private/comment=bob's")
	b.must(b.DeleteBox(t.Context(), alice, alice, "Old"))
	b.view(func(tx *Tx) error {
		h, err := tx.Holdings()
		equal(t, "octets of annotations", h.Annotations, 0)
		equal(t, "mailboxes", h.Boxes, 5)
		b.fails(fault.OverQuota, Quota{Boxes: 5}.RoomForBox(h))
		b.must(Quota{Boxes: 6}.RoomForBox(h))
		return err
	})
	verify()
}

// INBOX keeps its annotations when it gives its messages away (RFC 5464 §4.1).
func TestAnnotationsOfInbox(t *testing.T) {
	b := newBench(t)
	id := b.box("INBOX").ID
	b.update(func(tx *Tx) error {
		return tx.Annotate(id, []Annotation{{"/shared/comment", []byte("c")}}, Quota{})
	})
	b.update(func(tx *Tx) error { return tx.RenameBox("INBOX", "Before") })
	for _, name := range []string{"INBOX", "Before"} {
		id := b.box(name).ID
		b.view(func(tx *Tx) error {
			all, err := tx.Annotations(id, []string{"/shared/comment"}, 0)
			equal(t, name, len(all), 1)
			return err
		})
	}
	problems, err := b.Verify(t.Context(), alice)
	b.must(err)
	equalList(t, "problems", problems, nil)
}
