package judge

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ekiden-mail/ekiden/internal/trust/arc"
	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/trust/dmarc"
	"github.com/ekiden-mail/ekiden/internal/trust/dnsbl"
	"github.com/ekiden-mail/ekiden/internal/trust/iprev"
	"github.com/ekiden-mail/ekiden/internal/trust/spf"
)

// honest is a sender against whom nothing speaks.
func honest() Sender {
	return Sender{
		IP: netip.MustParseAddr("192.0.2.1"), Greeting: "mx.x.test", MailFrom: "a@x.test", From: 1,
		Reverse: iprev.Result{Code: iprev.Pass, Name: "mx.x.test"}, Helo: iprev.Result{Code: iprev.Pass}, HeloSPF: spf.Result{Code: spf.None, Domain: "mx.x.test"},
		SPF: spf.Result{Code: spf.Pass, Domain: "x.test", Mechanism: "mx"}, DKIM: []dkim.Result{{Code: dkim.Pass, Domain: "x.test"}}, ARC: arc.Result{Code: arc.None},
		DMARC: dmarc.Result{Code: dmarc.Pass, Author: "x.test", Domain: "x.test", Policy: dmarc.Reject, SPF: true, DKIM: true},
	}
}

// forged is one in the name of x.test.
func forged(p dmarc.Policy) Sender {
	s := honest()
	s.SPF.Code, s.DKIM[0].Code = spf.Fail, dkim.Fail
	s.DMARC = dmarc.Result{Code: dmarc.Fail, Author: "x.test", Domain: "x.test", Policy: p}
	return s
}

