package imapd_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// TestVectors fetches all there is of real and of strange messages: no FETCH fails,
// each response is of the grammar, and the sections are as long as BODYSTRUCTURE
// says they are.
func TestVectors(t *testing.T) {
	letters := vectors(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		for _, l := range letters {
			w.deliver("INBOX", l, 0)
		}
		c := w.connect()
		_, _ = c.conn.Write([]byte("a LOGIN alice@example.test secret\r\nb EXAMINE INBOX\r\n"))
		synctest.Wait()
		c.take()
		for n := range letters {
			tryVector(t, c, n+1, letters[n])
		}
		_ = c.conn.Close()
		<-c.done
	})
}

// vectors are the messages of the collections, those cut off amid, and some that
// nobody should send.
func vectors(t *testing.T) (letters []string) {
	for _, glob := range []string{"mimekit/messages/*", "python-test-email/msg_*"} {
		names, err := filepath.Glob(filepath.Join("../../../test/vectors/mime", glob))
		if err != nil || len(names) == 0 {
			t.Fatalf("no vectors: %v", err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
			b = bytes.ReplaceAll(b, []byte{0}, []byte("?"))
			letters = append(letters, string(b), string(b[:len(b)*2/3]))
		}
	}
	deep := ""
	for i := range 60 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return append(letters,
		"\r\n", "x", ": \r\n\r\n", "\xff\xfe\r\n\r\n\xff", "Subject: =?x?q?\"\\?=\r\n \xe9\r\n\r\n", deep,
		strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 80),
		"From: \"a\\\"\xc3\" <\"b \\\\c\"@[x]>, x:y@z, @@, <;\r\nTo: ,,(((\r\nReply-To: g:;\r\nDate: \x07\r\n\r\n",
		"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nx\r\n----\r\n",
		"Content-Type: text; charset=\"\r\n\x01\x02\"; x*0*=a; =; \"\r\nContent-Disposition: ;;\r\nContent-Language: ,\r\n\r\nx",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n"+strings.Repeat("--b\r\n\r\nx\r\n", 3000)+"--b--",
		"Content-Transfer-Encoding: base64\r\n\r\n====QQ=A\x80", "Content-Transfer-Encoding: quoted-printable\r\n\r\n=\r\n=4=\xff=",
		"To: "+strings.Repeat("\"x\" <x@example.org>,\r\n ", 4000)+"\r\n\r\n",
	)
}

func tryVector(t *testing.T, c *client, n int, letter string) {
	t.Helper()
	items := "ENVELOPE BODYSTRUCTURE BODY RFC822.SIZE PREVIEW BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[HEADER.FIELDS (Subject To X-None)] " +
		"BODY.PEEK[HEADER.FIELDS.NOT (Subject)] BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2.HEADER] BINARY.PEEK[] BINARY.SIZE[] RFC822.HEADER"
	_, _ = fmt.Fprintf(c.conn, "c FETCH %d (%s)\r\n", n, items)
	synctest.Wait()
	got, _ := c.take()
	line, rest := cutResponse(got)
	r, err := imap.ParseResponse([]byte(line))
	if err != nil || rest != "c OK FETCH done\r\n" {
		t.Fatalf("message %d (%.60q): %v\n%.300q\n%.100q", n, letter, err, line, rest)
	}
	values := map[string]imap.Value{}
	for i := 0; i+1 < len(r.Args[0].List); i += 2 {
		values[r.Args[0].List[i].Text] = r.Args[0].List[i+1]
	}
	if values["BODY[]"].Text != letter || values["BODY[HEADER]"].Text+values["BODY[TEXT]"].Text != letter {
		t.Errorf("message %d (%.60q) is not what came", n, letter)
	}
	if len(values["ENVELOPE"].List) != 10 {
		t.Errorf("message %d: an envelope of %d fields", n, len(values["ENVELOPE"].List))
	}
	tryParts(t, c, n, values["BODYSTRUCTURE"], "")
}

// tryParts fetches each part at path and below, and holds its length against what
// the structure says.
func tryParts(t *testing.T, c *client, n int, v imap.Value, path string) {
	t.Helper()
	if len(v.List) == 0 || strings.Count(path, ".") > 8 {
		return
	}
	if v.List[0].Kind == imap.List { // a multipart
		for i := 0; i < len(v.List) && i < 20 && v.List[i].Kind == imap.List; i++ {
			tryParts(t, c, n, v.List[i], path+"."+strconv.Itoa(i+1))
		}
		return
	}
	if path == "" {
		path = ".1"
	}
	section := path[1:]
	_, _ = fmt.Fprintf(c.conn, "d FETCH %d (BODY.PEEK[%s])\r\n", n, section)
	synctest.Wait()
	got, _ := c.take()
	line, rest := cutResponse(got)
	r, err := imap.ParseResponse([]byte(line))
	if err != nil || rest != "d OK FETCH done\r\n" || len(r.Args[0].List) != 2 {
		t.Fatalf("message %d, part %s: %v\n%.300q", n, section, err, got)
	}
	if body := r.Args[0].List[1].Text; strconv.Itoa(len(body)) != v.List[6].Text {
		t.Errorf("message %d, part %s has %d octets, the structure says %s", n, section, len(body), v.List[6].Text)
	}
	if strings.EqualFold(v.List[0].Text, "message") && len(v.List) > 8 && v.List[7].Kind == imap.List {
		inner := path
		if len(v.List[8].List) > 0 && v.List[8].List[0].Kind != imap.List {
			inner += ".1"
		}
		tryParts(t, c, n, v.List[8], inner)
	}
}
