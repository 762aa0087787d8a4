package app

import (
	"context"
	"crypto/tls"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/certs"
)

// lookEvery is how often the files of certificates are looked at.
const lookEvery = time.Minute

// secrets is what the doors need for TLS: certificates and keys of session
// tickets.
type secrets struct {
	c       *Config
	set     *certs.Set
	configs *certs.Configs
	hangup  chan os.Signal
}

// openTLS loads the certificates.
func (c *Config) openTLS(r *rooms) (*secrets, error) {
	set, err := c.certificates(r.sink)
	if err != nil {
		return nil, err
	}
	return &secrets{c: c, set: set, configs: certs.NewConfigs(set, c.TLS.version()), hangup: make(chan os.Signal, 1)}, nil
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
		case <-s.hangup:
			s.set.Reload(ctx, true)
		}
	}
}

// ReloadOnHangup makes SIGHUP mean: look at the certificates' files again. It
// ends the process no more.
func (s *Server) ReloadOnHangup() { signal.Notify(s.tls.hangup, syscall.SIGHUP) }
