package route

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/policies"
	"github.com/ekiden-mail/ekiden/internal/trust/dane"
	"github.com/ekiden-mail/ekiden/internal/trust/mtasts"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Demand is what the owner of a domain wants of the line to one of its hosts. The
// zero Demand is nothing: TLS where it can be had, with any certificate (RFC 7435).
type Demand struct {
	Policy  tlsrpt.Policy // by which sessions are counted; of type NoPolicy if there is none
	Testing bool          // what is not met is reported, and mail goes all the same (RFC 8461 §5)

	records dane.Set
	names   []string // that the certificate may be for; the first is asked for
}

// Mandatory says whether nothing may go to the host in clear.
func (d Demand) Mandatory() bool { return !d.none() && !d.Testing }

func (d Demand) none() bool { return d.Policy.Type == "" || d.Policy.Type == tlsrpt.NoPolicy }

// Proves says whether the host's certificate is judged.
func (d Demand) Proves() bool {
	return d.Policy.Type == tlsrpt.STS || d.Policy.Type == tlsrpt.TLSA && d.records.Usable()
}

// ServerName is what the host is asked to be (SNI); "" is for its own name.
func (d Demand) ServerName() string {
	if len(d.names) == 0 {
		return ""
	}
	return d.names[0]
}

// Verify judges a line by the demand; roots are the authorities for MTA-STS, nil
// the system's. Where nothing is demanded of the certificate nothing is wrong
// with it.
func (d Demand) Verify(s tls.ConnectionState, roots *x509.CertPool, now time.Time) error {
	switch {
	case !d.Proves():
		return nil
	case len(s.PeerCertificates) == 0:
		return errors.New("the server sent no certificate")
	case d.Policy.Type == tlsrpt.TLSA:
		return d.records.Verify(s.PeerCertificates, d.names, now)
	}
	others := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		others.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{ // RFC 8461 §4.2
		DNSName: d.names[0], Roots: roots, Intermediates: others, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

// String says what is demanded, in words.
func (d Demand) String() string {
	switch {
	case d.none():
		return "TLS where it can be had"
	case d.Policy.Type == tlsrpt.TLSA && d.Proves():
		return "TLS, with a certificate that the TLSA records of " + d.names[0] + " name (DANE)"
	case d.Policy.Type == tlsrpt.TLSA:
		return "TLS, with any certificate: no TLSA record of " + d.names[0] + " is of use (DANE)"
	case d.Testing:
		return "TLS where it can be had; what does not fit the policy is reported (MTA-STS, testing)"
	}
	return "TLS, with a certificate for " + d.names[0] + " of a public authority (MTA-STS)"
}

// Records are the TLSA records that are looked at, as a zone file has them.
func (d Demand) Records() []string {
	if d.Policy.Type != tlsrpt.TLSA {
		return nil
	}
	return d.Policy.Text
}

// Waived is d for a message whose sender does not insist on TLS (RFC 8689 §3).
func (d Demand) Waived() Demand {
	return Demand{Policy: tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: d.Policy.Domain}}
}

// Session is how the securing of one line went, for reports.
type Session = tlsrpt.Session

// Session says how the securing of a line from local to addr of h went: well, if
// err is nil. offered says whether the host had STARTTLS.
func (h Host) Session(local, addr netip.Addr, offered bool, err error) Session {
	s := Session{Policy: h.Demand.Policy}
	if err == nil {
		return s
	}
	s.Failure = tlsrpt.Failure{Host: h.Name, Sending: local, Receiving: addr}
	s.Failure.Result, s.Failure.Reason = tlsrpt.Classify(err)
	if !offered {
		s.Failure.Result = tlsrpt.NoSTARTTLS
	}
	return s
}

// named is a policy as reports name it.
func named(p policies.Known, d mail.Domain) tlsrpt.Policy {
	return tlsrpt.Policy{Type: tlsrpt.STS, Domain: d, Text: strings.Split(strings.TrimSuffix(p.String(), "\r\n"), "\r\n"), MX: p.MX}
}

// demands finds out what the line to each host must prove: DANE where the host
// has it, else MTA-STS (RFC 8461 §2).
func (r *Router) demands(ctx context.Context, d mail.Domain, route *Route, all []found) {
	var wg sync.WaitGroup
	trouble := make([]error, len(route.Hosts))
	for i := range route.Hosts {
		h := &route.Hosts[i]
		h.Demand.Policy = tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: d}
		if route.Secure {
			wg.Go(func() { trouble[i] = r.dane(ctx, h, all[i], string(d)) })
		}
	}
	wg.Wait()
	bare := false
	for i, h := range route.Hosts {
		bare = bare || h.Demand.none() && h.Barred == ""
		if trouble[i] != nil {
			route.Trouble = append(route.Trouble, Session{Policy: h.Demand.Policy, Failure: tlsrpt.Failure{
				Result: tlsrpt.DNSSECInvalid, Host: h.Name, Reason: "the TLSA records: " + trouble[i].Error(),
			}})
		}
	}
	if r.o.Policy == nil || !bare || ctx.Err() != nil {
		return
	}
	p := r.o.Policy(ctx, d)
	route.Policy = p
	if p.Trouble != "" {
		policy := tlsrpt.Policy{Type: tlsrpt.STS, Domain: d}
		if p.There() {
			policy = named(p, d)
		}
		route.Trouble = append(route.Trouble, Session{Policy: policy, Failure: tlsrpt.Failure{Result: p.Trouble, Reason: p.Reason}})
	}
	if !p.There() || p.Mode == mtasts.None {
		return
	}
	for i := range route.Hosts {
		if h := &route.Hosts[i]; h.Demand.none() && h.Barred == "" {
			r.sts(h, d, p, route)
		}
	}
	route.Secure = route.Secure || p.Mode == mtasts.Enforce // RFC 8689 §4.2.1
}

