package smtpc

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

func TestProbe(t *testing.T) {
	s := serveScript(t, "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 X\n"+
		"C: MAIL FROM:<>\nS: 250 Ok\nC: RCPT TO:<b@foo.example>\nS: 250 Ok\n"+
		"C: RSET\nS: 250 Ok\nC: MAIL FROM:<>\nS: 250 Ok\nC: RCPT TO:<a..b@foo.example>\nS: 550 5.1.1 No\n"+
		"C: RSET\nS: 250 Ok\nC: MAIL FROM:<>\nS: 451 Later\nC: QUIT\nS: 221 Bye")
	conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", TLS: None})
	if err != nil {
		t.Fatal(err)
	}
	for local, want := range []struct{ local, want string }{{"b", "250 Ok"}, {"a..b", "550 5.1.1 No"}, {"用户", "553 5.6.7 The address needs SMTPUTF8, which the next server does not have"}} {
		r, err := conn.Probe(t.Context(), mail.Address{Local: want.local, Domain: "foo.example"})
		if got := r.String(); got != want.want || err != nil {
			t.Errorf("%d: %s, %v", local, got, err)
		}
	}
	_, err = conn.Probe(t.Context(), mail.Address{Local: "c", Domain: "foo.example"})
	var no *Refusal
	if !errors.As(err, &no) || fmt.Sprint(no.Reply.Code) != "451" {
		t.Error(err)
	}
	if err := conn.Quit(); err != nil {
		t.Error(err)
	}
	if err := <-s.done; err != nil {
		t.Error(err)
	}
}