func TestSender(t *testing.T) {
	set := Settings{JunkAt: DefaultJunkAt, RejectAt: 10, Sealers: []string{"list.test"}}
	sealed := arc.Result{Code: arc.Pass, Sealers: []string{"a.test", "list.test"}, Results: "list.test; spf=pass; dmarc=pass"}
	for _, c := range []struct {
		name   string
		change func(*Sender)
		set    func(*Settings)
		from   Sender
		want   Action
		reply  string
		why    string
	}{
		{"honest", nil, nil, honest(), Accept, "", "dmarc: x.test vouches for the message, by SPF and DKIM"},
		{"forged, p=reject", nil, nil, forged(dmarc.Reject), Reject,
			"550 5.7.26 refused by the DMARC policy of x.test: neither SPF nor DKIM shows that the message is from x.test",
			"dmarc: neither SPF nor DKIM shows that the message is from x.test, which wants such mail to be refused; spf: x.test says that its mail does not come from 192.0.2.1 (+3)"},
		{"forged, p=quarantine", nil, nil, forged(dmarc.Quarantine), Junk, "", "dmarc: neither SPF nor DKIM shows that the message is from x.test, which wants such mail to be set aside; " +
			"spf: x.test says that its mail does not come from 192.0.2.1 (+3)"},
		{"forged, p=none", nil, nil, forged(dmarc.None), Accept, "", "dmarc: neither SPF nor DKIM shows that the message is from x.test, which does not mind; " +
			"spf: x.test says that its mail does not come from 192.0.2.1 (+3)"},
		{"forged, not heeded", nil, func(s *Settings) { s.IgnoreDMARC = true }, forged(dmarc.Reject), Accept, "",
			"dmarc: neither SPF nor DKIM shows that the message is from x.test, whose policy (reject) is not heeded here; spf: x.test says that its mail does not come from 192.0.2.1 (+3)"},
		{"changed by a trusted list", func(s *Sender) { s.ARC, s.SPF.Code = sealed, spf.Pass }, nil, forged(dmarc.Reject), Accept, "",
			"dmarc: neither SPF nor DKIM shows that the message is from x.test, but list.test says that it was in order (ARC)"},
		{"changed by another", func(s *Sender) { s.ARC, s.SPF.Code = sealed, spf.Pass }, func(s *Settings) { s.Sealers = []string{"a.test"} }, forged(dmarc.Quarantine), Junk, "",
			"dmarc: neither SPF nor DKIM shows that the message is from x.test, which wants such mail to be set aside"},
		{"no policy, signed", func(s *Sender) { s.DMARC = dmarc.Result{Code: dmarc.Absent, Author: "x.test"} }, nil, honest(), Accept, "", "dmarc: x.test has no policy; the message is signed by x.test"},
		{"no policy, and SPF", func(s *Sender) { s.DMARC, s.DKIM = dmarc.Result{Code: dmarc.Absent, Author: "x.test"}, nil }, nil, honest(), Accept, "",
			"dmarc: x.test has no policy; x.test says that its mail comes from 192.0.2.1"},
		{"the DNS fails", func(s *Sender) {
			s.DMARC = dmarc.Result{Code: dmarc.TempError, Author: "x.test", Problem: "p"}
			s.SPF.Code, s.HeloSPF.Code, s.Reverse.Code, s.Helo.Code, s.DKIM[0].Code = spf.TempError, spf.TempError, iprev.TempError, iprev.TempError, dkim.TempError
			s.Unasked = []string{"bad.test"}
		}, nil, honest(), Accept, "", "dmarc: it is not known now whether x.test vouches for the message: p"},
		{"nobody, from nowhere", func(s *Sender) {
			s.Reverse.Code, s.Helo.Code, s.Greeting = iprev.PermError, iprev.PermError, "x"
			s.DMARC = dmarc.Result{Code: dmarc.Absent, Author: "x.test"}
		}, nil, forged(""), Junk, "", "dmarc: x.test has no policy, so that nothing shows whether the message is from there; spf: x.test says that its mail does not come from 192.0.2.1 (+3); " +
			`iprev: the address 192.0.2.1 has no name (+1); helo: the server greeted as "x", which is no host's name (+1)`},
		{"two authors' fields", func(s *Sender) { s.From = 2 }, nil, honest(), Junk, "", "dmarc: x.test vouches for the message, by SPF and DKIM; author: the message has 2 From fields (+5)"},
		{"no author", func(s *Sender) { s.From, s.DMARC = 0, dmarc.Result{Code: dmarc.PermError, Problem: "p"} }, nil, honest(), Accept, "", "author: p (+2)"},
		{"many authors", func(s *Sender) { s.Authors, s.DMARC = 4, dmarc.Result{Code: dmarc.PermError, Problem: "p"} }, nil, honest(), Junk, "", "author: p (+5)"},
		{"listed, and known to be good", func(s *Sender) {
			s.Listed = []dnsbl.Listing{{Zone: "bad.test", Subject: "192.0.2.1", Score: 6}, {Zone: "good.test", Subject: "192.0.2.1", Score: -2}}
		}, nil, honest(), Accept, "",
			"dmarc: x.test vouches for the message, by SPF and DKIM; list: 192.0.2.1 is listed by bad.test (), score +6 (+6); list: 192.0.2.1 is listed by good.test (), score -2 (-2)"},
		{"listed everywhere", func(s *Sender) { s.Listed = []dnsbl.Listing{{Zone: "bad.test", Subject: "192.0.2.1", Score: 11}} }, nil, honest(), Reject,
			"550 5.7.1 the message is not wanted here: 192.0.2.1 is listed by bad.test (), score +11", "dmarc: x.test vouches for the message, by SPF and DKIM; list: 192.0.2.1 is listed by bad.test (), score +11 (+11)"},
	} {
		s, with := c.from, set
		if c.change != nil {
			c.change(&s)
		}
		if c.set != nil {
			c.set(&with)
		}
		v := Judge(AtData, &Evidence{Sender: &s}, &with)
		reply := ""
		if v.Refuses() {
			reply = v.Reply.String()
		}
		if v.Action != c.want || reply != c.reply || v.Why() != c.why {
			t.Errorf("%s: %s %q\n%s\nwant\n%s", c.name, v.Action, reply, v.Why(), c.why)
		}
		if before := Judge(AtRcpt, &Evidence{Sender: &s}, &with); before.Action != Accept {
			t.Errorf("%s: %s before the message is here", c.name, before.Action)
		}
	}
}

