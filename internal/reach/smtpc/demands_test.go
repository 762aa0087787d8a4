package smtpc

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// TestDemands: what a message demands is said to servers that know it; of one
// that does not, some messages cannot have what they need.
func TestDemands(t *testing.T) {
	late := func(d mail.DeliverBy, after time.Duration) mail.Demands {
		d.At = time.Now().Add(after + 500*time.Millisecond)
		return mail.Demands{By: d}
	}
	notify := func(n mail.Notify) []Recipient { r := rcpt("b"); r.Options.Notify = n; return []Recipient{r} }
	ret := mail.DeliverBy{Return: true}
	must := smtp.MailOptions{RequireTLS: true}
	for name, c := range map[string]struct {
		offers string
		m      Message
		say    string // MAIL's parameters and RCPT's; "": nothing is said
		want   string
	}{
		"MT-PRIORITY (RFC 6710 §4.2)":          {"MT-PRIORITY", Message{Demands: mail.Demands{Priority: 3, Prioritized: true}}, " MT-PRIORITY=3|", "250"},
		"MT-PRIORITY of a message without one": {"MT-PRIORITY MIXER", Message{}, " MT-PRIORITY=0|", "250"},
		"BY, R (RFC 2852 §4.1.4)":              {"DELIVERBY", Message{Demands: late(ret, 98*time.Second)}, " BY=98;R|", "250"},
		"BY, R, enough for the server":         {"DELIVERBY 30", Message{Demands: late(ret, 98*time.Second)}, " BY=98;R|", "250"},
		"BY, R, not enough":                    {"DELIVERBY 240", Message{Demands: late(ret, 98*time.Second)}, "", "550"},
		"BY, R, nothing left":                  {"DELIVERBY", Message{Demands: late(ret, -5*time.Second)}, "", "550"},
		"BY, R, not offered":                   {"X", Message{Demands: late(ret, 98*time.Second)}, "", "550"},
		"BY, N, late":                          {"DELIVERBY 240", Message{Demands: late(mail.DeliverBy{Trace: true}, -61*time.Second)}, " BY=-60;NT|", "250"},
		"BY, N, not offered":                   {"X", Message{Demands: late(mail.DeliverBy{}, time.Minute)}, "|", "250"},
		"BY, N, DSN only":                      {"DSN", Message{Demands: late(mail.DeliverBy{}, time.Minute)}, "| NOTIFY=FAILURE,DELAY", "250"},
		"BY, N, DSN only, success":             {"DSN", Message{Demands: late(mail.DeliverBy{}, time.Minute), To: notify(mail.NotifySuccess)}, "| NOTIFY=SUCCESS,DELAY", "250"},
		"BY, N, DSN only, never":               {"DSN", Message{Demands: late(mail.DeliverBy{}, time.Minute), To: notify(mail.NotifyNever)}, "| NOTIFY=NEVER", "250"},
		"RET=FULL (RFC 3461 §5.2.1)":           {"DSN", Message{Demands: mail.Demands{Full: true}}, " RET=FULL|", "250"},
		"SOLICIT (RFC 3865 §2.7)":              {"NO-SOLICITING", Message{Demands: mail.Demands{Solicit: "a:B,c"}}, " SOLICIT=a:B,c|", "250"},
		"SOLICIT, not offered":                 {"X", Message{Demands: mail.Demands{Solicit: "a:B"}}, "|", "250"},
		"SOLICIT, not wanted":                  {"NO-SOLICITING x,A:b", Message{Demands: mail.Demands{Solicit: "a:B,c"}}, "", "550"},
		"REQUIRETLS in clear (RFC 8689 §4)":    {"REQUIRETLS", Message{Options: must}, "", "550"},
		"a hold is over when it leaves":        {"FUTURERELEASE 9 2030-01-01T00:00:00Z", Message{Demands: mail.Demands{Release: time.Now(), Requested: "for;9"}}, "|", "250"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 " + c.offers + "\n"
			if params, params2, ok := strings.Cut(c.say, "|"); ok {
				text += "C: MAIL FROM:<a@bar.example>" + params + "\nS: 250 Ok\nC: RCPT TO:<b@foo.example>" + params2 + "\nS: 250 Ok\nC: DATA\nS: 354 Go\nC: ...\nS: 250 Ok\n"
			}
			s := serveScript(t, text+"C: QUIT\nS: 221 Bye")
			conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", TLS: None})
			if err != nil {
				t.Fatal(err)
			}
			c.m.From = from
			if c.m.To == nil {
				c.m.To = []Recipient{rcpt("b")}
			}
			if got := show(conn.Send(t.Context(), c.m, strings.NewReader("x\r\n"), 3)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if err := errors.Join(conn.Quit(), <-s.done); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReportWithRequireTLS: a report is not lost because the next server does not
// know REQUIRETLS (RFC 8689 §5).
func TestReportWithRequireTLS(t *testing.T) {
	s := serveScript(t, hello+"C: MAIL FROM:<>\nC: RCPT TO:<b@foo.example>\nC: DATA\nS: 250 Ok\nS: 250 Ok\nS: 354 Go\nC: ...\nS: 250 Ok\nC: QUIT\nS: 221 Bye")
	conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example"})
	if err != nil {
		t.Fatal(err)
	}
	m := Message{Options: smtp.MailOptions{RequireTLS: true}, To: []Recipient{rcpt("b")}}
	if got := show(conn.Send(t.Context(), m, strings.NewReader("x\r\n"), 3)); got != "250" {
		t.Error(got)
	}
	if err := errors.Join(conn.Quit(), <-s.done); err != nil {
		t.Error(err)
	}
}

// TestBinaryMIME: a binary message goes by BDAT, octet by octet, and as base64 to
// whoever does not know BINARYMIME (RFC 3030 §3).
func TestBinaryMIME(t *testing.T) {
	const content = "A: b\r\n\r\n\x00\r\n.\r\nxx\r\n" // the script hears lines
	const asText = "C: MAIL FROM:<a@bar.example> BODY=8BITMIME\nS: 250 Ok\nC: RCPT TO:<b@foo.example>\nS: 250 Ok\nC: DATA\nS: 354 Go\n" +
		"C: Content-Transfer-Encoding: base64\nC: A: b\nany\nC: AA0KLg0KeHgNCg==\nC: .\nS: 250 Ok\nC: QUIT\nS: 221 Bye"
	for name, c := range map[string]struct{ offers, say, want string }{
		"offered": {"BINARYMIME\nS: 250 CHUNKING", "C: MAIL FROM:<a@bar.example> BODY=BINARYMIME\nS: 250 Ok\nC: RCPT TO:<b@foo.example>\nS: 250 Ok\n" +
			"C: BDAT 18 LAST\nC: A: b\nany\nC: \x00\nC: .\nC: xx\nS: 250 Ok\nC: QUIT\nS: 221 Bye", "250"},
		"not offered": {"8BITMIME\nS: 250 CHUNKING", strings.NewReplacer("DATA\nS: 354 Go", "BDAT 61 LAST", "C: .\n", "").Replace(asText), "250"},
		"not by BDAT": {"8BITMIME\nS: 250 BINARYMIME", asText, "250"},
		"not 8BITMIME": {"X\nS: 250 Y", strings.Replace(strings.Replace(asText, " BODY=8BITMIME", "", 1),
			"C: Content-Tr", "C: MIME-Version: 1.0\nC: Content-Type: text/plain; charset=unknown-8bit\nC: Content-Tr", 1), "250"},
		"nobody there": {"BINARYMIME\nS: 250 CHUNKING", "C: MAIL FROM:<a@bar.example> BODY=BINARYMIME\nS: 250 Ok\nC: RCPT TO:<b@foo.example>\nS: 550 No\nC: QUIT\nS: 221 Bye", "550"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveScript(t, "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250-"+c.offers+"\n"+c.say)
			conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", TLS: None})
			if err != nil {
				t.Fatal(err)
			}
			m := Message{From: from, Demands: mail.Demands{Binary: true}, To: []Recipient{rcpt("b")}}
			if got := show(conn.Send(t.Context(), m, strings.NewReader(content), int64(len(content)))); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			_ = conn.Quit()
			if err := <-s.done; err != nil {
				t.Error(err)
			}
		})
	}
	for name, size := range map[string]int64{"longer": 17, "shorter": 19} {
		s := serveScript(t, "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250-CHUNKING\nS: 250 BINARYMIME\nC: any\nS: 250 Ok\nC: any\nS: 250 Ok\nC: ...")
		conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", TLS: None})
		if err != nil {
			t.Fatal(err)
		}
		m := Message{From: from, Demands: mail.Demands{Binary: true}, To: []Recipient{rcpt("b")}}
		if got := show(conn.Send(t.Context(), m, strings.NewReader(content), size)); got != "0 corrupt" {
			t.Errorf("%s: %s", name, got)
		}
		<-s.done
	}
}

// TestPriorityField: a server that does not know MT-PRIORITY is told in the
// header, where nothing else says so (RFC 6758 §3.3).
func TestPriorityField(t *testing.T) {
	for in, want := range map[string]string{
		"Subject: x\r\n\r\ntext\r\n": "MT-Priority: -3\r\nSubject: x\r\n\r\ntext\r\n",
		"MT-Priority: 9\r\nSubject: x\r\nmt-priority: 4\r\n (fast)\r\n\r\nMT-Priority: 1\r\n": "MT-Priority: -3\r\nSubject: x\r\n\r\nMT-Priority: 1\r\n",
	} {
		tr := &transaction{Conn: &Conn{ext: map[string]string{}}, size: int64(len(in)), m: Message{Demands: mail.Demands{Priority: -3, Prioritized: true}}}
		var got bytes.Buffer
		if _, err := got.ReadFrom(tr.prioritized(strings.NewReader(in))); err != nil || got.String() != want || tr.size != int64(got.Len()) {
			t.Errorf("%q, %v, %d octets", got.String(), err, tr.size)
		}
	}
}

// TestRoom: no more recipients, domains and messages go to a server than it says
// it takes (RFC 9422 §4).
func TestRoom(t *testing.T) {
	at := func(domains ...string) (to []Recipient) {
		for _, d := range domains {
			to = append(to, Recipient{Address: mail.Address{Local: "x", Domain: mail.Domain(d)}})
		}
		return to
	}
	for _, c := range []struct {
		limits string
		sent   [][]Recipient
		to     []Recipient
		want   int
	}{
		{"", nil, at("a", "b", "c"), 3},
		{"RCPTMAX=2", nil, at("a", "b", "c"), 2},
		{"MAILMAX=2", [][]Recipient{at("a")}, at("a"), 1},
		{"MAILMAX=2", [][]Recipient{at("a"), at("a")}, at("a"), 0},
		{"RCPTDOMAINMAX=1", nil, at("a", "a", "b", "a"), 2},
		{"RCPTDOMAINMAX=1", [][]Recipient{at("b")}, at("a", "b"), 0},
		{"RCPTDOMAINMAX=2 RCPTMAX=2", [][]Recipient{at("b")}, at("a", "b", "b"), 2},
		{"RCPTMAX=nonsense MAILMAX=0", nil, at("a", "b", "c"), 3},
	} {
		conn := &Conn{ext: map[string]string{"LIMITS": c.limits}}
		for _, to := range c.sent {
			conn.count(to)
		}
		if got := conn.Room(c.to); got != c.want {
			t.Errorf("%s after %d: %d, want %d", c.limits, len(c.sent), got, c.want)
		}
	}
}

// smuggled is every way to write an end of content that some server somewhere
// has taken for one.
var smuggled = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n", "\r\r\n.\r\r\n", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\r\n.\r\n", "\n\r.\n\r", "\r\n.\r\r\n",
}

// TestNothingSmuggledOut: whatever got into the store, no end of content leaves
// but the one that is ours (RFC 5321 §4.1.1.4).
func TestNothingSmuggledOut(t *testing.T) {
	for _, end := range smuggled {
		s := serveScript(t, hello+"C: MAIL FROM:<a@bar.example>\nC: RCPT TO:<b@foo.example>\nC: DATA\nS: 250 Ok\nS: 250 Ok\nS: 354 Go\nC: ...\nS: 250 Ok\nC: never")
		conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example"})
		if err != nil {
			t.Fatal(err)
		}
		content := "Subject: x\r\n\r\ntext" + end + "MAIL FROM:<evil@bar.example>\r\n"
		m := Message{From: from, To: []Recipient{rcpt("b")}}
		if got := show(conn.Send(t.Context(), m, strings.NewReader(content), int64(len(content)))); got != "0 invalid" {
			t.Errorf("%q: %s", end, got)
		}
		if err := <-s.done; err == nil {
			t.Errorf("%q: the server saw an end", end)
		}
	}
}
