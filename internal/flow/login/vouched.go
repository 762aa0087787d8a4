package login

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Vouched lets in somebody whom a proxy that an operator trusts has let in
// already (XCLIENT's LOGIN). fault.Unauthenticated if there is no such account,
// or it is disabled.
func (l *Login) Vouched(ctx context.Context, a Attempt, user string) (Who, error) {
	const mechanism = "XCLIENT"
	acct, err := l.o.Directory.Account(ctx, parseUser(user))
	switch {
	case fault.Is(err, fault.NotFound):
		l.tell(ctx, a, mechanism, user, "unknown account")
		return Who{}, fault.New(fault.Unauthenticated, "login.Vouched", "")
	case err != nil:
		return Who{}, fault.Wrap("login.Vouched", err)
	case acct.Disabled:
		l.tell(ctx, a, mechanism, user, "disabled account")
		return Who{}, fault.New(fault.Unauthenticated, "login.Vouched", "")
	}
	l.o.Sink.Emit(ctx, event.LoggedIn{Door: a.Door, Peer: a.Addr, User: acct.Address, Mechanism: mechanism, TLS: a.TLS})
	return Who{Account: acct.ID, Address: acct.Address, Stamp: acct.Changed}, nil
}
