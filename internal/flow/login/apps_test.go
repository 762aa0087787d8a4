package login

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// add makes an app password of alice's or of who is given.
func (l *Login) add(t *testing.T, who mail.Address, expires time.Time, scopes ...string) NewApp {
	t.Helper()
	a, err := l.AddApp(context.Background(), who, "phone", scopes, expires)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAppPassword goes through every mechanism with the main password and two of
// apps: all of them work, each where it is for.
func TestAppPassword(t *testing.T) {
	l, j := open(t, small)
	imap, both := l.add(t, alice, time.Time{}, "imap"), l.add(t, alice, time.Time{}, "smtp", "imap")
	smtp := at("127.0.0.1:9")
	smtp.Door = "submission"
	for _, c := range []struct {
		name     string
		password string
		at       Attempt
		app      string // "-": refused
	}{
		{"main password, imap", "pencil", at("127.0.0.1:9"), ""},
		{"main password, smtp", "pencil", smtp, ""},
		{"imap's, imap", imap.Password, at("127.0.0.1:9"), imap.ID},
		{"imap's, smtp", imap.Password, smtp, "-"},
		{"both's, imap", both.Password, at("127.0.0.1:9"), both.ID},
		{"both's, smtp", both.Password, smtp, both.ID},
		{"nobody's", "aaaaa-bbbbb-ccccc-ddddd", smtp, "-"},
	} {
		for mechanism, client := range map[string]sasl.Client{
			"PLAIN": sasl.PlainClient("alice@x.test", c.password), "LOGIN": sasl.LoginClient("alice@x.test", c.password),
			"SCRAM-SHA-256": scram256("alice@x.test", c.password),
			"SCRAM-SHA-512": sasl.ScramClient(sasl.SHA512, false, "alice@x.test", c.password, nil),
		} {
			j.take()
			who, err := come(l, c.at, client)
			if (err == nil) != (c.app != "-") || err == nil && who.App != c.app {
				t.Errorf("%s by %s: %+v, %v", c.name, mechanism, who, err)
			}
			if got := j.take(); err == nil && strings.Contains(got, "app=") != (c.app != "") {
				t.Errorf("%s by %s: %s", c.name, mechanism, got)
			}
			l.guesses.succeeded(alice, c.at.Addr.Addr())
		}
	}
	spaced := strings.ToUpper(strings.ReplaceAll(imap.Password, "-", " "))
	if who, err := l.Password(context.Background(), at("127.0.0.1:9"), "alice@x.test", spaced); err != nil || who.App != imap.ID {
		t.Errorf("with spaces: %+v, %v", who, err)
	}
}

// come runs a client and says who came in.
func come(l *Login, a Attempt, c sasl.Client) (Who, error) {
	mechanism, response, err := c.Start()
	if err != nil {
		return Who{}, err
	}
	s, err := l.Start(context.Background(), a, mechanism)
	for i := 0; err == nil && i < 5; i++ {
		var challenge []byte
		var done bool
		if challenge, done, err = s.Next(response); err != nil {
			return Who{}, err
		}
		if done {
			return s.Who(), c.Finish()
		}
		response, err = c.Next(challenge)
	}
	return Who{}, err
}

func TestAppPasswordLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, j := open(t, small)
		ctx := context.Background()
		short := l.add(t, alice, time.Now().Add(time.Hour), "imap")
		long := l.add(t, alice, time.Time{}, "imap")
		who, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", short.Password)
		if err != nil || !who.Until.Equal(short.Expires) {
			t.Fatalf("%+v, %v", who, err)
		}
		time.Sleep(time.Hour)
		if ok, _ := l.Still(ctx, who); ok {
			t.Error("a session outlives its password")
		}
		j.take()
		if _, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", short.Password); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(j.take(), "expired") {
			t.Errorf("expired: %v", err)
		}
		if _, err := come(l, at("127.0.0.1:9"), scram256("alice@x.test", short.Password)); err == nil {
			t.Error("an expired password came in by SCRAM")
		}
		who, err = l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", long.Password)
		if err != nil {
			t.Fatal(err)
		}
		apps, err := l.Apps(ctx, alice)
		if err != nil || len(apps) != 2 || apps[1].Used.IsZero() || time.Since(apps[1].Used) > usedEvery {
			t.Errorf("%+v, %v", apps, err)
		}
		if ok, err := l.Still(ctx, who); !ok || err != nil {
			t.Error("noting the use ended the session", err)
		}
		if _, err := l.RemoveApp(ctx, alice, "phone"); !fault.Is(err, fault.Conflict) {
			t.Errorf("two of one name: %v", err)
		}
		if gone, err := l.RemoveApp(ctx, alice, long.ID); err != nil || gone.ID != long.ID {
			t.Error(gone, err)
		}
		if ok, _ := l.Still(ctx, who); ok {
			t.Error("a session outlives its revoked password")
		}
		if _, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", long.Password); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("revoked: %v", err)
		}
		if _, err := l.RemoveApp(ctx, alice, "phone"); err != nil {
			t.Errorf("by its name: %v", err)
		}
		if _, err := l.RemoveApp(ctx, alice, "phone"); !fault.Is(err, fault.NotFound) {
			t.Errorf("twice: %v", err)
		}
	})
}

