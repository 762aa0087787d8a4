package imapd_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// FuzzSession sends whatever there is to a session that has logged in: nothing
// may panic, hang, or answer what is no response.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"b SELECT INBOX\r\nc FETCH 1:* (FLAGS ENVELOPE BODY[])\r\nd STORE 1 +FLAGS (\\Deleted)\r\ne EXPUNGE\r\n",
		"b APPEND INBOX {5+}\r\na: b\n\r\nc SELECT INBOX\r\nd UID SEARCH OR SUBJECT {1}\r\nx NOT TEXT y\r\n",
		"b EXAMINE Sent\r\nc IDLE\r\nDONE\r\nd COPY 1:* Trash\r\ne UID MOVE 1 Trash\r\n",
		"b CREATE x/y\r\nc RENAME x &ZeVnLIqe-\r\nd LIST \"\" %\r\ne LSUB \"\" *\r\nf DELETE x/y\r\ng STATUS INBOX (UNSEEN)\r\n",
		"b FETCH 1 BODY[1.2.HEADER.FIELDS (x)]<0.5>\r\nc CLOSE\r\nd UNSELECT\r\ne NAMESPACE\r\nf ENABLE x\r\ng ID NIL\r\n",
		"b SELECT INBOX\r\nc APPEND INBOX {4+}\r\na: b CATENATE (URL /INBOX/;UID=1/;SECTION=1 TEXT {3+}\r\nabc) ~{2+}\r\nxy\r\nd UID REPLACE 1 INBOX {1+}\r\nx\r\n",
		"b SELECT INBOX\r\nc FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1] PREVIEW (LAZY) EMAILID THREADID SAVEDATE X-GM-LABELS)\r\nd STORE 1 +X-GM-LABELS (a \\Sent)\r\n",
		"b SELECT INBOX\r\nc SEARCH RETURN (UPDATE ALL SAVE PARTIAL -1:-5) OR $ FUZZY TEXT {1}\r\nx\r\nd UID SORT RETURN (UPDATE RELEVANCY) (REVERSE RELEVANCY DATE) UTF-8 FUZZY BODY x\r\ne STORE $ +FLAGS (\\Seen)\r\n",
		"b SELECT INBOX\r\nc THREAD REFERENCES UTF-8 X-GM-RAW {6}\r\nis:(a)\r\nd ESEARCH IN (personal subtree (a INBOX)) RETURN () YOUNGER 5\r\ne UIDBATCHES 500 1:2\r\nf CANCELUPDATE \"c\"\r\ng SEARCH EMAILID M1 THREADID T1 X-GM-LABELS \\Inbox MODSEQ 1\r\n",
		"b ENABLE QRESYNC IMAP4rev2\r\nc SELECT INBOX (QRESYNC (1 1 1:9 (1 1)))\r\nd UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\ne STORE 1 (UNCHANGEDSINCE 0) FLAGS ()\r\n",
		"b LIST (RECURSIVEMATCH SUBSCRIBED) \"\" (* %) RETURN (STATUS (SIZE) CHILDREN)\r\nc NOTIFY SET STATUS (selected (MessageNew (UID) MessageExpunge)) (personal (MailboxName))\r\nd NOOP\r\n",
		"b ENABLE UIDONLY\r\nc LANGUAGE ja\r\nd SELECT INBOX\r\ne UID FETCH 1:* UID\r\nf UNAUTHENTICATE\r\ng COMPRESS DEFLATE\r\n\x00\xff",
		"b AUTHENTICATE PLAIN\r\nc STARTTLS\r\n\x16\x03\x01\r\n\x00\n{99999+}\r\n",
	} {
		f.Add(s)
	}
	w := newWorld(f, nil)
	f.Cleanup(w.close)
	w.deliver("INBOX", "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n", 0)
	f.Fuzz(func(t *testing.T, in string) {
		conn := w.ln.dial().(*end)
		defer conn.Close()
		guard := time.AfterFunc(20*time.Second, func() { _ = conn.Close() })
		_, _ = conn.Write([]byte("a LOGIN alice@example.test secret\r\n" + in))
		conn.out.close()
		got, err := io.ReadAll(conn)
		if !guard.Stop() || err != nil {
			t.Fatalf("the session hangs after %q: %v", in, err)
		}
		for rest := string(got); rest != ""; {
			var l string
			l, rest = cutResponse(rest)
			if _, err := imap.ParseResponse([]byte(l)); err != nil {
				t.Fatalf("%q: %v\n%q", l, err, in)
			}
		}
	})
}

// TestFlood sends 10,000 commands in one packet: each is answered, in order.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		c := w.connect()
		_, _ = c.conn.Write([]byte(strings.Repeat("x NOOP\r\n", 10_000) + "y LOGOUT\r\n"))
		<-c.done
		got, _ := c.take()
		if n := strings.Count(got, "x OK"); n != 10_000 || !strings.HasSuffix(got, "* BYE see you\r\ny OK logged out\r\n") {
			t.Errorf("%d answers, then %q", n, got[len(got)-40:])
		}
		w.close()
	})
}
