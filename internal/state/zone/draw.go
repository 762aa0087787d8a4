package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/mail"
	wiredns "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// TTLs in seconds of what is drawn. They are short: what a mail domain says changes
// seldom, but then it should be known soon.
const (
	ttl         = 3600
	negativeTTL = 300 // RFC 2308 §5
	soaRefresh  = 4 * 3600
	soaRetry    = 3600
	soaExpire   = 14 * 24 * 3600
)

// Server is what all domains of a server have in common.
type Server struct {
	Hostname    mail.Domain // of the MX records
	Addresses   []netip.Addr
	NameServers []mail.Domain  // besides which none are named; empty: Hostname alone
	Ports       map[string]int // of the doors for users, by the names of the contract; absent: shut
	TLSA        []Digest       // of the certificates that Hostname shows, and of those to come
	Issuers     []Issuer       // that may certify our names; empty: any
}

// Digest is a certificate's or a key's in a TLSA record (RFC 6698 §2.1).
type Digest struct {
	Usage, Selector, Matching uint8
	Hex                       string
}

// Issuer is an authority that may give certificates (RFC 8659, RFC 8657).
type Issuer struct {
	Name       string // as "letsencrypt.org"
	AccountURI string // "" is any account there
}

// Facts are what one domain's records are drawn from.
type Facts struct {
	Domain   mail.Domain
	SPF      string // "" is that our MX hosts send, and nobody else
	DMARC    string // "" is DefaultDMARC
	Keys     []DKIMKey
	STSID    string       // of its MTA-STS policy (RFC 8461 §3.1); "" if there is none
	TLSRPT   mail.Address // where reports about TLS are wanted; zero: nowhere
	Reports  mail.Address // where DMARC reports are wanted; zero: nowhere
	BIMI     string       // the record of the default selector; "" is none
	NoMail   bool         // the domain takes no mail (RFC 7505) and sends none
	WebRoots bool         // autoconfig and mta-sts are served here by HTTPS
}

// DKIMKey is a key that signatures are checked with (RFC 6376 §3.6.1).
type DKIMKey struct{ Selector, Record string }

// DefaultDMARC is the policy of a domain that says nothing of it.
const DefaultDMARC = "v=DMARC1; p=quarantine"

// drawing collects records.
type drawing struct {
	rrs []dns.RR
}

func (d *drawing) header(name string, t uint16) dns.RR_Header {
	return dns.RR_Header{Name: dns.CanonicalName(name), Rrtype: t, Class: dns.ClassINET, Ttl: ttl}
}

func (d *drawing) txt(name, text string) {
	d.rrs = append(d.rrs, &dns.TXT{Hdr: d.header(name, dns.TypeTXT), Txt: Strings(text)})
}

func (d *drawing) cname(name, to string) {
	d.rrs = append(d.rrs, &dns.CNAME{Hdr: d.header(name, dns.TypeCNAME), Target: dns.CanonicalName(to)})
}

func (d *drawing) addresses(name string, all []netip.Addr) {
	for _, a := range all {
		if a = a.Unmap(); a.Is4() {
			d.rrs = append(d.rrs, &dns.A{Hdr: d.header(name, dns.TypeA), A: a.AsSlice()})
		} else {
			d.rrs = append(d.rrs, &dns.AAAA{Hdr: d.header(name, dns.TypeAAAA), AAAA: a.AsSlice()})
		}
	}
}

// Strings divides a text into the strings of a TXT record, of at most 255 octets
// (RFC 1035 §3.3.14).
func Strings(text string) []string {
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, text[:255]), text[255:]
	}
	return append(parts, text)
}

