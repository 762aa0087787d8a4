package app

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/flow/relay"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Source is where mail leaves from, one [[source]] each: several for the same
// senders are a pool, of which each destination always meets the same one. What
// none is for leaves from the source_address of [outbound].
type Source struct {
	Addresses []string `toml:"addresses"` // of outgoing connections: one, or one of each family; the other family is then not used
	Hostname  string   `toml:"hostname"`  // what we call ourselves there (EHLO): the name that the addresses lead back to in the DNS
	Senders   []string `toml:"senders"`   // domains of envelope senders; empty: all that no other source is for
}

func (c *Config) checkSources() error {
	names := map[string]bool{}
	for i, s := range c.Sources {
		if err := s.check(); err != nil {
			return fmt.Errorf("source %d (%s): %w", i+1, s.Hostname, err)
		}
		if names[s.Hostname] {
			return fmt.Errorf("source %d (%s): another one has the same hostname", i+1, s.Hostname)
		}
		names[s.Hostname] = true
	}
	if c.Outbound.SOCKS5 != "" {
		if err := checkHostPort(c.Outbound.SOCKS5); err != nil {
			return fmt.Errorf("outbound.socks5: %w", err)
		}
		if len(c.Sources) > 0 || c.Outbound.Source != "" {
			return fmt.Errorf("outbound.socks5: what goes through a proxy has the proxy's source address")
		}
	}
	return nil
}

func (s *Source) check() error {
	if d, err := mail.ParseDomain(s.Hostname); err != nil || !strings.Contains(string(d), ".") || d.IsLiteral() {
		return fmt.Errorf("hostname: %q is not a full host name", s.Hostname)
	}
	addrs, err := s.addrs()
	switch {
	case err != nil:
		return err
	case len(addrs) == 0 || len(addrs) > 2:
		return fmt.Errorf("addresses: want one, or one of each family")
	case len(addrs) == 2 && addrs[0].Is4() == addrs[1].Is4():
		return fmt.Errorf("addresses: both are of one family; make two sources of them")
	}
	for _, d := range s.Senders {
		if _, err := mail.ParseDomain(d); err != nil {
			return fmt.Errorf("senders: %q is not a domain", d)
		}
	}
	return nil
}

func (s *Source) addrs() (all []netip.Addr, err error) {
	for _, a := range s.Addresses {
		addr, err := netip.ParseAddr(a)
		if err != nil {
			return nil, fmt.Errorf("addresses: %q is not an IP address", a)
		}
		all = append(all, addr.Unmap())
	}
	return all, nil
}

// sources are those that the configuration names; it has been checked.
func (c *Config) sources() (all []relay.Source) {
	for _, s := range c.Sources {
		addrs, _ := s.addrs()
		all = append(all, relay.Source{Addrs: addrs, Hostname: s.Hostname, Senders: s.Senders})
	}
	return all
}
