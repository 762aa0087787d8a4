package smtp

import (
	"net/netip"
	"strconv"
	"strings"
)

// XClientKeyword announces Postfix's XCLIENT and the attributes that are known.
const XClientKeyword = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

// XClient is what a proxy says of its client by XCLIENT (Postfix,
// XCLIENT_README). What it did not say, or does not know, is zero; Said holds
// the names of the attributes that came.
type XClient struct {
	Name     string
	Addr     netip.Addr
	Port     uint16
	Proto    string // "SMTP" or "ESMTP"
	Helo     string
	Login    string
	DestAddr netip.Addr
	DestPort uint16
	Said     map[string]bool
}

// unknown is what a proxy says of what it does not know.
func unknown(v string) bool {
	return strings.EqualFold(v, "[UNAVAILABLE]") || strings.EqualFold(v, "[TEMPUNAVAIL]")
}

// ParseXClient reads what follows the verb: attributes NAME=VALUE with values in
// xtext. A reply that is not zero refuses it, and then nothing of it counts.
func ParseXClient(arg string) (XClient, Reply) {
	bad := func(what string) (XClient, Reply) {
		return XClient{}, Answer(501, Enhanced{5, 5, 4}, "%s", what)
	}
	x := XClient{Said: map[string]bool{}}
	fields := strings.Fields(arg)
	if len(fields) == 0 {
		return bad("Say XCLIENT attribute=value")
	}
	for _, f := range fields {
		name, value, ok := strings.Cut(f, "=")
		name = strings.ToUpper(name)
		text, sound := DecodeXtext(value)
		if !ok || !sound || value == "" || len(text) > 255 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return bad("That is no attribute=value in xtext")
		}
		x.Said[name] = true
		if unknown(text) {
			text = ""
		}
		if !x.set(name, text) {
			return bad("The value of " + printableName(name) + " cannot be, or XCLIENT has no such attribute")
		}
	}
	return x, Reply{}
}

// set takes one attribute; "" is an unknown value.
func (x *XClient) set(name, v string) bool {
	ok := true
	switch name {
	case "NAME":
		x.Name = v
	case "HELO":
		x.Helo = v
	case "LOGIN":
		x.Login = v
	case "PROTO":
		x.Proto = strings.ToUpper(v)
		ok = v == "" || x.Proto == "SMTP" || x.Proto == "ESMTP"
	case "ADDR":
		x.Addr, ok = xclientAddr(v)
	case "DESTADDR":
		x.DestAddr, ok = xclientAddr(v)
	case "PORT":
		x.Port, ok = xclientPort(v)
	case "DESTPORT":
		x.DestPort, ok = xclientPort(v)
	default:
		return false
	}
	return ok
}

// xclientAddr reads an IPv4 address, or an IPv6 one behind "IPV6:".
func xclientAddr(v string) (netip.Addr, bool) {
	if v == "" {
		return netip.Addr{}, true
	}
	text, six := v, len(v) > 5 && strings.EqualFold(v[:5], "IPV6:")
	if six {
		text = v[5:]
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4() == six {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func xclientPort(v string) (uint16, bool) {
	if v == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(v, 10, 16)
	return uint16(n), err == nil
}

func printableName(s string) string {
	if len(s) > 20 {
		s = s[:20]
	}
	return strings.Map(func(r rune) rune {
		if r < 'A' || r > 'Z' {
			return -1
		}
		return r
	}, s)
}
