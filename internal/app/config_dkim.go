package app

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
)

// DKIM is about signing what our domains send; see trust.md.
type DKIM struct {
	Sign bool `toml:"sign"` // sign it, with keys that are made for each domain
}

// dkim is who signs; nil if nobody does.
func (r *rooms) dkim(c *Config) deliver.Signer {
	if r.signs = c.DKIM.Sign; !r.signs {
		return nil
	}
	return r.signer
}

// ensureKeys makes keys for the domains that came before there were any. A domain
// for which that fails is told of, and not signed.
func (s *Server) ensureKeys(ctx context.Context) error {
	r := s.rooms
	if !r.signs {
		return nil
	}
	all, err := r.directory.Domains(ctx)
	for _, d := range all {
		if err := r.signer.Ensure(ctx, d.Name); err != nil && ctx.Err() == nil {
			r.sink.Emit(ctx, event.Failed{Where: "keys of " + string(d.Name), Err: err})
		}
	}
	return fault.Wrap("app.ensureKeys", err)
}
