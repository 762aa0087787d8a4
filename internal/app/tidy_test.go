package app

import (
	"context"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// TestSweepRemoved ends the removal of an account that a crash interrupted
// behind its name, and leaves the others alone.
func TestSweepRemoved(t *testing.T) {
	ctx := context.Background()
	c := Default()
	c.Data, c.Hostname = t.TempDir(), "mx.example.test"
	r, err := openRooms(&c, event.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := r.directory.AddDomain(ctx, "example.test"); err != nil {
		t.Fatal(err)
	}
	alice, bob := mail.Address{Local: "alice", Domain: "example.test"}, mail.Address{Local: "bob", Domain: "example.test"}
	for _, a := range []mail.Address{alice, bob} {
		if err := r.addAccount(ctx, NewAccount{Address: a, Password: "pencil"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.directory.RemoveAccount(ctx, alice); err != nil {
		t.Fatal(err)
	}
	if removed, err := r.directory.Removed(ctx); err != nil || len(removed) != 1 || removed[0] != 1 {
		t.Fatal(removed, err)
	}
	boxes := func(a mail.AccountID) (n int) {
		t.Helper()
		err := r.mailbox.View(ctx, a, func(tx *mailbox.Tx) error {
			all, err := tx.Boxes()
			n = len(all)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if boxes(1) == 0 || boxes(2) == 0 {
		t.Fatal("there is nothing to sweep")
	}
	if err := r.sweepRemoved(ctx); err != nil {
		t.Fatal(err)
	}
	if boxes(1) != 0 || boxes(2) == 0 {
		t.Errorf("%d and %d mailboxes are left", boxes(1), boxes(2))
	}
}
