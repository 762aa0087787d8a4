package smtpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a server that says and expects what is written down, line by line:
// "S: text" is said, "C: text" must be heard, "C: ..." is content up to the final
// dot, "cut" closes. Lines are said in one packet until something is expected.
type script struct {
	addr string
	done chan error
}

func serveScript(t *testing.T, text string) script {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := script{ln.Addr().String(), make(chan error, 1)}
	go func() {
		c, err := ln.Accept()
		ln.Close()
		if err != nil {
			s.done <- err
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		s.done <- act(c, text)
	}()
	return s
}

func act(c net.Conn, text string) error {
	in := bufio.NewReader(c)
	var out strings.Builder
	for l := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		l = strings.TrimSpace(l)
		if said, ok := strings.CutPrefix(l, "S: "); ok {
			out.WriteString(strings.ReplaceAll(said, `\n`, "\n") + "\r\n")
			continue
		}
		if _, err := io.WriteString(c, out.String()); err != nil {
			return err
		}
		out.Reset()
		if l == "cut" {
			return nil
		}
		want := strings.TrimPrefix(l, "C: ")
		for {
			got, err := in.ReadString('\n')
			if err != nil {
				return fmt.Errorf("waiting for %q: %w", want, err)
			}
			got = strings.TrimSuffix(got, "\r\n")
			if want == "..." && got != "." {
				continue
			}
			if want != got && want != "..." && want != "any" {
				return fmt.Errorf("heard %q, want %q", got, want)
			}
			break
		}
	}
	_, err := io.WriteString(c, out.String())
	return err
}

func rcpt(local string) Recipient {
	return Recipient{Address: mail.Address{Local: local, Domain: "foo.example"}}
}

var from = mail.Address{Local: "a", Domain: "bar.example"}

// two is a message to two recipients.
func two() Message { return Message{From: from, To: []Recipient{rcpt("b"), rcpt("c")}} }

// show is a result in short: codes by recipient, and how it ended.
func show(r Result, err error) string {
	var all []string
	for _, x := range r.Rcpt {
		all = append(all, fmt.Sprint(x.Code))
	}
	s := strings.Join(all, " ")
	if r.Unknown {
		s += " unknown"
	}
	if err != nil {
		s += " " + fault.KindOf(err).String()
	}
	return s
}

const hello = `S: 220 mx
	C: EHLO c.example
	S: 250-mx
	S: 250 PIPELINING
	`

