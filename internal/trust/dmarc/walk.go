package dmarc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// MaxWalk is how many names one walk asks for (RFC 9989 §4.10).
const MaxWalk = 8

// found is a record and the domain that has it.
type found struct {
	domain string
	record *Record
}

// walker asks for records, each name once.
type walker struct {
	ctx   context.Context
	r     dns.Resolver
	known map[string]*Record // nil: there is none
}

// record is the record of a domain; nil if it has none, or several. An error is
// that it is not known.
func (w *walker) record(domain string) (*Record, error) {
	if rec, ok := w.known[domain]; ok {
		return rec, nil
	}
	name := "_dmarc." + domain
	if !dns.IsName(name) {
		return nil, nil
	}
	answer, err := w.r.Lookup(w.ctx, name, dns.TypeTXT)
	if err != nil && !errors.Is(err, dns.ErrNoName) && !errors.Is(err, dns.ErrNoData) {
		return nil, fmt.Errorf("TXT of %s: %w", name, dns.Brief(err))
	}
	var only *Record
	n := 0
	for _, rec := range answer.Records {
		if parsed := Parse(rec.Text); err == nil && parsed != nil {
			only = parsed
			n++
		}
	}
	if n != 1 {
		only = nil
	}
	w.known[domain] = only
	return only, nil
}

// walk is the DNS tree walk from a domain upwards (RFC 9989 §4.10): the records
// that were found, the longest name's first.
func (w *walker) walk(domain string) ([]found, error) {
	var all []found
	labels := strings.Split(domain, ".")
	for at := 0; at < len(labels); {
		name := strings.Join(labels[at:], ".")
		rec, err := w.record(name)
		if err != nil {
			return all, err
		}
		if rec != nil {
			all = append(all, found{name, rec})
			if rec.PSD != 'u' {
				break
			}
		}
		at++
		if left := MaxWalk - 1; at == 1 && len(labels)-at > left {
			at = len(labels) - left
		}
	}
	return all, nil
}

// organizational is the organizational domain of a domain (RFC 9989 §4.10.2).
func (w *walker) organizational(domain string) (string, error) {
	all, err := w.walk(domain)
	if err != nil {
		return "", err
	}
	return choose(domain, all), nil
}

func choose(domain string, all []found) string {
	for _, f := range all {
		switch {
		case f.record.PSD == 'n':
			return f.domain
		case f.record.PSD == 'y' && f.domain != domain:
			return below(domain, f.domain)
		}
	}
	if len(all) == 0 {
		return domain
	}
	return all[len(all)-1].domain
}

// below is the name one label below a suffix on the way to domain.
func below(domain, suffix string) string {
	rest := strings.TrimSuffix(domain, "."+suffix)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + suffix
}
