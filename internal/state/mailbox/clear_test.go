package mailbox

import (
	"testing"
	"time"
)

func TestClearBefore(t *testing.T) {
	b := newBench(t)
	b.piece = 4
	b.addMany("Trash", 11)
	clear := func(r Role, before time.Time, limit, want int) {
		t.Helper()
		n, err := b.ClearBefore(t.Context(), alice, r, before, limit)
		b.must(err)
		equal(t, "cleared", n, want)
	}
	clear(RoleTrash, time.Now().Add(-time.Hour), 100, 0)
	clear(RoleTrash, time.Now().Add(time.Hour), 5, 5)
	equal(t, "left", b.box("Trash").Messages, 6)
	b.addMany("Junk", 2)
	clear(RoleTrash, time.Now().Add(time.Hour), 100, 6)
	clear(Role("gone"), time.Now().Add(time.Hour), 100, 0)
	equal(t, "in Junk", b.box("Junk").Messages, 2)
	b.view(func(tx *Tx) error { // what was cleared can be restored
		u, err := tx.GoneUsage()
		equal(t, "gone", u.Messages, 11)
		return err
	})
	problems, err := b.Verify(t.Context(), alice)
	b.must(err)
	equalList(t, "problems", problems, nil)
}
