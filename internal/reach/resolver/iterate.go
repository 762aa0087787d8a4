package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// iterate finds the answer to a question from the root down, or from the nearest zone
// above it that is known.
func (r *Resolver) iterate(ctx context.Context, q question, w *work) (*step, error) {
	c := r.closest(q, time.Now())
	if c == nil {
		root, err := r.root(ctx, w)
		if err != nil {
			return nil, err
		}
		c = root
	}
	d := descent{q: q, at: c.zone, minimise: true}
	for range maxHops {
		ask := d.next()
		if ask != q && r.within(ask, c.zone) {
			d.at = ask.name
			continue
		}
		a, err := r.askZone(ctx, c, ask, w)
		switch {
		case err != nil && ask != q && ctx.Err() == nil && !isSpent(err):
			d.minimise = false // some servers answer nothing but the whole question (RFC 9156 §3)
			continue
		case err != nil:
			return nil, err
		case a.cut != nil && ask == q && q.t == dns.TypeDS && a.cut.zone == q.name:
			return a.remember(r, q), nil // the parent's word about digests came with the referral
		case a.cut != nil:
			a.remember(r, question{a.cut.zone, dns.TypeDS})
			r.cuts.put(a.cut.zone, a.cut)
			c = a.cut
			d.at = c.zone
			continue
		}
		for _, s := range a.steps {
			r.keep(s)
		}
		switch {
		case ask == q:
			return a.steps[0], nil
		case a.steps[0].kind == noName:
			d.minimise = false // some say so of names that have others below them (RFC 8020 §3.1)
		default:
			d.at = ask.name
		}
	}
	return nil, fmt.Errorf("%w: %s: more than %d zones and names on the way", errSpent, q, maxHops)
}

// descent is how far the way down to a name is gone. Servers are asked no more than
// they need to know (RFC 9156).
type descent struct {
	q        question
	at       string // the name of which there is no doubt
	minimise bool
	asked    int
}

// The numbers of RFC 9156 §2.3.
const (
	maxMinimised = 10 // questions on the way
	oneLabel     = 4  // of those, that add a single label
)

// next is what to ask the servers of the nearest zone. No zone begins at a label with an
// underscore, or so seldom that it is not worth a question (RFC 9156 §2.3).
func (d *descent) next() question {
	have, all := dns.CountLabel(d.at), dns.CountLabel(d.q.name)
	if left := all - have; d.minimise && d.asked < maxMinimised && left > 1 {
		more := 1
		if d.asked >= oneLabel {
			more = max(1, left/(maxMinimised-d.asked))
		}
		d.asked++
		if name := dnssec.Suffix(d.q.name, have+more); more < left && name[0] != '_' {
			return question{name, dns.TypeA}
		}
	}
	return d.q
}

// within says whether it is known that a name is in a zone, or at least that no other
// begins there.
func (r *Resolver) within(q question, zone string) bool {
	s, ok := r.steps.get(q)
	return ok && s.zone == zone && s.kind != noName && time.Now().Before(s.until())
}

// answer is what a server of a zone said: of the question or, with cut, whom to ask.
type answer struct {
	m      *dns.Msg
	zone   string
	server netip.AddrPort
	cut    *cut
	steps  []*step
}

// remember keeps what a referral says about the digests of the zone it points to, and
// gives it.
func (a *answer) remember(r *Resolver, q question) *step {
	now := time.Now()
	s := &step{q: q, zone: a.zone, kind: noData, made: now, from: a.server}
	ttl := a.cut.expires.Sub(now)
	if s.set = pick(a.m.Ns, q.name, dns.TypeDS); len(s.set) > 0 {
		s.kind, s.sigs = has, signatures(a.m.Ns, q.name, dns.TypeDS)
		ttl = min(ttl, lowest(s.set))
	} else {
		s.auth = proofs(a.m.Ns, a.zone)
		ttl = min(ttl, r.o.MaxNegative)
	}
	s.ttl, s.expires = ttl, now.Add(ttl)
	if len(s.set) > 0 || len(s.auth) > 0 {
		r.keep(s)
	}
	return s
}

// keep puts a step into the cache unless what is there is better: validated, and from
// the same place.
func (r *Resolver) keep(s *step) {
	if s.made.Before(s.expires) {
		r.steps.put(s.q, s)
	}
}

