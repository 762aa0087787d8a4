package directory

import (
	"context"
	"iter"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// AddDomain takes in a domain. fault.Exists if it is there, fault.Invalid if it
// is an address literal.
func (s *Store) AddDomain(ctx context.Context, d mail.Domain) error {
	const op = "directory.AddDomain"
	if p, err := mail.ParseDomain(string(d)); err != nil || p != d || d.IsLiteral() {
		return fault.Newf(fault.Invalid, op, "%.80q is not a domain", string(d))
	}
	now := time.Now()
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		if _, ok, err := r.domain(d); err != nil {
			return err
		} else if ok {
			return fault.Newf(fault.Exists, op, "the domain %s is there already", d)
		}
		tx.Set(domainKey(d), Domain{Name: d, Added: now}.encode())
		return nil
	}))
}

// Domains lists the domains by name.
func (s *Store) Domains(ctx context.Context) ([]Domain, error) {
	var all []Domain
	err := s.view(ctx, func(r rows) error {
		all = nil
		for d, err := range r.domains() {
			if err != nil {
				return err
			}
			all = append(all, d)
		}
		return nil
	})
	return all, fault.Wrap("directory.Domains", err)
}

// domains reads them all by name.
func (r rows) domains() iter.Seq2[Domain, error] {
	return func(yield func(Domain, error) bool) {
		prefix := under("domain")
		for p, err := range r.Scan(kv.Prefix(prefix)) {
			var d Domain
			if err == nil {
				k := kv.ReadKey(p.Key, prefix)
				if d, err = decodeDomain(mail.Domain(k.Text()), p.Value); err != nil || k.Err() != nil {
					err = fault.As(fault.Corrupt, "directory.domains", errRow)
				}
			}
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// Domain gives one domain. fault.NotFound.
func (s *Store) Domain(ctx context.Context, d mail.Domain) (Domain, error) {
	const op = "directory.Domain"
	var found Domain
	err := s.view(ctx, func(r rows) error {
		var err error
		found, err = r.mustDomain(op, d)
		return err
	})
	return found, fault.Wrap(op, err)
}

func (r rows) mustDomain(op string, d mail.Domain) (Domain, error) {
	found, ok, err := r.domain(d)
	if err == nil && !ok {
		err = fault.Newf(fault.NotFound, op, "the domain %s is not one of this server's", d)
	}
	return found, err
}

// IsLocal says whether a domain is ours.
func (s *Store) IsLocal(ctx context.Context, d mail.Domain) (bool, error) {
	var ok bool
	err := s.view(ctx, func(r rows) error {
		var err error
		_, ok, err = r.domain(d)
		return err
	})
	return ok, fault.Wrap("directory.IsLocal", err)
}

// UpdateDomain changes what fn changes in a domain. fn may run more than once;
// the name stays as it is. A null Postmaster means that the first account of
// the domain is it again. fault.NotFound; fault.Invalid and fault.Conflict where
// the settings cannot work.
func (s *Store) UpdateDomain(ctx context.Context, d mail.Domain, fn func(*Domain) error) error {
	const op = "directory.UpdateDomain"
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		found, err := r.mustDomain(op, d)
		if err != nil {
			return err
		}
		if err := fn(&found); err != nil {
			return err
		}
		found.Name = d
		if found.Postmaster.IsNull() {
			if found.Postmaster, err = r.oldest(d); err != nil {
				return err
			}
		} else if err := checkTarget(op, found.Postmaster); err != nil {
			return err
		}
		if err := r.fits(op, found); err != nil {
			return err
		}
		tx.Set(domainKey(d), found.encode())
		return nil
	}))
}

// RemoveDomain forgets a domain, its aliases, its signing keys, and who was allowed
// to send from it. fault.NotFound; fault.Conflict while it has accounts or another name.
func (s *Store) RemoveDomain(ctx context.Context, d mail.Domain) error {
	const op = "directory.RemoveDomain"
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		if _, err := r.mustDomain(op, d); err != nil {
			return err
		}
		oldest, err := r.oldest(d)
		if err != nil {
			return err
		}
		if !oldest.IsNull() {
			return fault.Newf(fault.Conflict, op, "%s still has accounts, such as %s; remove them first", d, oldest)
		}
		if b, err := r.aliasDomain(d); err != nil || b != "" {
			return orConflict(err, op, "%s is another name of %s; remove it first", b, d)
		}
		tx.Clear(kv.Prefix(namesKey(d)))
		tx.Clear(kv.Prefix(under("grant").Text(string(d))))
		tx.Delete(keysKey(d))
		tx.Delete(domainKey(d))
		return nil
	}))
}

// oldest is the first account added in a domain; null if it has none.
func (r rows) oldest(d mail.Domain) (mail.Address, error) {
	var first name
	var addr mail.Address
	prefix := namesKey(d)
	for p, err := range r.Scan(kv.Prefix(prefix)) {
		if err != nil {
			return addr, err
		}
		k := kv.ReadKey(p.Key, prefix)
		n, err := decodeName(p.Value)
		local := k.Text()
		if err != nil || k.Err() != nil {
			return addr, fault.As(fault.Corrupt, "directory.oldest", errRow)
		}
		if n.account != 0 && (first.account == 0 || n.account < first.account) {
			first, addr = n, mail.Address{Local: local, Domain: d}
		}
	}
	return addr, nil
}
