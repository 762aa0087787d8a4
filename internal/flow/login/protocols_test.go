package login

import (
	"context"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// TestProtocols: who proves to be the owner is told that a protocol is not for
// the account, and who does not hears what everybody hears.
func TestProtocols(t *testing.T) {
	l, j := open(t, small)
	ctx := context.Background()
	imap, pop := at("127.0.0.1:9"), at("127.0.0.1:9")
	imap.Door, pop.Door = "imap", "pop3"
	before, err := l.Password(ctx, pop, "alice@x.test", "pencil")
	if err != nil {
		t.Fatal(err)
	}
	set := func(protocols string) {
		t.Helper()
		err := l.o.Directory.UpdateAccount(ctx, alice, func(a *directory.Account) error { a.Use.Protocols = protocols; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	set("imap,smtp")
	if still, err := l.Still(ctx, before); still || err != nil {
		t.Error("a session goes on by a protocol that is not allowed any more:", err)
	}
	j.take()
	for name, client := range map[string]sasl.Client{"PLAIN": sasl.PlainClient("alice@x.test", "pencil"), "SCRAM": scram256("alice@x.test", "pencil")} {
		if _, err := come(l, pop, client); !fault.Is(err, fault.Denied) || !strings.Contains(fault.Public(err), "not be used by pop3") {
			t.Errorf("%s: %v", name, err)
		}
		if got := j.take(); !strings.Contains(got, "not to be used by pop3") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if _, err := l.Password(ctx, pop, "alice@x.test", "wrong"); !fault.Is(err, fault.Unauthenticated) {
		t.Error("a wrong password:", err)
	}
	if _, err := l.Password(ctx, imap, "alice@x.test", "pencil"); err != nil {
		t.Error("by imap:", err)
	}
	// The domain says so for those of its accounts that say nothing.
	set("")
	err = l.o.Directory.UpdateDomain(ctx, "x.test", func(d *directory.Domain) error { d.Settings.Use.Protocols = "pop3"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Password(ctx, imap, "alice@x.test", "pencil"); !fault.Is(err, fault.Denied) {
		t.Error("by imap, where the domain has pop3 alone:", err)
	}
	set(directory.AllProtocols)
	if _, err := l.Password(ctx, imap, "alice@x.test", "pencil"); err != nil {
		t.Error("by imap, where the account has all:", err)
	}
}