// TestServers plays servers that do what servers do, and what they should not.
func TestServers(t *testing.T) {
	envelope := "C: MAIL FROM:<a@bar.example>\nC: RCPT TO:<b@foo.example>\nC: RCPT TO:<c@foo.example>\nC: DATA\n"
	for name, c := range map[string]struct {
		script, want string
		lmtp         bool
	}{
		"all is well": {script: hello + envelope + "S: 250 Ok\nS: 250 Ok\nS: 251 Ok\nS: 354 Go\nC: ...\nS: 250 Ok\nC: QUIT\nS: 221 Bye", want: "250 250"},
		"no pipelining": {script: `S: 220 mx
			C: EHLO c.example
			S: 250 mx
			C: MAIL FROM:<a@bar.example>
			S: 250 Ok
			C: RCPT TO:<b@foo.example>
			S: 550 No
			C: RCPT TO:<c@foo.example>
			S: 250 Ok
			C: DATA
			S: 354 Go
			C: ...
			S: 450 4.3.0 Later`, want: "550 450"},
		"HELO (RFC 5321 §3.2)": {script: `S: 220 mx
			C: EHLO c.example
			S: 502 What?
			C: HELO c.example
			S: 250 mx
			C: MAIL FROM:<a@bar.example>
			S: 550 No`, want: "550 550"},
		"MAIL is refused":                       {script: hello + envelope + "S: 451 Later\nS: 503 No\nS: 503 No\nS: 503 No", want: "451 451"},
		"MAIL is refused, and yet 354":          {script: hello + envelope + "S: 451 Later\nS: 503 No\nS: 503 No\nS: 354 Go\nC: .\nS: 554 No", want: "451 451"},
		"all RCPT are refused":                  {script: hello + envelope + "S: 250 Ok\nS: 550 No\nS: 450 No\nS: 503 No", want: "550 450"},
		"all RCPT are refused, and yet 354":     {script: hello + envelope + "S: 250 Ok\nS: 550 No\nS: 450 No\nS: 354 Go\nC: .\nS: 250 Ok", want: "550 450"},
		"DATA is refused":                       {script: hello + envelope + "S: 250 Ok\nS: 250 Ok\nS: 550 No\nS: 452 Full", want: "452 550"},
		"the connection breaks in the envelope": {script: hello + envelope + "S: 250 Ok\nS: 550 No\ncut", want: "550 0 unavailable"},
		"421 in the envelope":                   {script: hello + envelope + "S: 250 Ok\nS: 550 No\nS: 421 Bye\ncut", want: "550 421 unavailable"},
		"421 to MAIL":                           {script: hello + envelope + "S: 421 Bye\ncut", want: "421 421 unavailable"},
		"no answer to the final dot":            {script: hello + envelope + "S: 250 Ok\nS: 550 No\nS: 250 Ok\nS: 354 Go\nC: ...\ncut", want: "550 0 unknown unavailable"},
		"nonsense for an answer":                {script: hello + envelope + "S: hello", want: "0 0 unavailable"},
		"a bare LF in an answer":                {script: hello + envelope + "S: 250 Ok\\n250 Ok\nS: 250 Ok\nS: 354 Go", want: "0 0 unavailable"},
		"250 to DATA":                           {script: hello + envelope + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 250 Ok", want: "0 0 unavailable"},
		"354 to MAIL":                           {script: hello + envelope + "S: 354 Ok\nS: 250 Ok\nS: 250 Ok\nS: 250 Ok", want: "0 0 unavailable"},
		"354 to RCPT":                           {script: hello + envelope + "S: 250 Ok\nS: 354 Ok\nS: 250 Ok\nS: 250 Ok", want: "0 0 unavailable"},
		"354 to the final dot":                  {script: hello + envelope + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 Go\nC: ...\nS: 354 Go", want: "0 0 unknown unavailable"},
		"LMTP (RFC 2033 §4.2)": {script: strings.Replace(hello, "EHLO", "LHLO", 1) + envelope +
			"S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 Go\nC: ...\nS: 250 Ok\nS: 452 Full", want: "250 452", lmtp: true},
		"LMTP, half of the answers": {script: strings.Replace(hello, "EHLO", "LHLO", 1) + envelope +
			"S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 Go\nC: ...\nS: 250 Ok\ncut", want: "250 0 unknown unavailable", lmtp: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveScript(t, c.script)
			conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", LMTP: c.lmtp})
			if err != nil {
				t.Fatal(err)
			}
			if got := show(conn.Send(t.Context(), two(), strings.NewReader("x\r\n"), 0)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if strings.Contains(c.script, "QUIT") {
				if err := conn.Quit(); err != nil {
					t.Error(err)
				}
			}
			conn.Close()
			if err := <-s.done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestManyRecipients go in flights, and a transaction after one that was not
// finished begins with RSET.
func TestManyRecipients(t *testing.T) {
	m := Message{From: from}
	var b strings.Builder
	b.WriteString(hello + "C: MAIL FROM:<a@bar.example>\n")
	for i := range 120 {
		m.To = append(m.To, rcpt(fmt.Sprint("r", i)))
		if i > 0 && i%flight == 0 {
			if i == flight {
				b.WriteString("S: 250 Ok\n")
			}
			b.WriteString(strings.Repeat("S: 550 No\n", flight))
		}
		fmt.Fprintf(&b, "C: RCPT TO:<r%d@foo.example>\n", i)
	}
	b.WriteString("C: DATA\n" + strings.Repeat("S: 550 No\n", 20) + "S: 503 No\n")
	b.WriteString("C: RSET\nS: 250 Ok\nC: MAIL FROM:<a@bar.example>\nC: RCPT TO:<b@foo.example>\nC: RCPT TO:<c@foo.example>\nC: DATA\n")
	b.WriteString("S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 Go\nC: ...\nS: 250 Ok\nC: RSET\nS: 250 Ok")
	s := serveScript(t, b.String())
	conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	res, err := conn.Send(t.Context(), m, strings.NewReader("x\r\n"), 3)
	if err != nil || res.Rcpt[0].Code != 550 || res.Rcpt[119].Code != 550 {
		t.Errorf("%s", show(res, err))
	}
	if got := show(conn.Send(t.Context(), two(), strings.NewReader("x\r\n"), 3)); got != "250 250" {
		t.Error(got)
	}
	if err := conn.Reset(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-s.done; err != nil {
		t.Error(err)
	}
}

// TestParameters: what is declared is what the server offers and the message
// needs.
func TestParameters(t *testing.T) {
	utf8 := Recipient{Address: mail.Address{Local: "用户", Domain: "foo.example"}}
	odd := mail.Address{Local: "a..b.", Domain: "docomo.example"}
	asked := Recipient{Address: rcpt("b").Address, Options: smtp.RcptOptions{Original: "rfc822;a+b@c.d", Notify: mail.NotifyFailure | mail.NotifyDelay}}
	for name, c := range map[string]struct {
		offers  string
		m       Message
		content string
		size    int64
		say     string // what the client says, one line each
		want    string
	}{
		"SIZE (RFC 1870)": {"SIZE 100", Message{From: from, To: []Recipient{rcpt("b")}}, "x\r\n", 3, "MAIL FROM:<a@bar.example> SIZE=3\nRCPT TO:<b@foo.example>", "250"},
		"SIZE, too large": {"SIZE 2", Message{From: from, To: []Recipient{rcpt("b")}}, "x\r\n", 3, "", "552"},
		"odd dots as they came": {"X", Message{From: odd, Options: smtp.MailOptions{Quoted: true}, To: []Recipient{{Address: odd}, {Address: odd, Options: smtp.RcptOptions{Quoted: true}}}},
			"x\r\n", 3, "MAIL FROM:<\"a..b.\"@docomo.example>\nRCPT TO:<a..b.@docomo.example>\nRCPT TO:<\"a..b.\"@docomo.example>", "250 250"},
		"SIZE without a number":               {"SIZE", Message{From: from, To: []Recipient{rcpt("b")}}, "x\r\n", 3, "MAIL FROM:<a@bar.example> SIZE=3\nRCPT TO:<b@foo.example>", "250"},
		"8BITMIME (RFC 6152)":                 {"8BITMIME", Message{From: from, Options: smtp.MailOptions{EightBit: true}, To: []Recipient{rcpt("b")}}, "\xc3\xa9\r\n", 0, "MAIL FROM:<a@bar.example> BODY=8BITMIME\nRCPT TO:<b@foo.example>", "250"},
		"no 8BITMIME, and needed":             {"X", Message{From: from, Options: smtp.MailOptions{EightBit: true}, To: []Recipient{rcpt("b")}}, "\xc3\xa9\r\n", 0, "", "554"},
		"no 8BITMIME, not needed":             {"X", Message{From: from, Options: smtp.MailOptions{EightBit: true}, To: []Recipient{rcpt("b")}}, "x\r\n", 3, "MAIL FROM:<a@bar.example>\nRCPT TO:<b@foo.example>", "250"},
		"SMTPUTF8 (RFC 6531)":                 {"SMTPUTF8", Message{From: from, Options: smtp.MailOptions{UTF8: true}, To: []Recipient{utf8}}, "x\r\n", 0, "MAIL FROM:<a@bar.example> SMTPUTF8\nRCPT TO:<用户@foo.example>", "250"},
		"SMTPUTF8 for one address":            {"SMTPUTF8", Message{From: from, To: []Recipient{rcpt("b"), utf8}}, "x\r\n", 0, "MAIL FROM:<a@bar.example> SMTPUTF8\nRCPT TO:<b@foo.example>\nRCPT TO:<用户@foo.example>", "250 250"},
		"no SMTPUTF8":                         {"X", Message{From: from, Options: smtp.MailOptions{UTF8: true}, To: []Recipient{rcpt("b")}}, "\xc3\xa9\r\n", 0, "", "550"},
		"no SMTPUTF8, not needed":             {"X", Message{From: from, Options: smtp.MailOptions{UTF8: true}, To: []Recipient{rcpt("b")}}, "x\r\n", 0, "MAIL FROM:<a@bar.example>\nRCPT TO:<b@foo.example>", "250"},
		"no SMTPUTF8, needed for the header":  {"8BITMIME", Message{From: from, Options: smtp.MailOptions{UTF8: true}, To: []Recipient{rcpt("b")}}, "A: \xc3\xa9\r\n\r\nx\r\n", 12, "", "550"},
		"no SMTPUTF8, for the body 8BITMIME":  {"8BITMIME", Message{From: from, Options: smtp.MailOptions{UTF8: true}, To: []Recipient{rcpt("b")}}, "A: x\r\n\r\n\xc3\xa9\r\n", 12, "MAIL FROM:<a@bar.example> BODY=8BITMIME\nRCPT TO:<b@foo.example>", "250"},
		"no SMTPUTF8 and 8BITMIME: converted": {"X", Message{From: from, Options: smtp.MailOptions{UTF8: true}, To: []Recipient{rcpt("b")}}, "A: x\r\n\r\n\xc3\xa9\r\n", 12, "MAIL FROM:<a@bar.example>\nRCPT TO:<b@foo.example>", "250"},
		"no SMTPUTF8 for one":                 {"X", Message{From: from, To: []Recipient{utf8, rcpt("b")}}, "x\r\n", 0, "MAIL FROM:<a@bar.example>\nRCPT TO:<b@foo.example>", "553 250"},
		"no SMTPUTF8 for any":                 {"X", Message{From: from, To: []Recipient{utf8, utf8}}, "x\r\n", 0, "", "553 553"},
		"no SMTPUTF8 for the path":            {"X", Message{From: utf8.Address, To: []Recipient{rcpt("b")}}, "x\r\n", 0, "", "550"},
		"DSN (RFC 3461)":                      {"DSN", Message{From: from, Options: smtp.MailOptions{HeadersOnly: true, EnvelopeID: "a=b"}, To: []Recipient{asked}}, "x\r\n", 0, "MAIL FROM:<a@bar.example> RET=HDRS ENVID=a+3Db\nRCPT TO:<b@foo.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb@c.d", "250"},
		"no DSN":                              {"X", Message{From: from, Options: smtp.MailOptions{HeadersOnly: true, EnvelopeID: "a=b"}, To: []Recipient{asked}}, "x\r\n", 0, "MAIL FROM:<a@bar.example>\nRCPT TO:<b@foo.example>", "250"},
		"the null path, quoted, postmaster":   {"X", Message{To: []Recipient{{Address: mail.Address{Local: "a b", Domain: "foo.example"}}, {Address: mail.Address{Local: "postmaster"}}}}, "x\r\n", 0, "MAIL FROM:<>\nRCPT TO:<\"a b\"@foo.example>\nRCPT TO:<postmaster>", "250 250"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 " + c.offers + "\n"
			if c.say != "" {
				for l := range strings.SplitSeq(c.say, "\n") {
					text += "C: " + l + "\nS: 250 Ok\n"
				}
				text += "C: DATA\nS: 354 Go\nC: ...\nS: 250 Ok\n"
			}
			s := serveScript(t, text+"C: QUIT\nS: 221 Bye")
			conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", TLS: None})
			if err != nil {
				t.Fatal(err)
			}
			if got := show(conn.Send(t.Context(), c.m, strings.NewReader(c.content), c.size)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if err := conn.Quit(); err != nil {
				t.Error(err)
			}
			if err := <-s.done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRefusals: a server that does not want us, or lacks what must be.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		o      Options
		want   string
	}{
		"at the greeting":  {"S: 554 No\nC: QUIT\nS: 221 Bye", Options{}, "connect 554 false"},
		"busy":             {"S: 421 Busy\ncut", Options{}, "connect 421 false"},
		"EHLO":             {"S: 220 mx\nC: EHLO c.example\nS: 450 No\nC: QUIT\nS: 221 Bye", Options{}, "EHLO 450 false"},
		"EHLO and HELO":    {"S: 220 mx\nC: EHLO c.example\nS: 550 No\nC: HELO c.example\nS: 550 No\nC: QUIT\nS: 221 Bye", Options{}, "EHLO 550 false"},
		"no STARTTLS":      {hello + "C: QUIT\nS: 221 Bye", Options{TLS: Required}, "STARTTLS 451 true"},
		"STARTTLS refused": {"S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 No\nC: QUIT\nS: 221 Bye", Options{TLS: Required}, "STARTTLS 454 false"},
		"no AUTH":          {hello + "C: QUIT\nS: 221 Bye", Options{User: "u", Password: "p"}, "AUTH 504 true"},
		"AUTH refused":     {"S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AHUAcA==\nS: 535 No\nC: QUIT\nS: 221 Bye", Options{User: "u", Password: "p"}, "AUTH 535 false"},
		"no mechanism":     {"S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 AUTH GSSAPI\nC: QUIT\nS: 221 Bye", Options{User: "u", Password: "p"}, "AUTH 504 true"},
		"LHLO":             {"S: 220 mx\nC: LHLO c.example\nS: 500 No\nC: QUIT\nS: 221 Bye", Options{LMTP: true}, "LHLO 500 false"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveScript(t, c.script)
			c.o.Hostname = "c.example"
			_, err := Dial(t.Context(), s.addr, c.o)
			var r *Refusal
			if !errors.As(err, &r) {
				t.Fatalf("%v", err)
			}
			if got := fmt.Sprintf("%s %d %t", r.Command, r.Reply.Code, r.Local); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if err := <-s.done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAuthCare: a challenge that makes no sense is given up, and a password does
// not go over a line in clear to who knows where.
func TestAuthCare(t *testing.T) {
	offers := "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 AUTH PLAIN\n"
	for name, challenge := range map[string]string{"not base64": "%", "not asked for": "eHg="} {
		s := serveScript(t, offers+"C: AUTH PLAIN AHUAcA==\nS: 334 "+challenge+"\nC: *\nS: 501 Ok")
		if _, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", User: "u", Password: "p"}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-s.done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []struct {
		o      Options
		script string
		want   string
	}{
		{Options{}, offers + "C: QUIT\nS: 221 Bye", "smtpc: AUTH: 451 4.7.11 the line is in clear, and a password does not go over it"},
		{Options{PlaintextAuth: true}, offers + "C: AUTH PLAIN AHUAcA==\nS: 235 Ok", "<nil>"},
		// SCRAM does not tell the password; this server then proves nothing.
		{Options{}, strings.Replace(offers, "PLAIN", "SCRAM-SHA-256", 1) + "C: ...\nS: 235 Ok", "unavailable"},
	} {
		ours, theirs := net.Pipe()
		done := make(chan error, 1)
		script := strings.Replace(c.script, "C: ...\n", "any\n", 1)
		go func() { done <- act(theirs, script); theirs.Close() }()
		c.o.Hostname, c.o.User, c.o.Password = "c.example", "u", "p"
		conn, err := Open(t.Context(), ours, c.o)
		got := fmt.Sprint(err)
		if fault.Is(err, fault.Unavailable) {
			got = "unavailable"
		}
		if got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if conn != nil {
			conn.Close()
		}
		<-done
	}
}

// TestOpportunistic: STARTTLS that is offered and does not work is no reason not
// to deliver; with a password it is.
func TestOpportunistic(t *testing.T) {
	const broken = "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 Go\nS: this is not TLS\ncut"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		defer ln.Close()
		for _, text := range []string{broken, "S: 220 mx\nC: EHLO c.example\nS: 250-mx\nS: 250 STARTTLS\nC: QUIT\nS: 221 Bye", broken} {
			c, err := ln.Accept()
			if err == nil {
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				err = act(c, text)
				c.Close()
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	conn, err := Dial(t.Context(), ln.Addr().String(), Options{Hostname: "c.example"})
	if err != nil || conn.TLS() != nil {
		t.Fatal(err)
	}
	if err := conn.Quit(); err != nil {
		t.Error(err)
	}
	if _, err := Dial(t.Context(), ln.Addr().String(), Options{Hostname: "c.example", User: "u", Password: "p"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("with a password: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestWaiting: no wait without an end, and none after the context.
func TestWaiting(t *testing.T) {
	short := Timeouts{Command: 20 * time.Millisecond, DataInit: 20 * time.Millisecond, DataEnd: 20 * time.Millisecond, Quit: 20 * time.Millisecond}
	for name, c := range map[string]struct{ script, want string }{
		"the greeting": {"C: never", "dial"},
		"EHLO":         {"S: 220 mx\nC: EHLO c.example\nC: never", "dial"},
		"MAIL":         {hello + "C: MAIL FROM:<a@bar.example>\nC: never", "0 0 unavailable"},
	} {
		s := serveScript(t, c.script)
		conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example", Timeouts: short})
		if c.want == "dial" {
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
		} else if got := show(conn.Send(t.Context(), two(), strings.NewReader("x\r\n"), 0)); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		<-s.done
	}
	s := serveScript(t, hello+"C: MAIL FROM:<a@bar.example>\nC: RCPT TO:<b@foo.example>\nC: RCPT TO:<c@foo.example>\nC: DATA\n"+
		"S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 Go\nC: ...\nC: never")
	conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := show(conn.Send(ctx, two(), strings.NewReader("x\r\n"), 0)); got != "0 0 unknown unavailable" {
		t.Error(got)
	}
	<-s.done
	if _, err := Dial(ctx, s.addr, Options{Hostname: "c.example"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after the context: %v", err)
	}
	if _, err := Dial(t.Context(), "no port", Options{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("no address: %v", err)
	}
}

// TestEarlyRefusal: a server that gives up in the middle of the content is heard.
func TestEarlyRefusal(t *testing.T) {
	s := serveScript(t, hello+"C: MAIL FROM:<a@bar.example>\nC: RCPT TO:<b@foo.example>\nC: RCPT TO:<c@foo.example>\nC: DATA\n"+
		"S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 Go\nC: x\nS: 552 5.3.4 Too large\ncut")
	conn, err := Dial(t.Context(), s.addr, Options{Hostname: "c.example"})
	if err != nil {
		t.Fatal(err)
	}
	endless := io.LimitReader(repeat("x\r\n"), 3<<28)
	res, err := conn.Send(t.Context(), two(), endless, 0)
	if err == nil || res.Unknown {
		t.Errorf("%s", show(res, err))
	}
	// Where the reset of the connection came first, nothing is known, and that
	// too is no success.
	if got := res.Rcpt[0].Code; got != 552 && got != 0 {
		t.Errorf("%s", show(res, err))
	}
	<-s.done
}

type repeat string

func (r repeat) Read(p []byte) (int, error) {
	n := 0
	for n+len(r) <= len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}
