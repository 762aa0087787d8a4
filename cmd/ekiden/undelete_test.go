package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// TestUndeleteCommands deletes what was imported, and brings it back.
func TestUndeleteCommands(t *testing.T) {
	r := listen(t)
	file := filepath.Join(t.TempDir(), "in.mbox")
	if err := os.WriteFile(file, []byte(twoMessages), 0o600); err != nil {
		t.Fatal(err)
	}
	const alice = " alice@example.test "
	play(t, r.dir, []line{
		{"domain add example.test", "", 0, `added`},
		{"account add" + alice + "--password-stdin", "pencil\n", 0, `added`},
		{"import mbox " + file + alice + "--mailbox Old", "", 0, `^2 messages`},
		{"undelete list" + alice, "", 0, `^nothing can be restored\n$`},
	})
	ctx, a := context.Background(), mail.AccountID(1)
	empty := func() {
		t.Helper()
		var b mailbox.Box
		err := r.o.Mailbox.View(ctx, a, func(tx *mailbox.Tx) (err error) {
			b, err = tx.BoxByName("Old")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		uids := []mailbox.UID{}
		for u := mailbox.UID(1); u < b.UIDNext; u++ {
			uids = append(uids, u)
		}
		if _, err := r.o.Mailbox.Expunge(ctx, a, a, b.ID, uids, true); err != nil {
			t.Fatal(err)
		}
	}
	empty()
	out, _, _ := capture(t, "", "undelete", "list", "alice@example.test", "--json", "--data", r.dir)
	var d deletions
	if err := json.Unmarshal([]byte(out), &d); err != nil || len(d.Items) != 2 || d.Items[0].Mailbox != "Old" {
		t.Fatalf("%s: %v", out, err)
	}
	play(t, r.dir, []line{
		{"undelete list" + alice + "--since 1h", "", 0, `(?m)^ID .*\n(.*\n)?\d+-1 +\d{4}-.* Old +alice@example.org +\d+ B +one$`},
		{"undelete list" + alice + "--limit 1", "", 0, `and more`},
		{"undelete list" + alice + "--until 1h", "", 0, `nothing`},
		{"undelete list" + alice + "--since yesterday", "", 2, `no time such as`},
		{"undelete list nobody@example.test", "", 1, `there is no account`},
		{"undelete restore" + alice, "", 2, `say which messages`},
		{"undelete restore" + alice + "rubbish", "", 1, `not a message that is gone`},
		{"undelete restore" + alice + "1-1", "", 1, `no such deleted message any more`},
		{"undelete restore" + alice + d.Items[0].ID, "", 0, `^1 message of alice@example.test restored\n$`},
		{"undelete restore" + alice + d.Items[0].ID, "", 1, `no such deleted message any more`},
		{"undelete restore" + alice + "--all --into INBOX --json", "", 0, `^\{"count":1\}\n$`},
		{"account show" + alice, "", 0, `messages +2`},
		{"account set" + alice + "--quota 60B", "", 0, `changed`},
	})
	empty()
	play(t, r.dir, []line{
		{"undelete restore" + alice + "--mailbox Old", "", 1, `no room`},
		{"account set" + alice + "--quota none", "", 0, `changed`},
		{"undelete restore" + alice + "--mailbox Old --since 2d", "", 0, `^1 message`},
	})
}
