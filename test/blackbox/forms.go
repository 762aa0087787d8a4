package blackbox

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"
	"testing"

	"encoding/base64"
	"mime/quotedprintable"
)

// TryForms has Ekiden hand on what not every server can take: in another form, or
// not at all, and then its sender is told why. What is put off is told of too.
func (p *Peer) TryForms(t *testing.T) {
	t.Helper()
	poor := p.Poor
	if poor == "" {
		poor = p.Domain
	}
	const eight = "\r\nna\xc3\xafve\r\n"
	head := "From: alice@a.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	binary := strings.Repeat("\x00\x80\n bare\r ends ", 40)

	if p.Poor != "" {
		p.sends(" BODY=8BITMIME", "", head+"Content-Transfer-Encoding: 8bit\r\nSubject: eight bits\r\n"+eight, "<ptr@"+poor+">")
		p.decoded("Subject: eight bits", strings.TrimPrefix(eight, "\r\n"))
		// One that does not report itself is spoken for (RFC 3461 §5.2.2).
		p.sends(" ENVID=relayed", "", head+"Subject: on its way\r\n\r\nhi\r\n", "<ptr@"+poor+"> NOTIFY=SUCCESS")
		p.reported("relayed", "Action: relayed", "Final-Recipient: rfc822; ptr@"+poor, "Remote-MTA: dns; mx."+poor)
	}
	p.sends(" BODY=BINARYMIME", "bdat", head+"Content-Transfer-Encoding: binary\r\nSubject: octets\r\n\r\n"+binary, "<ptr@"+p.Domain+">")
	p.decoded("Subject: octets", binary)

	utf8 := head + "Subject: \xe9\xa7\x85 by all\r\n" + eight
	if p.UTF8 {
		p.sends(" SMTPUTF8 BODY=8BITMIME", "", utf8, "<ptr@"+p.Domain+">")
		if m := p.waitFor("Subject: \xe9\xa7\x85 by all"); !strings.HasSuffix(m, eight) {
			t.Errorf("it came as %q", m)
		}
	}
	if p.Poor != "" || !p.UTF8 {
		p.sends(" SMTPUTF8 BODY=8BITMIME ENVID=utf8", "", utf8, "<ptr@"+poor+">")
		p.reported("utf8", "Action: failed", "Status: 5.6.7", "SMTPUTF8")
	}
	p.sends(" REQUIRETLS ENVID=secured", "", head+"Subject: secured\r\n\r\nhi\r\n", "<ptr@"+p.Domain+">")
	p.reported("secured", "Action: failed", "Status: 5.7.30", "surely the domain's")
	if p.Later {
		p.sends(" ENVID=late", "", head+"Subject: late\r\n\r\nhi\r\n", "<later@"+p.Domain+"> NOTIFY=DELAY,FAILURE")
		p.reported("late", "Action: delayed", "Status: 4.", "Will-Retry-Until: ", "Remote-MTA: dns; mx."+p.Domain)
		p.ours.Command("queue", "drop", "later@"+p.Domain)
	}
}

// sends has alice submit a message by DATA or BDAT.
func (p *Peer) sends(params, by, content string, rcpt string) {
	p.t.Helper()
	c, err := DialSMTP(p.ours.Addr("submissions"), p.ours.TLS())
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Quit()
	if err := c.Login("alice@a.test", Password); err != nil {
		p.t.Fatal(err)
	}
	commands := []string{"MAIL FROM:<alice@a.test>" + params, "RCPT TO:" + rcpt}
	if by == "bdat" {
		commands = append(commands, fmt.Sprintf("BDAT %d LAST\r\n%s", len(content), content))
	} else {
		commands = append(commands, "DATA", string(Stuff([]byte(content)))+".")
	}
	for i, command := range commands {
		if i == 2 && by == "bdat" {
			err = c.Send(command) // without a line end behind the chunk
		} else {
			err = c.Send(command + "\r\n")
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if code, text, err := c.Reply(); err != nil || code/100 > 3 {
			p.t.Fatalf("%.100q: %s, %v", command, text, err)
		}
	}
}

// decoded waits for a message that is in ASCII and means what was sent.
func (p *Peer) decoded(subject, want string) {
	p.t.Helper()
	got := p.waitFor(subject)
	m, err := mail.ReadMessage(strings.NewReader(got))
	if err != nil {
		p.t.Fatal(err)
	}
	var body io.Reader = m.Body
	switch e, _, _ := mime.ParseMediaType(m.Header.Get("Content-Transfer-Encoding")); e {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	default:
		p.t.Errorf("it came in the encoding %q", e)
	}
	b, err := io.ReadAll(body)
	if err != nil || string(b) != want {
		p.t.Errorf("it came as %.200q, %v", b, err)
	}
	if i := bytes.IndexFunc([]byte(got), func(r rune) bool { return r >= 0x80 }); i >= 0 {
		p.t.Errorf("it is not ASCII at %.40q", got[i:])
	}
}

// reported waits for our report of the envelope, with all of the words.
func (p *Peer) reported(envelope string, words ...string) {
	p.t.Helper()
	report := string(p.ours.WaitFor("alice", "INBOX", "Original-Envelope-Id: "+envelope, peerPatience))
	for _, w := range words {
		if !strings.Contains(report, w) {
			p.t.Errorf("the report about %s has no %q:\n%.5000s", envelope, w, report)
		}
	}
}
