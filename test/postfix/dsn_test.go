package postfix

import (
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// successes asks for reports of success across both servers: each is written
// where the message is delivered, and names its envelope (RFC 3461 §5.2.1, §5.2.3).
func successes(t *testing.T, a *blackbox.Server, p *peer, alice *blackbox.SMTP) {
	t.Helper()
	ask := func(c *blackbox.SMTP, from, to, envelope string) {
		t.Helper()
		for _, l := range []string{
			"MAIL FROM:<" + from + "> RET=HDRS ENVID=" + envelope, "RCPT TO:<" + to + "> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Some+2BOne@else.test", "DATA",
			"From: " + from + "\r\nSubject: asked\r\n\r\nhi\r\n.",
		} {
			if code, text, err := c.Do(l); err != nil || code != 250 && code != 354 {
				t.Fatalf("%s: %s %v", l, text, err)
			}
		}
	}
	check := func(report, envelope, reporter string) {
		t.Helper()
		for _, want := range []string{
			"Original-Envelope-Id: " + envelope, "Reporting-MTA: dns; " + reporter, "Action: delivered", "Original-Recipient: rfc822; Some+One@else.test",
		} {
			if !strings.Contains(strings.ReplaceAll(strings.ReplaceAll(report, "rfc822;Some", "rfc822; Some"), "Some+2BOne", "Some+One"), want) {
				t.Errorf("the report has no %q:\n%s", want, report)
			}
		}
	}
	ask(alice, a.Address("alice"), "ptr@p.test", "E1")
	check(string(a.WaitFor("alice", "INBOX", "Original-Envelope-Id: E1", soon)), "E1", "mx.p.test")

	c, err := blackbox.DialSMTP(p.addr+":10025", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	ask(c, "ptr@p.test", a.Address("bob"), "E2")
	check(p.waitFor(t, "Original-Envelope-Id: E2"), "E2", "mx.a.test")
}
