package mail

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Limits of RFC 5321 §4.5.3.1, in octets.
const (
	MaxLocalPart = 64
	MaxDomain    = 255
)

// Domain is a DNS name in lower case, as A-labels, without the final dot, or an
// address literal in its brackets.
type Domain string

// ParseDomain reads a domain in either form of IDNA and gives the A-labels
// (RFC 5891). An address literal (RFC 5321 §4.1.3) is kept, brackets and all.
func ParseDomain(s string) (Domain, error) {
	if strings.HasPrefix(s, "[") {
		return parseLiteral(s)
	}
	s = strings.TrimSuffix(s, ".")
	a, err := idna.Lookup.ToASCII(s)
	if !utf8.ValidString(s) { // IDNA would let some of it pass
		return "", fmt.Errorf("not a domain: %.80q", s)
	}
	if err != nil {
		// Names that IDNA's rules for lookups refuse, such as those with an
		// underscore or "--" in them, are hosts all the same in plain ASCII.
		if !isHostName(s) {
			return "", fmt.Errorf("not a domain: %.80q", s)
		}
		a = strings.ToLower(s)
	}
	if !isHostName(a) {
		return "", fmt.Errorf("not a domain: %.80q", s)
	}
	return Domain(a), nil
}

func parseLiteral(s string) (Domain, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", fmt.Errorf("not an address literal: %.80q", s)
	}
	if v6, ok := cutPrefixFold(inner, "IPv6:"); ok {
		if a, err := netip.ParseAddr(v6); err == nil && a.Is6() && a.Zone() == "" {
			return Domain("[IPv6:" + a.String() + "]"), nil
		}
	} else if a, err := netip.ParseAddr(inner); err == nil && a.Is4() {
		return Domain("[" + a.String() + "]"), nil
	}
	return "", fmt.Errorf("not an address literal: %.80q", s)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// isHostName says whether s is letters, digits, hyphens and underscores in
// labels of 1 to 63 octets.
func isHostName(s string) bool {
	if s == "" || len(s) > MaxDomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// IsLiteral says whether d is an address in brackets.
func (d Domain) IsLiteral() bool { return strings.HasPrefix(string(d), "[") }

// Unicode is the domain as a person reads it (U-labels).
func (d Domain) Unicode() string {
	if u, err := idna.Display.ToUnicode(string(d)); err == nil {
		return u
	}
	return string(d)
}

// Address is a local part at a domain. The zero Address is the null
// reverse-path, written <>. A local part without a domain is postmaster
// (RFC 5321 §4.1.1.3). The local part is kept as it came, without quotes: only
// its own host may interpret it (RFC 5321 §2.3.11).
type Address struct {
	Local  string
	Domain Domain
}

// IsNull says whether a is the null reverse-path.
func (a Address) IsNull() bool { return a == Address{} }

// IsASCII says whether a can be written without SMTPUTF8 (RFC 6531).
func (a Address) IsASCII() bool {
	for i := 0; i < len(a.Local); i++ {
		if a.Local[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// String writes a as in SMTP, without the angle brackets; the local part is
// quoted where nothing else would do. Dots in a row, or at either end, are
// written as they are: RFC 5321 §4.1.2 has them in quotes only, but the
// telephone companies of Japan gave such addresses to their customers, who
// write them so. Strict follows the letter.
func (a Address) String() string { return a.write(isDotted(a.Local)) }

// Strict is String with every local part in quotes that RFC 5321 §4.1.2 wants
// in quotes. Both forms are one address.
func (a Address) Strict() string { return a.write(isDotted(a.Local) && !a.OddDots()) }

// OddDots says whether the local part is letters and dots of which some stand
// in a row or at an end, so that Strict and String differ.
func (a Address) OddDots() bool {
	return isDotted(a.Local) &&
		(strings.HasPrefix(a.Local, ".") || strings.HasSuffix(a.Local, ".") || strings.Contains(a.Local, ".."))
}

func (a Address) write(bare bool) string {
	if a.IsNull() {
		return ""
	}
	local := a.Local
	if !bare {
		local = quote(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + string(a.Domain)
}

// quote gives local as a quoted-string (RFC 5321 §4.1.2).
func quote(local string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(local); i++ {
		if local[i] == '"' || local[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(local[i])
	}
	b.WriteByte('"')
	return b.String()
}

// isDotted says whether s is of atext and dots, in whatever order.
func isDotted(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '.' && !IsAtext(s[i]) {
			return false
		}
	}
	return s != ""
}

// IsAtext says whether c may stand in an atom (RFC 5322 §3.2.3, with the
// octets of UTF-8 that RFC 6531 §3.3 adds).
func IsAtext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c >= utf8.RuneSelf || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// ParseAddress reads local@domain as SMTP, the command line and the REST API
// take it: a dot-string, with the dots anywhere, or a quoted-string, an @, and a
// domain in either form. It takes no display name and no angle brackets.
func ParseAddress(s string) (Address, error) {
	bad := func() (Address, error) { return Address{}, fmt.Errorf("not an address: %.100q", s) }
	local, rest, ok := cutLocal(s)
	if !ok || local == "" || len(local) > MaxLocalPart || !utf8.ValidString(local) {
		return bad()
	}
	if rest == "" || rest[0] != '@' {
		return bad()
	}
	domain, err := ParseDomain(rest[1:])
	if err != nil {
		return bad()
	}
	return Address{Local: local, Domain: domain}, nil
}

// cutLocal takes a local part off the front of s and gives it unquoted.
func cutLocal(s string) (local, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexByte(s, '@')
		if i < 0 || !isDotted(s[:i]) {
			return "", s, false
		}
		return s[:i], s[i:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			if s[i] < ' ' || s[i] == 0x7f {
				return "", s, false
			}
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f || c == '\\':
			return "", s, false
		default:
			b.WriteByte(c)
		}
	}
	return "", s, false
}
