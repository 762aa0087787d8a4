// Package spf finds out whether a host may send mail in a domain's name, by the
// Sender Policy Framework (RFC 7208).
package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Code is the result of an evaluation (RFC 7208 §2.6).
type Code string

// The results, as they are written in header fields.
const (
	None      Code = "none"
	Neutral   Code = "neutral"
	Pass      Code = "pass"
	Fail      Code = "fail"
	SoftFail  Code = "softfail"
	TempError Code = "temperror"
	PermError Code = "permerror"
)

// Limits of one evaluation (RFC 7208 §4.6.4).
const (
	MaxTerms = 10 // terms that ask the DNS
	MaxVoid  = 2  // terms whose question has no answer
	MaxNames = 10 // hosts of one mx or ptr term whose addresses are asked for
)

// Query is what is to be found out.
type Query struct {
	IP            netip.Addr
	Local, Domain string // of the identity: the reverse-path, or postmaster at the HELO name
	Helo          string
	Receiver      string    // our name, for explanations; "" is "unknown"
	Now           time.Time // for explanations
	Explain       bool      // whether a failure is to be explained in the domain's words
}

// Identity is the query for a reverse-path, or for the HELO name where it is null
// (RFC 7208 §2.4). address is "local@domain", or "".
func Identity(ip netip.Addr, helo, address string) Query {
	q := Query{IP: ip.Unmap().WithZone(""), Helo: helo}
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		q.Local, q.Domain = address[:at], address[at+1:]
	} else {
		q.Domain = address
	}
	if q.Domain == "" {
		q.Domain = helo
	}
	if q.Local == "" { // RFC 7208 §4.3
		q.Local = "postmaster"
	}
	return q
}

// Result is what was found.
type Result struct {
	Code        Code
	Domain      string // whose policy it is
	Mechanism   string // that matched; "" if none did
	Problem     string // why there is no proper result, in words
	Explanation string // of a failure, in the domain's words: not to be trusted, but printable ASCII
	Terms       int    // that asked the DNS
}

// Check evaluates the domain's policy (RFC 7208 §4). It takes no longer than ctx;
// what is not answered by then is a TempError.
func Check(ctx context.Context, r dns.Resolver, q Query) Result {
	q.IP = q.IP.Unmap()
	e := &evaluation{r: r, q: q}
	if !q.IP.IsValid() {
		return Result{Code: None, Domain: q.Domain, Problem: "there is no address"}
	}
	out := e.host(ctx, dns.Normal(q.Domain), 0)
	res := Result{Code: out.code, Domain: q.Domain, Mechanism: out.mechanism, Terms: e.terms}
	if out.err != nil {
		res.Problem = out.err.Error()
	}
	if out.code == Fail && q.Explain && out.exp != nil {
		res.Explanation = e.explain(ctx, out.exp, out.domain)
	}
	return res
}

// evaluation is one check with what it has used up.
type evaluation struct {
	r     dns.Resolver
	q     Query
	terms int
	void  int
	names []string // of the address, validated; nil: not asked yet
}

// outcome is the result for one domain.
type outcome struct {
	code      Code
	mechanism string
	err       error
	exp       macros // of the policy that decided
	domain    string // whose policy that is
}

func permanent(format string, args ...any) outcome {
	return outcome{code: PermError, err: fmt.Errorf(format, args...)}
}

func temporary(err error) outcome { return outcome{code: TempError, err: err} }

// isDomain says whether a policy may be looked for (RFC 7208 §4.3): a name of
// several labels.
func isDomain(name string) bool {
	return strings.Contains(name, ".") && dns.IsName(name) && !strings.HasPrefix(name, "[")
}

// maxDepth bounds how far policies lead to others. The number of terms does too.
const maxDepth = MaxTerms + 1

