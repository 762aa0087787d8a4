package suppress

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func entry(to string, until time.Time) Entry {
	a, _ := mail.ParseAddress(to)
	return Entry{Domain: "ours.test", To: a, Reason: bounce.UnknownUser, Detail: "550 5.1.1 no", Since: noon, Until: until, Message: mail.ArrivalID{1}}
}

// TestLife: added, found without regard to case, over, renewed, removed.
func TestLife(t *testing.T) {
	s, ctx := New(memkv.New(memkv.Options{})), t.Context()
	e := entry("Ann@x.test", noon.Add(time.Hour))
	if err := s.Add(ctx, e); err != nil {
		t.Fatal(err)
	}
	to, _ := mail.ParseAddress("aNN@x.test")
	got, ok, err := s.Find(ctx, "ours.test", to, noon)
	e.To = fold(e.To)
	if err != nil || !ok || got != e {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if _, ok, err := s.Find(ctx, "other.test", to, noon); ok || err != nil {
		t.Errorf("another domain's: %v, %v", ok, err)
	}
	if _, ok, err := s.Find(ctx, "ours.test", to, noon.Add(time.Hour)); ok || err != nil {
		t.Errorf("it is over: %v, %v", ok, err)
	}
	byHand := Entry{Domain: "ours.test", To: to, Reason: bounce.Other, Manual: true, Since: noon}
	if err := s.Add(ctx, byHand); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(ctx, e); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := s.Find(ctx, "ours.test", to, noon.Add(1000*time.Hour)); err != nil || !ok || !got.Manual {
		t.Errorf("what a person said must stay: %+v, %v, %v", got, ok, err)
	}
	if was, err := s.Remove(ctx, "ours.test", to); err != nil || !was.Manual {
		t.Errorf("%+v, %v", was, err)
	}
	if _, err := s.Remove(ctx, "ours.test", to); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if err := s.Add(ctx, Entry{Domain: "ours.test"}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	long := e
	long.Detail = strings.Repeat("x", 5000)
	if err := s.Add(ctx, long); err != nil {
		t.Fatal(err)
	}
	if got, _, err := s.Find(ctx, "ours.test", to, noon); err != nil || len(got.Detail) != maxDetail {
		t.Errorf("%d, %v", len(got.Detail), err)
	}
}

// TestPages: lists are read in pages, and what is over goes.
func TestPages(t *testing.T) {
	s, ctx := New(memkv.New(memkv.Options{})), t.Context()
	for i := range 7 {
		until := noon.Add(time.Hour)
		if i%3 == 0 {
			until = noon
		}
		if err := s.Add(ctx, entry(fmt.Sprintf("u%d@x.test", i), until)); err != nil {
			t.Fatal(err)
		}
	}
	var last Entry
	var got []string
	for {
		page, err := s.List(ctx, "ours.test", last, noon, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			got = append(got, e.To.Local)
		}
		last = page[len(page)-1]
	}
	if strings.Join(got, " ") != "u1 u2 u4 u5" {
		t.Errorf("%v", got)
	}
	if all, err := s.List(ctx, "", Entry{}, noon, 100); err != nil || len(all) != 4 {
		t.Errorf("%v, %v", all, err)
	}
	if n, err := s.Trim(ctx, noon); err != nil || n != 3 {
		t.Errorf("trimmed %d, %v", n, err)
	}
	if all, err := s.List(ctx, "ours.test", Entry{}, noon, 100); err != nil || len(all) != 4 {
		t.Errorf("%v, %v", all, err)
	}
}
