// Package extensions asks the running program for what its EHLO announces.
package extensions

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// client is a connection with STARTTLS, where alice has logged in if it is a
// submission.
func client(t *testing.T, s *blackbox.Server, door string) *blackbox.SMTP {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr(door), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Quit)
	do(t, c, 220, "STARTTLS")
	if err := c.StartTLS(s.TLS()); err != nil {
		t.Fatal(err)
	}
	do(t, c, 250, "EHLO client.example")
	if door == "submission" {
		if err := c.Login(s.Address("alice"), blackbox.Password); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// do sends a command, expects a code and gives the reply.
func do(t *testing.T, c *blackbox.SMTP, code int, command string) string {
	t.Helper()
	got, text, err := c.Do(command)
	if err != nil || got != code {
		t.Fatalf("%.200s: %s, %v", command, text, err)
	}
	return text
}

var id = regexp.MustCompile(`[0-9a-f]{32}`)

// send is a transaction of alice's; it gives the message's id.
func send(t *testing.T, c *blackbox.SMTP, s *blackbox.Server, params, subject string, rcpts ...string) string {
	t.Helper()
	do(t, c, 250, "MAIL FROM:<"+s.Address("alice")+">"+params)
	for _, r := range rcpts {
		do(t, c, 250, "RCPT TO:"+r)
	}
	do(t, c, 354, "DATA")
	return id.FindString(do(t, c, 250, "From: "+s.Address("alice")+"\r\nSubject: "+subject+"\r\n\r\nhi\r\n."))
}

// TestAnnounced: each door announces what it has, and nothing else.
func TestAnnounced(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	common := []string{"PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN", "DELIVERBY 60", "MT-PRIORITY", "LIMITS ", "NO-SOLICITING", "REQUIRETLS"}
	for door, only := range map[string][]string{"smtp": nil, "submission": {"FUTURERELEASE 2592000 ", "AUTH "}} {
		c, err := blackbox.DialSMTP(s.Addr(door), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text := do(t, c, 250, "EHLO client.example"); strings.Contains(text, "REQUIRETLS") || !strings.Contains(text, "STARTTLS") {
			t.Errorf("%s in clear: %s", door, text)
		}
		do(t, c, 220, "STARTTLS")
		if err := c.StartTLS(s.TLS()); err != nil {
			t.Fatal(err)
		}
		text := do(t, c, 250, "EHLO client.example")
		for _, word := range append(common, only...) {
			if !strings.Contains(text, "250-"+word) && !strings.Contains(text, "250 "+word) {
				t.Errorf("%s does not announce %s: %s", door, word, text)
			}
		}
		if strings.Contains(text, "FUTURERELEASE") != (door == "submission") || strings.Contains(text, "STARTTLS") {
			t.Errorf("%s: %s", door, text)
		}
		c.Quit()
	}
}

// TestHold: a message that is held can be seen and undone; one that is not undone
// is delivered at its time, here too (RFC 4865).
func TestHold(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	c := client(t, s, "submission")
	undone := send(t, c, s, " HOLDFOR=3600", "undone", "<"+s.Address("bob")+">", "<x@elsewhere.example>")
	kept := send(t, c, s, " HOLDFOR=2", "kept", "<"+s.Address("bob")+">")
	list := s.Command("queue", "list")
	if strings.Count(list, undone) != 2 || !strings.Contains(list, kept) {
		t.Errorf("%s", list)
	}
	if show := s.Command("queue", "show", undone); !strings.Contains(show, "to be released") {
		t.Errorf("%s", show)
	}
	if out := s.Command("queue", "drop", undone); !strings.HasPrefix(out, "2 deliveries dropped") {
		t.Errorf("%s", out)
	}
	s.WaitFor("bob", "INBOX", "Subject: kept", 20*time.Second)
	for _, m := range s.Messages("bob", "INBOX") {
		if strings.Contains(string(m), "Subject: undone") {
			t.Errorf("delivered: %s", m)
		}
	}
	if story := s.Command("trace", undone); strings.Count(story, "dropped") != 2 {
		t.Errorf("%s", story)
	}
	if out := s.Command("queue", "list"); !strings.Contains(out, "nothing waits") {
		t.Errorf("%s", out)
	}
}

// TestReferences: each refusal has a reference that trace explains, with and
// without a message.
func TestReferences(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	c := client(t, s, "smtp")
	explained := func(reply string, words ...string) string {
		t.Helper()
		ref := id.FindString(reply)
		if ref == "" {
			t.Fatalf("no reference: %s", reply)
		}
		story := s.Command("trace", ref)
		for _, w := range words {
			if !strings.Contains(story, w) {
				t.Errorf("%s: %q is not in\n%s", reply, w, story)
			}
		}
		return ref
	}
	explained(do(t, c, 500, "NONSENSE"), "refused", "That is no command of SMTP", "127.")
	explained(do(t, c, 503, "RCPT TO:<x@y.example>"), "in answer to RCPT", "to x@y.example")
	explained(do(t, c, 555, "MAIL FROM:<a@b.example> BY=5;R"), "in answer to MAIL", "cannot be promised")
	explained(do(t, c, 502, "AUTH PLAIN"), "AUTH is not done here")
	do(t, c, 250, "MAIL FROM:<a@b.example>")
	ref := explained(do(t, c, 550, "RCPT TO:<"+s.Address("nobody")+">"), "in answer to RCPT", "to "+s.Address("nobody"), "no such recipient here")
	do(t, c, 250, "RCPT TO:<"+s.Address("bob")+">")
	do(t, c, 354, "DATA")
	accepted := do(t, c, 250, "Subject: x\r\n\r\nhi\r\n.")
	if id.FindString(accepted) != ref {
		t.Errorf("one transaction has two ids: %s, %s", ref, accepted)
	}
	explained(accepted, "no such recipient here", "delivered")
	do(t, c, 250, "MAIL FROM:<a@b.example>")
	do(t, c, 250, "RCPT TO:<"+s.Address("bob")+">")
	do(t, c, 354, "DATA")
	explained(do(t, c, 550, "bare\nline\r\n."), "in answer to DATA", "is not part of CRLF")
	// A moment later it is in rows, and found by address after a restart.
	time.Sleep(1500 * time.Millisecond)
	s.Stop()
	if story := s.Command("trace", s.Address("nobody")); !strings.Contains(story, ref) {
		t.Errorf("%s", story)
	}
}

// TestSuccess: who asks hears that the message was delivered (RFC 3461 §5.2.3).
func TestSuccess(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	c := client(t, s, "submission")
	send(t, c, s, " ENVID=QQ314159", "asked", "<"+s.Address("bob")+"> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob@example.test")
	report := string(s.WaitFor("alice", "INBOX", "Original-Envelope-Id: QQ314159", 20*time.Second))
	for _, line := range []string{"Action: delivered\r\n", "Original-Recipient: rfc822; Bob@example.test\r\n", "Final-Recipient: rfc822; " + s.Address("bob") + "\r\n", "Subject: asked\r\n"} {
		if !strings.Contains(report, line) {
			t.Errorf("%q is not in\n%s", line, report)
		}
	}
}

// TestBinary: a binary message is taken by BDAT and comes out as base64 (RFC 3030
// §3).
func TestBinary(t *testing.T) {
	s := blackbox.Start(t, blackbox.Options{})
	c := client(t, s, "smtp")
	content := "Subject: binary\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\n.\n\xff"
	do(t, c, 250, "MAIL FROM:<a@b.example> BODY=BINARYMIME")
	do(t, c, 250, "RCPT TO:<"+s.Address("bob")+">")
	do(t, c, 503, "DATA")
	do(t, c, 250, "RSET")
	do(t, c, 250, "MAIL FROM:<a@b.example> BODY=BINARYMIME")
	do(t, c, 250, "RCPT TO:<"+s.Address("bob")+">")
	if err := c.Send(fmt.Sprintf("BDAT 20\r\n%sBDAT %d LAST\r\n%s", content[:20], len(content)-20, content[20:])); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, text, err := c.Reply(); code != 250 || err != nil {
			t.Fatalf("%s, %v", text, err)
		}
	}
	if m := string(s.WaitFor("bob", "INBOX", "Subject: binary", 20*time.Second)); !strings.HasSuffix(m, "\r\n\r\nAAouCv8=\r\n") || !strings.Contains(m, "Content-Transfer-Encoding: base64\r\n") {
		t.Errorf("%q", m)
	}
}

// TestPassedOn: a second server is told what the first was asked, and vouches for
// it: the report comes from there.
func TestPassedOn(t *testing.T) {
	far := blackbox.Start(t, blackbox.Options{Domain: "far.test", Accounts: []string{"carol"}})
	near := blackbox.Start(t, blackbox.Options{Args: []string{"--smart-host", far.Addr("smtp")}})
	c := client(t, near, "submission")
	send(t, c, near, " BY=600;R MT-PRIORITY=-2 SOLICIT=net.example:ADV ENVID=far", "far", "<"+far.Address("carol")+"> NOTIFY=SUCCESS")
	m := string(far.WaitFor("carol", "INBOX", "Subject: far", 20*time.Second))
	for _, word := range []string{"(SOLICIT=net.example:ADV)", "PRIORITY -2;", "with ESMTPS"} {
		if strings.Count(m, word) == 0 {
			t.Errorf("%q is not in\n%s", word, m)
		}
	}
	if story := far.Command("trace", near.Address("alice")); !strings.Contains(story, `report of "delivered"`) {
		t.Errorf("the second server did not report: %s", story)
	}
	for _, m := range near.Messages("alice", "INBOX") {
		t.Errorf("the first server reported: %s", m)
	}
}
