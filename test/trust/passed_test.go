package trust

import (
	"net"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// TestPassedOn has an alias send mail on elsewhere: it is signed in the alias's
// domain, what it came with stays as it was, and the forged never leaves. A report of
// ours is signed too.
func TestPassedOn(t *testing.T) {
	t.Parallel()
	bind, far := blackbox.FreeAddress(t), blackbox.FreeAddress(t)
	d := blackbox.StartDNS(t, "far.test. 60 IN MX 10 mx.far.test.", "mx.far.test. 60 IN A "+far, "bank.test. 60 IN TXT \"v=spf1 -all\"",
		"_dmarc.bank.test. 60 IN TXT \"v=DMARC1; p=reject\"", "good.test. 60 IN TXT \"v=spf1 ip4:127.0.0.0/8 -all\"")
	s := blackbox.Start(t, blackbox.Options{Bind: bind, Args: []string{"--resolver", d.Addr, "--outbound-port", "10025", "--retry-first", "1s"}})
	publish(t, s, d)
	sink := blackbox.StartSink(t, net.JoinHostPort(far, "10025"), "", "")
	sink.Answer = func(command string) string {
		if strings.Contains(command, "nobody@far.test") {
			return "550 5.1.1 nobody"
		}
		return ""
	}
	s.Command("alias", "add", "fwd@example.test", "carol@far.test")
	body := bodies()["spaces"] + "こんにちは。\r\n"
	to := func(text string) string { return strings.Replace(text, "To: bob@", "To: fwd@", 1) }
	text := to(letter("carol@good.test", "passed", body))
	if code, reply := deliver(t, s, "carol@good.test", "fwd@example.test", text); code != 250 {
		t.Fatal(reply)
	}
	if code, reply := deliver(t, s, "service@bank.test", "fwd@example.test", to(letter("service@bank.test", "forged", body))); code != 550 || !strings.Contains(reply, "DMARC") {
		t.Errorf("forged: %s", reply)
	}
	blackbox.Eventually(t, blackbox.Soon, "the message is passed on", func() bool { return len(sink.Taken()) == 1 })
	got := string(sink.Taken()[0].Content)
	if !strings.HasSuffix(got, "\r\n"+text) {
		t.Errorf("it was changed: %s", got)
	}
	for _, want := range []string{"dkim=pass (2048-bit key) header.d=example.test", "dkim=pass (256-bit key) header.d=example.test"} {
		if out := blackbox.Run(t, t.TempDir(), got, blackbox.Binary(t), "verify", "message", "--resolver", d.Addr); !strings.Contains(out, want) {
			t.Errorf("%s\nwithout %s\n%s", out, want, got)
		}
	}

	c, err := blackbox.DialSMTP(s.Addr("submissions"), s.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Login("alice@example.test", blackbox.Password); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("alice@example.test", []string{"nobody@far.test"}, []byte(letter("alice@example.test", "refused", body))); err != nil {
		t.Fatal(err)
	}
	report := own(string(s.WaitFor("alice", "INBOX", "multipart/report", blackbox.Soon)))
	if out := blackbox.Run(t, t.TempDir(), report, blackbox.Binary(t), "verify", "message", "--resolver", d.Addr); strings.Count(out, "dkim=pass") != 2 {
		t.Errorf("a report: %s\n%.3000s", out, report)
	}
	for _, m := range sink.Taken() {
		if strings.Contains(string(m.Content), "Subject: forged") {
			t.Error("the forged message was passed on")
		}
	}
}
