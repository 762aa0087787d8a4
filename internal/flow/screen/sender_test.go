package screen_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/flow/gather"
	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/flow/prove"
	"github.com/ekiden-mail/ekiden/internal/flow/receive"
	"github.com/ekiden-mail/ekiden/internal/flow/screen"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/filter"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

const senders = `
	good.test         MX  10 mx.good.test
	good.test         TXT v=spf1 mx -all
	mx.good.test      A   192.0.2.1
	1.2.0.192.in-addr.arpa PTR mx.good.test
	_dmarc.good.test  TXT v=DMARC1; p=reject
	_dmarc.aside.test TXT v=DMARC1; p=quarantine
	late.test         SERVFAIL TXT
	_dmarc.late.test  SERVFAIL`

// TestSender has strangers' mail judged by who sent it and who wrote it.
func TestSender(t *testing.T) {
	for _, c := range []struct {
		name, ip, helo, from, header string
		filters                      []gather.Filter
		reply                        string
		inbox, junk                  int
		results, story               string
	}{
		{"honest", "192.0.2.1", "mx.good.test", "a@good.test", "From: a@good.test\r\n", nil, "250 2.0.0", 1, 0,
			"accept; dmarc: good.test vouches for the message, by SPF mx.example.test; spf=pass (mx) smtp.mailfrom=a@good.test; " +
				"dkim=none (the message has no signature); dmarc=pass (by SPF) header.from=good.test policy.dmarc=reject; arc=none smtp.remote-ip=192.0.2.1; " +
				"iprev=pass (mx.good.test) policy.iprev=192.0.2.1", "accepted; judged accept; delivered"},
		{"forged", "192.0.2.9", "mx.good.test", "a@good.test", "From: a@good.test\r\n", nil,
			"550 5.7.26 refused by the DMARC policy of good.test: neither SPF nor DKIM shows that the message is from good.test", 0, 0, "", "judged reject"},
		{"to be set aside", "192.0.2.1", "mx.good.test", "a@good.test", "From: a@aside.test\r\n", nil, "250 2.0.0", 0, 1,
			"junk; dmarc: neither SPF nor DKIM shows that the message is from aside.test, which wants such mail to be set aside ", "accepted; judged junk; delivered"},
		{"the DNS fails", "192.0.2.1", "mx.good.test", "a@late.test", "From: a@late.test\r\n", nil, "250 2.0.0", 1, 0,
			"accept; dmarc: it is not known now whether late.test vouches", "accepted; judged accept; delivered"},
		{"a filter has a word too", "192.0.2.1", "mx.good.test", "a@good.test", "From: a@good.test\r\n", []gather.Filter{asking("f", filter.Opinion{Says: filter.Junk, Reason: "odd"})},
			"250 2.0.0", 0, 1, "junk; dmarc: good.test vouches for the message, by SPF; f: odd ", "accepted; judged junk; delivered"},
		{"who says to be us", "192.0.2.1", "mx.good.test", "a@good.test",
			"Authentication-Results: MX.example.test; dmarc=pass\r\nEkiden-Verdict: accept\r\nAuthentication-Results: other.test; spf=pass\r\nFrom: a@good.test\r\n", nil, "250 2.0.0", 1, 0,
			"accept; dmarc: good.test vouches", "accepted; judged accept; delivered"},
	} {
		b := openBed(t)
		for i := range c.filters {
			c.filters[i].Inbound = true
		}
		g := gather.New(gather.Options{Filters: c.filters, Blobs: b.blobs, Sink: b.events, Prover: prove.New(prove.Options{Resolver: dnstest.New(senders), Hostname: "mx.example.test"})})
		s := screen.New(screen.Options{Gather: g, Settings: judge.Settings{JunkAt: judge.DefaultJunkAt}, Deliver: b.deliver, Refusals: b.refusals, Sink: b.events, Hostname: "mx.example.test"})
		r := receive.New(receive.Options{Deliver: b.deliver, Blobs: b.blobs, Screen: s, Hostname: "mx.example.test"})
		from, err := mail.ParseAddress(c.from)
		b.must(err)
		p := &mail.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(c.ip), 4711), Helo: c.helo, ESMTP: true}
		tx, _ := r.Begin(t.Context(), p, from, smtp.MailOptions{})
		if reply := tx.Rcpt(t.Context(), address("alice"), smtp.RcptOptions{}); !reply.OK() {
			t.Fatal(reply)
		}
		reply := tx.Data(t.Context(), strings.NewReader(c.header+"Subject: hello\r\n\r\nHi.\r\n"))[0].String()
		if !strings.HasPrefix(reply, c.reply) {
			t.Errorf("%s: %s", c.name, reply)
		}
		inbox, junk := b.lies("alice", mailbox.RoleInbox), b.lies("alice", mailbox.RoleJunk)
		if len(inbox) != c.inbox || len(junk) != c.junk {
			t.Errorf("%s: %d in the inbox, %d junk", c.name, len(inbox), len(junk))
		}
		if got := b.story(from); got != c.story {
			t.Errorf("%s: history %q", c.name, got)
		}
		for _, text := range append(inbox, junk...) {
			head, _, _ := strings.Cut(text, "\r\n\r\n")
			told := strings.NewReplacer("\r\n ", " ", "\r\n\t", " ", "\r\nAuthentication-Results:", "", "Ekiden-Verdict: ", "").Replace(head)
			told = strings.Join(strings.Fields(told), " ")
			if !strings.HasPrefix(told, strings.TrimSpace(c.results)) {
				t.Errorf("%s: %s", c.name, told)
			}
			if n := strings.Count(strings.ToLower(head), "authentication-results: mx.example.test"); n != 1 || strings.Count(head, "Ekiden-Verdict:") != 1 {
				t.Errorf("%s: %d results of ours:\n%s", c.name, n, head)
			}
			if strings.Contains(c.header, "other.test") != strings.Contains(head, "other.test; spf=pass") {
				t.Errorf("%s: what others found:\n%s", c.name, head)
			}
		}
	}
}

