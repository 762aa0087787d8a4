package dmarc

import (
	"net/url"
	"strings"
)

// Policy is what a domain wants done with mail that fails (RFC 9989 §4.7, p).
type Policy string

// The policies, from the mildest.
const (
	None       Policy = "none"
	Quarantine Policy = "quarantine"
	Reject     Policy = "reject"
)

// weight orders policies.
func (p Policy) weight() int {
	switch p {
	case Quarantine:
		return 1
	case Reject:
		return 2
	}
	return 0
}

// lower is the policy while a domain only tests (RFC 9989 §4.7, t).
func (p Policy) lower() Policy {
	if p == Reject {
		return Quarantine
	}
	return None
}

// Record is a policy record that was read (RFC 9989 §4.7).
type Record struct {
	Text       string
	P, SP, NP  Policy // "" where the tag is not there
	StrictDKIM bool   // adkim=s
	StrictSPF  bool   // aspf=s
	Testing    bool   // t=y
	PSD        byte   // y, n or u
	Failure    string // fo; "0" by default
	Aggregate  []string
	Failures   []string // URIs, of rua and ruf

	bad bool // p, sp or np is none of the policies
}

// maxURIs is how many addresses for reports are read of one tag.
const maxURIs = 10

// Parse reads a record. It gives nil if the text is none; what is malformed in
// one is as if it were not there (RFC 9989 §4.8).
func Parse(text string) *Record {
	first, rest, _ := strings.Cut(text, ";")
	if name, value, ok := strings.Cut(first, "="); !ok || trim(name) != "v" || trim(value) != "DMARC1" {
		return nil
	}
	r := &Record{Text: text, PSD: 'u', Failure: "0"}
	seen := map[string]bool{}
	for tag := range strings.SplitSeq(rest, ";") {
		name, value, ok := strings.Cut(tag, "=")
		if name, value = strings.ToLower(trim(name)), trim(value); ok && !seen[name] {
			seen[name] = true
			r.set(name, value)
		}
	}
	if r.P == "" {
		r.bad = true
	}
	return r
}

func trim(s string) string { return strings.Trim(s, " \t") }

func (r *Record) set(name, value string) {
	word := strings.ToLower(value)
	switch name {
	case "p":
		r.P = r.policy(word)
	case "sp":
		r.SP = r.policy(word)
	case "np":
		r.NP = r.policy(word)
	case "adkim":
		r.StrictDKIM = word == "s"
	case "aspf":
		r.StrictSPF = word == "s"
	case "t":
		r.Testing = word == "y"
	case "psd":
		if word == "y" || word == "n" {
			r.PSD = word[0]
		}
	case "fo":
		r.Failure = word
	case "rua":
		r.Aggregate = uris(value)
	case "ruf":
		r.Failures = uris(value)
	}
}

func (r *Record) policy(word string) Policy {
	switch p := Policy(word); p {
	case None, Quarantine, Reject:
		return p
	}
	r.bad = true
	return ""
}

// uris reads a list of addresses for reports. The obsolete size is dropped
// (RFC 9989 §4.8).
func uris(list string) []string {
	var all []string
	for one := range strings.SplitSeq(list, ",") {
		one, _, _ = strings.Cut(trim(one), "!")
		if u, err := url.Parse(one); err != nil || u.Scheme == "" || len(all) == maxURIs {
			continue
		}
		all = append(all, one)
	}
	return all
}

// applies says whether a policy can be taken from the record: one that is malformed
// is read as p=none if reports are asked for (RFC 9989 §4.10.1).
func (r *Record) applies() bool { return !r.bad || len(r.Aggregate) > 0 }

// policyFor is what the record wants for a domain: its own, or one below it that
// exists or does not.
func (r *Record) policyFor(own, exists bool) Policy {
	p := r.P
	switch {
	case r.bad:
		return None
	case own:
	case !exists && r.NP != "":
		p = r.NP
	case r.SP != "":
		p = r.SP
	}
	if r.Testing {
		p = p.lower()
	}
	return p
}
