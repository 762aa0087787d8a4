package resolver

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/datadriven"
	"github.com/miekg/dns"
)

// misdeed makes a server or a zone misbehave, as a play's fault says.
type misdeed func(p *play, d *datadriven.TestData)

// act has a server change its answers.
func act(change func(m, q *dns.Msg)) misdeed {
	return func(p *play, d *datadriven.TestData) {
		p.w.servers[arg(d, "at")].act = func(q *dns.Msg, _ bool, good func() *dns.Msg) []*dns.Msg {
			m := good()
			change(m, q)
			return []*dns.Msg{m}
		}
	}
}

// sig has a zone change its signatures.
func sig(change func(set []dns.RR, sig *dns.RRSIG)) misdeed {
	return func(p *play, d *datadriven.TestData) { p.zones[arg(d, "zone")].break_ = change }
}

// strip has a server leave types out.
func strip(types ...uint16) misdeed {
	of := func(rrs []dns.RR) []dns.RR {
		return slices.DeleteFunc(rrs, func(rr dns.RR) bool { return slices.Contains(types, rr.Header().Rrtype) })
	}
	return act(func(m, _ *dns.Msg) { m.Answer, m.Ns = of(m.Answer), of(m.Ns) })
}

// faults are the ways in which servers and zones misbehave.
func faults() map[string]misdeed {
	all := map[string]misdeed{}
	for _, some := range []map[string]misdeed{lame(), forgers(), attackers(), badSignatures()} {
		maps.Copy(all, some)
	}
	return all
}

// lame are servers that do not do what they should.
func lame() map[string]misdeed {
	return map[string]misdeed{
		"none": func(p *play, d *datadriven.TestData) { p.w.servers[arg(d, "at")].act = nil },
		"silent": func(p *play, d *datadriven.TestData) {
			p.w.servers[arg(d, "at")].act = func(*dns.Msg, bool, func() *dns.Msg) []*dns.Msg { return nil }
		},
		"refused":  act(func(m, q *dns.Msg) { *m = *new(dns.Msg).SetRcode(q, dns.RcodeRefused) }),
		"servfail": act(func(m, q *dns.Msg) { *m = *new(dns.Msg).SetRcode(q, dns.RcodeServerFailure) }),
		"noedns": act(func(m, q *dns.Msg) {
			if q.IsEdns0() != nil {
				*m = *new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
			}
		}),
		"folds":   act(func(m, q *dns.Msg) { m.Question[0].Name = strings.ToLower(m.Question[0].Name) }),
		"nosigs":  strip(dns.TypeRRSIG),
		"nods":    strip(dns.TypeDS),
		"noproof": strip(dns.TypeNSEC, dns.TypeNSEC3),
		"nokeys":  strip(dns.TypeDNSKEY),
		"empty": act(func(m, q *dns.Msg) {
			if len(m.Answer) > 0 && q.Question[0].Qtype == dns.TypeA {
				m.Answer, m.Rcode = nil, dns.RcodeNameError
			}
		}),
		"upward": act(func(m, q *dns.Msg) {
			*m = *new(dns.Msg).SetReply(q)
			m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 300}, Ns: "ns.root."}}
		}),
		"cut": func(p *play, d *datadriven.TestData) {
			p.w.servers[arg(d, "at")].act = func(q *dns.Msg, tcp bool, good func() *dns.Msg) []*dns.Msg {
				m := good()
				if !tcp {
					m.Answer, m.Ns, m.Truncated = nil, nil, true
				}
				return []*dns.Msg{m}
			}
		},
	}
}

