// Package exchange lets two servers send to each other over names of their own.
package exchange

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const soon = 20 * time.Second

// outbound is the port all servers of this test are reached at.
const outbound = "10025"

// zone are the records of a domain with one MX host.
func zone(domain, addr string) []string {
	return []string{
		fmt.Sprintf("%s. 60 IN MX 10 mx.%s.", domain, domain),
		fmt.Sprintf("mx.%s. 60 IN A %s", domain, addr),
	}
}

func start(t *testing.T, domain, bind string, d *blackbox.DNS, args ...string) *blackbox.Server {
	t.Helper()
	return blackbox.Start(t, blackbox.Options{
		Domain: domain, Bind: bind, PortBase: 10000,
		Args: append([]string{"--resolver", d.Addr, "--outbound-port", outbound, "--retry-first", "1s"}, args...),
	})
}

// submit sends a message of alice's by submission and gives its Message-ID.
func submit(t *testing.T, s *blackbox.Server, body string, to ...string) {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("submissions"), s.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Quit()
	if err := c.Login(s.Address("alice"), blackbox.Password); err != nil {
		t.Fatal(err)
	}
	m := fmt.Sprintf("From: Alice <%s>\r\nTo: %s\r\nSubject: exchange\r\nMessage-ID: <%d@%s>\r\nDate: Tue, 3 Mar 2026 10:00:00 +0000\r\n\r\n%s",
		s.Address("alice"), strings.Join(to, ", "), time.Now().UnixNano(), s.Domain, body)
	if err := c.Mail(s.Address("alice"), to, []byte(m)); err != nil {
		t.Fatal(err)
	}
}

// report waits for a report in alice's INBOX and checks its fields.
func report(t *testing.T, s *blackbox.Server, recipient, action, status string) string {
	t.Helper()
	m := string(s.WaitFor("alice", "INBOX", "Final-Recipient: rfc822; "+recipient, soon))
	for _, want := range []string{"\r\nAction: " + action + "\r\n", "\r\nStatus: " + status, "report-type=", "message/delivery-status",
		"multipart/report", "Reporting-MTA: dns; " + s.Hostname, "Return-Path: <>\r\n", "Auto-Submitted: auto-replied\r\n"} {
		if !strings.Contains(strings.ReplaceAll(m, ";"+recipient, "; "+recipient), want) {
			t.Errorf("the report on %s has no %q:\n%s", recipient, want, m)
		}
	}
	return m
}

func TestTwoServers(t *testing.T) {
	addrA, addrB := blackbox.FreeAddress(t), blackbox.FreeAddress(t)
	d := blackbox.StartDNS(t, append(zone("a.test", addrA), zone("b.test", addrB)...)...)
	a, b := start(t, "a.test", addrA, d), start(t, "b.test", addrB, d)

	const body = "From a to b.\r\n.\r\n..\r\n\r\nna\xc3\xafve, 8 bit\r\n"
	submit(t, a, body, "bob@b.test", "bob@a.test")
	for _, m := range [][]byte{b.WaitFor("bob", "INBOX", "From a to b", soon), a.WaitFor("bob", "INBOX", "From a to b", soon)} {
		if !bytes.HasSuffix(m, []byte("\r\n\r\n"+body)) {
			t.Errorf("the body was changed:\n%q", m)
		}
		if !bytes.HasPrefix(m, []byte("Return-Path: <alice@a.test>\r\n")) {
			t.Errorf("no Return-Path on top:\n%s", m)
		}
	}
	m := b.WaitFor("bob", "INBOX", "From a to b", soon)
	if n := bytes.Count(m, []byte("\nReceived: ")); n != 2 {
		t.Errorf("%d Received fields, not 2:\n%s", n, m)
	}
	if !bytes.Contains(m, []byte("ESMTPS")) {
		t.Errorf("not over TLS:\n%s", m)
	}
	submit(t, b, "From b to a.\r\n", "bob@a.test")
	a.WaitFor("bob", "INBOX", "From b to a", soon)

	// A bounce for one of two recipients; the other gets the message.
	submit(t, a, "Half of it.\r\n", "nobody@b.test", "bob@b.test")
	b.WaitFor("bob", "INBOX", "Half of it", soon)
	r := report(t, a, "nobody@b.test", "failed", "5.1.1")
	for _, want := range []string{"Remote-MTA: dns; mx.b.test", "Diagnostic-Code: smtp; 550", "Half of it"} {
		if !strings.Contains(r, want) {
			t.Errorf("the report has no %q:\n%s", want, r)
		}
	}
	if n := len(a.Messages("alice", "INBOX")); n != 1 {
		t.Errorf("%d reports, not 1", n)
	}
	if out := a.Command("queue", "list", "--json"); strings.Contains(out, "@") {
		t.Errorf("the queue is not empty at the end: %s", out)
	}
}

