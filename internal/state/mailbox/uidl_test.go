package mailbox

import "testing"

func TestUIDLs(t *testing.T) {
	b := newBench(t)
	for i, text := range []string{"one", "", "not one"} {
		m := b.letter("Subject: x", "y")
		m.UIDL = text
		if p := b.add("INBOX", m); p.UID != UID(i+1) {
			t.Fatal(p.UID)
		}
	}
	id := b.box("INBOX").ID
	list := func() (out []UIDL) {
		b.view(func(tx *Tx) error {
			out = nil
			for u, err := range tx.UIDLs(id, 1, 9) {
				if err != nil {
					return err
				}
				out = append(out, u)
			}
			return nil
		})
		return out
	}
	equalList(t, "unique-ids", list(), []UIDL{{1, "one"}}) // what is none is left out
	_, err := b.Expunge(t.Context(), alice, alice, id, []UID{1}, true)
	b.must(err)
	b.must(b.Tidy(t.Context(), alice, when))
	equalList(t, "after Tidy", list(), nil)
	problems, err := b.Verify(t.Context(), alice)
	b.must(err)
	equalList(t, "problems", problems, nil)
}
