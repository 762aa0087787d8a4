package sending

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// TestListedNetwork: a printer sends without a login, at either door, as what is
// listed; its neighbour on this machine does not.
func TestListedNetwork(t *testing.T) {
	s := start(t, "[[relay_network]]\nnetwork = \"127.9.9.0/29\"\nsenders = [\"@example.test\"]\nmessages_per_hour = 3\ndoors = [\"smtp\", \"submission\"]\n")
	const mail, other = "MAIL FROM:<printer@example.test>", "MAIL FROM:<x@elsewhere.test>"
	letter := []string{mail, "RCPT TO:<a@far.test>", "DATA", "From: printer@example.test\r\nSubject: scan\r\n\r\npage\r\n."}
	for _, door := range []string{"smtp", "submission"} {
		s.want(door, s.smtp("127.9.9.1", door, letter...), "250 2.0.0")
		s.want(door+", another's name", s.smtp("127.9.9.2", door, other), "550 5.7.1 127.9.9.2 may not send as <x@elsewhere.test>")
	}
	s.waits(s.smart, "Subject: scan")
	s.want("not listed", s.smtp("127.0.0.1", "smtp", mail, "RCPT TO:<a@far.test>"), "550 5.7.1 relaying denied")
	s.want("not listed", s.smtp("127.9.9.8", "smtp", mail, "RCPT TO:<a@far.test>"), "550 5.7.1 relaying denied")
	s.want("not listed", s.smtp("127.0.0.1", "submission", mail), "530 5.7.0")
	s.want("a report", s.smtp("127.9.9.1", "smtp", "MAIL FROM:<>", "RCPT TO:<a@far.test>"), "550 5.7.1 relaying denied")
	s.want("1", s.smtp("127.9.9.3", "smtp", letter...), "250")
	s.want("2", s.smtp("127.9.9.3", "smtp", letter...), "250")
	s.want("3", s.smtp("127.9.9.3", "submission", letter...), "250")
	s.want("4", s.smtp("127.9.9.3", "smtp", mail), "450 4.7.1 too many messages from 127.9.9.3")
}

// TestRelayedDomains: the host behind is asked first, what it says is
// remembered, and while it is away the domain's word counts; of a domain that
// moves only those who have not moved go there.
func TestRelayedDomains(t *testing.T) {
	s := start(t, "")
	inner := blackbox.StartSink(t, "127.0.0.1:0", "", "")
	var asked, away atomic.Int32
	inner.Answer = func(l string) string {
		switch {
		case away.Load() != 0 && strings.HasPrefix(l, "MAIL"):
			return "451 4.3.2 moving"
		case strings.HasPrefix(l, "RCPT TO:<none@"):
			asked.Add(1)
			return "550 5.1.1 nobody"
		}
		return ""
	}
	for _, d := range []string{"inner.test", "alias.test"} {
		s.ekiden("domain", "add", d)
	}
	s.ekiden("domain", "set", "inner.test", "--relay", inner.Addr)
	s.ekiden("domain", "set", "alias.test", "--alias-of", "inner.test")
	s.ekiden("domain", "set", "example.test", "--relay", inner.Addr, "--separator=-=")
	const mail = "MAIL FROM:<x@elsewhere.test>"
	rcpt := func(to string) string { return s.smtp("127.0.0.1", "smtp", mail, "RCPT TO:<"+to+">") }
	s.want("absent", rcpt("none@inner.test"), "550 5.1.1")
	s.want("absent, remembered", rcpt("none@inner.test"), "550 5.1.1")
	s.want("absent by another name", rcpt("none@alias.test"), "550 5.1.1")
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	send := func(subject string, to ...string) string {
		lines := []string{mail}
		for _, a := range to {
			lines = append(lines, "RCPT TO:<"+a+">")
		}
		return s.smtp("127.0.0.1", "smtp", append(lines, "DATA", "Subject: "+subject+"\r\n\r\nhi\r\n.")...)
	}
	s.want("relayed", send("one", "yes@alias.test"), "250")
	if m := s.waits(inner, "Subject: one"); fmt.Sprint(m.To) != "[yes@inner.test]" {
		t.Errorf("to %v", m.To)
	}
	// Split: alice is here, carol is not yet.
	s.want("split", send("two", "alice-x@example.test", "carol@example.test"), "250")
	if m := s.waits(inner, "Subject: two"); fmt.Sprint(m.To) != "[carol@example.test]" {
		t.Errorf("to %v", m.To)
	}
	away.Store(1)
	s.want("known", rcpt("yes@inner.test"), "250")
	s.want("unsure", rcpt("new@inner.test"), "451 4.")
	s.ekiden("domain", "set", "inner.test", "--relay-unsure", "accept")
	s.want("unsure, and taken", send("three", "new@inner.test"), "250")
	away.Store(0)
	s.waits(inner, "Subject: three")
	for _, m := range s.smart.Taken() {
		t.Errorf("the smart host was given mail for %v", m.To)
	}
}

// TestHeldAccount: what a held account sends is taken, waits, and goes out when
// an operator says so; what comes for it arrives.
func TestHeldAccount(t *testing.T) {
	s := start(t, "[sending]\nhide_client = true\n")
	s.ekiden("account", "hold", "alice@example.test", "--reason", "a test")
	c := s.login("alice@example.test")
	text := "From: alice@example.test\r\nTo: a..b@docomo.example\r\nSubject: held\r\n\r\nhi\r\n"
	if err := c.Mail("alice@example.test", []string{"a..b@docomo.example", `"c."@docomo.example`}, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if out := s.ekiden("queue", "list", "--state", "held"); strings.Count(out, "held") != 2 {
		t.Errorf("queue: %s", out)
	}
	if out := s.ekiden("account", "release", "alice@example.test"); !strings.Contains(out, "2 held deliveries released") {
		t.Error(out)
	}
	m := s.waits(s.smart, "Subject: held")
	if got := strings.Join(m.To, " "); got != `a..b@docomo.example "c."@docomo.example` {
		t.Errorf("to %s", got)
	}
	if head, _, _ := strings.Cut(string(m.Content), "From: "); strings.Contains(head, "laptop") || strings.Contains(head, "127.0.0.1") {
		t.Errorf("the client is told: %s", head)
	}
	if err := c.Mail("bob@example.test", []string{"a@far.test"}, []byte(text)); err == nil || !strings.Contains(err.Error(), "alice@example.test may not send as <bob@example.test>") {
		t.Error(err)
	}
	s.ekiden("account", "grant", "add", "alice@example.test", "@lists.test")
	if err := c.Mail("any@lists.test", []string{"a@far.test"}, []byte("From: other@lists.test\r\nSubject: granted\r\n\r\nhi\r\n")); err != nil {
		t.Error(err)
	}
	c.Quit()
	s.waits(s.smart, "Subject: granted")
	s.stop() // which writes what was sent; the release forgot who had been new
	if out := s.ekiden("account", "show", "alice@example.test"); !strings.Contains(out, "messages 2, recipients 3 (1 new, 0 refused)") {
		t.Error(out)
	}
	s.ekiden("verify", "store")
}