func TestNowhere(t *testing.T) {
	addr := blackbox.FreeAddress(t)
	d := blackbox.StartDNS(t, append(zone("a.test", addr), "null.test. 60 IN MX 0 .", "null.test. 60 IN A "+addr)...)
	a := start(t, "a.test", addr, d)
	submit(t, a, "To a null MX.\r\n", "bob@null.test")
	report(t, a, "bob@null.test", "failed", "5.1.10")
	submit(t, a, "To no domain.\r\n", "bob@missing.test")
	report(t, a, "bob@missing.test", "failed", "5.1.2")
}

// TestLateHost sends while the other server is down, and while the better of
// two is.
func TestLateHost(t *testing.T) {
	addrA, addrB, dead := blackbox.FreeAddress(t), blackbox.FreeAddress(t), blackbox.FreeAddress(t)
	records := append(zone("a.test", addrA), zone("b.test", addrB)...)
	records = append(records,
		"alone.test. 60 IN A "+addrB, // no MX: the domain is its own host (RFC 5321 §5.1)
		"b.test. 60 IN MX 5 dead.b.test.", "dead.b.test. 60 IN A "+dead)
	d := blackbox.StartDNS(t, records...)
	a := start(t, "a.test", addrA, d)
	submit(t, a, "To a host that is down.\r\n", "bob@b.test")
	blackbox.Eventually(t, soon, "a first attempt in the queue's list", func() bool {
		return strings.Contains(a.Command("queue", "list", "--json"), "bob@b.test")
	})
	time.Sleep(500 * time.Millisecond)

	// What waits survives a restart.
	a.Stop()
	a.Restart()
	b := start(t, "b.test", addrB, d, "--domain", "alone.test", "--account", "bob@alone.test:"+blackbox.Password)
	b.WaitFor("bob", "INBOX", "To a host that is down", 30*time.Second)

	submit(t, a, "Without an MX.\r\n", "bob@alone.test")
	blackbox.Eventually(t, soon, "mail for a domain without MX", func() bool {
		i, err := blackbox.DialIMAP(b.Addr("imaps"), b.TLS(), "bob@alone.test", blackbox.Password)
		if err != nil {
			t.Fatal(err)
		}
		defer i.Logout()
		n, err := i.Select("INBOX")
		return err == nil && n == 1
	})
	if n := len(b.Messages("bob", "INBOX")); n != 1 {
		t.Errorf("bob has %d messages, not 1", n)
	}
}

func TestGivingUp(t *testing.T) {
	addr := blackbox.FreeAddress(t)
	d := blackbox.StartDNS(t, append(zone("a.test", addr), zone("down.test", blackbox.FreeAddress(t))...)...)
	a := start(t, "a.test", addr, d, "--warn-after", "1s", "--give-up-after", "5s")
	submit(t, a, "Nobody there.\r\n", "bob@down.test")
	blackbox.Eventually(t, 40*time.Second, "a warning and a failure", func() bool {
		time.Sleep(200 * time.Millisecond)
		all := string(bytes.Join(a.Messages("alice", "INBOX"), nil))
		return strings.Contains(all, "\r\nAction: delayed\r\n") && strings.Contains(all, "\r\nAction: failed\r\n")
	})
	if n := len(a.Messages("alice", "INBOX")); n != 2 {
		t.Errorf("%d reports, not 2", n)
	}
}

