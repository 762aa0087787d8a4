package imapd_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// TestDamage takes the bodies away behind the server's back: what the kept rows
// hold is told, what is gone is said, and the session goes on.
func TestDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.sink.expected = true
		w.deliver("INBOX", "Subject: x\r\nX-Odd: y\r\n\r\nbody\r\n", 0)
		err := w.db.Update(context.Background(), nil, func(tx kv.Tx) error {
			tx.Clear(kv.Prefix([]byte(kv.Loose)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c := w.connect()
		_, _ = c.conn.Write([]byte("a LOGIN alice@example.test secret\r\nb SELECT INBOX\r\nc FETCH 1 (FLAGS ENVELOPE)\r\n" +
			"d FETCH 1 (FLAGS BODY[])\r\ne FETCH 1 BODY.PEEK[HEADER.FIELDS (X-Odd)]\r\nf SEARCH BODY x\r\ng SEARCH SUBJECT x\r\nh FETCH 1 FLAGS\r\n"))
		synctest.Wait()
		got, _ := c.take()
		_, got, _ = strings.Cut(got, "b OK [READ-WRITE] SELECT done\r\n")
		const damaged = "NO [CORRUPTION] stored data is damaged; the operator has to look at it\r\n"
		want := "* 1 FETCH (FLAGS (\\Recent) ENVELOPE (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL))\r\nc OK FETCH done\r\n" +
			"d " + damaged + "e " + damaged + "f " + damaged + "* SEARCH 1\r\ng OK SEARCH done\r\n* 1 FETCH (FLAGS (\\Recent))\r\nh OK FETCH done\r\n"
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		_ = c.conn.Close()
		<-c.done
		w.close()
	})
}
