package directory_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

func set(t *testing.T, s *directory.Store, d mail.Domain, fn func(*directory.Settings)) error {
	t.Helper()
	return s.UpdateDomain(context.Background(), d, func(d *directory.Domain) error { fn(&d.Settings); return nil })
}

// leads checks where addresses lead.
func leads(t *testing.T, s *directory.Store, cases [][2]string) {
	t.Helper()
	for _, c := range cases {
		if got := resolve(context.Background(), s, c[0]); got != c[1] {
			t.Errorf("%s leads to %q, want %q", c[0], got, c[1])
		}
	}
}

func TestCheckSettings(t *testing.T) {
	for _, c := range []struct {
		json string
		ok   bool
	}{
		{`{}`, true}, {`{"sep":"+-"}`, true}, {`{"sep":"none"}`, true}, {`{"sep":"="}`, true},
		{`{"sep":"a"}`, false}, {`{"sep":"."}`, false}, {`{"sep":"@"}`, false}, {`{"sep":"++"}`, false}, {`{"sep":"!#$%&*+-/"}`, false}, {`{"sep":"＋"}`, false},
		{`{"relay":{"to":["inner.test"]}}`, true}, {`{"relay":{"to":["inner.test:2525","10.0.0.1","[::1]:25","::1"],"unsure":"accept"}}`, true},
		{`{"relay":{"to":["mx"]}}`, true}, {`{"relay":{"to":["mx","inner.test"]}}`, false}, {`{"relay":{"to":["a b"]}}`, false},
		{`{"relay":{"to":["inner.test:0"]}}`, false}, {`{"relay":{"to":["inner.test:smtp"]}}`, false}, {`{"relay":{"to":[""]}}`, false},
		{`{"relay":{"to":["[1.2.3.4]"]}}`, false}, {`{"relay":{"to":["mx"],"unsure":"perhaps"}}`, false},
		{`{"as":"other.test"}`, true}, {`{"as":"Other.test"}`, false}, {`{"as":"[1.2.3.4]"}`, false}, {`{"as":"a.test","relay":{"to":["b.test"]}}`, false},
		{`{"relay":{"to":[` + strings.Repeat(`"a.test",`, 10) + `"b.test"]}}`, false},
	} {
		var s directory.Settings
		must(t, json.Unmarshal([]byte(c.json), &s))
		if err := s.Check(); (err == nil) != c.ok || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", c.json, err)
		}
	}
}

