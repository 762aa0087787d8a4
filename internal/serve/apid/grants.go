package apid

import (
	"context"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// Grant is an address or a domain that an account may send as besides its own.
type Grant struct {
	Address string    `json:"address" doc:"@domain is every address of the domain" example:"sales@example.com"`
	Added   time.Time `json:"added"`
}

type newGrant struct {
	AccountPath
	Body struct {
		Address string `json:"address" maxLength:"400" doc:"@domain is every address of the domain, which need not be one of this server's"`
	}
}

type removedGrant struct {
	AccountPath
	As string `path:"as" maxLength:"400" doc:"the address, or @domain"`
}

// Released is what came of letting an account send again.
type Released struct {
	Address    string `json:"address"`
	Deliveries int    `json:"deliveries" doc:"that were held, and go out now"`
}

type heldAccount struct {
	AccountPath
	Body struct {
		Reason string `json:"reason,omitempty" maxLength:"200"`
	}
}

// grants registers what concerns the right to send.
func (s *server) grants() {
	register(s, operation(http.MethodGet, "/accounts/{address}/grants", "list-grants", "accounts", "List what an account may send as besides its own"),
		func(ctx context.Context, in *AccountPath) (list[Grant], error) { return s.listGrants(ctx, in.Address) })
	add := operation(http.MethodPost, "/accounts/{address}/grants", "add-grant", "accounts", "Let an account send as another address or a whole domain")
	add.DefaultStatus = http.StatusCreated
	register(s, add, func(ctx context.Context, in *newGrant) (list[Grant], error) {
		addr, as, err := grantNames(in.Address, in.Body.Address)
		if err == nil {
			err = s.o.Directory.AddGrant(ctx, addr, as)
		}
		if err != nil {
			return list[Grant]{}, err
		}
		return s.listGrants(ctx, in.Address)
	})
	register(s, operation(http.MethodDelete, "/accounts/{address}/grants/{as}", "remove-grant", "accounts", "Take a grant back"),
		func(ctx context.Context, in *removedGrant) (list[Grant], error) {
			addr, as, err := grantNames(in.Address, in.As)
			if err == nil {
				err = s.o.Directory.RemoveGrant(ctx, addr, as)
			}
			if err != nil {
				return list[Grant]{}, err
			}
			return s.listGrants(ctx, in.Address)
		})
	register(s, operation(http.MethodPost, "/accounts/{address}/hold", "hold-account", "accounts", "Keep what an account sends in the queue"), s.holdAccount)
	register(s, operation(http.MethodPost, "/accounts/{address}/release", "release-account", "accounts", "Let an account send again, and what was held go out"), s.releaseAccount)
}

func grantNames(account, as string) (a, b mail.Address, err error) {
	if a, err = parseAddress(account); err == nil {
		b, err = parseName(as)
	}
	return a, b, err
}

func (s *server) listGrants(ctx context.Context, address string) (list[Grant], error) {
	out := list[Grant]{Items: []Grant{}}
	addr, err := parseAddress(address)
	if err != nil {
		return out, err
	}
	all, err := s.o.Directory.Grants(ctx, addr)
	for _, g := range all {
		name := g.Address.String()
		if g.Address.Local == "" {
			name = "@" + string(g.Address.Domain)
		}
		out.Items = append(out.Items, Grant{Address: name, Added: g.Added})
	}
	return out, err
}

func (s *server) holdAccount(ctx context.Context, in *heldAccount) (Account, error) {
	addr, err := parseAddress(in.Address)
	if err != nil {
		return Account{}, err
	}
	reason := in.Body.Reason
	if reason == "" {
		reason = "an operator wants it"
	}
	now := time.Now()
	err = s.o.Directory.UpdateAccount(ctx, addr, func(a *directory.Account) error {
		if !a.Held.IsZero() {
			return fault.Newf(fault.Exists, "apid", "what %s sends is held already", a.Address)
		}
		a.Held, a.HeldFor = now, reason
		return nil
	})
	if err != nil {
		return Account{}, err
	}
	out, err := s.account(ctx, in.Address)
	if err == nil {
		s.o.Sink.Emit(ctx, event.AccountHeld{Address: addr, Account: mail.AccountID(out.ID), Reason: reason})
	}
	return out, err
}

// releaseAccount lets the account send first, so that nothing more is held
// behind what is let go.
func (s *server) releaseAccount(ctx context.Context, in *AccountPath) (Released, error) {
	a, err := s.found(ctx, in.Address)
	if err != nil {
		return Released{}, err
	}
	err = s.o.Directory.UpdateAccount(ctx, a.Address, func(a *directory.Account) error {
		a.Held, a.HeldFor = time.Time{}, ""
		return nil
	})
	if err != nil {
		return Released{}, err
	}
	if s.o.Released != nil {
		s.o.Released(a.ID)
	}
	n, err := s.o.Queue.Release(ctx, queue.Filter{Account: a.ID})
	s.o.Sink.Emit(ctx, event.AccountReleased{Address: a.Address, Account: a.ID, Deliveries: n})
	return Released{Address: a.Address.String(), Deliveries: n}, err
}
