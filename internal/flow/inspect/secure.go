package inspect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/trust/dane"
	"github.com/ekiden-mail/ekiden/internal/trust/mtasts"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// stsOf looks at the MTA-STS policy (RFC 8461).
func stsOf(ctx context.Context, s *subject) {
	if s.none {
		return
	}
	all, _, err := s.texts(ctx, mtasts.RecordName(s.domain), "v=STSv1")
	if err != nil {
		s.say(Note, "", "it cannot be told: %v", dns.Brief(err))
		return
	}
	if len(all) == 0 {
		s.say(Note, "Without MTA-STS or DANE, mail to you can be read on the way by who strips STARTTLS.", "there is no MTA-STS record")
		return
	}
	if _, ok := mtasts.RecordID(all); !ok {
		s.say(Bad, "There must be one record, \"v=STSv1; id=…\" with letters and digits.", "the record cannot be read: %s", printable(strings.Join(all, " | ")))
		return
	}
	body, media, err := s.o.Fetch(ctx, mtasts.PolicyURL(s.domain), mtasts.MaxPolicy)
	if err != nil {
		s.say(Bad, "Serve the policy at "+mtasts.PolicyURL(s.domain)+" with a certificate for that host.", "the policy cannot be fetched: %v", err)
		return
	}
	p, err := mtasts.Parse(body)
	switch {
	case err != nil:
		s.say(Bad, "See RFC 8461 §3.2.", "the policy cannot be read: %v", err)
		return
	case media != "text/plain":
		s.say(Warn, "The policy is to be served as text/plain (RFC 8461 §3.2).", "the policy is served as %q", printable(media))
	}
	if p.Mode == mtasts.Enforce {
		s.say(Good, "", "mail comes by verified TLS or not at all, for %v", p.MaxAge)
	} else {
		s.say(Note, "Once the TLS reports are clean, set mode: enforce.", "the policy's mode is %s", p.Mode)
	}
	for _, h := range s.hosts {
		if !p.Allows(h.name) && p.Mode != mtasts.None {
			s.say(Bad, "Senders that enforce the policy will not send there: add the host to it.", "the policy does not name the mail host %s", h.name)
		}
	}
}

// rptOf looks whether reports about TLS are asked for (RFC 8460).
func rptOf(ctx context.Context, s *subject) {
	if s.none {
		return
	}
	all, _, err := s.texts(ctx, tlsrpt.RecordName(s.domain), "v=TLSRPTv1")
	switch {
	case err != nil:
		s.say(Note, "", "it cannot be told: %v", dns.Brief(err))
	case len(all) == 0:
		s.say(Note, "With the TXT record "+tlsrpt.RecordName(s.domain)+" \"v=TLSRPTv1; rua=mailto:you@"+string(s.domain)+"\" others tell you where TLS fails.", "no reports about TLS are asked for")
	case len(tlsrpt.ParseRecord(all)) == 0:
		s.say(Bad, "See RFC 8460 §3.", "the record cannot be read: %s", printable(all[0]))
	default:
		s.say(Good, "", "%s", printable(all[0]))
	}
}

// linesOf opens a line to each host as a sender would.
func linesOf(ctx context.Context, s *subject) {
	s.each(func(s *subject, h host) {
		if len(h.addrs) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, perHost)
		defer cancel()
		s.line(ctx, h)
	})
}

// open opens a line to a host, by the first of its addresses that answers.
func (s *subject) open(ctx context.Context, h host, o smtpc.Options) (*smtpc.Conn, error) {
	var addrs []string
	for _, r := range h.addrs {
		addrs = append(addrs, net.JoinHostPort(r.Addr.String(), strconv.Itoa(s.o.Port)))
	}
	o.ServerName, o.Also = h.name, addrs[1:]
	o.Timeouts = smtpc.Timeouts{Connect: perHost / 2, Handshake: perHost / 2, Command: perHost / 2}
	return s.o.Dial(ctx, addrs[0], o)
}