// TestDeferral meets a server that says 451 at first, and one that breaks the
// line after the final dot.
func TestDeferral(t *testing.T) {
	addr, other := blackbox.FreeAddress(t), blackbox.FreeAddress(t)
	d := blackbox.StartDNS(t, append(zone("a.test", addr), zone("other.test", other)...)...)
	sink := blackbox.StartSink(t, net.JoinHostPort(other, outbound), "", "")
	refused := make(chan struct{}, 1)
	sink.Answer = func(command string) string {
		if strings.HasPrefix(command, "RCPT") {
			select {
			case refused <- struct{}{}:
				return "451 4.3.0 not now"
			default:
			}
		}
		return ""
	}
	a := start(t, "a.test", addr, d)
	submit(t, a, "Try again.\r\n", "bob@other.test")
	blackbox.Eventually(t, 30*time.Second, "the message at the second attempt", func() bool { return len(sink.Taken()) == 1 })
	m := sink.Taken()[0]
	if m.From != "alice@a.test" || len(m.To) != 1 || m.To[0] != "bob@other.test" || !bytes.HasSuffix(m.Content, []byte("\r\n\r\nTry again.\r\n")) {
		t.Errorf("came as %+v", m)
	}
	time.Sleep(2 * time.Second)
	if n := len(sink.Taken()); n != 1 {
		t.Errorf("came %d times", n)
	}
}

func TestSmartHost(t *testing.T) {
	addr, other := blackbox.FreeAddress(t), blackbox.FreeAddress(t)
	sink := blackbox.StartSink(t, net.JoinHostPort(other, "10587"), "relay@smart.test", "let me: in")
	a := blackbox.Start(t, blackbox.Options{Domain: "a.test", Bind: addr, PortBase: 10000,
		Args: []string{"--smart-host", sink.Addr, "--smart-host-auth", "relay@smart.test:let me: in", "--retry-first", "1s"}})
	submit(t, a, "By the smart host.\r\n", "bob@anywhere.example", "carol@elsewhere.example", "bob@a.test")
	a.WaitFor("bob", "INBOX", "By the smart host", soon)
	blackbox.Eventually(t, soon, "both recipients at the smart host", func() bool {
		n := 0
		for _, m := range sink.Taken() {
			n += len(m.To)
		}
		return n == 2
	})
	for _, m := range sink.Taken() {
		if m.User != "relay@smart.test" || !m.TLS {
			t.Errorf("came without AUTH or TLS: %+v", m)
		}
	}
}

// TestQueueCommands holds, releases, retries and drops what waits, from outside.
func TestQueueCommands(t *testing.T) {
	addr, other := blackbox.FreeAddress(t), blackbox.FreeAddress(t)
	d := blackbox.StartDNS(t, append(zone("a.test", addr), zone("other.test", other)...)...)
	a := start(t, "a.test", addr, d, "--retry-first", "1h")
	list := func(words ...string) string {
		return a.Command(append([]string{"queue", "list", "--json"}, words...)...)
	}
	for _, to := range []string{"retried@other.test", "held@other.test", "dropped@other.test"} {
		submit(t, a, "Waits.\r\n", to)
	}
	blackbox.Eventually(t, soon, "the first attempts", func() bool { return strings.Count(list(), "refused") >= 3 })
	a.Command("queue", "drop", "dropped@other.test")
	a.Command("queue", "hold", "--recipient", "held@other.test")
	if out := list(); strings.Contains(out, "dropped@") || !strings.Contains(out, "held@") {
		t.Errorf("after drop and hold: %s", out)
	}
	if out := list("--state", "held"); strings.Contains(out, "retried@") || !strings.Contains(out, "held@") {
		t.Errorf("held: %s", out)
	}

	// The host comes up. An operator who says so is believed at once, whatever
	// was found a moment ago.
	sink := blackbox.StartSink(t, net.JoinHostPort(other, outbound), "", "")
	a.Command("queue", "retry")
	blackbox.Eventually(t, soon, "the message after `queue retry`", func() bool { return len(sink.Taken()) == 1 })
	if to := sink.Taken()[0].To[0]; to != "retried@other.test" {
		t.Errorf("what is held went out: %s", to)
	}
	a.Command("queue", "release", "held@other.test")
	a.Command("queue", "retry", "--domain", "other.test")
	blackbox.Eventually(t, soon, "the message after `queue release`", func() bool { return len(sink.Taken()) == 2 })
	blackbox.Eventually(t, soon, "an empty queue", func() bool { return !strings.Contains(list(), "@") })
	if n := len(a.Messages("alice", "INBOX")); n != 0 {
		t.Errorf("alice got %d reports; drop tells nobody", n)
	}
}
