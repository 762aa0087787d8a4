package app

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/trust/mtasts"
)

// Zones is about the zones that the server is the authority for. Which zones there are
// is data: see `ekiden zone`.
type Zones struct {
	NameServers []string `toml:"name_servers"` // named in the NS records of all zones, the first as the primary; empty: hostname alone
	Addresses   []string `toml:"addresses"`    // by which the world reaches hostname; empty: those of the doors, or of this machine's interfaces
	MTASTS      string   `toml:"mta_sts"`      // the MTA-STS policy of domains whose zone is here: enforce, testing or none
	Rate        int      `toml:"rate"`         // answers a second by UDP to one network that say the same; 0 means no limit
}

func defaultZones() Zones { return Zones{MTASTS: mtasts.Testing.String(), Rate: 50} }

func (c *Config) checkZones() error {
	d := &c.Zones
	for _, n := range d.NameServers {
		if _, err := mail.ParseDomain(n); err != nil {
			return fmt.Errorf("zones.name_servers: %w", err)
		}
	}
	for _, a := range d.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("zones.addresses: %q is not an IP address", a)
		}
	}
	if _, ok := mtasts.ParseMode(d.MTASTS); !ok {
		return fmt.Errorf("zones.mta_sts: %q is neither enforce, testing nor none", d.MTASTS)
	}
	if d.Rate < 0 {
		return fmt.Errorf("zones.rate: %d is less than nothing", d.Rate)
	}
	return nil
}

// addresses are by which the world reaches the server.
func (c *Config) addresses(doors []open) []netip.Addr {
	var all []netip.Addr
	for _, a := range c.Zones.Addresses {
		if a, err := netip.ParseAddr(a); err == nil {
			all = append(all, a.Unmap())
		}
	}
	if len(all) > 0 {
		return all
	}
	for _, d := range doors {
		if d.name != "smtp" {
			continue
		}
		for _, ln := range d.listeners {
			if at, ok := ln.Addr().(*net.TCPAddr); ok && !at.IP.IsUnspecified() {
				all = append(all, at.AddrPort().Addr().Unmap())
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	return interfaceAddresses()
}

// interfaceAddresses are this machine's that others can reach it by.
func interfaceAddresses() []netip.Addr {
	var all []netip.Addr
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, f := range found {
		if n, ok := f.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(n.IP); ok && a.IsGlobalUnicast() && !a.IsPrivate() {
				all = append(all, a.Unmap())
			}
		}
	}
	return all
}
