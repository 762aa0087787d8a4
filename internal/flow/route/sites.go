package route

import (
	"context"
	_ "embed" // the rules for well-known providers
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// SiteRule is what is known of a provider.
type SiteRule struct {
	Name string
	MX   []string // what the names of its mail hosts end in, each with its first dot, or a whole name
	queue.Rule
}

//go:embed sites.tsv
var sitesTable string

// KnownSites are the rules that are shipped.
func KnownSites() ([]SiteRule, error) {
	var all []SiteRule
	for line := range strings.Lines(sitesTable) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			return nil, fmt.Errorf("%d fields: %q", len(f), line)
		}
		r := SiteRule{Name: f[0], MX: strings.Fields(f[4])}
		for i, n := range []*int{&r.Connections, &r.PerConnection, &r.PerMinute} {
			var err error
			if *n, err = strconv.Atoi(f[1+i]); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// Bounds of what is kept in mind.
const (
	maxLearned = 50_000 // domains
	learnedFor = 6 * time.Hour
	unknownFor = 5 * time.Minute // where the site could not be found out
	settles    = time.Minute     // before a domain is believed to have moved again
)

// Sites know which domains share their mail hosts: a provider with a thousand
// domains is one destination. They may be used by many goroutines.
type Sites struct {
	router *Router
	rules  []SiteRule
	named  map[mail.Domain]queue.Rule

	mu      sync.RWMutex
	learned map[mail.Domain]learned
}

type learned struct {
	site      mail.Domain
	at, until time.Time
}

// NewSites makes sites that know nothing yet but rules. Of two rules that fit,
// the first holds.
func NewSites(r *Router, rules []SiteRule) *Sites {
	s := &Sites{router: r, rules: rules, named: map[mail.Domain]queue.Rule{}, learned: map[mail.Domain]learned{}}
	for _, rule := range slices.Backward(rules) {
		s.named[mail.Domain(rule.Name)] = rule.Rule
	}
	return s
}

// Site names the site of a next hop, as far as it is known without asking
// anybody.
func (s *Sites) Site(hop mail.Domain) (site mail.Domain, known bool) {
	if s == nil || strings.ContainsAny(string(hop), ":@[") { // a smart host, or an address
		return hop, true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if l, ok := s.learned[hop]; ok && time.Now().Before(l.until) {
		return l.site, true
	}
	return hop, false
}

// Lately is the site of a next hop as it was found out last, however long ago.
func (s *Sites) Lately(hop mail.Domain) mail.Domain {
	if s == nil {
		return hop
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if l, ok := s.learned[hop]; ok {
		return l.site
	}
	return hop
}

// Rule bounds what a site is sent.
func (s *Sites) Rule(site mail.Domain) queue.Rule {
	if s == nil {
		return queue.Rule{}
	}
	return s.named[site]
}

// Learn finds out the site of a domain. One that has no mail hosts, or none that
// can be found out now, is at the site where it was, or else one of its own.
func (s *Sites) Learn(ctx context.Context, d mail.Domain) {
	now := time.Now()
	mx, _, err := s.router.mx(ctx, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch before, known := s.learned[d]; {
	case err == nil && len(mx) > 0:
		s.keep(d, learned{s.siteOf(mx), now, now.Add(learnedFor)})
	case known:
		s.keep(d, learned{before.site, now, now.Add(unknownFor)})
	default:
		s.keep(d, learned{d, now, now.Add(unknownFor)})
	}
}

// Moved learns the site of a domain from its MX that were just looked up, and says
// whether it is another than was thought. What changes within a moment is not
// followed.
func (s *Sites) Moved(d, thought mail.Domain, mx []dns.Record) bool {
	if s == nil || len(mx) == 0 {
		return false
	}
	now, site := time.Now(), s.siteOf(mx)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.learned[d]
	if site == thought || known && now.Sub(before.at) < settles {
		return false
	}
	s.keep(d, learned{site, now, now.Add(learnedFor)})
	return true
}

// keep notes a site. The caller holds the lock.
func (s *Sites) keep(d mail.Domain, l learned) {
	if len(s.learned) >= maxLearned {
		clear(s.learned) // what is forgotten is learned again
	}
	s.learned[d] = l
}

// siteOf names the site with these hosts: by the rule for it, or by its hosts.
func (s *Sites) siteOf(mx []dns.Record) mail.Domain {
	var names []string
	for _, r := range mx {
		names = append(names, dns.Normal(r.Target))
	}
	for _, r := range s.rules {
		if slices.ContainsFunc(names, r.fits) {
			return mail.Domain(r.Name)
		}
	}
	first := names[0]
	for i, r := range mx {
		if r.Pref == mx[0].Pref { // equals come in random order
			first = min(first, names[i])
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 1 {
		return mail.Domain(first)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.Join(names, " ")))
	return mail.Domain(fmt.Sprintf("%s+%d~%08x", first, len(names)-1, h.Sum32()))
}

func (r *SiteRule) fits(host string) bool {
	return slices.ContainsFunc(r.MX, func(end string) bool {
		return host == end || end != "" && end[0] == '.' && strings.HasSuffix(host, end)
	})
}
