package blackbox

import (
	"strings"
	"testing"
)

// TryReturns has Ekiden send to lost@ of the peer's domain, which leads to
// missing@a.test, where nobody is: the peer takes the message and finds out. Its
// report comes to the path that Ekiden signed, and from there to the sender and
// into the message's history; and so ends what is written there. An alias of
// Ekiden's that leads to ptr has a path of its own too.
func (p *Peer) TryReturns(t *testing.T) {
	t.Helper()
	p.ours.Command("domain", "set", "a.test", "--suppress")
	p.ours.Command("alias", "add", "away@a.test", "ptr@"+p.Domain)
	c, err := DialSMTP(p.ours.Addr("submissions"), p.ours.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	if err := c.Login("alice@a.test", Password); err != nil {
		t.Fatal(err)
	}
	lost := "lost@" + p.Domain
	if err := c.Mail("alice@a.test", []string{lost}, []byte("From: alice@a.test\r\nSubject: lost\r\n\r\nhi\r\n")); err != nil {
		t.Fatal(err)
	}
	report := string(p.ours.WaitFor("alice", "INBOX", "Delivered-To: bounce+", peerPatience))
	if !strings.Contains(report, "Reporting-MTA: dns; mx."+p.Domain) || !strings.Contains(report, "550 5.1.1") {
		t.Errorf("the peer's report: %.4000s", report)
	}
	Eventually(t, peerPatience, "the report in the history", func() bool {
		return strings.Contains(p.ours.Command("trace", lost), "failed, as message")
	})
	if story := p.ours.Command("trace", lost); !strings.Contains(story, "unknown-user") {
		t.Errorf("the history: %s", story)
	}
	if code, text, err := c.Do("MAIL FROM:<alice@a.test>"); err != nil || code != 250 {
		t.Fatal(text, err)
	}
	if code, text, err := c.Do("RCPT TO:<" + lost + ">"); err != nil || code != 550 || !strings.Contains(text, "suppression list of a.test") {
		t.Errorf("%d %s, %v", code, text, err)
	}
	if list := p.ours.Command("suppression", "list", "a.test"); !strings.Contains(list, lost) {
		t.Errorf("the list: %s", list)
	}
	p.ours.Command("suppression", "remove", "a.test", lost)

	in, err := DialSMTP(p.ours.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Quit()
	if err := in.Mail("stranger@elsewhere.test", []string{"away@a.test"}, []byte("From: stranger@elsewhere.test\r\nSubject: sent on\r\n\r\nhi\r\n")); err != nil {
		t.Fatal(err)
	}
	if m := p.waitFor("Subject: sent on"); !strings.Contains(strings.ToLower(m), "return-path: <srs0=") || !strings.Contains(m, "=elsewhere.test=stranger@a.test>") {
		t.Errorf("it came as\n%.2000s", m)
	}
}