// host is check_host() of RFC 7208 §4.
func (e *evaluation) host(ctx context.Context, domain string, depth int) outcome {
	if !isDomain(domain) {
		return outcome{code: None, err: fmt.Errorf("%.100q is not a domain", domain)}
	}
	if depth > maxDepth {
		return permanent("over %d terms ask the DNS", MaxTerms)
	}
	rec, out := e.fetch(ctx, domain)
	if rec == nil {
		return out
	}
	for _, d := range rec.directives {
		if d.asks() {
			if e.terms++; e.terms > MaxTerms {
				return permanent("over %d terms ask the DNS", MaxTerms)
			}
		}
		match, bad := e.matches(ctx, d, domain, depth)
		if bad != nil {
			return *bad
		}
		if match {
			return outcome{code: d.code, mechanism: d.text, exp: rec.exp, domain: domain}
		}
	}
	if rec.redirect == nil {
		return outcome{code: Neutral} // RFC 7208 §4.7
	}
	if e.terms++; e.terms > MaxTerms {
		return permanent("over %d terms ask the DNS", MaxTerms)
	}
	to := e.name(ctx, rec.redirect, domain)
	out = e.host(ctx, to, depth+1)
	if out.code == None { // RFC 7208 §6.1
		return permanent("redirect leads to %.100q, which has no policy", to)
	}
	return out
}

// fetch finds the policy of a domain (RFC 7208 §4.4, §4.5). A nil record means
// that the outcome is settled.
func (e *evaluation) fetch(ctx context.Context, domain string) (*record, outcome) {
	answer, err := e.r.Lookup(ctx, domain, dns.TypeTXT)
	switch {
	case dns.Absent(err):
		return nil, outcome{code: None}
	case err != nil:
		return nil, temporary(fmt.Errorf("TXT of %s: %w", domain, dns.Brief(err)))
	}
	text, n := "", 0
	for _, r := range answer.Records {
		if isRecord(r.Text) {
			text = r.Text
			n++
		}
	}
	switch n {
	case 0:
		return nil, outcome{code: None}
	case 1:
	default:
		return nil, permanent("%s has %d policies", domain, n)
	}
	rec, err := parse(text)
	if err != nil {
		return nil, permanent("policy of %s: %w", domain, err)
	}
	return rec, outcome{}
}

// name is the target of a domain-spec, or the current domain.
func (e *evaluation) name(ctx context.Context, spec macros, domain string) string {
	if spec == nil {
		return domain
	}
	return target(spec.expand(func(letter byte) string { return e.value(ctx, letter, domain) }))
}

func (e *evaluation) value(ctx context.Context, letter byte, domain string) string {
	if letter == 'p' {
		return e.validated(ctx, domain)
	}
	return e.plain(letter, domain)
}

// matches evaluates one mechanism (RFC 7208 §5). An outcome ends everything.
func (e *evaluation) matches(ctx context.Context, d directive, domain string, depth int) (bool, *outcome) {
	switch d.kind {
	case all:
		return true, nil
	case ip4, ip6:
		return d.net.Contains(e.q.IP), nil
	}
	to := e.name(ctx, d.spec, domain)
	switch d.kind {
	case include:
		return e.include(ctx, to, depth)
	case a:
		addrs, bad := e.addresses(ctx, to, e.family(), true)
		return e.covers(addrs, d.bits), bad
	case mx:
		return e.matchesMX(ctx, to, d.bits)
	case exists: // RFC 7208 §5.7: IPv4, whatever the peer has
		addrs, bad := e.addresses(ctx, to, dns.TypeA, true)
		return len(addrs) > 0, bad
	}
	for _, name := range e.allNames(ctx) { // ptr
		if isWithin(name, to) {
			return true, nil
		}
	}
	return false, nil
}

// include asks another policy whether it passes (RFC 7208 §5.2).
func (e *evaluation) include(ctx context.Context, to string, depth int) (bool, *outcome) {
	out := e.host(ctx, to, depth+1)
	switch out.code {
	case Pass:
		return true, nil
	case TempError, PermError:
		return false, &out
	case None:
		bad := permanent("include leads to %.100q, which has no policy", to)
		return false, &bad
	}
	return false, nil
}

// family is the type of address records that the peer can be in.
func (e *evaluation) family() dns.Type {
	if e.q.IP.Is4() {
		return dns.TypeA
	}
	return dns.TypeAAAA
}

