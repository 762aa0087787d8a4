package spf

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// mechanism is a kind of mechanism (RFC 7208 §5).
type mechanism uint8

const (
	all mechanism = iota
	include
	a
	mx
	ptr
	ip4
	ip6
	exists
)

// directive is one mechanism with its qualifier.
type directive struct {
	text string // as published
	code Code   // of the qualifier
	kind mechanism
	spec macros       // nil: the current domain
	net  netip.Prefix // of ip4 and ip6
	bits [2]int       // prefix lengths of a and mx for IPv4 and IPv6
}

// asks says whether the directive is one of those whose number is limited
// (RFC 7208 §4.6.4).
func (d directive) asks() bool {
	switch d.kind {
	case include, a, mx, ptr, exists:
		return true
	}
	return false
}

// record is a policy that was read.
type record struct {
	directives []directive
	redirect   macros // nil: none
	exp        macros // nil: none
}

// isRecord says whether a TXT record is an SPF record of version 1 (RFC 7208 §4.5).
func isRecord(text string) bool {
	const version = "v=spf1"
	return len(text) >= len(version) && strings.EqualFold(text[:len(version)], version) &&
		(len(text) == len(version) || text[len(version)] == ' ')
}

// maxTerms bounds a record. A TXT record has at most 64 KiB; nobody needs so many.
const maxTerms = 1000

// parse reads a whole record: what is wrong anywhere in it makes it void
// (RFC 7208 §4.6).
func parse(text string) (*record, error) {
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return nil, errors.New("the record holds an octet that is not printable ASCII")
		}
	}
	r := &record{}
	for n, term := range strings.Split(text[len("v=spf1"):], " ") {
		if term == "" {
			continue
		}
		if n > maxTerms {
			return nil, fmt.Errorf("the record has over %d terms", maxTerms)
		}
		if err := r.add(term); err != nil {
			return nil, fmt.Errorf("%.80q: %w", term, err)
		}
	}
	return r, nil
}

func (r *record) add(term string) error {
	if i := strings.IndexAny(term, "=:/"); i >= 0 && term[i] == '=' {
		return r.modifier(term[:i], term[i+1:])
	}
	d, err := parseDirective(term)
	if err != nil {
		return err
	}
	r.directives = append(r.directives, d)
	return nil
}

// modifier reads a modifier; unknown ones are ignored if they are well formed
// (RFC 7208 §6).
func (r *record) modifier(name, value string) (err error) {
	if !isModifier(name) {
		return errors.New("not the name of a modifier")
	}
	var to *macros
	switch strings.ToLower(name) {
	case "redirect":
		to = &r.redirect
	case "exp":
		to = &r.exp
	default:
		_, err := parseMacros(value, inRecord)
		return err
	}
	if *to != nil {
		return errors.New("it is there twice")
	}
	*to, err = parseDomainSpec(value)
	return err
}

func isModifier(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isAlpha(c) && (i == 0 || !isDigit(c) && c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return name != ""
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func parseDirective(term string) (directive, error) {
	d := directive{text: term, code: Pass, bits: [2]int{32, 128}}
	rest := term
	switch term[0] {
	case '+':
		rest = term[1:]
	case '-':
		d.code, rest = Fail, term[1:]
	case '~':
		d.code, rest = SoftFail, term[1:]
	case '?':
		d.code, rest = Neutral, term[1:]
	}
	name, arg := rest, ""
	if i := strings.IndexAny(rest, ":/"); i >= 0 {
		name, arg = rest[:i], rest[i:]
	}
	kind, known := map[string]mechanism{
		"all": all, "include": include, "a": a, "mx": mx, "ptr": ptr, "ip4": ip4, "ip6": ip6, "exists": exists,
	}[strings.ToLower(name)]
	if !known {
		return d, errors.New("no such mechanism")
	}
	d.kind = kind
	return d, d.argument(arg)
}

// argument reads what stands behind a mechanism's name, its colon or slash
// included.
func (d *directive) argument(arg string) (err error) {
	switch d.kind {
	case all:
		if arg != "" {
			return errors.New("all takes nothing")
		}
		return nil
	case ip4, ip6:
		d.net, err = parseNetwork(arg, d.kind == ip6)
		return err
	case a, mx:
		if arg, err = d.cutLengths(arg); err != nil {
			return err
		}
	}
	if arg == "" {
		if d.kind == include || d.kind == exists {
			return errors.New("the domain is missing")
		}
		return nil
	}
	if arg[0] != ':' {
		return errors.New("a colon is missing")
	}
	d.spec, err = parseDomainSpec(arg[1:])
	return err
}

// cutLengths takes the dual-cidr-length off the end of an argument (RFC 7208
// §5.3). A slash may stand in a macro too: only digits behind it make a length.
func (d *directive) cutLengths(arg string) (string, error) {
	rest, n, err := cutLength(arg, "//", 128)
	if err != nil {
		return "", err
	}
	if n >= 0 {
		d.bits[1] = n
	}
	if strings.HasSuffix(rest, "/") {
		return "", errors.New("a prefix length is missing")
	}
	rest, n, err = cutLength(rest, "/", 32)
	if n >= 0 {
		d.bits[0] = n
	}
	return rest, err
}

func cutLength(s, slash string, most int) (string, int, error) {
	digits := len(s)
	for digits > 0 && isDigit(s[digits-1]) {
		digits--
	}
	if digits == len(s) || !strings.HasSuffix(s[:digits], slash) {
		return s, -1, nil
	}
	n, err := prefixLength(s[digits:], most)
	return s[:digits-len(slash)], n, err
}

func prefixLength(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || len(s) > 3 || s[0] == '0' && len(s) > 1 || n < 0 || n > most || !isDigit(s[0]) {
		return -1, fmt.Errorf("%.10q is not a prefix length", s)
	}
	return n, nil
}

func parseNetwork(arg string, six bool) (netip.Prefix, error) {
	if arg == "" || arg[0] != ':' {
		return netip.Prefix{}, errors.New("the address is missing")
	}
	text, length, has := strings.Cut(arg[1:], "/")
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Is6() != six || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%.50q is not such an address", text)
	}
	bits := addr.BitLen()
	if has {
		if length == "" {
			return netip.Prefix{}, errors.New("a prefix length is missing")
		}
		if bits, err = prefixLength(length, bits); err != nil {
			return netip.Prefix{}, err
		}
	}
	return netip.PrefixFrom(addr, bits), nil
}
