package transport

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// TestTransport: what each domain demands is kept, and mail waits rather than to
// go without.
func TestTransport(t *testing.T) {
	l := newLab(t)
	hosts := map[string]*blackbox.Sink{}
	host := func(domain string, good bool) (publish func()) {
		c := l.certificate("mx."+domain, good)
		hosts[domain] = l.host(domain, c)
		return func() { l.tlsa(domain, c) }
	}
	host("dane.test", false)()
	host("mismatch.test", false)
	l.tlsa("mismatch.test", l.certificate("x.test", false))
	host("forged.test", false)()
	host("clear.test", false)()
	hosts["clear.test"].Answer = func(command string) string {
		if strings.HasPrefix(command, "EHLO") {
			return "250 clear.test"
		}
		return ""
	}
	host("plain.test", false)
	for domain, good := range map[string]bool{"sts.test": true, "wrong.test": false, "strange.test": true, "testing.test": false, "short.test": false} {
		host(domain, good)
	}
	l.sts("sts.test", "enforce", "mx.sts.test", 86400)
	l.sts("wrong.test", "enforce", "*.wrong.test", 86400)
	l.sts("strange.test", "enforce", "mx.other.test", 86400)
	l.sts("testing.test", "testing", "mx.testing.test", 86400)
	l.sts("short.test", "enforce", "mx.short.test", 2)
	far := l.other("far.test")
	digest := regexp.MustCompile(`(?m)^(_\d+\._tcp\.mx\.forged\.test\.\s.*TLSA\s+3 1 1 )[0-9a-f]{8}`)
	l.resolve(func(zone string) string { return digest.ReplaceAllString(zone, "${1}00000000") })
	s := l.ekiden()

	const yes = "delivered"
	cases := map[string]string{ // what the queue says
		"dane.test": yes, "plain.test": yes, "sts.test": yes, "testing.test": yes,
		"mismatch.test": "(DANE): no TLSA record matches the server's certificate",
		"forged.test":   "451 4.7.5 mx.forged.test is not used: its TLSA records cannot be known now",
		"clear.test":    "the server does not offer STARTTLS",
		"wrong.test":    "(MTA-STS): x509: certificate signed by unknown authority",
		"strange.test":  "451 4.7.5 mx.strange.test is not used: the MTA-STS policy of strange.test does not name it",
	}
	for domain := range cases {
		l.send(s, "", "ptr@"+domain)
	}
	for domain, want := range cases {
		blackbox.Eventually(t, soon, domain+": "+want, func() bool {
			if want == yes {
				return len(hosts[domain].Taken()) == 1 && hosts[domain].Taken()[0].TLS
			}
			reply, attempts := l.waiting(s, "ptr@"+domain)
			return attempts > 1 && strings.Contains(reply, want) && strings.HasPrefix(reply, "451 4.7.5 ")
		})
	}
	for domain, want := range cases {
		if n := len(hosts[domain].Taken()); want != yes && n != 0 {
			t.Errorf("%s got %d messages", domain, n)
		}
	}
	t.Run("TLS-Required", func(t *testing.T) {
		for _, domain := range []string{"mismatch.test", "forged.test", "clear.test", "wrong.test", "strange.test"} {
			l.send(s, "TLS-Required: No\r\n", "other@"+domain)
			blackbox.Eventually(t, soon, domain+" gets it all the same", func() bool { return len(hosts[domain].Taken()) == 1 })
		}
	})
	t.Run("REQUIRETLS", func(t *testing.T) { l.binds(t, s, far) })
	t.Run("route", func(t *testing.T) { l.explains(t, s) })
	t.Run("reports", func(t *testing.T) { l.hears(t, s) })
	t.Run("kept", func(t *testing.T) { l.keeps(t, s, hosts) })
	s.NoPanics()
}

