package smtpc

import (
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// TestDownConversion: a server without 8BITMIME has ASCII, of the size that it is
// told, and what is signed is refused rather than changed (RFC 6152 §3).
func TestDownConversion(t *testing.T) {
	const head = "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	for name, c := range map[string]struct{ offers, content, say, want string }{
		"offered": {"8BITMIME", head + "caf\xc3\xa9\r\n", "C: MAIL FROM:<a@bar.example> SIZE=87 BODY=8BITMIME\nS: 250 Ok\nC: RCPT TO:<b@foo.example>\nS: 250 Ok\nC: DATA\nS: 354 Go\n" +
			"C: MIME-Version: 1.0\nC: Content-Type: text/plain\nC: Content-Transfer-Encoding: 8bit\nany\nC: caf\xc3\xa9\nC: .\nS: 250 Ok\n", "250"},
		"not offered": {"X", head + "caf\xc3\xa9\r\n", "C: MAIL FROM:<a@bar.example> SIZE=103\nS: 250 Ok\nC: RCPT TO:<b@foo.example>\nS: 250 Ok\nC: DATA\nS: 354 Go\n" +
			"C: Content-Transfer-Encoding: quoted-printable\nC: MIME-Version: 1.0\nC: Content-Type: text/plain\nany\nC: caf=C3=A9\nC: .\nS: 250 Ok\n", "250"},
		"signed": {"X", "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\ncaf\xc3\xa9\r\n--x\r\n\r\nsignature\r\n--x--\r\n", "", "554"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveScript(t, "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250-SIZE\nS: 250 "+c.offers+"\n"+c.say+"C: QUIT\nS: 221 Bye")
			conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", TLS: None})
			if err != nil {
				t.Fatal(err)
			}
			m := Message{From: from, Options: smtp.MailOptions{EightBit: true}, To: []Recipient{rcpt("b")}}
			res, err := conn.Send(t.Context(), m, strings.NewReader(c.content), int64(len(c.content)))
			if got := show(res, err); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if c.want == "554" && res.Rcpt[0].Enhanced != (smtp.Enhanced{5, 6, 3}) {
				t.Errorf("refused with %v", res.Rcpt[0])
			}
			_ = conn.Quit()
			if err := <-s.done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChunk: where it can, content goes by BDAT, dots as they are (RFC 3030 §2),
// to whoever takes the message; and no more of it than DATA would have carried.
func TestChunk(t *testing.T) {
	const envelope = "C: MAIL FROM:<a@bar.example>\nS: 250 Ok\nC: RCPT TO:<b@foo.example>\n"
	for name, c := range map[string]struct {
		content string
		size    int64
		say     string
		want    string
	}{
		"lines":          {"A: b\r\n\r\n.x\r\n.\r\n", 15, envelope + "S: 250 Ok\nC: BDAT 15 LAST\nC: A: b\nany\nC: .x\nC: .\nS: 250 Ok\nC: QUIT\nS: 221 Bye", "250"},
		"no size known":  {"A: b\r\n", 0, envelope + "S: 250 Ok\nC: DATA\nS: 354 Go\nC: A: b\nC: .\nS: 250 Ok\nC: QUIT\nS: 221 Bye", "250"},
		"refused":        {"A: b\r\n", 6, envelope + "S: 550 No\nC: QUIT\nS: 221 Bye", "550"},
		"refused at end": {"A: b\r\n", 6, envelope + "S: 250 Ok\nC: BDAT 6 LAST\nC: A: b\nS: 554 No\nC: QUIT\nS: 221 Bye", "554"},
		"no lines":       {"A: b\nc\r\n", 8, envelope + "S: 250 Ok\nC: ...", "0 invalid"},
		"half a line":    {"A: b\r", 5, envelope + "S: 250 Ok\nC: ...", "0 invalid"},
		"too short":      {"A: b\r\n", 9, envelope + "S: 250 Ok\nC: ...", "0 corrupt"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveScript(t, "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 CHUNKING\n"+c.say)
			conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", TLS: None})
			if err != nil {
				t.Fatal(err)
			}
			m := Message{From: from, To: []Recipient{rcpt("b")}}
			if got := show(conn.Send(t.Context(), m, strings.NewReader(c.content), c.size)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			_ = conn.Quit()
			if err := <-s.done; err != nil && c.want[0] != '0' {
				t.Error(err)
			}
		})
	}
}
