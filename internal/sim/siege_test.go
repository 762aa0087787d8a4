package sim

import (
	"fmt"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// sieges are what chance alone would seldom bring about: an attacker who takes a
// policy away before he takes TLS away, lines that are about to be used by a letter
// that wants more of them than the one before, and a storm through which we are
// started again and again.
func (d *director) sieges() (all []change) {
	w := d.w
	for _, domain := range w.domains {
		if s := domain.site; domain.sts != nil && !s.dane && !s.steady {
			for _, other := range w.sites {
				if other != s && other.secure >= certified && !other.dane {
					domain.moveTo = other // whose certificates are good
				}
			}
			all = d.noPolicy(domain)
			break
		}
	}
	pairs := 0
	for _, s := range w.sites {
		if s.secure < certified || s.steady || pairs == 6 {
			continue
		}
		to := s.domains[0]
		for _, other := range s.domains {
			if other.sts != nil || other.signed {
				to = other
			}
		}
		pairs++
		all = append(all, d.pairs(s, to, time.Duration(w.rnd.Int64N(int64((days-1)*day))))...)
	}
	all = append(all, d.move(w.sites[3], w.sites[4])...)
	return append(all, d.storm(w.sites[w.rnd.IntN(providers)])...)
}

// letter is one of ours to somebody at a domain.
func (d *director) letter(to *domain, at time.Duration, set func(*letter)) change {
	l := &letter{from: d.accounts[0].Address, many: true} // what comes of it is not to be prompt
	l.add(mail.Address{Local: "siege", Domain: mail.Domain(to.name)}, false, 0)
	set(l)
	return change{at, "sends", func() { d.send(l) }}
}

func plain(*letter) {}

// noPolicy lets us learn a policy, takes its web server away, starts us again, and
// then takes TLS away.
func (d *director) noPolicy(to *domain) []change {
	at := time.Duration(d.rnd.Int64N(int64((days - 2) * day)))
	s := to.site
	return []change{
		{at, "has its policy", func() { to.sts.set(false) }}, {at, "is well", func() { s.set(mood{}); to.set(dnsWell) }},
		d.letter(to, at+time.Minute, plain),
		{at + time.Hour, "loses its policy", func() { to.sts.set(true) }},
		{at + 2*time.Hour, "restarts", d.again},
		{at + 3*time.Hour, "is stripped", func() { s.set(mood{name: "is stripped in a siege", noTLS: true}) }},
		d.letter(to, at+3*time.Hour+time.Minute, plain),
		{at + 5*time.Hour, "is well", func() { s.set(mood{}) }},
		{at + 6*time.Hour, "has moved", func() { to.set(dnsMoved); to.moveTo.set(mood{}) }},
		d.letter(to, at+6*time.Hour+time.Minute, plain),
		{at + 8*time.Hour, "is back", func() { to.set(dnsWell) }}, {at + 9*time.Hour, "has its policy", func() { to.sts.set(false) }},
	}
}

// move lets all domains of a provider go to another site, while much is sent to them.
func (d *director) move(from, to *site) (all []change) {
	at := time.Duration(d.rnd.Int64N(int64((days - 1) * day)))
	some := from.domains[:min(25, len(from.domains))]
	all = append(all, change{at, "are well", func() { from.set(mood{}); to.set(mood{}) }})
	for _, domain := range some {
		domain.moveTo = to
		all = append(all, change{at, "is well", func() { domain.set(dnsWell) }}, d.letter(domain, at+time.Minute, plain),
			change{at + time.Hour, "moves", func() { domain.set(dnsMoved) }}, d.letter(domain, at+time.Hour+time.Minute, plain),
			change{at + 10*time.Hour, "is back", func() { domain.set(dnsWell) }})
	}
	return all
}

// pairs sends letters behind each other while a site shows another's certificate.
func (d *director) pairs(s *site, to *domain, at time.Duration) []change {
	lax, strict := func(l *letter) { l.lax = true }, func(l *letter) { l.tls = true }
	return []change{
		{at, "is another", func() { s.set(mood{name: "is another in a siege", badCert: true}); to.set(dnsWell) }},
		d.letter(to, at+time.Minute, lax), d.letter(to, at+time.Minute+2*time.Second, plain),
		d.letter(to, at+30*time.Minute, plain), d.letter(to, at+30*time.Minute+2*time.Second, strict),
		{at + time.Hour, "is well", func() { s.set(mood{}) }},
	}
}

// storm lets a site want nothing for twenty hours, while much is sent to it and we
// begin anew several times.
func (d *director) storm(s *site) (all []change) {
	at := time.Duration(d.rnd.Int64N(int64((days - 2) * day)))
	all = append(all, change{at, "storms", func() { s.set(mood{name: "storms in a siege", mail: "451 4.7.1 try later: too many messages"}) }})
	for n := range 60 {
		after := time.Duration(n/10)*25*time.Minute + time.Duration(n)*time.Second
		all = append(all, d.letter(s.domains[n%len(s.domains)], at+after, func(l *letter) { l.copies[0].to.Local += fmt.Sprint(n) }))
	}
	for n := range 6 {
		all = append(all, change{at + time.Duration(n)*25*time.Minute + 2*time.Minute, "restarts", d.again})
	}
	return append(all, change{at + 20*time.Hour, "is well", func() { s.set(mood{}) }})
}
