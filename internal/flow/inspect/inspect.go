// Package inspect looks at a domain's mail as the world does: names, signatures,
// policies, lines and lists. It changes nothing, and sends no mail.
package inspect

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/trust/dnsbl"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Level is how bad a finding is.
type Level int

// The levels.
const (
	Good Level = iota // as it should be
	Note              // could be better, or cannot be told
	Warn              // will cost mail with some
	Bad               // wrong: it costs mail, or lets others forge it
)

var levelWords = [...]string{"good", "note", "warn", "bad"}

// String is the level in a word.
func (l Level) String() string { return levelWords[l] }

// MarshalText is String.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one thing that was looked at.
type Finding struct {
	Topic string `json:"topic"` // as "SPF"
	Level Level  `json:"level"`
	Said  string `json:"said"`           // what was found
	Mend  string `json:"mend,omitempty"` // what it means, and what to do
}

// Report is what was found of a domain, in the order of topics.
type Report struct {
	Domain   mail.Domain `json:"domain"`
	Findings []Finding   `json:"findings"`
}

// Worst is the worst level of all findings.
func (r Report) Worst() Level {
	worst := Good
	for _, f := range r.Findings {
		worst = max(worst, f.Level)
	}
	return worst
}

// Options of an inspection. Resolver, Dial and Fetch must be given.
type Options struct {
	Resolver dns.Resolver
	Dial     func(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error)
	// Fetch gives the body at an https URL and its media type.
	Fetch    func(ctx context.Context, url string, limit int64) (body []byte, media string, err error)
	SMTP     smtpc.Options // how lines to hosts are opened: our name, whom to trust
	Port     int           // of other servers
	Lists    []List
	Lab      bool     // private addresses are as they should be
	Selector []string // of DKIM keys that are looked for besides those that are common
	Now      func() time.Time
}

// List is a list of addresses with where to have one taken off.
type List struct {
	dnsbl.List
	Delist string // URL
}

// Lists are well-known lists (Options.Lists). They count for the finding only: what
// they score nowhere.
func Lists() []List {
	return []List{
		{dnsbl.List{Zone: "zen.spamhaus.org"}, "https://check.spamhaus.org/"},
		{dnsbl.List{Zone: "b.barracudacentral.org"}, "https://www.barracudacentral.org/rbl/removal-request"},
		{dnsbl.List{Zone: "bl.spamcop.net"}, "https://www.spamcop.net/bl.shtml"},
		{dnsbl.List{Zone: "psbl.surriel.com"}, "https://psbl.org/remove"},
		{dnsbl.List{Zone: "dnsbl.dronebl.org"}, "https://dronebl.org/lookup"},
	}
}

// Limits of an inspection.
const (
	maxHosts = 10               // mail hosts that are looked at
	maxAddrs = 8                // addresses of one that are
	perHost  = 20 * time.Second // for a line to one
	perTopic = 40 * time.Second
)

// topic is one part of the inspection.
type topic func(context.Context, *subject)

// subject is what is inspected, with what all topics need to know.
type subject struct {
	o      Options
	domain mail.Domain
	hosts  []host
	none   bool // the domain takes no mail
	report *part
}

// host is a mail host of the domain.
type host struct {
	name   string
	addrs  []dns.Record
	secure bool // its name's answer and the MX record are signed
}

// part collects the findings of one topic.
type part struct {
	name  string
	found []Finding
}

func (s *subject) say(l Level, mend string, format string, args ...any) {
	s.report.found = append(s.report.found, Finding{s.report.name, l, fmt.Sprintf(format, args...), mend})
}

// Domain inspects a domain. It takes a minute at most.
func Domain(ctx context.Context, d mail.Domain, o Options) Report {
	if o.Now == nil {
		o.Now = time.Now
	}
	first := &subject{o: o, domain: d, report: &part{name: "MX"}}
	within, cancel := context.WithTimeout(ctx, perTopic)
	first.mx(within)
	cancel()
	topics := []struct {
		name string
		look topic
	}{
		{"DNSSEC", dnssecOf}, {"hosts", hostsOf}, {"SPF", spfOf}, {"DKIM", dkimOf}, {"DMARC", dmarcOf}, {"MTA-STS", stsOf}, {"TLSRPT", rptOf},
		{"TLS", linesOf}, {"CAA", caaOf}, {"reverse names", reverseOf}, {"lists", listsOf},
	}
	parts := make([]*part, len(topics))
	var work sync.WaitGroup
	for i, t := range topics {
		parts[i] = &part{name: t.name}
		s := *first
		s.report = parts[i]
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, perTopic)
			defer cancel()
			t.look(ctx, &s)
		})
	}
	work.Wait()
	r := Report{d, first.report.found}
	for _, p := range parts {
		r.Findings = append(r.Findings, p.found...)
	}
	return r
}

// texts gives the TXT records of a name that begin with a word.
func (s *subject) texts(ctx context.Context, name, begin string) (all []string, secure bool, err error) {
	a, err := s.o.Resolver.Lookup(ctx, name, dns.TypeTXT)
	if dns.Absent(err) {
		return nil, a.Secure, nil
	}
	for _, r := range a.Records {
		if len(r.Text) >= len(begin) && r.Text[:len(begin)] == begin {
			all = append(all, r.Text)
		}
	}
	return all, a.Secure, err
}

// each looks at the hosts side by side, and keeps the findings in their order.
func (s *subject) each(look func(*subject, host)) {
	parts := make([]*part, len(s.hosts))
	var work sync.WaitGroup
	for i, h := range s.hosts {
		parts[i] = &part{name: s.report.name}
		one := *s
		one.report = parts[i]
		work.Go(func() { look(&one, h) })
	}
	work.Wait()
	for _, p := range parts {
		s.report.found = slices.Concat(s.report.found, p.found)
	}
}
