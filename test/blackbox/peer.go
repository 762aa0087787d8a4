package blackbox

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Peer is another mail server, at port 10025 of an address of its own, with the
// mailbox ptr@ of its domain in a Maildir. It takes anything from this machine,
// and brings to Ekiden, over TLS that it verifies, what is not for its domain:
// what is from alice of Ekiden's domain by submission with her login, the rest
// by port 25.
type Peer struct {
	Domain  string
	Addr    string // without the port
	Maildir string
	Poor    string // another domain of its, whose host offers nothing but STARTTLS; "" if it has none
	PoorAt  string // that host's address
	Later   bool   // later@ its domain is put off
	UTF8    bool   // has SMTPUTF8
	Terse   bool   // its reports of success tell nothing but the recipient
	Clear   bool   // its handshakes as a server may fail, so that mail comes to it in clear

	t    testing.TB
	ours *Server
}

// peerPatience is how long mail may take between two servers.
const peerPatience = 40 * time.Second

// NewPeer prepares a peer for a domain, and the Ekiden for a.test that it is to
// talk to.
func NewPeer(t testing.TB, domain string) (*Peer, *Server) {
	t.Helper()
	p := &Peer{Domain: domain, Addr: FreeAddress(t), PoorAt: FreeAddress(t), t: t}
	at := FreeAddress(t)
	d := StartDNS(t, domain+". 60 IN MX 10 mx."+domain+".", "mx."+domain+". 60 IN A "+p.Addr,
		"poor.test. 60 IN MX 10 mx.poor.test.", "mx.poor.test. 60 IN A "+p.PoorAt,
		"a.test. 60 IN MX 10 mx.a.test.", "mx.a.test. 60 IN A "+at)
	p.ours = Start(t, Options{Domain: "a.test", Bind: at, PortBase: 10000,
		Args: []string{"--resolver", d.Addr, "--outbound-port", "10025", "--retry-first", "1s", "--warn-after", "3s"}})
	return p, p.ours
}

// Certificate makes an RSA key and a certificate for the peer, key.pem and
// cert.pem.
func (p *Peer) Certificate(dir string) {
	p.t.Helper()
	Run(p.t, dir, "", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
		"-subj", "/CN=mx."+p.Domain, "-keyout", "key.pem", "-out", "cert.pem")
}

// Await waits until the peer listens.
func (p *Peer) Await() {
	p.t.Helper()
	Eventually(p.t, peerPatience, "mx."+p.Domain+" listens", func() bool {
		c, err := DialSMTP(net.JoinHostPort(p.Addr, "10025"), nil)
		if err == nil {
			c.Quit()
		}
		return err == nil
	})
}

// waitFor waits for a message with all of the words in ptr's Maildir, and gives
// it with CRLF.
func (p *Peer) waitFor(words ...string) string {
	p.t.Helper()
	var found string
	Eventually(p.t, peerPatience, fmt.Sprintf("%q in ptr's mailbox", words), func() bool {
		files, _ := filepath.Glob(filepath.Join(p.Maildir, "new", "*"))
	files:
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				continue
			}
			for _, w := range words {
				if !bytes.Contains(b, []byte(w)) {
					continue files
				}
			}
			found = string(CRLF(b))
			return true
		}
		return false
	})
	return found
}

// give has the peer take a message: parameters of MAIL, and each recipient with
// its own.
func (p *Peer) give(from, params, subject, body string, rcpts ...string) {
	p.t.Helper()
	c, err := DialSMTP(net.JoinHostPort(p.Addr, "10025"), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Quit()
	must := func(code int, command string) {
		p.t.Helper()
		if got, text, err := c.Do(command); err != nil || got != code {
			p.t.Fatalf("%.100s: %s, %v", command, text, err)
		}
	}
	must(250, "MAIL FROM:<"+from+">"+params)
	var to []string
	for _, r := range rcpts {
		must(250, "RCPT TO:"+r)
		addr, _, _ := strings.Cut(r, ">")
		to = append(to, addr[1:])
	}
	must(354, "DATA")
	m := "From: " + from + "\r\nTo: " + strings.Join(to, ", ") + "\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n" + body
	must(250, string(Stuff([]byte(m)))+".")
}

// arrived waits for a message and compares it with what was given.
func (p *Peer) arrived(local, subject, body, with string) {
	p.t.Helper()
	m := string(p.ours.WaitFor(local, "INBOX", "Subject: "+subject, peerPatience))
	if !strings.HasSuffix(m, body) {
		p.t.Errorf("%s came to %s with another body: %.3000s", subject, local, m)
	}
	if top, _, _ := strings.Cut(m, "\r\nSubject: "); !strings.Contains(top, "with "+with+" ") {
		p.t.Errorf("%s did not come with %s:\n%.2000s", subject, with, top)
	}
}

// TryAll has the peer and Ekiden exchange mail: to several recipients of whom one
// is refused, a large message, one that is refused whole, with a report of
// success and with UTF-8 in the header, and by submission; then the other way.
func (p *Peer) TryAll(t *testing.T) {
	t.Helper()
	body := "\r\nTo both.\r\n.\r\n..dots\r\n. \r\nna\xc3\xafve \xe9\xa7\x85\xe4\xbc\x9d\r\n" + strings.Repeat("A long line of text to send. ", 30) + "\r\n\r\n"
	ptr := "ptr@" + p.Domain

	p.give(ptr, " BODY=8BITMIME", "several", body, "<alice@a.test>", "<missing@a.test>", "<bob@a.test>")
	p.arrived("alice", "several", body, "ESMTPS")
	p.arrived("bob", "several", body, "ESMTPS")
	p.bounced(p.waitFor("missing@a.test", "550 5.1.1"), "bob@a.test")

	large := "\r\n" + strings.Repeat("Five million octets, line by line, of which none may be lost on the way.\r\n", 70_000)
	p.give(ptr, "", "large", large, "<bob@a.test>")
	p.arrived("bob", "large", large, "ESMTPS")

	var fields strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&fields, "X-Field-%d: x\r\n", i)
	}
	p.give(ptr, "", "refused", fields.String()+"\r\nhi\r\n", "<bob@a.test>")
	p.bounced(p.waitFor("554", "5.6.0", "the header has more than"), "alice@a.test")

	p.give(ptr, " RET=HDRS ENVID=theirs", "confirmed", body, "<bob@a.test> "+success)
	p.arrived("bob", "confirmed", body, "ESMTPS")
	p.confirmed(p.waitFor("Original-Envelope-Id: theirs"), "mx.a.test", "theirs", false)
	if p.UTF8 {
		p.give(ptr, " SMTPUTF8 BODY=8BITMIME", "\xe9\xa7\x85\xe4\xbc\x9d", body, "<bob@a.test>")
		p.arrived("bob", "\xe9\xa7\x85\xe4\xbc\x9d", body, "UTF8SMTPS")
	}
	p.trySubmission(t, body)
	p.tryRelay(t, body)
}

