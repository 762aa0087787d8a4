package app

import (
	"context"
	"crypto/tls"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/state/certs"
)

// lookEvery is how often the files of certificates are looked at.
const lookEvery = time.Minute

// secrets is what the doors need for TLS: certificates and keys of session
// tickets.
type secrets struct {
	c       *Config
	rows    *certs.Rows
	set     *certs.Set
	configs *certs.Configs
	sink    event.Sink
	hangup  chan os.Signal
}

// openTLS loads the certificates.
func (c *Config) openTLS(r *rooms) (*secrets, error) {
	set, err := c.certificates(r.sink)
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
func (s *secrets) config(door string) *tls.Config { return s.configs.For(s.c.use(door)) }

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

// ReloadOnHangup makes SIGHUP mean: look at the certificates' files again. It
// ends the process no more.
func (s *Server) ReloadOnHangup() { signal.Notify(s.tls.hangup, syscall.SIGHUP) }
