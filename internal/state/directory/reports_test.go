package directory

import (
	"bytes"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// TestPathKeys: one key until it is a month old, then another beside it; a key
// goes when no path that it signed is good any more.
func TestPathKeys(t *testing.T) {
	s, ctx := New(memkv.New(memkv.Options{})), t.Context()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	first, err := s.PathKeys(ctx, now)
	if err != nil || len(first) != 1 || len(first[0]) != keyOctets {
		t.Fatalf("%x, %v", first, err)
	}
	same, err := s.PathKeys(ctx, now.Add(signsFor))
	if err != nil || len(same) != 1 || !bytes.Equal(same[0], first[0]) {
		t.Errorf("%x, %v", same, err)
	}
	two, err := s.PathKeys(ctx, now.Add(signsFor+time.Second))
	if err != nil || len(two) != 2 || !bytes.Equal(two[1], first[0]) || bytes.Equal(two[0], first[0]) {
		t.Errorf("%x, %v", two, err)
	}
	last, err := s.PathKeys(ctx, now.Add(keptFor+time.Hour))
	if err != nil || len(last) != 2 || !bytes.Equal(last[1], two[0]) {
		t.Errorf("%x, %v", last, err)
	}
}

// TestReportsOf: an account says what it likes, its domain the rest.
func TestReportsOf(t *testing.T) {
	s, ctx := New(memkv.New(memkv.Options{})), t.Context()
	ann := mail.Address{Local: "ann", Domain: "a.test"}
	if err := s.AddDomain(ctx, "a.test"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddAccount(ctx, ann, Credentials{}, 0); err != nil {
		t.Fatal(err)
	}
	change := func(r Reports) error {
		return s.UpdateDomain(ctx, "a.test", func(d *Domain) error { d.Settings.Reports = r; return nil })
	}
	want := func(from string, set Reports, language string, ours bool) {
		t.Helper()
		a, _ := mail.ParseAddress(from)
		got, lang, is, err := s.ReportsOf(ctx, a)
		if err != nil || got != set || lang != language || is != ours {
			t.Errorf("%s: %+v, %q, %v, %v", from, got, lang, is, err)
		}
	}
	want("ann@a.test", Reports{}, "", true)
	want("ann@b.test", Reports{}, "", false)
	if err := change(Reports{Language: Japanese, Suppress: true, SuppressDays: 7}); err != nil {
		t.Fatal(err)
	}
	both := Reports{Language: Japanese, Signed: true, Suppress: true, SuppressDays: 7}
	want("news@a.test", both, "", true)
	err := s.UpdateAccount(ctx, ann, func(a *Account) error { a.Reports = Reports{Language: English, Suppress: true}; return nil })
	if err != nil {
		t.Fatal(err)
	}
	want("Ann+x@a.test", both, English, true)
	if a, err := s.Account(ctx, ann); err != nil || a.Reports != (Reports{Language: English}) {
		t.Errorf("an account decides about itself only: %+v, %v", a.Reports, err)
	}
	for _, bad := range []Reports{{Language: "fr"}, {SuppressDays: -1}, {SuppressDays: 1e6}} {
		if err := change(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if both.SuppressFor() != 7*24*time.Hour || (Reports{}).SuppressFor() != 90*24*time.Hour {
		t.Error("SuppressFor")
	}
}