// Draw gives the records of a domain, those of the server's own name among them where
// it lies in the domain. Neither SOA nor NS are among them: those are a zone's.
func Draw(s Server, f Facts) []dns.RR {
	d := &drawing{}
	domain := string(f.Domain)
	d.mail(s, f)
	if f.NoMail {
		return d.rrs
	}
	d.secure(s, f)
	d.services(s, domain)
	if host := string(s.Hostname); within(domain, host) {
		d.addresses(host, s.Addresses)
		for _, t := range s.TLSA {
			d.rrs = append(d.rrs, &dns.TLSA{
				Hdr: d.header("_25._tcp."+host, dns.TypeTLSA), Usage: t.Usage, Selector: t.Selector, MatchingType: t.Matching, Certificate: t.Hex,
			})
		}
	}
	for _, i := range s.Issuers {
		value := i.Name
		if i.AccountURI != "" {
			value += "; accounturi=" + i.AccountURI
		}
		d.rrs = append(d.rrs, &dns.CAA{Hdr: d.header(domain, dns.TypeCAA), Tag: "issue", Value: value})
	}
	return d.rrs
}

// mail draws who takes the domain's mail, and who may send it.
func (d *drawing) mail(s Server, f Facts) {
	domain := string(f.Domain)
	if f.NoMail {
		d.rrs = append(d.rrs, &dns.MX{Hdr: d.header(domain, dns.TypeMX), Mx: "."})
		d.txt(domain, "v=spf1 -all")
		d.txt("_dmarc."+domain, "v=DMARC1; p=reject")
		return
	}
	d.rrs = append(d.rrs, &dns.MX{Hdr: d.header(domain, dns.TypeMX), Preference: 10, Mx: dns.CanonicalName(string(s.Hostname))})
	d.txt(domain, given(f.SPF, "v=spf1 mx -all"))
	dmarc := given(f.DMARC, DefaultDMARC)
	if f.Reports.Local != "" && !strings.Contains(dmarc, "rua=") {
		dmarc += "; rua=mailto:" + f.Reports.String()
	}
	d.txt("_dmarc."+domain, dmarc)
	for _, k := range f.Keys {
		d.txt(k.Selector+"._domainkey."+domain, k.Record)
	}
	if f.BIMI != "" {
		d.txt("default._bimi."+domain, f.BIMI)
	}
	// The HELO name has a policy of its own (RFC 7208 §2.3).
	if host := string(s.Hostname); host != domain && within(domain, host) {
		d.txt(host, "v=spf1 a -all")
	}
}

// secure draws what others need to send to the domain securely.
func (d *drawing) secure(s Server, f Facts) {
	domain := string(f.Domain)
	if f.STSID != "" {
		d.txt("_mta-sts."+domain, "v=STSv1; id="+f.STSID)
	}
	if f.TLSRPT.Local != "" {
		d.txt("_smtp._tls."+domain, "v=TLSRPTv1; rua=mailto:"+f.TLSRPT.String())
	}
	if f.WebRoots {
		for _, label := range [...]string{"mta-sts", "autoconfig", "autodiscover"} {
			d.cname(label+"."+domain, string(s.Hostname))
		}
	}
}

// services draws where programs find the doors (RFC 6186, RFC 8314 §5.1, RFC 8620 §2.2).
func (d *drawing) services(s Server, domain string) {
	for i, door := range [...]struct{ port, label string }{
		{"submissions", "_submissions"}, {"imaps", "_imaps"}, {"submission", "_submission"}, {"imap", "_imap"}, {"pop3s", "_pop3s"}, {"pop3", "_pop3"},
		{"jmap", "_jmap"}, {"https", "_autodiscover"},
	} {
		port, open := s.Ports[door.port]
		if !open {
			continue
		}
		d.rrs = append(d.rrs, &dns.SRV{
			Hdr: d.header(door.label+"._tcp."+domain, dns.TypeSRV), Priority: uint16(min(i/2, 2) * 10), Weight: 1,
			Port: uint16(port), Target: dns.CanonicalName(string(s.Hostname)),
		})
	}
}

// Apex gives the SOA and NS records of a zone. postmaster of the domain, which always
// reaches somebody, is responsible for it.
func Apex(name string, domain mail.Domain, s Server, serial uint32) []dns.RR {
	d := &drawing{}
	servers := s.NameServers
	if len(servers) == 0 {
		servers = []mail.Domain{s.Hostname}
	}
	d.rrs = append(d.rrs, &dns.SOA{
		Hdr: d.header(name, dns.TypeSOA), Ns: dns.CanonicalName(string(servers[0])), Mbox: "postmaster." + dns.CanonicalName(given(string(domain), string(s.Hostname))),
		Serial: serial, Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: negativeTTL,
	})
	for _, ns := range servers {
		d.rrs = append(d.rrs, &dns.NS{Hdr: d.header(name, dns.TypeNS), Ns: dns.CanonicalName(string(ns))})
		if within(name, string(ns)) {
			d.addresses(string(ns), s.Addresses)
		}
	}
	return d.rrs
}