// FuzzSettings: whatever is good is written and read again as it was.
func FuzzSettings(f *testing.F) {
	f.Add("+-", "inner.test:2525", "accept", "a.test")
	f.Add("none", "[::1]:25", "", "")
	f.Fuzz(func(t *testing.T, sep, host, unsure, as string) {
		s := directory.Settings{Separator: sep, AliasOf: mail.Domain(as)}
		if host != "" {
			s.Relay = directory.Relay{To: []string{host}, Unsure: unsure}
		}
		if s.Check() != nil {
			return
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again directory.Settings
		if err := json.Unmarshal(b, &again); err != nil || again.Separator != sep || again.AliasOf != s.AliasOf || !slices.Equal(again.Relay.To, s.Relay.To) {
			t.Errorf("%s: %+v, %v", b, again, err)
		}
		if name, port, err := directory.SplitHost(host); host != "" && !s.Relay.ByMX() && (err != nil || port == 0 || name == "") {
			t.Errorf("%q: %q, %d, %v", host, name, port, err)
		}
	})
}

func TestSeparators(t *testing.T) {
	s := open(t)
	must(t, s.AddDomain(t.Context(), "x.test"))
	for _, a := range []string{"mary-ann@x.test", "mary@x.test", "bob@x.test", "用户@x.test"} {
		account(t, s, a)
	}
	leads(t, s, [][2]string{{"mary-x@x.test", "not found"}, {"mary+x@x.test", "mary@x.test/x"}})
	must(t, set(t, s, "x.test", func(s *directory.Settings) { s.Separator = "-=" }))
	leads(t, s, [][2]string{
		{"mary-ann@x.test", "mary-ann@x.test"}, {"mary-ann-News@x.test", "mary-ann@x.test/News"}, {"mary-News@x.test", "mary@x.test/News"},
		{"mary=a-b@x.test", "mary@x.test/a-b"}, {"mary+x@x.test", "not found"}, {"-mary@x.test", "not found"}, {"mary-@x.test", "mary@x.test"},
		{"postmaster-x@x.test", "mary-ann@x.test"}, {"mary-a-b-c-d-e-f@x.test", "mary@x.test/a-b-c-d-e-f"}, {"用户－一@x.test", "用户@x.test/一"},
		{"a-b-c-d-e-f@x.test", "not found"},
	})
	must(t, set(t, s, "x.test", func(s *directory.Settings) { s.Separator = directory.NoSeparator }))
	leads(t, s, [][2]string{{"mary+x@x.test", "not found"}, {"mary-ann@x.test", "mary-ann@x.test"}})
	wantKind(t, set(t, s, "x.test", func(s *directory.Settings) { s.Separator = "ab" }), fault.Invalid)
}

// TestOneIdentity: whatever form an address is written in, it is one account's.
func TestOneIdentity(t *testing.T) {
	s := open(t)
	must(t, s.AddDomain(t.Context(), "xn--r8jz45g.jp"))
	must(t, s.AddDomain(t.Context(), "x.test"))
	account(t, s, "がく@xn--r8jz45g.jp")
	account(t, s, "alice@x.test")
	account(t, s, "Jürgen@x.test")
	account(t, s, "アリス@x.test")
	for in, want := range map[string]string{
		"か\u3099く@例え.jp": "がく@xn--r8jz45g.jp", "がく@例え。ｊｐ": "がく@xn--r8jz45g.jp", "がく@XN--R8JZ45G.JP": "がく@xn--r8jz45g.jp",
		"Ａｌｉｃｅ@x.test": "alice@x.test", "Ａｌｉｃｅ＋ａ@x.test": "alice@x.test/a", "JU\u0308RGEN@x.test": "jürgen@x.test", "ｱﾘｽ@ｘ.test": "アリス@x.test",
	} {
		a, err := mail.ParseAddress(in)
		must(t, err)
		if got := resolve(t.Context(), s, a.Local+"@"+string(a.Domain)); got != want {
			t.Errorf("%q leads to %q, want %q", in, got, want)
		}
	}
	for _, twice := range []string{"ｱﾘｽ@x.test", "ju\u0308rgen@x.test", "ＡＬＩＣＥ@x.test"} {
		_, err := s.AddAccount(t.Context(), address(twice), directory.Credentials{}, 0)
		wantKind(t, err, fault.Exists)
		wantKind(t, s.AddAlias(t.Context(), address(twice), addresses("a@b.test")), fault.Exists)
	}
	// What cannot be seen, or runs both ways, makes no name.
	for _, bad := range []string{"ali\u200bce@x.test", "☺@x.test", "אab@x.test"} {
		_, err := s.AddAccount(t.Context(), address(bad), directory.Credentials{}, 0)
		wantKind(t, err, fault.Invalid)
		wantKind(t, s.AddAlias(t.Context(), address(bad), addresses("a@b.test")), fault.Invalid)
	}
}

func TestAliasDomains(t *testing.T) {
	s := house(t)
	must(t, s.AddDomain(t.Context(), "other.test"))
	must(t, s.AddAlias(t.Context(), address("own@other.test"), addresses("zoe@two.test")))
	must(t, set(t, s, "other.test", func(s *directory.Settings) { s.AliasOf = "one.test" }))
	leads(t, s, [][2]string{
		{"alice+x@other.test", "alice@one.test/x"}, {"sales@other.test", "alice@one.test bob@one.test far@away.example"}, {"own@other.test", "zoe@two.test"},
		{"postmaster@other.test", "first@one.test"}, {"nobody@other.test", "not found"},
	})
	alice, err := s.Account(t.Context(), address("alice@one.test"))
	must(t, err)
	if ok, err := s.MayUse(t.Context(), alice.ID, address("Alice@other.test")); !ok || err != nil {
		t.Error("alice may not use her address at the other name", err)
	}
	_, err = s.AddAccount(t.Context(), address("x@other.test"), directory.Credentials{}, 0)
	wantKind(t, err, fault.Conflict)
	for d, as := range map[mail.Domain]mail.Domain{"one.test": "two.test", "bare.test": "other.test", "two.test": "bare.test"} {
		if err := set(t, s, d, func(s *directory.Settings) { s.AliasOf = as }); err == nil {
			t.Errorf("%s became another name of %s", d, as)
		}
	}
	wantKind(t, set(t, s, "bare.test", func(s *directory.Settings) { s.AliasOf = "bare.test" }), fault.Invalid)
	wantKind(t, set(t, s, "bare.test", func(s *directory.Settings) { s.AliasOf = "none.test" }), fault.Invalid)
	must(t, s.AddDomain(t.Context(), "free.test"))
	must(t, set(t, s, "free.test", func(s *directory.Settings) { s.AliasOf = "bare.test" }))
	wantKind(t, s.RemoveDomain(t.Context(), "bare.test"), fault.Conflict)
	must(t, s.RemoveDomain(t.Context(), "free.test"))
	must(t, s.RemoveDomain(t.Context(), "bare.test"))
}

func TestRelayed(t *testing.T) {
	s := house(t)
	must(t, s.AddDomain(t.Context(), "inner.test"))
	must(t, s.AddDomain(t.Context(), "name.test"))
	must(t, set(t, s, "inner.test", func(s *directory.Settings) { s.Relay.To = []string{"10.0.0.1:25"} }))
	must(t, set(t, s, "name.test", func(s *directory.Settings) { s.AliasOf = "inner.test" }))
	must(t, set(t, s, "one.test", func(s *directory.Settings) { s.Relay.To = []string{directory.ByMX} }))
	leads(t, s, [][2]string{
		{"Any+one@inner.test", "Any+one@inner.test"}, {"postmaster@inner.test", "postmaster@inner.test"}, {"any@name.test", "any@inner.test"},
		// What has moved here is here, the rest where it was.
		{"alice@one.test", "alice@one.test"}, {"carol@one.test", "carol@one.test"}, {"postmaster@one.test", "first@one.test"},
		{"dead@one.test", "gone@one.test"},
	})
	for in, want := range map[string]bool{
		"any@inner.test": false, "any@name.test": true, "alice@one.test": true, "carol@one.test": false, "carol+x@one.test": false, "zoe@two.test": true,
		"x@elsewhere.test": false, "nobody@bare.test": true, "sales@one.test": true, "dead@one.test": true,
	} {
		if got, err := s.Here(t.Context(), address(in)); got != want || err != nil {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for d, want := range map[mail.Domain]bool{"inner.test": true, "one.test": true, "two.test": false, "none.test": false} {
		if got, err := s.Relayed(t.Context(), d); got.On() != want || err != nil {
			t.Errorf("%s: %+v, %v", d, got, err)
		}
	}
	res, err := s.Resolve(t.Context(), address("sales@one.test"))
	if err != nil || len(res.Relayed) != 0 {
		t.Error(res, err)
	}
	// With accounts, a relayed domain is one that moves: its postmaster is here.
	account(t, s, "new@inner.test")
	leads(t, s, [][2]string{{"postmaster@inner.test", "new@inner.test"}, {"old@inner.test", "old@inner.test"}})
}

func TestSendingOver(t *testing.T) {
	got := directory.Sending{Messages: 5, New: -1}.Over(directory.Sending{Messages: 7, Recipients: 8, New: 9})
	if got != (directory.Sending{Messages: 5, Recipients: 8, New: -1}) {
		t.Errorf("got %+v", got)
	}
}