func (s *subject) line(ctx context.Context, h host) {
	o := s.o.SMTP
	o.TLS, o.VerifyCA = smtpc.Opportunistic, false
	var broken error
	conn, err := s.open(ctx, h, o)
	if err != nil && smtpc.IsTLS(err) {
		broken = err
		o.TLS = smtpc.None
		conn, err = s.open(ctx, h, o)
	}
	if err != nil {
		s.say(Warn, "If others can reach the host, your network blocks port 25 (OP25B); if not, mail to you waits.", "%s cannot be reached: %v", h.name, err)
		return
	}
	defer func() { _ = conn.Quit() }()
	state := conn.TLS()
	switch {
	case broken != nil:
		s.say(Bad, "Senders go on in clear, or not at all.", "%s: TLS fails: %v", h.name, broken)
		return
	case state == nil:
		s.say(Bad, "Mail to you travels in clear. Turn STARTTLS on.", "%s does not offer STARTTLS", h.name)
		return
	}
	s.say(Good, "", "%s: %s, %s", h.name, tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
	s.certificate(h, state)
	s.pinned(ctx, h, state)
}

// soonOver is when a certificate's end is spoken of.
const soonOver = 14 * 24 * time.Hour

// certificate looks at what the host showed.
func (s *subject) certificate(h host, state *tls.ConnectionState) {
	leaf, pool := state.PeerCertificates[0], x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		pool.AddCert(c)
	}
	now := s.o.Now()
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: h.name, Roots: s.o.SMTP.RootCAs, Intermediates: pool, CurrentTime: now})
	var unknown x509.UnknownAuthorityError
	switch left := leaf.NotAfter.Sub(now); {
	case errors.As(err, &unknown):
		s.say(Note, "Senders that ask for verified TLS need DANE, or a certificate of a public authority.", "%s: its certificate is of an authority that is not known here", h.name)
	case err != nil:
		s.say(Warn, "Get a certificate for the host's name; ACME does that by itself.", "%s: %v", h.name, err)
	case left < soonOver:
		s.say(Warn, "Renew it.", "%s: its certificate ends in %d days", h.name, int(left/(24*time.Hour)))
	default:
		s.say(Good, "", "%s: its certificate is good until %s", h.name, leaf.NotAfter.Format(time.DateOnly))
	}
}

// pinned looks at the TLSA records (RFC 7672).
func (s *subject) pinned(ctx context.Context, h host, state *tls.ConnectionState) {
	a, err := s.o.Resolver.Lookup(ctx, "_25._tcp."+h.name, dns.TypeTLSA)
	switch {
	case dns.Absent(err), err == nil && len(a.Records) == 0:
		s.say(Note, "With DANE, senders that validate use TLS with your key or do not send.", "%s has no TLSA record", h.name)
		return
	case err != nil:
		s.say(Note, "", "%s: TLSA records cannot be told: %v", h.name, dns.Brief(err))
		return
	case !a.Secure || !h.secure:
		s.say(Warn, "Unsigned TLSA records do not count: sign the zones of the domain and of the host.", "%s has TLSA records that are not signed", h.name)
		return
	}
	var all []dane.Record
	for _, r := range a.Records {
		if rec, err := dane.Parse(r.Data); err == nil {
			all = append(all, rec)
		}
	}
	set := dane.NewSet(all)
	switch err := set.Verify(state.PeerCertificates, []string{h.name, string(s.domain)}, s.o.Now()); {
	case !set.Usable():
		s.say(Bad, "Use 3 1 1 (RFC 7672 §3.1).", "%s: none of the TLSA records can be used", h.name)
	case err != nil:
		s.say(Bad, "Senders that validate send you nothing. Publish the digest of the key that the host shows before it shows it.", "%s: %v", h.name, err)
	case len(all) == 1:
		s.say(Good, "", "%s: the TLSA record fits; publish the next key's too before you change it", h.name)
	default:
		s.say(Good, "", "%s: one of %d TLSA records fits", h.name, len(all))
	}
}