// explains looks at what a dry run tells.
func (l *lab) explains(t *testing.T, s *blackbox.Server) {
	for to, want := range map[string][]string{
		"dane.test":     {`"signed":true`, `"by":"tlsa"`, `"tlsa":["3 1 1 `, `it is what is wanted`},
		"mismatch.test": {`"trial":"no: `, "no TLSA record matches"},
		"forged.test":   {`"barred":"its TLSA records cannot be known now`, `"trouble":["dnssec-invalid`},
		"sts.test":      {`"by":"sts"`, `"mode":"enforce"`, `"cached":true`, "it is what is wanted"},
		"testing.test":  {`"mode":"testing"`, "it is not what the policy wants: x509"},
		"plain.test":    {`"by":"no-policy-found"`, `"trial":"TLS 1.3`},
		"gone.test":     {`"failure":"550 5.1.2 `},
	} {
		out := s.Command("route", "test", "x@"+to, "--json", "--connect", "--resolver", l.resolver)
		if !json.Valid([]byte(out)) {
			t.Errorf("%s: %s", to, out)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in %s", to, w, out)
			}
		}
	}
	if out := s.Command("route", "test", s.Address("bob")); !strings.Contains(out, "is here") {
		t.Error(out)
	}
	if out := s.Command("route", "test", "x@sts.test"); !strings.Contains(out, "with a certificate for mx.sts.test of a public authority") {
		t.Error(out)
	}
}

// keeps: a policy counts after a restart, although nobody serves it any more,
// until its time is over.
func (l *lab) keeps(t *testing.T, s *blackbox.Server, hosts map[string]*blackbox.Sink) {
	begun := time.Now()
	l.send(s, "", "ptr@short.test")
	blackbox.Eventually(t, soon, "the short policy is kept", func() bool {
		reply, _ := l.waiting(s, "ptr@short.test")
		return strings.Contains(reply, "(MTA-STS)")
	})
	l.unpublish()
	s.Stop()
	s.Restart()
	hosts["sts.test"].SetCertificate(l.certificate("mx.sts.test", false))
	l.send(s, "", "again@sts.test")
	blackbox.Eventually(t, soon, "sts.test is still to prove itself", func() bool {
		reply, _ := l.waiting(s, "again@sts.test")
		return strings.Contains(reply, "unknown authority")
	})
	blackbox.Eventually(t, soon, "the short policy is over", func() bool { return len(hosts["short.test"].Taken()) == 1 })
	if since := time.Since(begun); since < 2*time.Second {
		t.Errorf("over after %v", since)
	}
	if n := len(hosts["sts.test"].Taken()); n != 1 {
		t.Errorf("sts.test has %d messages", n)
	}
}

// hears: what others report of our domain is kept and can be listed.
func (l *lab) hears(t *testing.T, s *blackbox.Server) {
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	l.must(err)
	defer c.Quit()
	report := `{"organization-name":"Other","report-id":"7","date-range":{"start-datetime":"2026-11-23T00:00:00Z","end-datetime":"2026-11-23T23:59:59Z"},"contact-info":"x@other.test",` +
		`"policies":[{"policy":{"policy-type":"sts","policy-domain":"a.example"},"summary":{"total-successful-session-count":5,"total-failure-session-count":2},` +
		`"failure-details":[{"result-type":"certificate-expired","receiving-mx-hostname":"mx.a.example","failed-session-count":2}]}]}`
	l.must(c.Mail("tls@other.test", []string{"postmaster@a.example"}, []byte("From: tls@other.test\r\nContent-Type: multipart/report; report-type=tlsrpt; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n"+report+"\r\n--b--\r\n")))
	if out := s.Command("reports", "tls", "a.example"); !strings.Contains(out, "certificate-expired") || !strings.Contains(out, "Other") {
		t.Error(out)
	}
}

// binds: between two Ekidens a message may be bound to TLS, by DANE with an
// authority of the domain's own; to a host without certificate or promise it
// comes back.
func (l *lab) binds(t *testing.T, s, far *blackbox.Server) {
	c := l.login(s)
	defer c.Quit()
	for _, to := range []string{far.Address("bob"), "bound@wrong.test"} {
		for _, command := range []string{"MAIL FROM:<" + s.Address("alice") + "> REQUIRETLS", "RCPT TO:<" + to + ">", "DATA", "From: " + s.Address("alice") + "\r\nSubject: bound\r\n\r\nhello\r\n."} {
			if code, text, err := c.Do(command); code >= 400 || err != nil {
				t.Fatal(command, code, text, err)
			}
		}
	}
	got := string(far.WaitFor("bob", "INBOX", "Subject: bound", soon))
	if !strings.Contains(got, "with ESMTPS") && !strings.Contains(got, "with UTF8SMTPS") {
		t.Errorf("not by TLS:\n%s", got)
	}
	back := string(s.WaitFor("alice", "INBOX", "bound@wrong.test", soon))
	if !strings.Contains(back, "Status: 5.7.10") {
		t.Errorf("%s", back)
	}
}
