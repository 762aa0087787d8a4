package imapd_test

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
)

// benchMessages is how many messages of about 4 KiB the mailbox has.
const benchMessages = 5000

// BenchmarkFetch asks for all messages of a mailbox as a client does that syncs:
// one operation is one FETCH of 5,000 messages.
func BenchmarkFetch(b *testing.B) {
	w := newWorld(b, nil)
	defer w.close()
	body := strings.Repeat("All work and no play makes Jack a dull boy.\r\n", 80)
	for i := range benchMessages {
		w.deliver("INBOX", fmt.Sprintf("From: Jack <jack@example.test>\r\nTo: wendy@example.test\r\nSubject: page %d\r\nMessage-ID: <%d@example.test>\r\n"+
			"Date: Tue, 8 Feb 1994 01:00:00 +0900\r\n\r\n%d\r\n%s", i, i, i, body), 0)
	}
	for _, c := range []struct{ name, items string }{
		{"flags", "(UID FLAGS)"},
		{"headers", "(UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES CONTENT-TYPE)])"},
		{"meta", "(FLAGS UID ENVELOPE INTERNALDATE RFC822.SIZE BODYSTRUCTURE)"},
		{"bodies", "(UID RFC822.SIZE BODY.PEEK[])"},
	} {
		b.Run(c.name, func(b *testing.B) { benchCommand(b, w, "FETCH 1:* "+c.items) })
	}
	for _, c := range []struct{ name, keys string }{
		{"unseen", "UNSEEN"}, {"subject", "SUBJECT nobody"}, {"body", "BODY nobody"},
	} {
		b.Run("search-"+c.name, func(b *testing.B) { benchCommand(b, w, "SEARCH "+c.keys) })
	}
}

func benchCommand(b *testing.B, w *world, command string) {
	conn := w.ln.dial()
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	octets := int64(0)
	until := func(tag string) {
		for {
			l, err := in.ReadSlice('\n')
			if err != nil && err != bufio.ErrBufferFull {
				b.Fatal(err)
			}
			octets += int64(len(l))
			if strings.HasPrefix(string(l[:min(len(l), 8)]), tag+" ") {
				if !strings.HasPrefix(string(l), tag+" OK") {
					b.Fatal(string(l))
				}
				return
			}
		}
	}
	fmt.Fprint(conn, "a LOGIN alice@example.test secret\r\nb EXAMINE INBOX\r\n")
	until("a")
	until("b")
	b.ResetTimer()
	b.ReportAllocs()
	octets = 0
	for range b.N {
		fmt.Fprint(conn, "c "+command+"\r\n")
		until("c")
	}
	b.SetBytes(octets / int64(b.N))
	b.ReportMetric(float64(b.N)*benchMessages/b.Elapsed().Seconds(), "messages/s")
}
