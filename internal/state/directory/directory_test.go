package directory_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

func open(t *testing.T) *directory.Store {
	t.Helper()
	db := memkv.New(memkv.Options{Rerun: true})
	t.Cleanup(func() { db.Close() })
	return directory.New(db)
}

// address reads local@domain, @domain and local.
func address(s string) mail.Address {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return mail.Address{Local: s}
	}
	return mail.Address{Local: s[:i], Domain: mail.Domain(s[i+1:])}
}

func addresses(list ...string) []mail.Address {
	var out []mail.Address
	for _, s := range list {
		out = append(out, address(s))
	}
	return out
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantKind checks that err is of a kind.
func wantKind(t *testing.T, err error, k fault.Kind) {
	t.Helper()
	if !fault.Is(err, k) {
		t.Errorf("got %v, want a fault of kind %v", err, k)
	}
}

func account(t *testing.T, s *directory.Store, addr string) directory.Account {
	t.Helper()
	a, err := s.AddAccount(context.Background(), address(addr), directory.Credentials{Argon2: "hash of " + addr}, 0)
	must(t, err)
	return a
}

func TestDomains(t *testing.T) {
	s, ctx := open(t), context.Background()
	must(t, s.AddDomain(ctx, "b.test"))
	must(t, s.AddDomain(ctx, "a.test"))
	wantKind(t, s.AddDomain(ctx, "a.test"), fault.Exists)
	wantKind(t, s.AddDomain(ctx, "[127.0.0.1]"), fault.Invalid)
	wantKind(t, s.AddDomain(ctx, "A.test"), fault.Invalid)
	all, err := s.Domains(ctx)
	must(t, err)
	if len(all) != 2 || all[0].Name != "a.test" || all[1].Name != "b.test" {
		t.Errorf("domains are %v", all)
	}
	if _, err := s.Domain(ctx, "c.test"); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	account(t, s, "x@a.test")
	must(t, s.AddAlias(ctx, address("y@b.test"), addresses("x@a.test")))
	wantKind(t, s.RemoveDomain(ctx, "a.test"), fault.Conflict)
	must(t, s.RemoveDomain(ctx, "b.test"))
	wantKind(t, s.RemoveDomain(ctx, "b.test"), fault.NotFound)
	if ok, err := s.IsLocal(ctx, "b.test"); ok || err != nil {
		t.Error("b.test is still ours", err)
	}
	if all, err := s.Aliases(ctx); len(all) != 0 || err != nil {
		t.Error("an alias outlived its domain", all, err)
	}
}

func TestAccounts(t *testing.T) {
	s, ctx := open(t), context.Background()
	_, err := s.AddAccount(ctx, address("a@none.test"), directory.Credentials{}, 0)
	wantKind(t, err, fault.NotFound)
	must(t, s.AddDomain(ctx, "x.test"))
	a := account(t, s, "Alice@x.test")
	if a.Address.Local != "alice" || a.ID != 1 {
		t.Errorf("got %+v", a)
	}
	_, err = s.AddAccount(ctx, address("aLICE@x.test"), directory.Credentials{}, 0)
	wantKind(t, err, fault.Exists)
	_, err = s.AddAccount(ctx, address("n@x.test"), directory.Credentials{}, -1)
	wantKind(t, err, fault.Invalid)
	_, err = s.AddAccount(ctx, address("@x.test"), directory.Credentials{}, 0)
	wantKind(t, err, fault.Invalid)
	must(t, s.UpdateAccount(ctx, address("alice@x.test"), func(a *directory.Account) error { a.Quota = 5; a.ID = 99; return nil }))
	got, err := s.Account(ctx, address("ALICE@x.test"))
	must(t, err)
	if got.Quota != 5 || got.ID != a.ID || got.Changed != a.Changed {
		t.Errorf("got %+v", got)
	}
	must(t, s.UpdateAccount(ctx, address("alice@x.test"), func(a *directory.Account) error { a.Disabled, a.MaxMessages = true, 7; return nil }))
	got, err = s.AccountByID(ctx, a.ID)
	must(t, err)
	if !got.Disabled || got.MaxMessages != 7 || got.Changed <= a.Changed {
		t.Errorf("got %+v", got)
	}
	must(t, s.RemoveAccount(ctx, address("alice@x.test")))
	wantKind(t, s.RemoveAccount(ctx, address("alice@x.test")), fault.NotFound)
	if b := account(t, s, "alice@x.test"); b.ID == a.ID {
		t.Error("an id was used twice")
	}
	if all, err := s.Accounts(ctx); len(all) != 1 || err != nil {
		t.Error(all, err)
	}
}

func TestCredentials(t *testing.T) {
	s, ctx := open(t), context.Background()
	must(t, s.AddDomain(ctx, "x.test"))
	a := account(t, s, "a@x.test")
	v, err := sasl.NewScramVerifier(sasl.SHA256, "pencil", []byte("0123456789abcdef"), 4096)
	must(t, err)
	must(t, s.SetCredentials(ctx, a.ID, directory.Credentials{Argon2: "new", SCRAM256: v}))
	got, c, err := s.Credentials(ctx, address("A@x.test"))
	must(t, err)
	if got.Changed <= a.Changed || c.Argon2 != "new" || c.SCRAM256.String() != v.String() {
		t.Errorf("got %+v %+v", got, c)
	}
	// Renewing with an old stamp does nothing, with the right one it keeps the stamp.
	must(t, s.RenewCredentials(ctx, a.ID, a.Changed, directory.Credentials{Argon2: "stale"}))
	must(t, s.RenewCredentials(ctx, a.ID, got.Changed, directory.Credentials{Argon2: "dearer"}))
	again, c, err := s.Credentials(ctx, address("a@x.test"))
	must(t, err)
	if again.Changed != got.Changed || c.Argon2 != "dearer" {
		t.Errorf("got %+v %+v", again, c)
	}
	wantKind(t, s.SetCredentials(ctx, 77, c), fault.NotFound)
}

func TestSecretStays(t *testing.T) {
	db := memkv.New(memkv.Options{})
	defer db.Close()
	one, err := directory.New(db).Secret(context.Background())
	must(t, err)
	two, err := directory.New(db).Secret(context.Background())
	must(t, err)
	if len(one) != 32 || !bytes.Equal(one, two) {
		t.Errorf("%x then %x", one, two)
	}
}

// house is a directory with a bit of everything.
func house(t *testing.T) *directory.Store {
	t.Helper()
	s, ctx := open(t), context.Background()
	for _, d := range []mail.Domain{"one.test", "two.test", "bare.test"} {
		must(t, s.AddDomain(ctx, d))
	}
	for _, a := range []string{"first@one.test", "alice@one.test", "bob+x@one.test", "bob@one.test", "用户@one.test", "zoe@two.test"} {
		account(t, s, a)
	}
	for _, a := range []struct {
		at string
		to []string
	}{
		{"sales@one.test", []string{"Alice@one.test", "bob@one.test", "far@away.example"}},
		{"all@one.test", []string{"sales@one.test", "alice@one.test", "zoe@two.test", "far@away.example"}},
		{"loop@one.test", []string{"loop2@one.test", "bob+loop@one.test"}},
		{"loop2@one.test", []string{"loop@one.test"}},
		{"dead@one.test", []string{"gone@one.test"}},
		{"circle@one.test", []string{"circle@one.test"}},
		{"@two.test", []string{"zoe@two.test"}},
		{"abuse@two.test", []string{"nobody@one.test"}},
		{"pm@one.test", []string{"postmaster@one.test", "first@one.test"}},
	} {
		must(t, s.AddAlias(ctx, address(a.at), addresses(a.to...)))
	}
	for i := range 12 {
		to := fmt.Sprintf("deep%d@one.test", i+1)
		if i == 11 {
			to = "alice@one.test"
		}
		must(t, s.AddAlias(ctx, address(fmt.Sprintf("deep%d@one.test", i)), addresses(to)))
	}
	return s
}

func TestResolve(t *testing.T) {
	s, ctx := house(t), context.Background()
	for _, c := range []struct{ in, want string }{
		{"alice@one.test", "alice@one.test"},
		{"ALICE+Lists@one.test", "alice@one.test/Lists"},
		{"alice+a+b@one.test", "alice@one.test/a+b"},
		{"+a@one.test", "not found"},
		{"bob+x@one.test", "bob+x@one.test"},
		{"bob+y@one.test", "bob@one.test/y"},
		{"用户@one.test", "用户@one.test"},
		{"sales@one.test", "alice@one.test bob@one.test far@away.example"},
		{"sales+q@one.test", "alice@one.test/q bob@one.test/q far@away.example"},
		{"all@one.test", "alice@one.test bob@one.test zoe@two.test far@away.example"},
		{"loop@one.test", "bob@one.test/loop"},
		{"dead@one.test", "not found"},
		{"circle@one.test", "not found"},
		{"anything@two.test", "zoe@two.test"},
		{"nobody@one.test", "not found"},
		{"alice@elsewhere.test", "denied"},
		{"postmaster@one.test", "first@one.test"},
		{"PostMaster@one.test", "first@one.test"},
		{"abuse+spam@one.test", "first@one.test"},
		{"postmaster@two.test", "zoe@two.test"},
		{"abuse@two.test", "zoe@two.test"},
		{"postmaster@bare.test", "first@one.test"},
		{"postmaster", "first@one.test"},
		{"abuse", "first@one.test"},
		{"alice", "denied"},
		{"postmaster@elsewhere.test", "denied"},
		{"pm@one.test", "first@one.test"},
		{"deep1@one.test", "not found"},
		{"deep2@one.test", "alice@one.test"},
	} {
		if got := resolve(ctx, s, c.in); got != c.want {
			t.Errorf("%s leads to %q, want %q", c.in, got, c.want)
		}
	}
}

func resolve(ctx context.Context, s *directory.Store, in string) string {
	res, err := s.Resolve(ctx, address(in))
	if err != nil {
		return fault.KindOf(err).String()
	}
	var out []string
	for _, t := range res.Accounts {
		w := t.Address.String()
		if t.Detail != "" {
			w += "/" + t.Detail
		}
		out = append(out, w)
	}
	for _, r := range res.Remote {
		out = append(out, r.String())
	}
	return strings.Join(out, " ")
}

func TestPostmasterMovesOn(t *testing.T) {
	s, ctx := house(t), context.Background()
	if got := resolve(ctx, open(t), "postmaster"); got != "not found" {
		t.Errorf("an empty server gave %q", got)
	}
	must(t, s.UpdateDomain(ctx, "one.test", func(d *directory.Domain) error { d.Postmaster = address("bob@one.test"); return nil }))
	if got := resolve(ctx, s, "postmaster@one.test"); got != "bob@one.test" {
		t.Errorf("got %q", got)
	}
	must(t, s.RemoveAccount(ctx, address("bob@one.test")))
	if got := resolve(ctx, s, "postmaster"); got != "first@one.test" {
		t.Errorf("got %q", got)
	}
	// A setting that has come to lead nowhere is passed over.
	must(t, s.UpdateDomain(ctx, "two.test", func(d *directory.Domain) error { d.Postmaster = address("gone@one.test"); return nil }))
	if got := resolve(ctx, s, "abuse@two.test"); got != "zoe@two.test" {
		t.Errorf("got %q", got)
	}
	must(t, s.AddAlias(ctx, address("postmaster@one.test"), addresses("boss@far.example")))
	if got := resolve(ctx, s, "postmaster@one.test"); got != "boss@far.example" {
		t.Errorf("got %q", got)
	}
}

func TestAliases(t *testing.T) {
	s, ctx := house(t), context.Background()
	wantKind(t, s.AddAlias(ctx, address("alice@one.test"), addresses("b@c.test")), fault.Exists)
	wantKind(t, s.AddAlias(ctx, address("SALES@one.test"), addresses("b@c.test")), fault.Exists)
	wantKind(t, s.AddAlias(ctx, address("a@none.test"), addresses("b@c.test")), fault.NotFound)
	wantKind(t, s.AddAlias(ctx, address("new@one.test"), nil), fault.Invalid)
	wantKind(t, s.AddAlias(ctx, address("new@one.test"), addresses("@c.test")), fault.Invalid)
	var many []mail.Address
	for i := range directory.MaxTargets + 1 {
		many = append(many, address(fmt.Sprintf("u%d@c.test", i)))
	}
	wantKind(t, s.AddAlias(ctx, address("new@one.test"), many), fault.TooLarge)
	must(t, s.AddAlias(ctx, address("new@one.test"), many[1:]))
	must(t, s.AddAlias(ctx, address("more@one.test"), append(addresses("new@one.test", "p@c.test"), many[:9]...)))
	if got := resolve(ctx, s, "more@one.test"); got != "too large" {
		t.Errorf("got %.80q", got)
	}
	must(t, s.UpdateAlias(ctx, address("sales@one.test"), func(a *directory.Alias) error { a.Targets = a.Targets[:1]; return nil }))
	if got := resolve(ctx, s, "sales@one.test"); got != "alice@one.test" {
		t.Errorf("got %q", got)
	}
	if a, err := s.Alias(ctx, address("Sales@one.test")); err != nil || len(a.Targets) != 1 {
		t.Error(a, err)
	}
	must(t, s.RemoveAlias(ctx, address("sales@one.test")))
	wantKind(t, s.RemoveAlias(ctx, address("sales@one.test")), fault.NotFound)
	wantKind(t, s.RemoveAlias(ctx, address("alice@one.test")), fault.NotFound)
	if got := resolve(ctx, s, "sales@one.test"); got != "not found" {
		t.Errorf("got %q", got)
	}
}

func TestMayUse(t *testing.T) {
	s, ctx := house(t), context.Background()
	alice, err := s.Account(ctx, address("alice@one.test"))
	must(t, err)
	for in, want := range map[string]bool{
		"alice@one.test": true, "Alice+x@one.test": true, "sales@one.test": true, "all@one.test": true,
		"bob@one.test": false, "x@elsewhere.test": false, "": false, "postmaster@one.test": false,
	} {
		got, err := s.MayUse(ctx, alice.ID, address(in))
		if got != want || err != nil {
			t.Errorf("%q: %v %v", in, got, err)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	db := memkv.New(memkv.Options{})
	defer db.Close()
	s, ctx := directory.New(db), context.Background()
	if err := s.AddDomain(ctx, "one.test"); err != nil {
		b.Fatal(err)
	}
	if _, err := s.AddAccount(ctx, address("alice@one.test"), directory.Credentials{}, 0); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Resolve(ctx, address("alice+x@one.test")); err != nil {
			b.Fatal(err)
		}
	}
}
