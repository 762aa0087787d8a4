package resolver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// liar stands between us and the servers and changes what they say, as somebody on the
// way can. It has no key that anybody vouches for, but keys of its own.
type liar struct {
	rnd  *rand.Rand
	seen []*dns.Msg // to be played again, whole or in parts
	keys map[string]dnssec.Key
}

var theft = []byte{203, 0, 113, 66}

// tell changes a message in one way or in none.
func (l *liar) tell(m *dns.Msg, now time.Time) {
	without := func(types ...uint16) {
		of := func(rrs []dns.RR) []dns.RR {
			return slices.DeleteFunc(rrs, func(rr dns.RR) bool { return slices.Contains(types, rr.Header().Rrtype) })
		}
		m.Answer, m.Ns = of(m.Answer), of(m.Ns)
	}
	old := l.seen
	if l.seen = append(l.seen, m.Copy()); len(old) == 0 {
		return
	}
	other := old[l.rnd.IntN(len(old))].Copy()
	switch l.rnd.IntN(14) {
	case 0:
		without(dns.TypeRRSIG)
	case 1:
		without(dns.TypeDS, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3)
	case 2:
		without(dns.TypeNSEC, dns.TypeNSEC3)
	case 3:
		m.Answer, m.Rcode = nil, dns.RcodeNameError
	case 4:
		m.Answer, m.Rcode, m.Ns = nil, dns.RcodeNameError, other.Ns
	case 5:
		m.Answer, m.Rcode, m.Ns = nil, dns.RcodeSuccess, other.Ns
	case 6:
		m.Answer = append(m.Answer, other.Answer...)
	case 7:
		m.Ns = other.Ns
		m.Extra = append(other.Extra, m.Extra...)
	case 8:
		l.steal(m)
	case 9:
		l.steal(m)
		l.resign(m, now)
	case 10:
		l.resign(m, now)
	case 11:
		m.Answer = slices.DeleteFunc(m.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeCNAME })
	case 12:
		m.Answer = append([]dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: "www.u.org."}}, m.Answer...)
	}
}

// steal gives addresses of its own.
func (l *liar) steal(m *dns.Msg) {
	for i, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			m.Answer[i] = &dns.A{Hdr: a.Hdr, A: theft}
		}
	}
}

// resign puts signatures of its own in the place of all others, and its key beside the
// zone's.
func (l *liar) resign(m *dns.Msg, now time.Time) {
	for _, list := range []*[]dns.RR{&m.Answer, &m.Ns} {
		for i, rr := range *list {
			sig, ok := rr.(*dns.RRSIG)
			if !ok {
				continue
			}
			k, ok := l.keys[sig.SignerName]
			if !ok {
				var err error
				if k, err = dnssec.Generate(sig.SignerName, dns.ED25519, true); err != nil {
					panic(err)
				}
				l.keys[sig.SignerName] = k
			}
			if sig.TypeCovered == dns.TypeDNSKEY {
				*list = append(*list, k.DNSKEY)
			}
			var set []dns.RR
			for _, o := range *list {
				if o.Header().Rrtype == sig.TypeCovered && o.Header().Name == sig.Hdr.Name {
					set = append(set, o)
				}
			}
			if len(set) == 0 {
				continue
			}
			if own, err := k.Sign(set, now.Add(-time.Hour), now.Add(time.Hour)); err == nil {
				own.Labels = sig.Labels
				(*list)[i] = own
			}
		}
	}
}

// forest is zones of all kinds below a root.
func forest(w *world, rnd *rand.Rand) (anchor string) {
	zones := map[string]*zone{}
	for i, name := range []string{".", "org.", "com.", "s.org.", "u.org.", "s.com.", "t.s.org."} {
		at := fmt.Sprintf("198.51.100.%d", i+1)
		algorithm := uint8(0)
		if name == "." || name == "org." || name[0] == 's' || name[0] == 't' {
			algorithm = dns.ED25519
		}
		z := newZone(name, fmt.Sprintf("@ NS ns\nns A %s\nwww A 192.0.2.1\n*.wild A 192.0.2.2\nthere.wild TXT x\nalias CNAME www\naway CNAME www.s.org.\na.b.c A 192.0.2.3\ntree DNAME wild.s.org.", at), algorithm)
		if rnd.IntN(2) == 0 {
			z.nsec3 = &dnssec.Hashing{OptOut: rnd.IntN(2) == 0}
		}
		if name == "." {
			z.add("ns.root. A " + at)
			z.records["."][dns.TypeNS] = nil
			z.add("@ NS ns.root.")
			anchor = z.anchor()
		} else {
			up := zones[dnssec.Parent(name)]
			up.add(name + " NS ns." + name + "\nns." + name + " A " + at)
			if z.key != nil && up.key != nil {
				up.vouch(z)
			}
		}
		zones[name] = z
		w.servers[at] = &actor{zones: []*zone{z}}
	}
	return anchor
}

// TestLies: whatever somebody on the way does, what is signed is right or it is not
// answered; what is not signed is never said to be; and a question costs what it may.
func TestLies(t *testing.T) {
	worlds := 80
	if testing.Short() {
		worlds = 10
	}
	right, refused := 0, 0
	for seed := range uint64(worlds) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			w := newWorld()
			o := Options{Hints: w.hints("198.51.100.1"), Anchors: forest(w, rnd)}
			honest := w.resolver(t, o)
			defer honest.Close()
			l := &liar{rnd: rnd, keys: map[string]dnssec.Key{}}
			deceived := w.resolver(t, o)
			defer deceived.Close()
			for range 12 {
				zone := []string{"org", "s.org", "u.org", "t.s.org", "com", "s.com"}[rnd.IntN(6)]
				name := []string{"www.", "x.wild.", "there.wild.", "alias.", "away.", "none.", "b.c.", "a.b.c.", "", "y.tree."}[rnd.IntN(10)] + zone
				kind := []words.Type{words.TypeA, words.TypeTXT, words.TypeMX, words.TypeNS}[rnd.IntN(4)]
				truth, why := honest.Lookup(t.Context(), name, kind)
				for _, s := range w.servers {
					s.act = func(_ *dns.Msg, _ bool, good func() *dns.Msg) []*dns.Msg {
						m := good().Copy()
						if rnd.IntN(3) == 0 {
							l.tell(m, time.Now())
						}
						return []*dns.Msg{m}
					}
				}
				before := w.asked()
				told, err := deceived.Lookup(t.Context(), name, kind)
				if n := w.asked() - before; n > maxSent {
					t.Errorf("seed %d: %s %s cost %d packets", seed, name, kind, n)
				}
				for _, s := range w.servers {
					s.act = nil
				}
				switch {
				case errors.Is(err, words.ErrServer), errors.Is(err, words.ErrBogus):
					refused++
				case truth.Secure && (show(told, err) != show(truth, why) || !told.Secure):
					t.Errorf("seed %d: %s %s is %s, secure %v; the truth is %s", seed, name, kind, show(told, err), told.Secure, show(truth, why))
				case told.Secure && !truth.Secure:
					t.Errorf("seed %d: %s %s is said to be signed: %s", seed, name, kind, show(told, err))
				default:
					right++
				}
				time.Sleep(time.Minute)
			}
		})
	}
	if right < worlds || refused < worlds {
		t.Errorf("%d answers and %d refusals show little", right, refused)
	}
}
