package login

import (
	"context"
	"encoding/base32"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// TestCodes are the values of RFC 6238 appendix B for SHA-1, whose last six of
// eight digits are ours.
func TestCodes(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := codeAt(secret, uint64(at)/codeStep); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
	now := time.Unix(1234567890, 0)
	here := uint64(now.Unix()) / codeStep
	for _, c := range []struct {
		name string
		step uint64
		last uint64
		ok   bool
	}{
		{"now", here, 0, true}, {"late", here - 1, 0, true}, {"early", here + 1, 0, true},
		{"too late", here - 2, 0, false}, {"too early", here + 2, 0, false},
		{"again", here, here, false}, {"one before the last", here - 1, here, false}, {"the next", here + 1, here, true},
	} {
		got := checkCode(directory.TOTP{Secret: secret, Last: c.last}, codeAt(secret, c.step), now)
		if (got == c.step) != c.ok || !c.ok && got != 0 {
			t.Errorf("%s: %d of %d", c.name, got, c.step)
		}
	}
	for _, bad := range []string{"", "1", "12345", "1234567", "000000\x00"} {
		if checkCode(directory.TOTP{Secret: secret}, bad, now) != 0 {
			t.Errorf("%q was taken", bad)
		}
	}
}

// enrol turns codes on for alice and gives the secret.
func enrol(t *testing.T, l *Login) []byte {
	t.Helper()
	ctx := context.Background()
	e, err := l.EnrolTOTP(ctx, alice, "mx.x.test")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(e.URI)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/mx.x.test:alice@x.test" || u.Query().Get("secret") != e.Secret {
		t.Errorf("%s: %v", e.URI, err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret)
	if err != nil || len(secret) != secretSize {
		t.Fatalf("%s: %v", e.Secret, err)
	}
	if err := l.ConfirmTOTP(ctx, alice, "000000"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a wrong code: %v", err)
	}
	if err := l.ConfirmTOTP(ctx, alice, codeAt(secret, uint64(time.Now().Unix())/codeStep)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.EnrolTOTP(ctx, alice, "x"); !fault.Is(err, fault.Exists) {
		t.Errorf("a second secret: %v", err)
	}
	return secret
}

func TestTOTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, j := open(t, small)
		l.o.TOTPSuffix = true
		ctx := context.Background()
		if err := l.ConfirmTOTP(ctx, alice, "000000"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		before, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", "pencil")
		if err != nil {
			t.Fatal(err)
		}
		secret := enrol(t, l)
		if ok, _ := l.Still(ctx, before); ok {
			t.Error("who came in without a code stays")
		}
		phone := l.add(t, alice, time.Time{}, "imap")
		code := func() string { return codeAt(secret, uint64(time.Now().Unix())/codeStep) }
		spent := code() // the one that confirmed
		time.Sleep(codeStep * time.Second)
		for _, c := range []struct {
			name, password string
			ok             bool
		}{
			{"without a code", "pencil", false},
			{"with the code that confirmed", "pencil" + spent, false},
			{"a wrong password", "chalk" + code(), false},
			{"password and code", "pencil" + code(), true},
			{"the same again", "pencil" + code(), false},
			{"the code alone", code(), false},
			{"an app password", phone.Password, true},
			{"an app password again", phone.Password, true},
		} {
			l.guesses.succeeded(alice, at("127.0.0.1:9").Addr.Addr())
			if _, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", c.password); (err == nil) != c.ok {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if _, err := come(l, at("127.0.0.1:9"), scram256("alice@x.test", "pencil")); err == nil {
			t.Error("SCRAM came in without a code")
		}
		time.Sleep(codeStep * time.Second)
		l.o.TOTPSuffix = false
		j.take()
		if _, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", "pencil"+code()); err == nil || !strings.Contains(j.take(), "need an app password") {
			t.Errorf("a code where the setting allows none: %v", err)
		}
		if err := l.RemoveTOTP(ctx, alice); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", "pencil"); err != nil {
			t.Errorf("without codes again: %v", err)
		}
		if err := l.RemoveTOTP(ctx, alice); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func FuzzSplitCode(f *testing.F) {
	f.Add("pencil287082", uint64(0))
	f.Add("287082", uint64(1))
	f.Fuzz(func(t *testing.T, password string, last uint64) {
		main, step := splitCode(directory.TOTP{Secret: []byte("12345678901234567890"), Last: last}, password, time.Unix(59, 0))
		if !strings.HasPrefix(password, main) || step != 0 && (main == "" || len(password)-len(main) != codeDigits || step <= last) {
			t.Errorf("%q became %q and %d", password, main, step)
		}
	})
}
