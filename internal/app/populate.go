package app

import (
	"context"
	"fmt"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
)

// NewAccount is an account to be there when the demo starts: with a password,
// or with an argon2id hash in PHC form.
type NewAccount struct {
	Address  mail.Address
	Password string
	Hash     string
}

// atOnce is how many accounts are added side by side, so that their commits
// share syncs.
const atOnce = 16

// cheap is how demo accounts are hashed. The parameters are kept in the hash,
// which is raised at the first login.
func cheap() login.Params {
	p := login.DefaultParams()
	p.Memory, p.Time, p.Threads, p.Iterations = 256, 1, 1, 4096
	return p
}

// Populate adds the domains, their zones and the accounts that are not there yet; one
// that exists is left as it is. An account's domain is added with it. The first
// account is added first, since it gets its domain's postmaster mail.
func (s *Server) Populate(ctx context.Context, domains []mail.Domain, accounts []NewAccount) error {
	for _, a := range accounts {
		domains = append(domains, a.Address.Domain)
	}
	done := map[mail.Domain]bool{}
	for _, d := range domains {
		if done[d] {
			continue
		}
		done[d] = true
		if err := s.rooms.directory.AddDomain(ctx, d); err != nil && !fault.Is(err, fault.Exists) {
			return err
		}
		z := zone.Held{Name: string(d), Domain: d, Signed: true}
		if err := s.rooms.zones.Add(ctx, z); err != nil && !fault.Is(err, fault.Exists) {
			return err
		}
	}
	if len(accounts) == 0 {
		return nil
	}
	if err := s.rooms.addAccount(ctx, accounts[0]); err != nil {
		return fmt.Errorf("%s: %w", accounts[0].Address, err)
	}
	return s.rooms.addAccounts(ctx, accounts[1:])
}

// addAccounts adds many side by side and gives the first error.
func (r *rooms) addAccounts(ctx context.Context, accounts []NewAccount) error {
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, atOnce)
		errs  = make(chan error, 1)
	)
	for _, a := range accounts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := r.addAccount(ctx, a); err != nil {
				select {
				case errs <- fmt.Errorf("%s: %w", a.Address, err):
				default: // the first one is enough
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// addAccount adds one account with its mailboxes.
func (r *rooms) addAccount(ctx context.Context, a NewAccount) error {
	if _, err := r.directory.Account(ctx, a.Address); !fault.Is(err, fault.NotFound) {
		return err
	}
	creds := directory.Credentials{Argon2: a.Hash}
	if a.Hash == "" {
		var err error
		if creds, err = login.Hash(a.Password, cheap()); err != nil {
			return err
		}
	} else if err := login.ParsePHC(a.Hash); err != nil {
		return err
	}
	added, err := r.directory.AddAccount(ctx, a.Address, creds, 0)
	if fault.Is(err, fault.Exists) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.mailbox.Update(ctx, added.ID, added.ID, func(tx *mailbox.Tx) error { return tx.Provision() })
}
