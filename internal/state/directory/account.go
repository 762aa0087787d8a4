package directory

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// checkLocal says whether a can be a name here.
func checkLocal(op string, a mail.Address) error {
	if len(a.Local) > mail.MaxLocalPart || !utf8.ValidString(a.Local) || a.Domain == "" ||
		strings.ContainsFunc(a.Local, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fault.Newf(fault.Invalid, op, "%.100q is not an address", a.String())
	}
	return nil
}

// AddAccount makes an account with a quota in octets (0: none). The first
// account of a domain becomes its postmaster. fault.NotFound if the domain is
// not ours, fault.Exists if the address is an account or an alias.
func (s *Store) AddAccount(ctx context.Context, addr mail.Address, c Credentials, quota int64) (Account, error) {
	const op = "directory.AddAccount"
	addr, err := newName(op, addr)
	if err != nil {
		return Account{}, err
	}
	a := Account{Address: addr, Added: time.Now().UTC().Truncate(time.Second), Quota: quota}
	if a.Address.Local == "" || quota < 0 {
		return Account{}, fault.New(fault.Invalid, op, "an account needs an address and a quota that is not negative")
	}
	err = s.update(ctx, func(tx kv.Tx, r rows) error {
		d, err := r.mustDomain(op, a.Address.Domain)
		if err != nil {
			return err
		}
		if as := d.Settings.AliasOf; as != "" {
			return fault.Newf(fault.Conflict, op, "%s is another name of %s: add the account there", d.Name, as)
		}
		if err := r.mustBeFree(op, a.Address); err != nil {
			return err
		}
		if a.ID, err = nextID(tx); err != nil {
			return err
		}
		a.Changed = stamp(tx)
		tx.Set(nameKey(a.Address), name{account: a.ID}.encode())
		tx.Set(accountKey(a.ID), a.encode())
		tx.Set(credKey(a.ID), c.encode())
		if d.Postmaster.IsNull() {
			d.Postmaster = a.Address
			tx.Set(domainKey(d.Name), d.encode())
		}
		return nil
	})
	if err != nil {
		return Account{}, fault.Wrap(op, err)
	}
	return a, nil
}

// mustBeFree takes a folded address. fault.Exists.
func (r rows) mustBeFree(op string, a mail.Address) error {
	n, ok, err := r.name(a)
	switch {
	case err != nil:
		return err
	case ok && n.account != 0:
		return fault.Newf(fault.Exists, op, "%s is an account already", a)
	case ok:
		return fault.Newf(fault.Exists, op, "%s is an alias already", nameOf(a))
	}
	return nil
}

// nextID draws an account id. The counter only grows, so that none is used twice.
func nextID(tx kv.Tx) (mail.AccountID, error) {
	b, ok, err := tx.Get(nextKey())
	if err != nil {
		return 0, err
	}
	next := uint64(1)
	if ok {
		if len(b) != 8 {
			return 0, fault.As(fault.Corrupt, "directory.nextID", errRow)
		}
		next = binary.BigEndian.Uint64(b)
	}
	tx.Set(nextKey(), binary.BigEndian.AppendUint64(nil, next+1))
	return mail.AccountID(next), nil
}

// Account gives the account of an address; sub-addresses and aliases are not
// followed. fault.NotFound.
func (s *Store) Account(ctx context.Context, addr mail.Address) (Account, error) {
	const op = "directory.Account"
	var a Account
	err := s.view(ctx, func(r rows) error {
		var err error
		a, err = r.accountAt(op, Fold(addr))
		return err
	})
	return a, fault.Wrap(op, err)
}

// AccountByID gives an account. fault.NotFound.
func (s *Store) AccountByID(ctx context.Context, id mail.AccountID) (Account, error) {
	const op = "directory.AccountByID"
	var a Account
	err := s.view(ctx, func(r rows) error {
		var err error
		a, err = r.mustAccount(op, id)
		return err
	})
	return a, fault.Wrap(op, err)
}

