package fault

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestKindOf(t *testing.T) {
	inner := New(NotFound, "directory.Account", "no such account")
	cases := []struct {
		err  error
		want Kind
	}{
		{inner, NotFound},
		{Wrap("deliver.Prepare", inner), NotFound},
		{fmt.Errorf("by hand: %w", inner), NotFound},
		{errors.Join(errors.New("other"), inner), NotFound},
		{As(Unavailable, "x", inner), Unavailable},
		{errors.New("plain"), Internal},
		{context.DeadlineExceeded, Unavailable},
	}
	for _, c := range cases {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("%v: got %s, want %s", c.err, got, c.want)
		}
	}
	if Wrap("x", nil) != nil || As(Denied, "x", nil) != nil || Is(nil, Internal) {
		t.Error("nothing became an error")
	}
}

// TestPublic shows that a cause never reaches a stranger.
func TestPublic(t *testing.T) {
	secret := errors.New("open /var/lib/secret: permission denied")
	cases := []struct {
		err  error
		want string
	}{
		{Wrap("a", New(NotFound, "b", "no such account")), "no such account"},
		{&Error{Kind: Denied, Public: "not you", Err: New(NotFound, "b", "no such account")}, "not you"},
		{errors.Join(secret, New(Exists, "b", "there is one")), "there is one"},
		{As(Unavailable, "a", secret), sentences[Unavailable]},
		{secret, sentences[Internal]},
	}
	for _, c := range cases {
		if got := Public(c.err); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}

func TestKindsHaveWords(t *testing.T) {
	for _, k := range Kinds() {
		if k.String() == "" || sentences[k] == "" {
			t.Errorf("kind %d has no words", k)
		}
	}
	if got := Kind(200).String(); got != "kind 200" {
		t.Errorf("got %q", got)
	}
}

func TestError(t *testing.T) {
	err := Wrap("deliver.Prepare", As(Unavailable, "kv.View", errors.New("disk on fire")))
	if want := "deliver.Prepare: unavailable: kv.View: unavailable: disk on fire"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
