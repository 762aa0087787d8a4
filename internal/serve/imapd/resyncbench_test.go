package imapd_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// BenchmarkSelect selects a large mailbox in which 100 messages have changed: as
// one that the client does not know, as one it knows of up to these changes, and
// asked for the changes alone. With EKIDEN_LONG=1 it has 1,000,000 messages, and
// takes minutes to fill.
func BenchmarkSelect(b *testing.B) {
	n := 100_000
	if os.Getenv("EKIDEN_LONG") != "" {
		n = 1_000_000
	}
	db, err := pebblekv.Open(b.TempDir(), pebblekv.Options{Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorldOn(b, db, "", nil)
	defer w.close()
	box := w.fillMany("INBOX", n)
	uids := make([]mailbox.UID, 0, 100)
	for i := range 80 {
		uids = append(uids, mailbox.UID(1+i*n/80))
	}
	since := box.HighestModSeq
	ctx := context.Background()
	change := mailbox.FlagChange{Op: mailbox.FlagsAdd, Flags: mail.FlagFlagged | mail.FlagDeleted}
	if _, _, err := w.boxes.SetFlags(ctx, w.alice, w.alice, box.ID, uids, change, 0); err != nil {
		b.Fatal(err)
	}
	if _, err := w.boxes.Expunge(ctx, w.alice, w.alice, box.ID, uids[:20], false); err != nil {
		b.Fatal(err)
	}
	for range 20 {
		w.deliver("INBOX", "Subject: new\r\n\r\ntext\r\n", 0)
	}
	conn := w.ln.dial()
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	do := func(command string) (lines int) {
		fmt.Fprint(conn, "x "+command+"\r\n")
		for {
			l, err := in.ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			if lines++; strings.HasPrefix(l, "x ") {
				if !strings.HasPrefix(l, "x OK") {
					b.Fatal(l)
				}
				return lines
			}
		}
	}
	do("LOGIN alice@example.test secret")
	do("ENABLE QRESYNC")
	for _, c := range []struct {
		name, command string
		lines         int
	}{
		{"plain", "SELECT INBOX", 9},
		{"qresync", fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", box.UIDValidity, since), 90},
		{"changedsince", fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", since), 82},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := do(c.command); got < c.lines {
					b.Fatal(got)
				}
			}
		})
	}
}

// fillMany puts n messages with one small content into a mailbox of alice's.
func (w *world) fillMany(name string, n int) (box mailbox.Box) {
	ctx, content := context.Background(), "Subject: many\r\n\r\ntext\r\n"
	h, err := w.blobs.Put(ctx, []byte(content))
	if err != nil {
		w.t.Fatal(err)
	}
	ix, err := message.Parse(strings.NewReader(content), int64(len(content)))
	if err != nil {
		w.t.Fatal(err)
	}
	m := mailbox.NewMessage{Content: h, Index: ix, Received: time.Now(), Flags: mail.FlagSeen}
	m.Prepare()
	for done := 0; done < n; done += 200 {
		err := w.boxes.Update(ctx, 0, w.alice, func(tx *mailbox.Tx) (err error) {
			if box, err = tx.BoxByName(name); err != nil {
				return err
			}
			for range min(200, n-done) {
				if _, err := tx.Add(box.ID, m); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	err = w.boxes.View(ctx, w.alice, func(tx *mailbox.Tx) (err error) {
		box, err = tx.BoxByName(name)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return box
}