type zoneQuestion struct {
	zone string
	question
}

// askZone puts a question to the servers of a zone in turn, until one gives an answer
// that can be used. Equal questions at the same time are sent once.
func (r *Resolver) askZone(ctx context.Context, c *cut, q question, w *work) (*answer, error) {
	known := r.addresses(c, time.Now())
	var why trouble
	for range maxPerZone {
		if len(known) > 0 {
			ask := func() (*answer, error) { return r.try(ctx, c.zone, known, q, w) }
			var a *answer
			var err error
			if len(w.avoid) > 0 {
				a, err = ask() // others need not do without those servers
			} else {
				a, err = r.asks.once(ctx, zoneQuestion{c.zone, q}, ask)
			}
			if err == nil || ctx.Err() != nil || isSpent(err) {
				return a, err
			}
			why.add(err.Error())
		}
		fresh, err := r.lookUpServers(ctx, c, known, w)
		if err != nil {
			if ctx.Err() != nil || isSpent(err) {
				return nil, err
			}
			if len(known) == 0 {
				why.add(err.Error())
			}
			break
		}
		known = unique(fresh)
	}
	return nil, fmt.Errorf("%w: %s: %s", words.ErrServer, q, why.String())
}

// try asks servers in the order of their worth.
func (r *Resolver) try(ctx context.Context, zone string, servers []netip.AddrPort, q question, w *work) (*answer, error) {
	var why trouble
	order := r.peers.order(servers, zone, time.Now())
	for i, server := range order {
		if i == maxAttempts {
			break
		}
		if w.avoid[server.String()] {
			why.add(server.Addr().String() + ": its answers do not validate")
			continue
		}
		m, err := r.exchange(ctx, server, q, asking{secure: true}, w)
		now := time.Now()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if isSpent(err) {
			return nil, err
		}
		if err != nil {
			r.peers.failed(server, err, now)
			why.add(server.Addr().String() + ": " + short(err))
			continue
		}
		a := &answer{m: m, zone: zone, server: server, cut: referral(m, zone, q.name, now)}
		if a.cut == nil {
			a.steps = extract(m, q, zone, now, &r.o)
		}
		s, lame := useless(a)
		if lame {
			r.peers.lame.put(lameness{server, zone}, true, now.Add(lameMemory))
		}
		if s != "" {
			why.add(server.Addr().String() + ": " + s)
			continue
		}
		for _, s := range a.steps {
			s.from = server
		}
		return a, nil
	}
	if len(order) == 0 {
		why.add("none of its servers knows it")
	}
	return nil, errors.New(zone + ": " + why.String())
}

// useless says why another server is to be asked, and whether this one is not to be
// asked about the zone again.
func useless(a *answer) (why string, lame bool) {
	switch m := a.m; {
	case m.Rcode == dns.RcodeRefused || m.Rcode == dns.RcodeNotAuth:
		return rcode(m.Rcode), true
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError && m.Rcode != dns.RcodeYXDomain:
		return rcode(m.Rcode), false
	case a.cut != nil:
		return "", false
	case !m.Authoritative && len(m.Answer) == 0 && !hasSOA(m.Ns):
		return "does not know the zone", true // an upward referral, or nothing at all
	case len(a.steps) == 0:
		return "does not answer what was asked", false
	}
	return "", false
}

func hasSOA(ns []dns.RR) bool {
	for _, rr := range ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			return true
		}
	}
	return false
}

func rcode(code int) string {
	if s, ok := dns.RcodeToString[code]; ok {
		return s
	}
	return fmt.Sprintf("RCODE%d", code)
}

// trouble is why nothing was found, in few words.
type trouble struct{ all []string }

const maxTrouble = 4

func (t *trouble) add(s string) {
	if len(t.all) < maxTrouble {
		t.all = append(t.all, s)
	}
}

func (t *trouble) String() string {
	if len(t.all) == 0 {
		return "no server"
	}
	return strings.Join(t.all, "; ")
}

// short is an error of the network without the addresses that are said already.
func short(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i >= 0 && (strings.HasPrefix(s, "read ") || strings.HasPrefix(s, "dial ") || strings.HasPrefix(s, "write ")) {
		return s[i+2:]
	}
	return s
}
