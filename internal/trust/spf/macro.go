package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// macros is a macro-string that was read (RFC 7208 §7.1).
type macros []macro

// macro is a piece of literal text, or a letter with its transformers.
type macro struct {
	text    string
	letter  byte // lower case; 0: text stands for itself
	escape  bool // the letter was upper case
	keep    int  // parts from the right; 0: all
	reverse bool
	delims  string // ".", unless others were named
}

// place is where a macro-string stands: explanations know more letters.
type place bool

const (
	inRecord      place = false
	inExplanation place = true
)

var errMacro = errors.New("malformed macro")

// parseMacros reads a macro-string or, in an explanation, an explain-string.
func parseMacros(s string, at place) (macros, error) {
	m := macros{}
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i != 0 {
			if i < 0 {
				i = len(s)
			}
			m, s = append(m, macro{text: s[:i]}), s[i:]
			continue
		}
		if len(s) < 2 {
			return nil, errMacro
		}
		switch s[1] {
		case '%':
			m, s = append(m, macro{text: "%"}), s[2:]
		case '_':
			m, s = append(m, macro{text: " "}), s[2:]
		case '-':
			m, s = append(m, macro{text: "%20"}), s[2:]
		case '{':
			inner, rest, ok := strings.Cut(s[2:], "}")
			one, err := parseMacro(inner, at)
			if !ok || err != nil {
				return nil, errMacro
			}
			m, s = append(m, one), rest
		default:
			return nil, errMacro
		}
	}
	return m, nil
}

// maxKeep is the largest number of parts that means something: no name has more
// labels (RFC 7208 §7.3).
const maxKeep = 127

// parseMacro reads what stands between braces.
func parseMacro(s string, at place) (macro, error) {
	if s == "" {
		return macro{}, errMacro
	}
	m := macro{letter: s[0] | 0x20, escape: s[0] < 'a', delims: "."}
	letters := "slodiphv"
	if at == inExplanation {
		letters += "crt"
	}
	if !isAlpha(s[0]) || strings.IndexByte(letters, m.letter) < 0 {
		return macro{}, errMacro
	}
	s = s[1:]
	n := 0
	for n < len(s) && isDigit(s[n]) {
		m.keep = min(m.keep*10+int(s[n]-'0'), maxKeep)
		n++
	}
	if n > 0 && m.keep == 0 {
		return macro{}, errMacro
	}
	s = s[n:]
	if s != "" && s[0]|0x20 == 'r' {
		m.reverse, s = true, s[1:]
	}
	if strings.Trim(s, ".-+,/_=") != "" {
		return macro{}, errMacro
	}
	if s != "" {
		m.delims = s
	}
	return m, nil
}

// parseDomainSpec reads a domain-spec: a macro-string that ends in a macro or in
// a dot and a top label (RFC 7208 §7.1).
func parseDomainSpec(s string) (macros, error) {
	m, err := parseMacros(s, inRecord)
	if err != nil {
		return nil, err
	}
	if len(m) == 0 {
		return nil, errors.New("the domain is missing")
	}
	// A macro ends in "}", or is one of two octets behind a percent sign, which
	// no literal text holds.
	if m[len(m)-1].letter != 0 || strings.HasSuffix(s, "%%") || strings.HasSuffix(s, "%_") || strings.HasSuffix(s, "%-") {
		return m, nil
	}
	literal := strings.TrimSuffix(m[len(m)-1].text, ".")
	dot := strings.LastIndexByte(literal, '.')
	if dot < 0 || !isTopLabel(literal[dot+1:]) {
		return nil, errors.New("the domain does not end in a top label")
	}
	return m, nil
}

func isTopLabel(s string) bool {
	digits := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c):
		case isAlpha(c):
			digits = false
		case c == '-' && i > 0 && i < len(s)-1:
			digits = false
		default:
			return false
		}
	}
	return s != "" && !digits
}

// expand puts the values of letters in the macros' places.
func (m macros) expand(value func(letter byte) string) string {
	var b strings.Builder
	for _, one := range m {
		if one.letter == 0 {
			b.WriteString(one.text)
			continue
		}
		v := one.transform(value(one.letter))
		if one.escape {
			v = urlEscape(v)
		}
		b.WriteString(v)
	}
	return b.String()
}

func (m macro) transform(v string) string {
	if m.keep == 0 && !m.reverse && m.delims == "." {
		return v
	}
	var parts []string
	for begin := 0; ; {
		n := strings.IndexAny(v[begin:], m.delims)
		if n < 0 {
			parts = append(parts, v[begin:])
			break
		}
		parts = append(parts, v[begin:begin+n])
		begin += n + 1
	}
	if m.reverse {
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
	}
	if m.keep > 0 && m.keep < len(parts) {
		parts = parts[len(parts)-m.keep:]
	}
	return strings.Join(parts, ".")
}

// urlEscape escapes all that is not unreserved in RFC 3986 §2.3.
func urlEscape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// target makes a name of an expanded domain-spec. Labels are taken off its left
// side until it fits (RFC 7208 §7.3).
func target(s string) string {
	s = strings.TrimSuffix(s, ".")
	for len(s) > dns.MaxName {
		_, rest, ok := strings.Cut(s, ".")
		if !ok {
			return ""
		}
		s = rest
	}
	return s
}

// dotted is an address as the letter i has it: %{ir} is then the way it lies in
// the reverse tree.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i, c := range ip.As16() {
		if i > 0 {
			b.WriteByte('.')
		}
		b.Write([]byte{hex[c>>4], '.', hex[c&15]})
	}
	return b.String()
}

// plain is the value of a letter that no question is asked for.
func (e *evaluation) plain(letter byte, domain string) string {
	q := &e.q
	switch letter {
	case 's':
		return q.Local + "@" + q.Domain
	case 'l':
		return q.Local
	case 'o':
		return q.Domain
	case 'd':
		return domain
	case 'i':
		return dotted(q.IP)
	case 'h':
		return q.Helo
	case 'v':
		if q.IP.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'c':
		return q.IP.String()
	case 'r':
		if q.Receiver == "" {
			return unknown
		}
		return q.Receiver
	case 't':
		return strconv.FormatInt(q.Now.Unix(), 10)
	}
	return ""
}
