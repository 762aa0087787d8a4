package route

import (
	"context"
	"errors"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// TestVia sees which smart host a message goes to, by its recipient before its
// account, by that before its sender, and by nothing in the end.
func TestVia(t *testing.T) {
	r := router(t, Options{
		SmartHosts: []SmartHost{
			{Addr: "all.test:25"},
			{Addr: "second.test:25"},
			{Addr: "rescue.test:587", Fallback: true},
			{Addr: "org.test:25", Recipients: []string{"x.org", "*.y.org"}},
			{Addr: Direct, Recipients: []string{"straight.org", "us.test"}, Senders: []string{"direct.com"}},
			{Addr: "user.test:465", User: "u", Accounts: []mail.Address{address("kim@home.test")}},
			{Addr: "com.test:25", Senders: []string{"a.com", "*.b.com"}},
			{Addr: "one.test:25", Senders: []string{"one@a.com"}},
		},
		Relayed: func(_ context.Context, d mail.Domain) (directory.Relay, error) {
			return directory.Relay{To: map[mail.Domain][]string{"inner.org": {"10.0.0.1:25"}}[d]}, nil
		},
		Account: func(_ context.Context, id mail.AccountID) (mail.Address, error) {
			if id == 7 {
				return address("kim@home.test"), nil
			}
			return mail.Address{}, errors.New("no such account")
		},
	})
	for _, c := range []struct {
		to, from string
		account  mail.AccountID
		want     string
	}{
		{"z.org", "q@z.com", 0, "all.test:25"},
		{"x.org", "q@z.com", 0, "org.test:25"},
		{"X.ORG", "q@z.com", 0, "org.test:25"},
		{"a.x.org", "q@z.com", 0, "all.test:25"},
		{"y.org", "q@z.com", 0, "all.test:25"},
		{"a.y.org", "q@z.com", 0, "org.test:25"},
		{"a.b.y.org", "one@a.com", 7, "org.test:25"},
		{"notay.org", "q@z.com", 0, "all.test:25"},
		{"z.org", "one@a.com", 7, "user.test:465"},
		{"z.org", "one@a.com", 8, "one.test:25"},
		{"z.org", "two@a.com", 0, "com.test:25"},
		{"z.org", "two@c.b.com", 0, "com.test:25"},
		{"z.org", "two@direct.com", 0, "direct"},
		{"straight.org", "two@a.com", 7, "direct"},
		{"z.org", "", 0, "all.test:25"},
		{"inner.org", "one@a.com", 7, "direct"},
	} {
		var from mail.Address
		if c.from != "" {
			from = address(c.from)
		}
		if got := r.Via(t.Context(), mail.Domain(c.to), Sender{from, c.account}).String(); got != c.want {
			t.Errorf("%s from %s of %d: %s, want %s", c.to, c.from, c.account, got, c.want)
		}
	}
	if got := r.Fallback().String(); got != "rescue.test:587" {
		t.Errorf("the fallback is %s", got)
	}
	if a, b := r.Hop("x.org"), r.Hop("straight.org"); a != "org.test:25" || b != "straight.org" {
		t.Errorf("hops: %s, %s", a, b)
	}
	if got := r.Via(t.Context(), "z.org", Sender{Account: 7}).Hop(); got != "u@user.test:465" {
		t.Errorf("the hop with a login: %s", got)
	}
}

// TestFallbackIsNotForAll sees that a fallback alone changes nothing.
func TestFallbackIsNotForAll(t *testing.T) {
	r := router(t, Options{SmartHosts: []SmartHost{{Addr: "rescue.test:587", Fallback: true}}})
	if v := r.Via(t.Context(), "plain.test", Sender{}); v.Is() || r.Hop("plain.test") != "plain.test" {
		t.Errorf("it is used: %v", v)
	}
	way, err := r.For(t.Context(), "plain.test")
	if err != nil || !way.Public {
		t.Error(way, err)
	}
}