// success asks for a report of success, under another name of the recipient's.
const success = "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Some+2BOne@else.test"

// confirmed reads a report of success: it comes from where the message was
// delivered, names the envelope, and the recipient as the sender did (RFC 3461
// §5.2.1, §5.2.3).
func (p *Peer) confirmed(report, reporter, envelope string, terse bool) {
	p.t.Helper()
	words := []string{"Reporting-MTA: dns; " + reporter, "Action: delivered", "Original-Envelope-Id: " + envelope, "Original-Recipient: rfc822;Some+2BOne@else.test"}
	if terse {
		words = words[:2]
	}
	plain := strings.NewReplacer("rfc822; ", "rfc822;", "Some+One", "Some+2BOne", "dns;mx", "dns; mx", "Envelope-ID", "Envelope-Id").Replace(report)
	for _, want := range words {
		if !strings.Contains(plain, want) {
			p.t.Errorf("the report has no %q:\n%s", want, report)
		}
	}
	if strings.Contains(report, "A long line") {
		p.t.Errorf("the report holds the body, and RET=HDRS was asked for:\n%s", report)
	}
}

// bounced reads a report of the peer's: about one recipient only.
func (p *Peer) bounced(report, other string) {
	p.t.Helper()
	_, status, ok := strings.Cut(report, "Reporting-MTA:")
	status, _, _ = strings.Cut(status, "\r\n--")
	if !ok || strings.Count(status, "Final-Recipient:") != 1 || strings.Contains(status, other) {
		p.t.Errorf("the peer's report:\n%.6000s", report)
	}
}

// trySubmission has the peer log in as alice and send for her: to a user here,
// to one elsewhere, whom Ekiden relays to, and to nobody.
func (p *Peer) trySubmission(t *testing.T, body string) {
	t.Helper()
	p.give("alice@a.test", "", "submitted", body, "<bob@a.test>", "<bob+tag@a.test>", "<missing@a.test>")
	p.arrived("bob", "submitted", body, "ESMTPSA")
	report := string(p.ours.WaitFor("alice", "INBOX", "Reporting-MTA", peerPatience))
	p.bounced(report, "bob@a.test")
	if !strings.Contains(report, "550 5.1.1") {
		t.Errorf("the peer's report does not show our words:\n%s", report)
	}
}

// tryRelay has Ekiden send to the peer.
func (p *Peer) tryRelay(t *testing.T, body string) {
	t.Helper()
	c, err := DialSMTP(p.ours.Addr("submissions"), p.ours.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	if err := c.Login("alice@a.test", Password); err != nil {
		t.Fatal(err)
	}
	m := "From: alice@a.test\r\nSubject: from Ekiden\r\n" + body
	if err := c.Mail("alice@a.test", []string{"ptr@" + p.Domain, "missing@" + p.Domain}, []byte(m)); err != nil {
		t.Fatal(err)
	}
	got := p.waitFor("Subject: from Ekiden")
	if !strings.HasSuffix(got, body) {
		t.Errorf("the peer got %q", got)
	}
	theirs, _, _ := strings.Cut(got, "by mx.a.test") // the Received fields above ours
	if !p.Clear && !strings.Contains(theirs, "TLS") && !strings.Contains(strings.ToUpper(theirs), "WITH ESMTPS") {
		t.Errorf("it did not come to the peer over TLS:\n%s", theirs)
	}
	report := string(p.ours.WaitFor("alice", "INBOX", "Remote-MTA: dns; mx."+p.Domain, peerPatience))
	for _, want := range []string{"Final-Recipient: rfc822; missing@" + p.Domain, "Action: failed", "Status: 5.", "Diagnostic-Code: smtp; 550"} {
		if !strings.Contains(report, want) {
			t.Errorf("our report has no %q:\n%s", want, report)
		}
	}
	for _, command := range []string{"MAIL FROM:<alice@a.test> RET=HDRS ENVID=ours", "RCPT TO:<ptr@" + p.Domain + "> " + success, "DATA", string(Stuff([]byte(m))) + "."} {
		if code, text, err := c.Do(command); err != nil || code/100 > 3 {
			t.Fatalf("%.100s: %s, %v", command, text, err)
		}
	}
	p.confirmed(string(p.ours.WaitFor("alice", "INBOX", "Action: delivered", peerPatience)), "mx."+p.Domain, "ours", p.Terse)
}
