package app

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/reach/resolver"
)

// DNS is about how names are looked up; see dns-resolver.md.
type DNS struct {
	Resolvers       []string `toml:"resolvers"`         // who looks names up for us, in this order: "address:port", "tls://address#name", "https://address/path#name", or "system" for those of /etc/resolv.conf; empty: we do, from the root down
	Validate        bool     `toml:"validate"`          // check signatures (DNSSEC); without, no domain counts as signed
	TrustAD         bool     `toml:"trust_ad"`          // believe what resolvers on loopback say of signatures, and check none
	TrustAnchorFile string   `toml:"trust_anchor_file"` // DS or DNSKEY records in place of those of the Internet's root; for labs
	RootHintsFile   string   `toml:"root_hints_file"`   // other root servers; for labs
	Cache           int64    `toml:"cache"`             // octets of answers kept in memory
	Listen          []string `toml:"listen"`            // "127.0.0.1:53": programs on this machine may ask there; loopback only
}

func defaultDNS() DNS { return DNS{Validate: true, Cache: 32 << 20} }

// The least and most of dns.cache.
const (
	minDNSCache = 1 << 20
	maxDNSCache = 16 << 30
)

func (d *DNS) check() error {
	for _, s := range d.Resolvers {
		if err := resolver.CheckServer(s); err != nil {
			return fmt.Errorf("dns.resolvers: %w", err)
		}
		if a, err := netip.ParseAddrPort(s); d.TrustAD && (err != nil || !a.Addr().Unmap().IsLoopback()) {
			return fmt.Errorf("dns.trust_ad: %s is not on this machine, so that anyone in between could set the bit", s)
		}
	}
	if d.TrustAD && len(d.Resolvers) == 0 {
		return errors.New("dns.trust_ad: there are no resolvers to believe")
	}
	if d.Cache < minDNSCache || d.Cache > maxDNSCache {
		return fmt.Errorf("dns.cache: %d is not between %d and %d", d.Cache, minDNSCache, maxDNSCache)
	}
	for _, s := range d.Listen {
		if a, err := netip.ParseAddrPort(s); err != nil || !a.Addr().Unmap().IsLoopback() {
			return fmt.Errorf("dns.listen: %q is no address:port on loopback; strangers are never served", s)
		}
	}
	return nil
}

// options makes a resolver's options, with the files read.
func (d *DNS) options() (resolver.Options, error) {
	o := resolver.Options{Servers: d.Resolvers, TrustAD: d.TrustAD, NoValidation: !d.Validate, CacheOctets: int(d.Cache)}
	for path, to := range map[string]*string{d.TrustAnchorFile: &o.Anchors, d.RootHintsFile: &o.Hints} {
		if path == "" {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return o, fault.As(fault.Invalid, "app.DNS", err)
		}
		*to = string(b)
	}
	return o, nil
}

// resolver makes a resolver of its own, for commands and trials. It is to be closed.
func (d *DNS) resolver() (*resolver.Resolver, error) {
	o, err := d.options()
	if err != nil {
		return nil, err
	}
	return resolver.New(o)
}