// Reverse gives the PTR records of a reverse zone that belong to the server's
// addresses (RFC 1035 §3.5, RFC 3596 §2.5).
func Reverse(name string, s Server) []dns.RR {
	d := &drawing{}
	for _, a := range s.Addresses {
		ptr := wiredns.Reverse(a)
		if within(name, ptr) {
			d.rrs = append(d.rrs, &dns.PTR{Hdr: d.header(ptr, dns.TypePTR), Ptr: dns.CanonicalName(string(s.Hostname))})
			continue
		}
		// RFC 2317 §4: 64/26.2.0.192.in-addr.arpa has the last octet as its label.
		if label, rest, ok := strings.Cut(strings.TrimSuffix(dns.CanonicalName(name), "."), "."); ok && strings.ContainsAny(label, "/-") && within(rest, ptr) {
			last, _, _ := strings.Cut(ptr, ".")
			if inSlice(label, last) {
				d.rrs = append(d.rrs, &dns.PTR{Hdr: d.header(last+"."+name, dns.TypePTR), Ptr: dns.CanonicalName(string(s.Hostname))})
			}
		}
	}
	return d.rrs
}

// inSlice says whether the last octet of an address lies in a slice named as
// "64/26" or "64-127".
func inSlice(label, octet string) bool {
	var first, n, at int
	if _, err := fmt.Sscanf(octet, "%d", &at); err != nil {
		return false
	}
	if _, err := fmt.Sscanf(label, "%d/%d", &first, &n); err == nil && n >= 24 && n <= 32 {
		return at >= first && at < first+1<<(32-n)
	}
	if _, err := fmt.Sscanf(label, "%d-%d", &first, &n); err == nil {
		return at >= first && at <= n
	}
	return false
}

// within says whether a name lies in a zone.
func within(zone, name string) bool {
	return dns.IsSubDomain(dns.CanonicalName(zone), dns.CanonicalName(name))
}

// given is s, or other where s is empty.
func given(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// Merge lays what an operator wrote over what was drawn. A set of his stands in the
// place of the drawn one; of TXT records only those that speak of the same, as
// "v=spf1". An alias of his stands in the place of all that was drawn there.
func Merge(drawn, own []dns.RR) []dns.RR {
	type place struct {
		name string
		kind string
	}
	taken, alias, any := map[place]bool{}, map[string]bool{}, map[string]bool{}
	for _, rr := range own {
		name := dns.CanonicalName(rr.Header().Name)
		taken[place{name, kindOf(rr)}], any[name] = true, true
		if rr.Header().Rrtype == dns.TypeCNAME {
			alias[name] = true
		}
	}
	seen := map[string]bool{}
	kept := slices.DeleteFunc(slices.Clone(drawn), func(rr dns.RR) bool {
		if seen[rr.String()] { // such as the address of a name server that is a mail host too
			return true
		}
		seen[rr.String()] = true
		name := dns.CanonicalName(rr.Header().Name)
		return alias[name] || taken[place{name, kindOf(rr)}] || rr.Header().Rrtype == dns.TypeCNAME && any[name]
	})
	return append(kept, own...)
}

// kindOf is a record's type, and of a TXT record what it speaks of.
func kindOf(rr dns.RR) string {
	t, ok := rr.(*dns.TXT)
	if !ok {
		return dns.TypeToString[rr.Header().Rrtype]
	}
	first, _, _ := strings.Cut(strings.Join(t.Txt, ""), ";")
	first, _, _ = strings.Cut(strings.TrimSpace(first), " ")
	if strings.HasPrefix(first, "v=") {
		return strings.ToLower(first)
	}
	return "TXT " + strings.Join(t.Txt, "")
}
