package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const twoMessages = `From alice@example.org Tue Jan  5 12:00:00 2021
From: alice@example.org
Subject: one
Status: RO

>From me to you

From bob@example.org Wed Jan  6 12:00:00 2021 +0900
From: bob@example.org
Subject: two

Second.

`

// TestTransferCommands imports and exports, over a socket and without a server.
func TestTransferCommands(t *testing.T) {
	for _, where := range []string{"over a socket", "without a server"} {
		t.Run(where, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			if where == "over a socket" {
				data = listen(t).dir
			}
			to := t.TempDir()
			file := filepath.Join(to, "in.mbox")
			if err := os.WriteFile(file, []byte(twoMessages), 0o600); err != nil {
				t.Fatal(err)
			}
			bad := filepath.Join(to, "bad")
			if err := os.WriteFile(bad, []byte("this is no mbox\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			const alice = " alice@example.test "
			play(t, data, []line{
				{"domain add example.test", "", 0, `added`},
				{"account add" + alice + "--password-stdin --quota 250B", "pencil\n", 0, `added`},
				{"account add bob@example.test", "", 0, `added`},
				{"import mbox " + file + alice, "", 0, `^2 messages imported into alice@example.test\n$`},
				{"import mbox " + file + alice, "", 0, `^0 messages imported .*\n2 messages had been imported before\n$`},
				{"import mbox " + file + alice + "--json --mailbox Old/2021", "", 0, `^\{"messages":2,"repeated":0,"octets":\d+,"mailboxes":2,"problems":\[\],"failed":0\}\n$`},
				{"import mbox " + file + alice + "--anew", "", 1, `the mailbox is full; given again`},
				{"import mbox " + bad + alice, "", 1, `1 thing could not be imported`},
				{"import mbox " + to + "/none" + alice, "", 1, `no such file`},
				{"import mbox " + file + " nobody@example.test", "", 1, `there is no account`},
				{"import mbox " + file + " nobody", "", 2, `not an address`},
				{"import mbox " + file + alice + "--dialect mboxx", "", 2, `must be one of`},
				{"import maildir " + to + alice, "", 1, `is no Maildir`},
				{"import mbxo " + file + alice, "", 2, `did you mean`},
				{"export maildir" + alice + to + "/maildir", "", 0, `^\d messages of alice@example.test exported to `},
				{"export mbox" + alice + to + "/mbox --json", "", 0, `^\{"messages":\d,"octets":\d+,"mailboxes":8,"problems":\[\],"failed":0\}\n$`},
				{"export mbox" + alice + to + "/mbox", "", 1, `is not empty`},
				{"export mbox" + alice + "- --mailbox INBOX", "", 0, `^From MAILER-DAEMON Tue Jan  5 12:00:00 2021\nFrom: alice@example.org\nSubject: one\nStatus: RO\n\n>From me to you\n\nFrom MAILER-`},
				{"export mbox" + alice + to + "/one --mailbox Old/2021", "", 0, `^2 messages`},
				{"export mbox" + alice + to + "/one --mailbox Old/2021", "", 1, `exists`},
				{"export mbox" + alice + to + "/two --mailbox Nowhere", "", 1, `there is no mailbox "Nowhere"`},
				{"import maildir " + to + "/maildir bob@example.test", "", 0, `\d messages imported`},
				{"import mbox " + to + "/mbox bob@example.test --mailbox back", "", 0, `(?s)\d messages imported.*8 mailboxes made`},
				{"import mbox - bob@example.test --mailbox stdin", twoMessages, 0, `^2 messages imported`},
			})
			out, _, _ := capture(t, "", "import", "mbox", bad, "bob@example.test", "--data", data)
			if !strings.Contains(out, `16 octets before the first "From " line are no message`) {
				t.Errorf("the problem is %q", out)
			}
			if _, err := os.Stat(filepath.Join(to, "two")); err == nil {
				t.Error("a file is made for a mailbox that is not there")
			}
		})
	}
}
