package directory

import (
	"context"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// nameOf writes an address that may be a catch-all.
func nameOf(a mail.Address) string {
	if a.Local == "" {
		return "@" + string(a.Domain)
	}
	return a.String()
}

// checkTarget says whether mail can be sent on to a.
func checkTarget(op string, a mail.Address) error {
	if a.Local == "" {
		return fault.Newf(fault.Invalid, op, "%.100q is not an address that mail can be sent to", nameOf(a))
	}
	return checkLocal(op, a)
}

// tidyTargets folds nothing, since remote hosts alone know what their local
// parts mean, but leaves out what is named twice.
func tidyTargets(op string, targets []mail.Address) ([]mail.Address, error) {
	var tidy []mail.Address
	seen := map[mail.Address]bool{}
	for _, t := range targets {
		if err := checkTarget(op, t); err != nil {
			return nil, err
		}
		if !seen[t] {
			seen[t] = true
			tidy = append(tidy, t)
		}
	}
	if len(tidy) == 0 {
		return nil, fault.New(fault.Invalid, op, "an alias needs an address to lead to")
	}
	if len(tidy) > MaxTargets || len((name{targets: tidy}).encode()) > kv.MaxValue {
		return nil, fault.Newf(fault.TooLarge, op, "an alias leads to %d addresses at most", MaxTargets)
	}
	return tidy, nil
}

// checkOwner says whether the failures of what a list sends can be told to owner.
func checkOwner(op string, list, owner mail.Address) error {
	switch {
	case owner == mail.Address{}:
		return nil
	case list.Local == "":
		return fault.New(fault.Invalid, op, "a catch-all cannot be a mailing list")
	case Fold(owner) == list:
		return fault.New(fault.Invalid, op, "a list cannot be its own owner: its members would hear of its failures")
	}
	return checkTarget(op, owner)
}

// AddAlias makes an address of ours lead to others, here or elsewhere. With an
// empty local part it takes what no other address of its domain takes.
// fault.NotFound if the domain is not ours, fault.Exists if the address is an
// account or an alias, fault.TooLarge beyond MaxTargets.
func (s *Store) AddAlias(ctx context.Context, addr mail.Address, targets []mail.Address) error {
	return s.AddList(ctx, addr, targets, mail.Address{})
}

// AddList is AddAlias for a mailing list: an alias with an owner.
func (s *Store) AddList(ctx context.Context, addr mail.Address, targets []mail.Address, owner mail.Address) error {
	const op = "directory.AddAlias"
	addr, err := newName(op, addr)
	if err != nil {
		return err
	}
	tidy, err := tidyTargets(op, targets)
	if err != nil {
		return err
	}
	if err := checkOwner(op, addr, owner); err != nil {
		return err
	}
	now := time.Now()
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		if _, err := r.mustDomain(op, addr.Domain); err != nil {
			return err
		}
		if err := r.mustBeFree(op, addr); err != nil {
			return err
		}
		tx.Set(nameKey(addr), name{targets: tidy, owner: owner, added: now}.encode())
		return nil
	}))
}

// Aliases lists the aliases by domain and local part, the catch-all first.
func (s *Store) Aliases(ctx context.Context) ([]Alias, error) {
	const op = "directory.Aliases"
	var all []Alias
	err := s.view(ctx, func(r rows) error {
		all = nil
		prefix := under("name")
		for p, err := range r.Scan(kv.Prefix(prefix)) {
			if err != nil {
				return err
			}
			k := kv.ReadKey(p.Key, prefix)
			a := mail.Address{Domain: mail.Domain(k.Text()), Local: k.Text()}
			n, err := decodeName(p.Value)
			if err != nil || k.Err() != nil {
				return fault.As(fault.Corrupt, op, errRow)
			}
			if n.account == 0 {
				all = append(all, Alias{Address: a, Targets: n.targets, Owner: n.owner, Added: n.added})
			}
		}
		return nil
	})
	return all, fault.Wrap(op, err)
}

// Alias gives one alias. fault.NotFound.
func (s *Store) Alias(ctx context.Context, addr mail.Address) (Alias, error) {
	const op = "directory.Alias"
	var a Alias
	err := s.view(ctx, func(r rows) error {
		n, err := r.alias(op, Fold(addr))
		a = Alias{Address: Fold(addr), Targets: slices.Clone(n.targets), Owner: n.owner, Added: n.added}
		return err
	})
	return a, fault.Wrap(op, err)
}

func (r rows) alias(op string, a mail.Address) (name, error) {
	n, ok, err := r.name(a)
	if err == nil && (!ok || n.account != 0) {
		err = fault.Newf(fault.NotFound, op, "there is no alias %s", nameOf(a))
	}
	return n, err
}

// UpdateAlias changes what fn changes of the targets and the owner. fn may run more than
// once. Errors as AddAlias.
func (s *Store) UpdateAlias(ctx context.Context, addr mail.Address, fn func(*Alias) error) error {
	const op = "directory.UpdateAlias"
	addr = Fold(addr)
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		n, err := r.alias(op, addr)
		if err != nil {
			return err
		}
		a := Alias{Address: addr, Targets: slices.Clone(n.targets), Owner: n.owner, Added: n.added}
		if err := fn(&a); err != nil {
			return err
		}
		if n.targets, err = tidyTargets(op, a.Targets); err != nil {
			return err
		}
		if err = checkOwner(op, addr, a.Owner); err != nil {
			return err
		}
		n.owner = a.Owner
		tx.Set(nameKey(addr), n.encode())
		return nil
	}))
}

// RemoveAlias forgets an alias, and who was allowed to send as it. fault.NotFound.
func (s *Store) RemoveAlias(ctx context.Context, addr mail.Address) error {
	const op = "directory.RemoveAlias"
	addr = Fold(addr)
	return fault.Wrap(op, s.update(ctx, func(tx kv.Tx, r rows) error {
		if _, err := r.alias(op, addr); err != nil {
			return err
		}
		tx.Delete(nameKey(addr))
		tx.Clear(kv.Prefix(grantsKey(addr))) // whoever has the name next is another
		return nil
	}))
}