// TestOwnWishes has accounts that want forged mail judged otherwise than the rest of
// the server.
func TestOwnWishes(t *testing.T) {
	b := openBed(t)
	b.must(b.directory.UpdateAccount(t.Context(), address("bob"), func(a *directory.Account) error { a.Screening.DMARC = directory.Ignore; return nil }))
	g := gather.New(gather.Options{Blobs: b.blobs, Sink: b.events, Prover: prove.New(prove.Options{Resolver: dnstest.New(senders)})})
	s := screen.New(screen.Options{Gather: g, Of: b.directory.ScreeningOf, Deliver: b.deliver, Refusals: b.refusals, Sink: b.events, Hostname: "mx.example.test"})
	r := receive.New(receive.Options{Deliver: b.deliver, Blobs: b.blobs, Screen: s, Hostname: "mx.example.test"})
	send := func(to ...string) string {
		tx, _ := r.Begin(t.Context(), &mail.Peer{Addr: netip.MustParseAddrPort("192.0.2.9:1")}, mail.Address{Local: "a", Domain: "good.test"}, smtp.MailOptions{})
		for _, local := range to {
			if reply := tx.Rcpt(t.Context(), address(local), smtp.RcptOptions{}); !reply.OK() {
				t.Fatal(reply)
			}
		}
		return tx.Data(t.Context(), strings.NewReader("From: a@good.test\r\n\r\nHi.\r\n"))[0].String()
	}
	count := func(local string) [2]int {
		return [2]int{len(b.lies(local, mailbox.RoleInbox)), len(b.lies(local, mailbox.RoleJunk))}
	}
	if reply := send("alice"); !strings.HasPrefix(reply, "550 5.7.26") {
		t.Errorf("alice: %s", reply)
	}
	if reply := send("bob"); !strings.HasPrefix(reply, "250") || count("bob") != [2]int{1, 0} {
		t.Errorf("bob: %s, %v", reply, count("bob"))
	}
	if reply := send("alice", "bob"); !strings.HasPrefix(reply, "250") || count("bob") != [2]int{2, 0} || count("alice") != [2]int{0, 1} {
		t.Errorf("both: %s, bob %v, alice %v", reply, count("bob"), count("alice"))
	}
	b.must(b.directory.UpdateDomain(t.Context(), "example.test", func(d *directory.Domain) error { d.Settings.Screening.DMARC = directory.Ignore; return nil }))
	if reply := send("alice"); !strings.HasPrefix(reply, "250") || count("alice") != [2]int{1, 1} {
		t.Errorf("alice, by her domain: %s, %v", reply, count("alice"))
	}
	b.must(b.directory.UpdateDomain(t.Context(), "example.test", func(d *directory.Domain) error { d.Settings.Screening.JunkAt = 3; return nil }))
	if reply := send("alice"); !strings.HasPrefix(reply, "250") || count("alice") != [2]int{1, 2} {
		t.Errorf("alice, with fewer points: %s, %v", reply, count("alice"))
	}
}
