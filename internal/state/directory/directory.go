// Package directory keeps who and what is ours: domains, accounts, aliases and
// credentials, and says where an address leads.
package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Store is the directory, in the shard kv.DirectoryShard. It may be used by
// many goroutines at once.
type Store struct {
	db    kv.DB
	cache cache
}

// New opens the directory of a database.
func New(db kv.DB) *Store { return &Store{db: db} }

// Limits of the directory.
const (
	MaxTargets = 1000 // addresses that one alias, or all that it leads to, may name
	MaxDepth   = 10   // aliases that lead to aliases
)

// Domain is a domain whose mail is ours.
type Domain struct {
	Name  mail.Domain
	Added time.Time
	// Postmaster is where postmaster@ and abuse@ lead (RFC 5321 §4.5.1, RFC 2142).
	// The first account of the domain becomes it if it is not set.
	Postmaster mail.Address
	Settings   Settings
}

// Account is what owns mail.
type Account struct {
	ID          mail.AccountID
	Address     mail.Address // with the local part folded
	Added       time.Time
	Quota       int64 // octets; 0 means none
	MaxMessages int64 // 0 means none
	// MaxMailboxes and MaxAnnotations (octets) are quotas too; 0 means none.
	MaxMailboxes   int64
	MaxAnnotations int64
	// QuotaAdmin may set the quotas of the accounts of its domain.
	QuotaAdmin bool
	Use        Use
	Disabled   bool // nobody logs in; mail is still laid down
	Sending    Sending
	// Held says since when what the account sends waits in the queue for an
	// operator, and why; zero: it does not.
	Held    time.Time
	HeldFor string
	// Reports has the account's own Language and Signed.
	Reports Reports
	// Screening is how strangers' mail for it is judged.
	Screening Screening
	// Changed grows whenever what a login depends on changes: the credentials, Disabled or the protocols.
	Changed uint64
}

// Credentials are what is kept of an account's password. They are plain data:
// flow/login makes and checks them.
type Credentials struct {
	Argon2   string             // argon2id in PHC form; "" means that no password fits
	SCRAM256 sasl.ScramVerifier // zero if there is none, as the others
	SCRAM512 sasl.ScramVerifier
	SCRAM1   sasl.ScramVerifier
}

// Alias is an address that leads to others. An empty local part is the
// catch-all of its domain.
type Alias struct {
	Address mail.Address
	Targets []mail.Address
	// Owner makes it a mailing list (RFC 5321 §3.9.2): what goes to its members goes
	// in the owner's name, who hears of failures. Null: it is none.
	Owner mail.Address
	Added time.Time
}

// Resolution is where an address leads.
// It is shared and must not be changed.
type Resolution struct {
	Accounts []Target
	Remote   []mail.Address
	// Relayed are those of Remote whose domain is ours, and whose host knows
	// whether they are there.
	Relayed []mail.Address
	// Lists are mailing lists on the way. Their members are in none of the others,
	// and each member is in one list only.
	Lists []List
}

// Empty says whether the address leads to nobody.
func (r Resolution) Empty() bool { return len(r.Accounts)+len(r.Remote)+len(r.Lists) == 0 }

// List is a mailing list and where its members are.
type List struct {
	Address, Owner mail.Address
	Accounts       []Target
	Remote         []mail.Address
	Relayed        []mail.Address
}

// Members counts them.
func (l List) Members() int { return len(l.Accounts) + len(l.Remote) }

// Target is an account that an address leads to.
type Target struct {
	Account mail.AccountID
	Address mail.Address // the account's
	Detail  string       // the sub-address, without the separator (RFC 5233)
	// The account's quotas; 0 is none.
	Quota       int64 // octets
	MaxMessages int64
}

// view runs fn over one moment, with what is remembered of that moment. If all
// that fn asks for is remembered, no row is read; else fn runs again.
func (s *Store) view(ctx context.Context, fn func(rows) error) error {
	shard := kv.DirectoryShard()
	if kept := s.remembered(shard); kept != nil && ctx.Err() == nil {
		if err := fn(rows{Reader: unread{}, kept: kept}); !errors.Is(err, errUnread) {
			return err
		}
	}
	return s.db.View(ctx, shard, func(r kv.Reader) error {
		return fn(rows{Reader: r, kept: s.cache.at(r.Version(shard))})
	})
}

// remembered is what is known of the newest version; nil if that is not known.
func (s *Store) remembered(shard kv.Shard) *generation {
	db, ok := s.db.(kv.Newest)
	if !ok {
		return nil
	}
	v, ok := db.Newest(shard)
	if !ok {
		return nil
	}
	return s.cache.at(v)
}

// unread stands for rows that nobody has read yet.
type unread struct{}

var errUnread = errors.New("not remembered")

func (unread) Get([]byte) ([]byte, bool, error)   { return nil, false, errUnread }
func (unread) GetMany([][]byte) ([][]byte, error) { return nil, errUnread }
func (unread) Version(kv.Shard) kv.Version        { return 0 }
func (unread) Each([][]byte, func(int, []byte) error) error {
	return errUnread
}
func (unread) Scan(kv.Range) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) { yield(kv.Pair{}, errUnread) }
}

// update runs fn in a transaction. What is remembered is not used there: the
// transaction reads its own writes.
func (s *Store) update(ctx context.Context, fn func(kv.Tx, rows) error) error {
	// What operators write is little, and may be the way out when the disk is full.
	return s.db.Update(kv.Freeing(ctx), []kv.Shard{kv.DirectoryShard()}, func(tx kv.Tx) error {
		return fn(tx, rows{Reader: tx})
	})
}

// stamp is the Changed of what this transaction writes.
func stamp(tx kv.Tx) uint64 { return uint64(tx.Next(kv.DirectoryShard())) }

// Secret is 32 random octets that belong to this store and never change. They
// are drawn when they are first asked for.
func (s *Store) Secret(ctx context.Context) ([]byte, error) {
	const op = "directory.Secret"
	var secret []byte
	err := s.view(ctx, func(r rows) error {
		var err error
		secret, _, err = r.Get(secretKey())
		return err
	})
	if err != nil || secret != nil {
		return secret, fault.Wrap(op, err)
	}
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh)
	err = s.update(ctx, func(tx kv.Tx, r rows) error {
		kept, ok, err := tx.Get(secretKey())
		if secret = kept; err != nil || ok {
			return err
		}
		secret = fresh
		tx.Set(secretKey(), fresh)
		return nil
	})
	return secret, fault.Wrap(op, err)
}