// TestWorse is metamorphic: whatever is known, more of what speaks against a sender
// never makes the verdict milder.
func TestWorse(t *testing.T) {
	worse := func(s *Sender) map[string]func() {
		return map[string]func(){
			"SPF soft":     func() { s.SPF.Code = weaker(s.SPF.Code, spf.SoftFail) },
			"SPF fail":     func() { s.SPF.Code, s.HeloSPF.Code = spf.Fail, spf.Fail },
			"no name":      func() { s.Reverse.Code = iprev.PermError },
			"bad greeting": func() { s.Helo.Code = iprev.PermError },
			"listed":       func() { s.Listed = append(s.Listed, dnsbl.Listing{Zone: "bad.test", Score: 2.5}) },
			"quarantine": func() {
				if s.DMARC.Policy != dmarc.Reject || s.DMARC.Code != dmarc.Fail {
					s.DMARC.Code, s.DMARC.Policy = dmarc.Fail, dmarc.Quarantine
				}
			},
			"reject":          func() { s.DMARC.Code, s.DMARC.Policy = dmarc.Fail, dmarc.Reject },
			"two authors":     func() { s.From = 2 },
			"the seal breaks": func() { s.ARC = arc.Result{Code: arc.Fail} },
		}
	}
	var names []string
	for name := range worse(&Sender{}) {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := honest()
		s.DMARC.Code = rapid.SampledFrom([]dmarc.Code{dmarc.Pass, dmarc.Absent, dmarc.TempError, dmarc.Fail}).Draw(t, "dmarc")
		s.DMARC.Policy = rapid.SampledFrom([]dmarc.Policy{dmarc.None, dmarc.Quarantine, dmarc.Reject}).Draw(t, "policy")
		s.SPF.Code = rapid.SampledFrom([]spf.Code{spf.Pass, spf.None, spf.Neutral, spf.SoftFail, spf.TempError, spf.PermError}).Draw(t, "spf")
		if rapid.Bool().Draw(t, "sealed") {
			s.ARC = arc.Result{Code: arc.Pass, Sealers: []string{"list.test"}, Results: "list.test; dmarc=pass"}
		}
		if rapid.Bool().Draw(t, "known") {
			s.Listed = append(s.Listed, dnsbl.Listing{Zone: "good.test", Score: -3})
		}
		set := Settings{
			JunkAt: rapid.Float64Range(0, 10).Draw(t, "junk at"), RejectAt: rapid.Float64Range(0, 20).Draw(t, "reject at"),
			IgnoreDMARC: rapid.Bool().Draw(t, "ignore"), Sealers: []string{"list.test"},
		}
		before := Judge(AtData, &Evidence{Sender: &s}, &set).Action
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			name := rapid.SampledFrom(names).Draw(t, "what")
			worse(&s)[name]()
			after := Judge(AtData, &Evidence{Sender: &s}, &set).Action
			if after < before {
				t.Fatalf("%s: %s after %s", name, after, before)
			}
			before = after
		}
	})
}

// weaker is the worse of two results.
func weaker(a, b spf.Code) spf.Code {
	if a == spf.Fail {
		return a
	}
	return b
}

// TestResults has the evidence as a header field, and in one line.
func TestResults(t *testing.T) {
	s := forged(dmarc.Reject)
	s.Over, s.Unasked = 3, []string{"A of x: timeout"}
	want := "spf fail a@x.test, dkim fail x.test, dmarc fail x.test, arc none, iprev pass 192.0.2.1, 3 more signatures, A of x: timeout"
	if got := s.String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	var methods []string
	for _, r := range s.Results() {
		methods = append(methods, r.Method+"="+r.Result)
	}
	if got := strings.Join(methods, " "); got != "spf=fail dkim=fail dmarc=fail arc=none iprev=pass" {
		t.Error(got)
	}
	if got := fmt.Sprint((&Sender{}).Results()); got != "[]" {
		t.Error(got)
	}
}