// forgers say what is not theirs to say.
func forgers() map[string]misdeed {
	return map[string]misdeed{
		"spoofed": func(p *play, d *datadriven.TestData) { // by someone who does not see the questions
			p.w.servers[arg(d, "at")].act = func(q *dns.Msg, tcp bool, good func() *dns.Msg) []*dns.Msg {
				if tcp {
					return []*dns.Msg{good()}
				}
				var all []*dns.Msg
				for i := range 20 {
					m := good()
					m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: []byte{203, 0, 113, 66}}}
					switch i % 3 {
					case 0:
						m.Id += uint16(i) + 1
					case 1:
						m.Question[0].Name = "x." + m.Question[0].Name
					case 2:
						m.Question[0].Qtype = dns.TypeMX
					}
					all = append(all, m)
				}
				return append(all, good())
			}
		},
		"case": act(func(m, q *dns.Msg) { m.Question[0].Name = strings.ToUpper(m.Question[0].Name) }),
		"poison": act(func(m, q *dns.Msg) {
			bad := func(name string) dns.RR {
				return &dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: []byte{203, 0, 113, 66}}
			}
			m.Answer = append(m.Answer, bad("www.victim.org."))
			m.Ns = append(m.Ns, &dns.NS{Hdr: dns.RR_Header{Name: "victim.org.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 300}, Ns: "ns.evil.org."})
			m.Extra = append(m.Extra, bad("www.victim.org."), bad("ns.victim.org."))
		}),
	}
}

// attackers make a question cost much.
func attackers() map[string]misdeed {
	return map[string]misdeed{
		// Every zone is delegated to many servers whose names lie in a victim's zone.
		"nxns": act(func(m, q *dns.Msg) {
			*m = *new(dns.Msg).SetReply(q)
			for i := range 100 {
				m.Ns = append(m.Ns, &dns.NS{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 300}, Ns: fmt.Sprintf("n%d.victim.org.", i)})
			}
		}),
		// Every name is an alias of another.
		"chain": act(func(m, q *dns.Msg) {
			*m = *new(dns.Msg).SetReply(q)
			m.Authoritative = true
			name := q.Question[0].Name
			m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 300}, Target: "x" + name}}
		}),
		// Every name begins a zone, one label further down each time.
		"deep": act(func(m, q *dns.Msg) {
			*m = *new(dns.Msg).SetReply(q)
			m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 300}, Ns: "ns." + q.Question[0].Name}}
			m.Extra = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "ns." + q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: []byte{198, 51, 100, 3}}}
		}),
		// Each signature comes twenty times, none holds, and keys are of the same tag.
		"keytrap": act(func(m, q *dns.Msg) {
			for _, list := range []*[]dns.RR{&m.Answer, &m.Ns} {
				for _, rr := range *list {
					switch rr := rr.(type) {
					case *dns.RRSIG:
						if rr.TypeCovered == dns.TypeDNSKEY || rr.TypeCovered == dns.TypeDS {
							continue
						}
						rr.Signature = "AAAA" + rr.Signature[4:]
						for range 19 {
							*list = append(*list, dns.Copy(rr))
						}
					}
				}
			}
		}),
	}
}

// badSignatures do not hold.
func badSignatures() map[string]misdeed {
	return map[string]misdeed{
		"expired":  sig(func(_ []dns.RR, s *dns.RRSIG) { s.Expiration = s.Inception - 60; s.Inception -= 3600 }),
		"future":   sig(func(_ []dns.RR, s *dns.RRSIG) { s.Inception += 86400 * 365; s.Expiration += 86400 * 365 }),
		"forged":   sig(func(_ []dns.RR, s *dns.RRSIG) { s.Signature = "AAAA" + s.Signature[4:] }),
		"wrongkey": sig(func(_ []dns.RR, s *dns.RRSIG) { s.KeyTag++ }),
		"stranger": sig(func(_ []dns.RR, s *dns.RRSIG) { s.SignerName = "evil.org." }),
		"changed": sig(func(set []dns.RR, _ *dns.RRSIG) {
			for i, rr := range set {
				if a, ok := rr.(*dns.A); ok {
					set[i] = &dns.A{Hdr: a.Hdr, A: []byte{203, 0, 113, 66}}
				}
			}
		}),
		"unknown": sig(func(_ []dns.RR, s *dns.RRSIG) { s.Algorithm = 200 }),
	}
}
