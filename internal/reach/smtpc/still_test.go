package smtpc

import (
	"strings"
	"testing"
)

// TestStill takes a message back when all but its end has been sent: the server
// sees the connection end, and no final dot, or no whole chunk.
func TestStill(t *testing.T) {
	for name, c := range map[string]struct{ ext, data string }{
		"DATA": {"S: 250 hi", "C: MAIL FROM:<a@bar.example>\nS: 250 ok\nC: RCPT TO:<b@foo.example>\nS: 250 ok\nC: RCPT TO:<c@foo.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: ..."},
		"BDAT": {`S: 250-hi\nS: 250 CHUNKING`, "C: MAIL FROM:<a@bar.example>\nS: 250 ok\nC: RCPT TO:<b@foo.example>\nS: 250 ok\nC: RCPT TO:<c@foo.example>\nS: 250 ok\nC: BDAT 14 LAST\nC: Subject: x\nC: "},
	} {
		s := serveScript(t, "S: 220 ready\nC: EHLO me.example\n"+strings.ReplaceAll(c.ext, `\n`, "\n")+"\n"+c.data)
		conn, err := Dial(t.Context(), s.addr, Options{Hostname: "me.example", TLS: None})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		m := two()
		m.Still = func() bool { asked++; return false }
		if got := show(conn.Send(t.Context(), m, strings.NewReader("Subject: x\r\n\r\n"), 14)); got != "0 0 unavailable" || asked != 1 {
			t.Errorf("%s: %s, asked %d times", name, got, asked)
		}
		if err := <-s.done; err == nil || !strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: the server heard all of it: %v", name, err)
		}
	}
}
