package login

import (
	"crypto/x509"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// certified gives the addresses that a client's certificate names: those of its
// subject alternative names (RFC 5280 §4.2.1.6). It must be signed by one of
// ClientCAs, be made for clients, and hold now.
func (l *Login) certified(a Attempt) []mail.Address {
	if l.o.ClientCAs == nil || a.Secured == nil || len(a.Secured.State.PeerCertificates) == 0 {
		return nil
	}
	shown := a.Secured.State.PeerCertificates
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	_, err := shown[0].Verify(x509.VerifyOptions{
		Roots: l.o.ClientCAs, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil
	}
	var all []mail.Address
	for _, name := range shown[0].EmailAddresses {
		if addr := parseUser(name); !addr.IsNull() {
			all = append(all, addr)
		}
	}
	return all
}

// external serves EXTERNAL: whoever the certificate names comes in, and of
// several the one whom the client wants to be.
func (s *Session) external(authzid string) error {
	c := &s.c
	names := s.l.certified(c.a)
	c.user, c.addr, c.reason = authzid, parseUser(authzid), "the certificate does not name that address"
	for _, name := range names {
		if authzid != "" && name != c.addr {
			continue
		}
		c.reason = ""
		c.user, c.addr = name.String(), name
		if err := s.l.look(s.ctx, c); err != nil {
			return err
		}
		if !c.there && c.reason == "" {
			if _, err := s.l.Missing(s.ctx, c.addr); err != nil {
				return fault.As(fault.Unavailable, "login.external", err)
			}
			if err := s.l.look(s.ctx, c); err != nil {
				return err
			}
			if !c.there {
				c.reason = "unknown account"
			}
		}
		if c.reason == "" {
			var err error
			s.who, err = s.l.welcome(s.ctx, c, Who{Until: c.a.Secured.State.PeerCertificates[0].NotAfter})
			return err
		}
	}
	return s.l.fail(s.ctx, c.a, c.mechanism, c.user, c.addr, c.reason)
}
