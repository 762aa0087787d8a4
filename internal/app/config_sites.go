package app

import (
	"fmt"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// Site is a provider of many domains, or any other set of mail hosts, one [[site]]
// each: what it is sent at most. A site of the name of a shipped one takes its
// place; see queue.md. Where a site says that it wants less, it gets less anyway.
type Site struct {
	Name          string   `toml:"name"`           // in the log and in `ekiden queue`; the shipped ones are gmail, microsoft, yahoo and so on
	MX            []string `toml:"mx"`             // names of mail hosts, or with a dot before it what they end in; empty: those of the shipped site of that name
	Connections   int      `toml:"connections"`    // at once; 0 means 8
	PerConnection int      `toml:"per_connection"` // messages over one connection; 0 means 100
	PerMinute     int      `toml:"per_minute"`     // messages; 0 means any number
}

// siteRules are the rules of the configuration, and those that are shipped.
func (c *Config) siteRules() ([]route.SiteRule, error) {
	known, err := route.KnownSites()
	if err != nil {
		return nil, err
	}
	mx := map[string][]string{}
	for _, r := range known {
		mx[r.Name] = r.MX
	}
	own := map[string]bool{}
	var all []route.SiteRule
	for _, s := range c.Sites {
		r := route.SiteRule{Name: s.Name, MX: s.MX, Rule: queue.Rule{Connections: s.Connections, PerConnection: s.PerConnection, PerMinute: s.PerMinute}}
		if len(r.MX) == 0 {
			r.MX = mx[s.Name]
		}
		switch {
		case s.Name == "":
			return nil, fmt.Errorf("site: one has no name")
		case own[s.Name]:
			return nil, fmt.Errorf("site %s: is there twice", s.Name)
		case len(r.MX) == 0:
			return nil, fmt.Errorf("site %s: no shipped site is called that, so it needs mx", s.Name)
		case s.Connections < 0 || s.PerConnection < 0 || s.PerMinute < 0:
			return nil, fmt.Errorf("site %s: a bound is below 0", s.Name)
		}
		own[s.Name] = true
		all = append(all, r)
	}
	for _, r := range known {
		if !own[r.Name] {
			all = append(all, r)
		}
	}
	return all, nil
}
