package directory

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Grant lets an account send from an address that is not its own. An empty
// local part is every address of the domain, which need not be one of ours.
type Grant struct {
	Account mail.AccountID
	Address mail.Address
	Added   time.Time
}

func grantKey(a mail.Address, id mail.AccountID) kv.Key { return grantsKey(a).Uint64(uint64(id)) }

type grantRow struct {
	Added int64 `json:"at"`
}

func decodeGrant(b []byte) (grantRow, error) {
	var row grantRow
	return row, decode(b, &row)
}

// AddGrant lets the account of an address send as another address, or with an
// empty local part as every address of a domain. fault.NotFound; fault.Exists.
func (s *Store) AddGrant(ctx context.Context, account, as mail.Address) error {
	const op = "directory.AddGrant"
	as = Fold(as)
	if err := checkLocal(op, as); err != nil {
		return err
	}
	now := time.Now()
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		a, err := r.accountAt(op, Fold(account))
		if err != nil {
			return err
		}
		key := grantKey(as, a.ID)
		if _, ok, err := r.Get(key); err != nil {
			return err
		} else if ok {
			return fault.Newf(fault.Exists, op, "%s may send as %s already", a.Address, nameOf(as))
		}
		tx.Set(key, encode(grantRow{Added: now.Unix()}))
		return nil
	}))
}

// RemoveGrant takes back what AddGrant gave. fault.NotFound.
func (s *Store) RemoveGrant(ctx context.Context, account, as mail.Address) error {
	const op = "directory.RemoveGrant"
	as = Fold(as)
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		a, err := r.accountAt(op, Fold(account))
		if err != nil {
			return err
		}
		if _, ok, err := r.Get(grantKey(as, a.ID)); err != nil {
			return err
		} else if !ok {
			return fault.Newf(fault.NotFound, op, "%s was not granted %s", a.Address, nameOf(as))
		}
		tx.Delete(grantKey(as, a.ID))
		return nil
	}))
}

// Grants lists what an account may send as besides its own, by domain and local
// part. It reads all grants there are: it is for operators. fault.NotFound.
func (s *Store) Grants(ctx context.Context, account mail.Address) ([]Grant, error) {
	const op = "directory.Grants"
	var all []Grant
	err := s.view(ctx, func(r rows) error {
		a, err := r.accountAt(op, Fold(account))
		if err != nil {
			return err
		}
		all, err = r.grants(a.ID)
		return err
	})
	return all, fault.Wrap(op, err)
}

// grants are those of one account.
func (r rows) grants(id mail.AccountID) ([]Grant, error) {
	var all []Grant
	prefix := under("grant")
	for p, err := range r.Scan(kv.Prefix(prefix)) {
		if err != nil {
			return nil, err
		}
		k := kv.ReadKey(p.Key, prefix)
		g := Grant{Address: mail.Address{Domain: mail.Domain(k.Text()), Local: k.Text()}}
		g.Account = mail.AccountID(k.Uint64())
		row, err := decodeGrant(p.Value)
		if err != nil || k.Err() != nil {
			return nil, fault.As(fault.Corrupt, "directory.grants", errRow)
		}
		if g.Account == id {
			g.Added = time.Unix(row.Added, 0).UTC()
			all = append(all, g)
		}
	}
	return all, nil
}

// granted says whether an account was given a, or a without its sub-address, or
// its domain.
func (r rows) granted(id mail.AccountID, a mail.Address) (bool, error) {
	d, _, err := r.domain(a.Domain)
	if err != nil {
		return false, err
	}
	for _, b := range append(bases(a, d.Settings.Separators()), base{Address: mail.Address{Domain: a.Domain}}) {
		_, ok, err := read(r, grantKey(b.Address, id), decodeGrant)
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// MayUse says whether an account may write from an address: its own, its
// sub-addresses, every address that leads to it, and what it was granted.
func (s *Store) MayUse(ctx context.Context, id mail.AccountID, a mail.Address) (bool, error) {
	const op = "directory.MayUse"
	res, err := s.Resolve(ctx, a)
	switch {
	case err == nil, fault.Is(err, fault.NotFound), fault.Is(err, fault.Denied), fault.Is(err, fault.TooLarge):
	default:
		return false, fault.Wrap(op, err)
	}
	for _, t := range res.Accounts {
		if t.Account == id {
			return true, nil
		}
	}
	if a.Domain == "" {
		return false, nil
	}
	var ok bool
	err = s.view(ctx, func(r rows) error {
		ok, err = r.granted(id, a)
		return err
	})
	return ok, fault.Wrap(op, err)
}

// forget takes away what an account was granted, and what others were granted
// of it: whoever has the name next is another.
func (r rows) forget(tx kv.Tx, a Account) error {
	tx.Clear(kv.Prefix(grantsKey(a.Address)))
	own, err := r.grants(a.ID)
	for _, g := range own {
		tx.Delete(grantKey(g.Address, a.ID))
	}
	return err
}
