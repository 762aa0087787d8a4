package app

import (
	"context"
	"crypto/tls"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/reach/acme"
	doors "github.com/ekiden-mail/ekiden/internal/serve/door"
	"github.com/ekiden-mail/ekiden/internal/state/certs"
)

// lookEvery is how often the files of certificates are looked at.
const lookEvery = time.Minute

// secrets is what the doors need for TLS: certificates and keys of session
// tickets, and the service that orders certificates.
type secrets struct {
	c       *Config
	rows    *certs.Rows
	set     *certs.Set
	configs *certs.Configs
	acme    *acme.Client // nil: nothing is ordered
	sink    event.Sink
	hangup  chan os.Signal
}

// openTLS loads the certificates.
func (c *Config) openTLS(r *rooms) (*secrets, error) {
	set, err := c.certificates(r.sink, func() []string { return r.webRoots(context.Background()) })
	if err != nil {
		return nil, err
	}
	s := &secrets{
		c: c, rows: certs.NewRows(r.db, ""), set: set, configs: certs.NewConfigs(set, c.TLS.version()), sink: r.sink,
		hangup: make(chan os.Signal, 1),
	}
	s.turn(context.Background())
	return s, nil
}

// config is the TLS of a door.
func (s *secrets) config(door string) *tls.Config {
	use := s.c.use(door)
	if door == "https" && s.acme != nil {
		use.ALPN = append(use.ALPN, acme.Protocol)
		use.Certificate = s.acme.Certificate
	}
	if !use.Strangers && !strings.HasPrefix(door, "http") {
		s.c.askClients(&use)
	}
	t := s.configs.For(use)
	t.GetCertificate = doors.Note(t.GetCertificate) // logins are bound to what was shown
	return t
}

// order prepares the ordering of certificates, and takes into service those that
// were ordered before. The authority looks at the doors that are open.
func (s *secrets) order(doors []open) error {
	const op = "app.order"
	a := &s.c.ACME
	if !a.on() {
		return nil
	}
	names, err := s.c.acmeNames()
	if err != nil {
		return fault.As(fault.Invalid, op, err)
	}
	o := acme.Options{
		Directory: a.Directory, Email: a.Email, Agreed: a.AgreeTerms, Names: names, Profile: a.Profile, EABKeyID: a.EABKeyID,
		Store: s.rows, Sink: s.sink, Changed: s.set.SetOrdered,
	}
	if err := a.readEAB(); err != nil {
		return fault.As(fault.Invalid, op, err)
	}
	o.EABKey = a.eabKey
	if o.Roots, err = trusted(a.TrustCAFile); err != nil {
		return err
	}
	for _, d := range doors {
		switch d.name {
		case "http":
			o.HTTP = acme.AddrPort(d.listeners[0].Addr())
		case "https":
			o.HTTPS = acme.AddrPort(d.listeners[0].Addr())
		}
	}
	if !o.HTTP.IsValid() && !o.HTTPS.IsValid() {
		return fault.New(fault.Invalid, op, "acme: the door http or https is needed, where the authority looks")
	}
	s.acme = acme.New(o)
	return s.acme.Load(context.Background())
}

// renew is the service that orders certificates.
func (s *secrets) renew(ctx context.Context) error {
	if s.acme == nil {
		<-ctx.Done()
		return nil
	}
	return s.acme.Run(ctx)
}

// watch takes up new certificates, each minute and at SIGHUP.
func (s *secrets) watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	s.set.Reload(ctx, false)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.set.Reload(ctx, false)
			s.turn(ctx)
		case <-s.hangup:
			s.set.Reload(ctx, true)
			if s.acme != nil {
				s.acme.Again()
			}
		}
	}
}

// turn takes the keys of session tickets from the store. If they cannot be had,
// those of before stay, or each door makes its own.
func (s *secrets) turn(ctx context.Context) {
	keys, err := s.rows.Tickets(ctx, time.Now())
	if err != nil {
		s.sink.Emit(ctx, event.Failed{Where: "certs", Err: err})
		return
	}
	s.configs.SetTicketKeys(keys)
}

// ReloadOnHangup makes SIGHUP mean: look at the certificates' files again, and
// order again what could not be had. It ends the process no more.
func (s *Server) ReloadOnHangup() { signal.Notify(s.tls.hangup, syscall.SIGHUP) }
