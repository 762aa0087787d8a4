package ban

import (
	"net/netip"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// The widest networks that can be banned: a slip of the hand shall not shut the
// whole world out.
const (
	widest4 = 8
	widest6 = 16
)

// ParseNet reads a network as an operator writes it: "192.0.2.0/24",
// "2001:db8::/32", or one address. fault.Invalid.
func ParseNet(s string) (netip.Prefix, error) {
	const op = "ban.ParseNet"
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fault.Newf(fault.Invalid, op, "%.60q is neither an address nor a network such as 192.0.2.0/24", s)
		}
		a = plain(a)
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fault.Newf(fault.Invalid, op, "%.60q is neither an address nor a network such as 192.0.2.0/24", s)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fault.Newf(fault.Invalid, op, "%s is half IPv4 and half IPv6", p)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func bannable(op string, p netip.Prefix) error {
	widest, loopback := widest6, netip.MustParsePrefix("::1/128")
	if p.Addr().Is4() {
		widest, loopback = widest4, netip.MustParsePrefix("127.0.0.0/8")
	}
	switch {
	case !p.IsValid() || p.Masked() != p:
		return fault.New(fault.Invalid, op, "that is no network")
	case p.Bits() < widest:
		return fault.Newf(fault.Invalid, op, "%s is too wide a network: at least /%d is wanted", p, widest)
	case p.Overlaps(loopback):
		return fault.New(fault.Invalid, op, "this machine itself is never banned")
	}
	return nil
}

// plain is an address in the form in which it is compared.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
