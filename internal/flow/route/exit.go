package route

import (
	"net/netip"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// When a port is suspected to be blocked.
const (
	exitNetworks = 3 // that could not be reached
	exitDomains  = 2 // that they belong to
	exitWindow   = time.Hour
	exitGood     = 4 // networks that are remembered as reached
)

// Exit judges whether other servers' port can be reached at all: access networks
// that keep their customers from sending mail (OP25B) let nothing out to port
// 25, while all else works. It is suspected when several networks of several
// domains, whose addresses the DNS has just given, could not be reached one after
// another; then some are tried on purpose, and if none is reached it is so. Any
// server that is reached ends it. It is pure; its user keeps the time and locks.
type Exit struct {
	failed []failure
	good   []netip.AddrPort // of different networks, the latest last
	since  time.Time        // it is blocked; zero: it is not
}

type failure struct {
	at     time.Time
	domain mail.Domain
	addr   netip.AddrPort
}

// network is what is taken for one network: who is down himself is down in all of
// it.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a = a.Unmap(); a.Is4() {
		bits = 16
	}
	p, _ := a.Prefix(bits)
	return p
}

// Reached notes a server that answered. It says true if that ended a blockade.
func (e *Exit) Reached(addr netip.AddrPort) (opened bool) {
	e.failed = nil
	n := network(addr.Addr())
	if len(e.good) == 0 || e.good[len(e.good)-1] != addr {
		e.good = slices.DeleteFunc(e.good, func(a netip.AddrPort) bool { return network(a.Addr()) == n })
		if e.good = append(e.good, addr); len(e.good) > exitGood {
			e.good = e.good[1:]
		}
	}
	opened = !e.since.IsZero()
	e.since = time.Time{}
	return opened
}

// Failed notes a server of a domain that was silent or refused the connection. It
// says true if the port is suspected now, and was not confirmed to be blocked.
func (e *Exit) Failed(at time.Time, domain mail.Domain, addr netip.AddrPort) (suspected bool) {
	n := network(addr.Addr())
	e.failed = slices.DeleteFunc(e.failed, func(f failure) bool {
		return at.Sub(f.at) > exitWindow || network(f.addr.Addr()) == n && f.domain == domain
	})
	e.failed = append(e.failed, failure{at, domain, addr})
	if len(e.failed) > 100 {
		e.failed = e.failed[1:]
	}
	return e.since.IsZero() && e.Suspected()
}

// Suspected says whether what failed since the last success tells of a blockade.
func (e *Exit) Suspected() bool {
	networks, domains := map[netip.Prefix]bool{}, map[mail.Domain]bool{}
	for _, f := range e.failed {
		networks[network(f.addr.Addr())], domains[f.domain] = true, true
	}
	return len(networks) >= exitNetworks && len(domains) >= exitDomains
}

// Targets are the servers to try on purpose: those that were reached last, and
// the ones that failed.
func (e *Exit) Targets() []netip.AddrPort {
	all := slices.Clone(e.good)
	slices.Reverse(all)
	for i := len(e.failed) - 1; i >= 0 && len(all) < exitGood+exitNetworks; i-- {
		if a := e.failed[i].addr; !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// Confirm says that none of the targets was reached. It gives true if the port is
// blocked by that, and was not before.
func (e *Exit) Confirm(at time.Time) (blocked bool) {
	if !e.since.IsZero() || !e.Suspected() {
		return false
	}
	e.since = at
	return true
}

// Blocked says since when the port is blocked.
func (e *Exit) Blocked() (since time.Time, is bool) { return e.since, !e.since.IsZero() }
