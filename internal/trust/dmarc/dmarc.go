// Package dmarc finds out whether the author's domain of a message vouches for
// it, and what the domain wants done if it does not (RFC 9989).
package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Code is the result of an evaluation (RFC 9989 §9.2).
type Code string

// The results.
const (
	Absent    Code = "none" // the domain has no policy
	Pass      Code = "pass"
	Fail      Code = "fail"
	TempError Code = "temperror"
	PermError Code = "permerror"
)

// Identifier is a domain that SPF or DKIM has something to say for.
type Identifier struct {
	Domain string
	Unsure bool // it is not known, for a failure of the DNS; else it passed
}

// Query is what is known about a message.
type Query struct {
	Authors []string     // domains of the From field
	SPF     Identifier   // of the reverse-path; without a domain if it did not pass
	DKIM    []Identifier // of the signatures that passed, or might have
}

// Result is what was found.
type Result struct {
	Code     Code
	Author   string  // the domain that decided
	Domain   string  // whose policy it is; "" if there is none
	Record   *Record // nil if there is none
	Policy   Policy  // for this message, if it fails
	SPF      bool    // an aligned pass
	DKIM     bool    // an aligned pass
	Aligned  string  // an identifier that vouches for the author's domain
	Problem  string
	Existent bool // the author's domain exists; only known where it mattered
}

// MaxAuthors is how many domains of a From field are looked at (RFC 9989 §11.5).
const MaxAuthors = 3

// Check evaluates a message (RFC 9989 §5.3). Of several authors' domains the one
// that fails with the strictest policy decides.
func Check(ctx context.Context, r dns.Resolver, q Query) Result {
	w := &walker{ctx: ctx, r: r, known: map[string]*Record{}}
	if len(q.Authors) == 0 {
		return Result{Code: PermError, Problem: "the message has no author's domain"}
	}
	if len(q.Authors) > MaxAuthors {
		return Result{Code: PermError, Problem: fmt.Sprintf("the message has over %d authors' domains", MaxAuthors)}
	}
	var worst Result
	for i, author := range q.Authors {
		one := w.author(author, q)
		if i == 0 || one.severity() > worst.severity() {
			worst = one
		}
	}
	return worst
}

// severity orders the results of several authors.
func (r Result) severity() int {
	switch r.Code {
	case Fail:
		return 4 + r.Policy.weight()
	case PermError:
		return 3
	case TempError:
		return 2
	case Absent: // a domain without a policy beside one that passes proves nothing
		return 1
	}
	return 0
}

// author evaluates one author's domain.
func (w *walker) author(name string, q Query) Result {
	domain, err := mail.ParseDomain(name)
	if err != nil || domain.IsLiteral() {
		return Result{Code: PermError, Author: name, Problem: "the author's domain is malformed"}
	}
	res := Result{Author: string(domain), Existent: true}
	policy, own, err := w.discover(res.Author)
	switch {
	case err != nil:
		res.Code, res.Problem = TempError, err.Error()
		return res
	case policy.record == nil:
		res.Code, res.Problem = Absent, "no policy"
		return res
	case !policy.record.applies():
		res.Code, res.Domain, res.Problem = Absent, policy.domain, "the policy is malformed"
		return res
	}
	res.Domain, res.Record = policy.domain, policy.record
	if !own && policy.record.NP != "" {
		_, err := w.r.Lookup(w.ctx, res.Author, dns.TypeA)
		res.Existent = !errors.Is(err, dns.ErrNoName) // RFC 9989 §A.4
	}
	res.Policy = policy.record.policyFor(own, res.Existent)
	unsure := w.align(&res, q)
	switch {
	case res.SPF || res.DKIM:
		res.Code = Pass
	case unsure != nil:
		res.Code, res.Problem = TempError, unsure.Error()
	default:
		res.Code = Fail
	}
	return res
}

// discover finds the policy that applies (RFC 9989 §4.10.1), and whether it is
// the domain's own.
func (w *walker) discover(author string) (found, bool, error) {
	all, err := w.walk(author)
	if len(all) > 0 && all[0].domain == author {
		return all[0], true, nil // whatever was not found further up
	}
	if err != nil || len(all) == 0 {
		return found{}, false, err
	}
	org := choose(author, all)
	if i := slices.IndexFunc(all, func(f found) bool { return f.domain == org }); i >= 0 {
		return all[i], false, nil
	}
	return all[len(all)-1], false, nil // of the public suffix
}

var errUnsure = errors.New("it is not known whether SPF or DKIM pass")

// align notes the aligned passes in res. An error is that there may be more.
func (w *walker) align(res *Result, q Query) (unsure error) {
	note := func(id Identifier, strict bool, pass *bool) {
		if id.Domain == "" {
			return
		}
		aligned, err := w.aligned(res.Author, id.Domain, strict)
		switch {
		case err != nil:
			unsure = err
		case aligned && id.Unsure:
			unsure = errUnsure
		case aligned:
			*pass, res.Aligned = true, id.Domain
		}
	}
	note(q.SPF, res.Record.StrictSPF, &res.SPF)
	for _, id := range q.DKIM {
		if !res.DKIM {
			note(id, res.Record.StrictDKIM, &res.DKIM)
		}
	}
	return unsure
}

// aligned says whether an identifier speaks for an author's domain (RFC 9989
// §4.4, §4.10.2).
func (w *walker) aligned(author, id string, strict bool) (bool, error) {
	domain, err := mail.ParseDomain(id)
	if err != nil {
		return false, nil
	}
	if id = string(domain); id == author || strict {
		return id == author, nil
	}
	if !related(author, id) {
		return false, nil
	}
	one, err := w.organizational(author)
	if err != nil {
		return false, err
	}
	other, err := w.organizational(id)
	return one == other, err
}

// related says whether two names end in one top label: without that they have no
// organizational domain in common.
func related(a, b string) bool {
	top := func(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
	return top(a) == top(b)
}