// sts demands of a host what an MTA-STS policy does.
func (r *Router) sts(h *Host, d mail.Domain, p policies.Known, route *Route) {
	h.Demand = Demand{Policy: named(p, d), Testing: p.Mode == mtasts.Testing, names: []string{h.Name}}
	if p.Allows(h.Name) {
		return
	}
	why := "the MTA-STS policy of " + string(d) + " does not name it"
	route.Trouble = append(route.Trouble, Session{Policy: h.Demand.Policy, Failure: tlsrpt.Failure{
		Result: tlsrpt.Validation, Host: h.Name, Reason: why,
	}})
	if h.Demand.Testing {
		h.Demand.Policy = tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: d} // it is told once
		return
	}
	h.Barred = why
}

// dane demands of a host what its TLSA records do (RFC 7672 §2.2.3). domain is
// the one that the mail is for; "" where no MX led here. A host whose records
// cannot be known is not used (RFC 7672 §2.1.2).
func (r *Router) dane(ctx context.Context, h *Host, f found, domain string) error {
	if len(h.Addrs) == 0 {
		return nil
	}
	records, base, err := r.tlsa(ctx, h.Addrs[0].Port(), f, h.Name)
	if err != nil {
		h.Barred = "its TLSA records cannot be known now: " + err.Error()
		h.Demand.Policy.Type, h.Demand.names = tlsrpt.TLSA, []string{h.Name}
		return err
	}
	if len(records) == 0 {
		return nil
	}
	var all []dane.Record
	h.Demand.Policy.Type = tlsrpt.TLSA
	for _, rec := range records {
		if t, err := dane.Parse(rec.Data); err == nil {
			all = append(all, t)
			h.Demand.Policy.Text = append(h.Demand.Policy.Text, fmt.Sprintf("%d %d %d %s", t.Usage, t.Selector, t.Matching, hex.EncodeToString(t.Data)))
		}
	}
	h.Demand.records, h.Demand.names = dane.NewSet(all), []string{base}
	for _, name := range []string{h.Name, domain} { // RFC 7672 §3.2.2
		if name != "" && name != base {
			h.Demand.names = append(h.Demand.names, name)
		}
	}
	return nil
}

// tlsa finds a host's secure TLSA records and the name they stand below, which
// is the host's own or that at the end of its aliases (RFC 7672 §2.2.2).
func (r *Router) tlsa(ctx context.Context, port uint16, f found, name string) ([]dns.Record, string, error) {
	var bases []string
	switch {
	case f.secure && f.name != name:
		bases = []string{f.name, name}
	case f.secure:
		bases = []string{name}
	case f.name != name:
		// The alias itself may be signed where what it leads to is not.
		a, err := r.o.Resolver.Lookup(ctx, name, dns.TypeCNAME)
		switch {
		case errors.Is(err, dns.ErrNoName), errors.Is(err, dns.ErrNoData):
		case err != nil:
			return nil, "", err
		case a.Secure:
			bases = []string{name}
		}
	}
	for _, base := range bases {
		a, err := r.o.Resolver.Lookup(ctx, fmt.Sprintf("_%d._tcp.%s", port, base), dns.TypeTLSA)
		switch {
		case errors.Is(err, dns.ErrNoName), errors.Is(err, dns.ErrNoData):
		case err != nil:
			return nil, "", err
		case a.Secure:
			return a.Records, base, nil
		}
	}
	return nil, "", nil
}