func TestAppsOnly(t *testing.T) {
	l, j := open(t, small)
	ctx := context.Background()
	phone := l.add(t, alice, time.Time{}, "imap")
	if _, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", "pencil"); err != nil {
		t.Fatal(err) // and it is remembered
	}
	if err := l.SetAppsOnly(ctx, alice, true); err != nil {
		t.Fatal(err)
	}
	for _, c := range []sasl.Client{sasl.PlainClient("alice@x.test", "pencil"), scram256("alice@x.test", "pencil")} {
		j.take()
		if _, err := come(l, at("127.0.0.1:9"), c); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("the main password came in: %v", err)
		}
		if got := j.take(); !strings.Contains(got, "app password") && !strings.Contains(got, "mail programs") {
			t.Error(got)
		}
	}
	for _, c := range []sasl.Client{sasl.PlainClient("alice@x.test", phone.Password), scram256("alice@x.test", phone.Password)} {
		if _, err := come(l, at("127.0.0.1:9"), c); err != nil {
			t.Error(err)
		}
	}
}

// TestPasswordsShareFactors sees that SCRAM goes on working with all passwords
// however they came and changed.
func TestPasswordsShareFactors(t *testing.T) {
	l, _ := open(t, small)
	ctx := context.Background()
	works := func(who mail.Address, passwords ...string) {
		t.Helper()
		for _, p := range passwords {
			if _, err := come(l, at("127.0.0.1:9"), scram256(who.String(), p)); err != nil {
				t.Errorf("%s %q: %v", who, p, err)
			}
		}
	}
	first := l.add(t, bob, time.Time{}, "imap") // bob has nothing but a hash
	works(bob, first.Password)
	if _, err := l.Password(ctx, at("127.0.0.1:9"), "bob@x.test", "pencil"); err != nil {
		t.Fatal(err)
	}
	keepUp(l)
	works(bob, "pencil", first.Password)
	l.o.Params.Iterations = 2 * sasl.MinIterations
	second := l.add(t, bob, time.Time{}, "imap")
	if err := l.SetPassword(ctx, bob, "chalk"); err != nil {
		t.Fatal(err)
	}
	works(bob, "chalk", first.Password, second.Password)
	for _, a := range []string{first.ID, second.ID} {
		if _, err := l.RemoveApp(ctx, bob, a); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Password(ctx, at("127.0.0.1:9"), "bob@x.test", "chalk"); err != nil {
		t.Fatal(err)
	}
	keepUp(l)
	works(bob, "chalk")
	if _, c, _ := l.o.Directory.Credentials(ctx, bob); c.SCRAM256.Iterations != 2*sasl.MinIterations {
		t.Errorf("the iterations stayed at %d", c.SCRAM256.Iterations)
	}
}

func TestNoSCRAM(t *testing.T) {
	l, j := open(t, small)
	ctx := context.Background()
	works := func() bool {
		_, err := come(l, at("127.0.0.1:9"), scram256("alice@x.test", "pencil"))
		return err == nil
	}
	if !works() {
		t.Fatal("SCRAM does not work to begin with")
	}
	if err := l.o.Directory.UpdateDomain(ctx, "x.test", func(d *directory.Domain) error { d.Settings.NoSCRAM = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if j.take(); works() || !strings.Contains(j.take(), "keeps no SCRAM") {
		t.Error("a domain without verifiers lets SCRAM in")
	}
	if _, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", "pencil"); err != nil {
		t.Fatal(err)
	}
	keepUp(l)
	if _, c, _ := l.o.Directory.Credentials(ctx, alice); !c.SCRAM256.IsZero() || !c.SCRAM512.IsZero() || c.Argon2 == "" {
		t.Errorf("verifiers are left: %+v", c)
	}
	if a := l.add(t, alice, time.Time{}, "imap"); !a.SCRAM256.IsZero() {
		t.Error("an app password has a verifier")
	}
	if err := l.SetPassword(ctx, alice, "chalk"); err != nil {
		t.Fatal(err)
	}
	if _, c, _ := l.o.Directory.Credentials(ctx, alice); !c.SCRAM256.IsZero() {
		t.Error("a new password has a verifier")
	}
}

func TestAddAppRefuses(t *testing.T) {
	l, _ := open(t, small)
	ctx := context.Background()
	for _, c := range []struct {
		name, what string
		scopes     []string
		expires    time.Time
	}{
		{"no scope", "x", nil, time.Time{}},
		{"odd scope", "x", []string{"telnet"}, time.Time{}},
		{"the past", "x", []string{"imap"}, time.Now().Add(-time.Second)},
		{"long name", strings.Repeat("x", maxAppName+1), []string{"imap"}, time.Time{}},
		{"control", "a\nb", []string{"imap"}, time.Time{}},
	} {
		if _, err := l.AddApp(ctx, alice, c.what, c.scopes, c.expires); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := l.AddApp(ctx, mail.Address{Local: "carol", Domain: "x.test"}, "x", []string{"imap"}, time.Time{}); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}
