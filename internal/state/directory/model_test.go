package directory_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// model is what a directory should do, in maps.
type model struct {
	domains  map[mail.Domain]bool
	accounts map[mail.Address]bool
	aliases  map[mail.Address][]mail.Address
}

// reach gives the accounts and remote addresses a leads to, alias depth apart.
func (m *model) reach(a mail.Address, seen, out map[mail.Address]bool) {
	switch targets, alias := m.aliases[a]; {
	case !m.domains[a.Domain], m.accounts[a]:
		out[a] = true
	case alias && !seen[a]:
		seen[a] = true
		for _, t := range targets {
			m.reach(t, seen, out)
		}
	}
}

// TestModel drives a directory and the model with the same random operations,
// so few names that they meet often, and no chain as long as MaxDepth.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		db := memkv.New(memkv.Options{Rerun: true})
		defer db.Close()
		s := directory.New(db)
		m := model{map[mail.Domain]bool{}, map[mail.Address]bool{}, map[mail.Address][]mail.Address{}}
		domain := rapid.SampledFrom([]mail.Domain{"x.test", "y.test"})
		addr := rapid.Custom(func(t *rapid.T) mail.Address {
			return mail.Address{Local: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "local"), Domain: domain.Draw(t, "domain")}
		})
		kind := func(what string, err error, want fault.Kind, ok bool) {
			if ok != (err == nil) || !ok && !fault.Is(err, want) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add domain": func(t *rapid.T) {
				d := domain.Draw(t, "d")
				kind("AddDomain", s.AddDomain(ctx, d), fault.Exists, !m.domains[d])
				m.domains[d] = true
			},
			"remove domain": func(t *rapid.T) {
				d := domain.Draw(t, "d")
				m.removeDomain(ctx, s, d, kind)
			},
			"add account": func(t *rapid.T) {
				a := addr.Draw(t, "a")
				_, err := s.AddAccount(ctx, a, directory.Credentials{}, 0)
				m.add(a, err, kind, func() { m.accounts[a] = true })
			},
			"add alias": func(t *rapid.T) {
				a := addr.Draw(t, "a")
				to := rapid.SliceOfNDistinct(addr, 1, 3, rapid.ID[mail.Address]).Draw(t, "to")
				m.add(a, s.AddAlias(ctx, a, to), kind, func() { m.aliases[a] = to })
			},
			"remove account": func(t *rapid.T) {
				a := addr.Draw(t, "a")
				kind("RemoveAccount", s.RemoveAccount(ctx, a), fault.NotFound, m.accounts[a])
				delete(m.accounts, a)
			},
			"remove alias": func(t *rapid.T) {
				a := addr.Draw(t, "a")
				kind("RemoveAlias", s.RemoveAlias(ctx, a), fault.NotFound, m.aliases[a] != nil)
				delete(m.aliases, a)
			},
			"": func(t *rapid.T) { m.compare(t, ctx, s, addr.Draw(t, "asked")) },
		})
	})
}

func (m *model) removeDomain(ctx context.Context, s *directory.Store, d mail.Domain, kind func(string, error, fault.Kind, bool)) {
	err := s.RemoveDomain(ctx, d)
	for a := range m.accounts {
		if a.Domain == d {
			kind("RemoveDomain", err, fault.Conflict, false)
			return
		}
	}
	kind("RemoveDomain", err, fault.NotFound, m.domains[d])
	delete(m.domains, d)
	maps.DeleteFunc(m.aliases, func(a mail.Address, _ []mail.Address) bool { return a.Domain == d })
}

func (m *model) add(a mail.Address, err error, kind func(string, error, fault.Kind, bool), do func()) {
	switch {
	case !m.domains[a.Domain]:
		kind("add", err, fault.NotFound, false)
	case m.accounts[a] || m.aliases[a] != nil:
		kind("add", err, fault.Exists, false)
	default:
		kind("add", err, 0, true)
		do()
	}
}

func (m *model) compare(t *rapid.T, ctx context.Context, s *directory.Store, a mail.Address) {
	want := map[mail.Address]bool{}
	m.reach(a, map[mail.Address]bool{}, want)
	res, err := s.Resolve(ctx, a)
	switch {
	case !m.domains[a.Domain]:
		if !fault.Is(err, fault.Denied) {
			t.Fatalf("%s: %v", a, err)
		}
	case len(want) == 0:
		if !fault.Is(err, fault.NotFound) {
			t.Fatalf("%s: %v", a, err)
		}
	default:
		got := slices.Clone(res.Remote)
		for _, r := range res.Accounts {
			got = append(got, r.Address)
		}
		text := func(a mail.Address) string { return a.String() }
		if g, w := sorted(got, text), sorted(slices.Collect(maps.Keys(want)), text); g != w {
			t.Fatalf("%s leads to %s, want %s", a, g, w)
		}
	}
	accounts, err := s.Accounts(ctx)
	if err != nil || len(accounts) != len(m.accounts) {
		t.Fatalf("%d accounts, want %d: %v", len(accounts), len(m.accounts), err)
	}
}

func sorted(list []mail.Address, text func(mail.Address) string) string {
	var out []string
	for _, a := range list {
		out = append(out, text(a))
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}
