package dns

import (
	"net/netip"
	"strconv"
	"strings"
)

// MaxName is the longest name in octets, as written without the final dot
// (RFC 1035 §2.3.4: 255 on the wire).
const MaxName = 253

// Normal is a name in lower case without the final dot: the form in which
// names are compared and returned. The root is "".
func Normal(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// IsName says whether a normal name can be asked for: labels of 1 to 63
// octets, at most MaxName in all. The root is one. Which octets stand in a
// label is not looked at (RFC 2181 §11), save that a dot divides.
func IsName(name string) bool {
	if name == "" {
		return true
	}
	if len(name) > MaxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}

// Reverse is the name under which an address's PTR records lie (RFC 1035 §3.5,
// RFC 3596 §2.5). An IPv4 address in IPv6 form is taken as IPv4.
func Reverse(a netip.Addr) string {
	a = a.Unmap()
	var b strings.Builder
	if a.Is4() {
		v4 := a.As4()
		for i := len(v4) - 1; i >= 0; i-- {
			b.WriteString(strconv.Itoa(int(v4[i])))
			b.WriteByte('.')
		}
		return b.String() + "in-addr.arpa"
	}
	const hex = "0123456789abcdef"
	v6 := a.As16()
	for i := len(v6) - 1; i >= 0; i-- {
		b.Write([]byte{hex[v6[i]&15], '.', hex[v6[i]>>4], '.'})
	}
	return b.String() + "ip6.arpa"
}

// String is the type's name, or TYPE and its number (RFC 3597 §5).
func (t Type) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// ParseType reads what String wrote.
func ParseType(s string) (Type, bool) {
	for t, name := range typeNames {
		if strings.EqualFold(s, name) {
			return t, true
		}
	}
	return 0, false
}

var typeNames = map[Type]string{
	TypeA: "A", TypeNS: "NS", TypeCNAME: "CNAME", TypeSOA: "SOA", TypePTR: "PTR", TypeMX: "MX",
	TypeTXT: "TXT", TypeAAAA: "AAAA", TypeSRV: "SRV", TypeDS: "DS", TypeTLSA: "TLSA", TypeCAA: "CAA",
}
