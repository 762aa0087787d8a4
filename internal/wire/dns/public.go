package dns

import (
	"net/netip"
	"slices"
)

// special are the ranges that are not of the public network, besides those that
// netip knows (RFC 6890).
var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
}

// IsPublic says whether a is an address of the public network. Whoever publishes
// names can point them at what stands behind our firewall.
func IsPublic(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() &&
		!slices.ContainsFunc(special[:], func(p netip.Prefix) bool { return p.Contains(a) })
}
