// Package directory keeps who and what is ours: domains, accounts, aliases and
// credentials, and says where an address leads.
package directory

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Store is the directory, in the shard kv.DirectoryShard. It may be used by
// many goroutines at once.
type Store struct {
	db kv.DB
}

// New opens the directory of a database.
func New(db kv.DB) *Store { return &Store{db: db} }

// Domain is a domain whose mail is ours.
type Domain struct {
	Name  mail.Domain
	Added time.Time
	// Postmaster is where postmaster@ and abuse@ lead (RFC 5321 §4.5.1, RFC 2142).
	// The first account of the domain becomes it if it is not set.
	Postmaster mail.Address
}

// Account is what owns mail.
type Account struct {
	ID       mail.AccountID
	Address  mail.Address // with the local part folded
	Added    time.Time
	Quota    int64 // octets; 0 means none
	Disabled bool  // nobody logs in; mail is still laid down
	// Changed grows whenever what a login depends on changes: the credentials or Disabled.
	Changed uint64
}

// Credentials are what is kept of an account's password. They are plain data:
// flow/login makes and checks them.
type Credentials struct {
	Argon2   string             // argon2id in PHC form; "" means that no password fits
	SCRAM256 sasl.ScramVerifier // zero if there is none
}

// Alias is an address that leads to others. An empty local part is the
// catch-all of its domain.
type Alias struct {
	Address mail.Address
	Targets []mail.Address
	Added   time.Time
}

// Resolution is where an address leads.
type Resolution struct {
	Accounts []Target
	Remote   []mail.Address
}

// Target is an account that an address leads to.
type Target struct {
	Account mail.AccountID
	Address mail.Address // the account's
	Detail  string       // the sub-address, without the "+" (RFC 5233)
}

// AddDomain takes in a domain. fault.Exists if it is there.
func (s *Store) AddDomain(ctx context.Context, name mail.Domain) error { panic("soon") }

// Domains lists the domains by name.
func (s *Store) Domains(ctx context.Context) ([]Domain, error) { panic("soon") }

// Domain gives one domain. fault.NotFound.
func (s *Store) Domain(ctx context.Context, name mail.Domain) (Domain, error) { panic("soon") }

// RemoveDomain forgets a domain and its aliases. fault.NotFound; fault.Conflict while it has accounts.
func (s *Store) RemoveDomain(ctx context.Context, name mail.Domain) error { panic("soon") }

// AddAccount makes an account.
func (s *Store) AddAccount(ctx context.Context, addr mail.Address, c Credentials, quota int64) (Account, error) {
	panic("soon")
}

// Account gives the account of an address.
func (s *Store) Account(ctx context.Context, addr mail.Address) (Account, error) { panic("soon") }

// AccountByID gives an account.
func (s *Store) AccountByID(ctx context.Context, id mail.AccountID) (Account, error) { panic("soon") }

// Accounts lists the accounts.
func (s *Store) Accounts(ctx context.Context) ([]Account, error) { panic("soon") }

// RemoveAccount forgets an account.
func (s *Store) RemoveAccount(ctx context.Context, addr mail.Address) error { panic("soon") }

// UpdateAccount changes an account.
func (s *Store) UpdateAccount(ctx context.Context, addr mail.Address, fn func(*Account) error) error {
	panic("soon")
}

// SetCredentials replaces an account's credentials.
func (s *Store) SetCredentials(ctx context.Context, id mail.AccountID, c Credentials) error {
	panic("soon")
}

// Credentials gives the account of an address and its credentials.
func (s *Store) Credentials(ctx context.Context, addr mail.Address) (Account, Credentials, error) {
	panic("soon")
}

// AddAlias makes an alias.
func (s *Store) AddAlias(ctx context.Context, addr mail.Address, targets []mail.Address) error {
	panic("soon")
}

// Aliases lists the aliases.
func (s *Store) Aliases(ctx context.Context) ([]Alias, error) { panic("soon") }

// RemoveAlias forgets an alias.
func (s *Store) RemoveAlias(ctx context.Context, addr mail.Address) error { panic("soon") }

// Resolve says where an address leads.
func (s *Store) Resolve(ctx context.Context, a mail.Address) (Resolution, error) { panic("soon") }

// IsLocal says whether a domain is ours.
func (s *Store) IsLocal(ctx context.Context, d mail.Domain) (bool, error) { panic("soon") }

// MayUse says whether an account may write from an address.
func (s *Store) MayUse(ctx context.Context, id mail.AccountID, a mail.Address) (bool, error) {
	panic("soon")
}
