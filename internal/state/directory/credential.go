package directory

import (
	"context"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// SCRAM gives the verifier for a hash; zero if there is none.
func (c Credentials) SCRAM(h sasl.Hash) sasl.ScramVerifier {
	switch h {
	case sasl.SHA1:
		return c.SCRAM1
	case sasl.SHA256:
		return c.SCRAM256
	case sasl.SHA512:
		return c.SCRAM512
	}
	return sasl.ScramVerifier{}
}

// Mechanisms lists those of SCRAM that c has verifiers for; never nil.
func (c Credentials) Mechanisms() []string {
	all := []string{}
	for _, h := range []sasl.Hash{sasl.SHA1, sasl.SHA256, sasl.SHA512} {
		if !c.SCRAM(h).IsZero() {
			all = append(all, h.Mechanism(false))
		}
	}
	return all
}

// SetSCRAM puts a verifier where SCRAM finds it.
func (c *Credentials) SetSCRAM(v sasl.ScramVerifier) {
	switch v.Hash {
	case sasl.SHA1:
		c.SCRAM1 = v
	case sasl.SHA256:
		c.SCRAM256 = v
	case sasl.SHA512:
		c.SCRAM512 = v
	}
}

// MaxApps bounds the app passwords of one account.
const MaxApps = 50

// AppPassword is a password that was made up for one program. Its Credentials
// have verifiers for SCRAM alone: Sum is enough for a text that nobody chose.
type AppPassword struct {
	ID      string // short, and unique within the account
	Name    string // what its owner calls it
	Scopes  []string
	Added   time.Time
	Expires time.Time // zero: never
	Used    time.Time // the last time, to the day; zero: never
	Sum     []byte
	Credentials
}

// TOTP is a secret of one-time codes (RFC 6238).
type TOTP struct {
	Secret []byte // none: the account has no codes
	On     bool   // a code was shown once, so that its owner surely has the secret
	Last   uint64 // the time step of the last code taken: none before it, nor itself, is taken again
}

// Secrets are all that a login is checked by.
type Secrets struct {
	Credentials // of the main password
	Apps        []AppPassword
	TOTP        TOTP
	AppsOnly    bool // mail programs need an app password
}

type appRow struct {
	ID      string   `json:"id"`
	Name    string   `json:"name,omitempty"`
	Scopes  []string `json:"for"`
	Added   int64    `json:"at"` // Unix seconds, as the others
	Expires int64    `json:"until,omitempty"`
	Used    int64    `json:"used,omitempty"`
	Sum     []byte   `json:"sum"`
	credRow
}

type credRow struct {
	Argon2   string `json:"argon2,omitempty"`
	SCRAM1   string `json:"scram1,omitempty"`
	SCRAM256 string `json:"scram256,omitempty"`
	SCRAM512 string `json:"scram512,omitempty"`
}

type secretsRow struct {
	credRow
	Apps     []appRow `json:"apps,omitempty"`
	TOTP     []byte   `json:"totp,omitempty"`
	TOTPOn   bool     `json:"totp_on,omitempty"`
	TOTPLast uint64   `json:"totp_last,omitempty"`
	AppsOnly bool     `json:"apps_only,omitempty"`
}

func (c Credentials) row() credRow {
	return credRow{c.Argon2, c.SCRAM1.String(), c.SCRAM256.String(), c.SCRAM512.String()}
}

func (r credRow) credentials() (Credentials, error) {
	c := Credentials{Argon2: r.Argon2}
	for _, f := range []struct {
		h    sasl.Hash
		text string
	}{{sasl.SHA1, r.SCRAM1}, {sasl.SHA256, r.SCRAM256}, {sasl.SHA512, r.SCRAM512}} {
		v, err := sasl.ParseScramVerifier(f.text)
		if err != nil || !v.IsZero() && v.Hash != f.h {
			return Credentials{}, errRow
		}
		c.SetSCRAM(v)
	}
	return c, nil
}

func decodeCred(b []byte) (Secrets, error) {
	var row secretsRow
	if err := decode(b, &row); err != nil {
		return Secrets{}, err
	}
	s := Secrets{TOTP: TOTP{row.TOTP, row.TOTPOn, row.TOTPLast}, AppsOnly: row.AppsOnly}
	var err error
	if s.Credentials, err = row.credentials(); err != nil {
		return Secrets{}, err
	}
	for _, r := range row.Apps {
		a := AppPassword{ID: r.ID, Name: r.Name, Scopes: r.Scopes, Added: fromUnix(r.Added), Expires: fromUnix(r.Expires), Used: fromUnix(r.Used), Sum: r.Sum}
		if a.Credentials, err = r.credentials(); err != nil || a.ID == "" {
			return Secrets{}, errRow
		}
		s.Apps = append(s.Apps, a)
	}
	return s, nil
}

func (s Secrets) encode() []byte {
	row := secretsRow{credRow: s.row(), TOTP: s.TOTP.Secret, TOTPOn: s.TOTP.On, TOTPLast: s.TOTP.Last, AppsOnly: s.AppsOnly}
	for _, a := range s.Apps {
		row.Apps = append(row.Apps, appRow{
			ID: a.ID, Name: a.Name, Scopes: a.Scopes, Added: toUnix(a.Added), Expires: toUnix(a.Expires), Used: toUnix(a.Used), Sum: a.Sum,
			credRow: a.row(),
		})
	}
	return encode(row)
}

func (c Credentials) encode() []byte { return Secrets{Credentials: c}.encode() }

// toUnix and fromUnix keep the zero time as 0.
func toUnix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromUnix(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

func (r rows) cred(id mail.AccountID) (Secrets, bool, error) { return read(r, credKey(id), decodeCred) }

// SetCredentials replaces an account's password: whoever came in with the old
// one has to come in anew. Its app passwords and codes stay. fault.NotFound.
func (s *Store) SetCredentials(ctx context.Context, id mail.AccountID, c Credentials) error {
	return s.UpdateSecrets(ctx, id, true, func(_ Account, now *Secrets) error {
		now.Credentials = c
		return nil
	})
}

// RenewCredentials stores the same password in another form, such as a costlier
// hash. It does nothing if the credentials have changed since they had the
// stamp changed, and leaves the stamp as it is: nobody has to come in anew.
func (s *Store) RenewCredentials(ctx context.Context, id mail.AccountID, changed uint64, c Credentials) error {
	err := s.UpdateSecrets(ctx, id, false, func(a Account, now *Secrets) error {
		if a.Changed == changed {
			now.Credentials = c
		}
		return nil
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// UpdateSecrets changes what fn changes. With revoke whoever came in has to come
// in anew, and nothing that is remembered of a password counts any longer. fn
// may run more than once. fault.NotFound; fault.Invalid beyond MaxApps.
func (s *Store) UpdateSecrets(ctx context.Context, id mail.AccountID, revoke bool, fn func(Account, *Secrets) error) error {
	const op = "directory.UpdateSecrets"
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		a, err := r.mustAccount(op, id)
		if err != nil {
			return err
		}
		now, _, err := r.cred(id)
		if err != nil {
			return err
		}
		now.Apps = slices.Clone(now.Apps)
		if err := fn(a, &now); err != nil {
			return err
		}
		if len(now.Apps) > MaxApps {
			return fault.Newf(fault.Invalid, op, "an account has at most %d app passwords", MaxApps)
		}
		if revoke {
			a.Changed = stamp(tx)
			tx.Set(accountKey(id), a.encode())
		}
		tx.Set(credKey(id), now.encode())
		return nil
	}))
}

// Credentials gives the account of an address and what is kept of its password,
// which must not be changed. fault.NotFound.
func (s *Store) Credentials(ctx context.Context, addr mail.Address) (Account, Credentials, error) {
	a, all, _, err := s.Secrets(ctx, addr)
	return a, all.Credentials, err
}

// Secrets gives the account of an address, all that a login is checked by, and
// the settings of its domain. They are shared and must not be changed.
// fault.NotFound.
func (s *Store) Secrets(ctx context.Context, addr mail.Address) (Account, Secrets, Settings, error) {
	const op = "directory.Secrets"
	var a Account
	var all Secrets
	var d Domain
	err := s.view(ctx, func(r rows) error {
		var err error
		if a, err = r.accountAt(op, Fold(addr)); err != nil {
			return err
		}
		if all, _, err = r.cred(a.ID); err != nil {
			return err
		}
		d, _, err = r.domain(a.Address.Domain)
		return err
	})
	return a, all, d.Settings, fault.Wrap(op, err)
}