// lookup asks a question of a term and counts it if it finds nothing. An outcome
// ends everything.
func (e *evaluation) lookup(ctx context.Context, name string, t dns.Type, counts bool) ([]dns.Record, *outcome) {
	if name == "" || !dns.IsName(name) {
		return nil, nil // RFC 7208 §4.8 leaves it open; such a name cannot exist
	}
	answer, err := e.r.Lookup(ctx, name, t)
	switch {
	case dns.Absent(err):
		if counts {
			if e.void++; e.void > MaxVoid {
				bad := permanent("over %d questions of the policy have no answer", MaxVoid)
				return nil, &bad
			}
		}
		return nil, nil
	case err != nil:
		bad := temporary(fmt.Errorf("%s of %s: %w", t, name, dns.Brief(err)))
		return nil, &bad
	}
	return answer.Records, nil
}

func (e *evaluation) addresses(ctx context.Context, name string, t dns.Type, counts bool) ([]netip.Addr, *outcome) {
	records, bad := e.lookup(ctx, name, t, counts)
	var addrs []netip.Addr
	for _, r := range records {
		addrs = append(addrs, r.Addr)
	}
	return addrs, bad
}

// covers says whether the peer is in one of the addresses' networks.
func (e *evaluation) covers(addrs []netip.Addr, bits [2]int) bool {
	n := bits[0]
	if e.q.IP.Is6() {
		n = bits[1]
	}
	for _, addr := range addrs {
		if p, err := addr.Prefix(n); err == nil && p.Contains(e.q.IP) {
			return true
		}
	}
	return false
}

// matchesMX evaluates mx (RFC 7208 §5.4). Only the question for the hosts counts
// as void: a peer with IPv6 would otherwise break each policy whose hosts have
// none.
func (e *evaluation) matchesMX(ctx context.Context, name string, bits [2]int) (bool, *outcome) {
	hosts, bad := e.lookup(ctx, name, dns.TypeMX, true)
	if bad != nil {
		return false, bad
	}
	if len(hosts) > MaxNames {
		bad := permanent("%s has over %d mail hosts", name, MaxNames)
		return false, &bad
	}
	for _, h := range hosts {
		addrs, bad := e.addresses(ctx, h.Target, e.family(), false)
		if bad != nil {
			return false, bad
		}
		if e.covers(addrs, bits) {
			return true, nil
		}
	}
	return false, nil
}

// allNames is the names of the peer that lead back to it (RFC 7208 §5.5), asked
// for once. A failure of the DNS means that there are none.
func (e *evaluation) allNames(ctx context.Context) []string {
	if e.names != nil {
		return e.names
	}
	e.names = []string{}
	answer, err := e.r.Lookup(ctx, dns.Reverse(e.q.IP), dns.TypePTR)
	if err != nil {
		return e.names
	}
	for i, r := range answer.Records {
		if i >= MaxNames {
			break
		}
		back, err := e.r.Lookup(ctx, r.Target, e.family())
		if err != nil {
			continue
		}
		for _, addr := range back.Records {
			if addr.Addr == e.q.IP {
				e.names = append(e.names, dns.Normal(r.Target))
				break
			}
		}
	}
	return e.names
}

// unknown is what stands for a name that is not known.
const unknown = "unknown"

// validated is the value of the letter p (RFC 7208 §7.3).
func (e *evaluation) validated(ctx context.Context, domain string) string {
	names := e.allNames(ctx)
	within := unknown
	for i, name := range names {
		switch {
		case name == domain:
			return name
		case isWithin(name, domain) && !isWithin(within, domain), i == 0:
			within = name
		}
	}
	return within
}

func isWithin(name, domain string) bool {
	domain = dns.Normal(domain)
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// maxExplanation is the longest explanation that is passed on, in octets.
const maxExplanation = 500

// explain fetches and expands the explanation of a policy (RFC 7208 §6.2). What
// is wrong with it means that there is none.
func (e *evaluation) explain(ctx context.Context, exp macros, domain string) string {
	name := e.name(ctx, exp, domain)
	if !isDomain(name) {
		return ""
	}
	answer, err := e.r.Lookup(ctx, name, dns.TypeTXT)
	if err != nil || len(answer.Records) != 1 {
		return ""
	}
	m, err := parseMacros(answer.Records[0].Text, inExplanation)
	if err != nil {
		return ""
	}
	text := m.expand(func(letter byte) string { return e.value(ctx, letter, domain) })
	if len(text) > maxExplanation {
		return ""
	}
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return ""
		}
	}
	return text
}
