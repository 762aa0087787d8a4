package app

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/flow/callout"
	"github.com/ekiden-mail/ekiden/internal/flow/relay"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// ask asks the host of a relayed domain for a recipient. Where nothing goes out,
// as in commands over a store that no server has open, none is asked.
func (r *rooms) ask(ctx context.Context, a mail.Address) error {
	if r.caller == nil {
		return nil
	}
	return r.caller.Ask(ctx, a)
}

// newCaller makes who asks, over the ways that mail goes.
func (r *rooms) newCaller(o relay.Options) *callout.Caller {
	return callout.New(callout.Options{
		Router: o.Router, Relayed: r.directory.Relayed, Hostname: o.Hostname, Local: o.Local, RootCAs: o.RootCAs,
	})
}
