package dnssec

import (
	"bytes"
	"strings"

	"github.com/miekg/dns"
)

// Suffix is the last n labels of a name: the ancestor that has so many.
func Suffix(name string, n int) string {
	at := dns.Split(name)
	if n >= len(at) {
		return name
	}
	if n <= 0 {
		return "."
	}
	return name[at[len(at)-n]:]
}

// Parent is the name without its first label; that of the root is the root.
func Parent(name string) string { return Suffix(name, dns.CountLabel(name)-1) }

// Order compares names as zones are sorted: label by label from the right, as octets
// in lower case (RFC 4034 §6.1). It is negative where a stands before b.
func Order(a, b string) int {
	la, lb := wireLabels(a), wireLabels(b)
	for i := 1; i <= len(la) && i <= len(lb); i++ {
		if c := bytes.Compare(la[len(la)-i], lb[len(lb)-i]); c != 0 {
			return c
		}
	}
	return len(la) - len(lb)
}

// wireLabels are the labels of a name in lower case, without escapes.
func wireLabels(name string) [][]byte {
	var wire [255]byte
	end, err := dns.PackDomainName(strings.ToLower(dns.Fqdn(name)), wire[:], 0, nil, false)
	if err != nil {
		return nil
	}
	var labels [][]byte
	for off := 0; off < end && wire[off] != 0; off += 1 + int(wire[off]) {
		labels = append(labels, bytes.Clone(wire[off+1:off+1+int(wire[off])]))
	}
	return labels
}

// common is the nearest ancestor that two names share, or the name itself.
func common(a, b string) string { return Suffix(a, dns.CompareDomainName(a, b)) }

// wildcard is the name below another that stands for all that is not there.
func wildcard(name string) string {
	if name == "." {
		return "*."
	}
	return "*." + name
}
