package login

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// Passwords that were proved and are kept in a form that is not wanted any more
// wait in a line of maxRaises, in memory. After each the line rests raiseRest
// times as long as the hashing took: it has the time of a twentieth of a core, and
// nobody who logs in waits for it.
const (
	maxRaises = 64
	raiseRest = 19
)

// raising is one of them.
type raising struct {
	c        claim
	password string
}

// raise puts a password that was just proved into the line, if it is not kept as
// we want it now: by a hash that costs what it should, and the SCRAM verifiers
// that the server offers and the domain keeps. For one that finds no place the
// next login will do.
func (l *Login) raise(c *claim, password string) {
	if !l.paramsFor(c.domain).outdated(c.secrets) {
		return
	}
	select {
	case l.raises <- raising{*c, password}:
	default:
	}
}

// Run keeps passwords in the form that is wanted, one after another, until ctx
// ends.
func (l *Login) Run(ctx context.Context) error {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rest.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case r := <-l.raises:
			began := time.Now()
			l.keep(ctx, r)
			rest.Reset(raiseRest * time.Since(began))
		}
	}
}

// keep stores a password anew. That it fails is no reason to keep anybody out.
func (l *Login) keep(ctx context.Context, r raising) {
	p := l.paramsFor(r.c.domain)
	acct, secrets, _, err := l.o.Directory.Secrets(ctx, r.c.addr)
	if err == nil && (acct.ID != r.c.acct.ID || acct.Changed != r.c.acct.Changed || !p.outdated(secrets)) {
		return // it was changed meanwhile, or another login has done it
	}
	var fresh directory.Credentials
	if err == nil {
		if e := l.gate.do(ctx, l.turn(&r.c), func() { fresh, err = hashLike(r.password, p, secrets) }); e != nil {
			err = e
		}
	}
	if err == nil {
		err = l.o.Directory.UpdateSecrets(ctx, acct.ID, false, func(a directory.Account, now *directory.Secrets) error {
			if a.Changed == acct.Changed && sameFactors(secrets, *now) {
				now.Credentials = fresh
			}
			return nil
		})
	}
	if err != nil && ctx.Err() == nil && !fault.Is(err, fault.NotFound) {
		l.o.Sink.Emit(ctx, event.Failed{Where: "login", Err: fault.Wrap("login.keep", err)})
	}
}