// Sender gives an account with the settings of its domain: what bounds the mail
// it sends. fault.NotFound.
func (s *Store) Sender(ctx context.Context, id mail.AccountID) (Account, Settings, error) {
	const op = "directory.Sender"
	var a Account
	var d Domain
	err := s.view(ctx, func(r rows) error {
		var err error
		if a, err = r.mustAccount(op, id); err != nil {
			return err
		}
		d, _, err = r.domain(a.Address.Domain)
		return err
	})
	return a, d.Settings, fault.Wrap(op, err)
}

func (r rows) mustAccount(op string, id mail.AccountID) (Account, error) {
	a, ok, err := r.account(id)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, op, "there is no such account")
	}
	return a, err
}

// Accounts lists the accounts in the order in which they were added.
func (s *Store) Accounts(ctx context.Context) ([]Account, error) {
	var all []Account
	err := s.view(ctx, func(r rows) error {
		var err error
		all, err = r.accounts(0)
		return err
	})
	return all, fault.Wrap("directory.Accounts", err)
}

// accounts gives the first limit accounts; 0 means all.
func (r rows) accounts(limit int) ([]Account, error) {
	var all []Account
	prefix := under("account")
	what := kv.Prefix(prefix)
	what.Limit = limit
	for p, err := range r.Scan(what) {
		if err != nil {
			return nil, err
		}
		k := kv.ReadKey(p.Key, prefix)
		a, err := decodeAccount(mail.AccountID(k.Uint64()), p.Value)
		if err != nil || k.Err() != nil {
			return nil, fault.As(fault.Corrupt, "directory.accounts", errRow)
		}
		all = append(all, a)
	}
	return all, nil
}

// RemoveAccount forgets an account and its credentials; its mail is the
// caller's to remove. Where it was the domain's postmaster, the oldest account
// that is left becomes it. fault.NotFound.
func (s *Store) RemoveAccount(ctx context.Context, addr mail.Address) error {
	const op = "directory.RemoveAccount"
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		a, err := r.accountAt(op, Fold(addr))
		if err != nil {
			return err
		}
		tx.Delete(nameKey(a.Address))
		tx.Delete(accountKey(a.ID))
		tx.Delete(credKey(a.ID))
		if err := r.forget(tx, a); err != nil {
			return err
		}
		d, ok, err := r.domain(a.Address.Domain)
		if err != nil || !ok || Fold(d.Postmaster) != a.Address {
			return err
		}
		if d.Postmaster, err = r.oldest(d.Name); err != nil {
			return err
		}
		tx.Set(domainKey(d.Name), d.encode())
		return nil
	}))
}

// UpdateAccount changes what fn changes of the quotas, QuotaAdmin, Use, Disabled,
// Sending, Held, HeldFor, Reports and Screening; the rest stays as it is. fn may
// run more than once. fault.NotFound.
func (s *Store) UpdateAccount(ctx context.Context, addr mail.Address, fn func(*Account) error) error {
	const op = "directory.UpdateAccount"
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		a, err := r.accountAt(op, Fold(addr))
		if err != nil {
			return err
		}
		now := a
		if err := fn(&now); err != nil {
			return err
		}
		if now.Quota < 0 || now.MaxMessages < 0 || now.MaxMailboxes < 0 || now.MaxAnnotations < 0 {
			return fault.New(fault.Invalid, op, "a quota is not negative")
		}
		if err := errors.Join(now.Reports.check(op), now.Screening.check(op)); err != nil {
			return err
		}
		if err := now.Use.check(op); err != nil {
			return err
		}
		if now.Disabled != a.Disabled || now.Use.Protocols != a.Use.Protocols {
			a.Changed = stamp(tx)
		}
		a.MaxMailboxes, a.MaxAnnotations, a.QuotaAdmin, a.Use = now.MaxMailboxes, now.MaxAnnotations, now.QuotaAdmin, now.Use
		a.Quota, a.MaxMessages, a.Disabled = now.Quota, now.MaxMessages, now.Disabled
		a.Sending, a.Held, a.HeldFor = now.Sending, now.Held, now.HeldFor
		a.Reports, a.Screening = Reports{Language: now.Reports.Language, Signed: now.Reports.Signed}, now.Screening
		tx.Set(accountKey(a.ID), a.encode())
		return nil
	}))
}
