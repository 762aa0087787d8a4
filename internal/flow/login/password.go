package login

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// The kinds of secret that are remembered.
const (
	kindPassword = "password"
	kindToken    = "token"
)

// Password checks a name and a password that came without SASL, as in IMAP's
// LOGIN and POP3's USER and PASS. It takes as long for a name that does not
// exist as for a wrong password, and says the same: fault.Unauthenticated. After
// failures it waits before it answers; fault.TooMany means that the address has
// failed too often, fault.Unavailable that the line is too long, ctx ended, or
// who knows the password cannot be asked.
func (l *Login) Password(ctx context.Context, a Attempt, user, password string) (Who, error) {
	return l.password(ctx, a, "LOGIN", user, password)
}

func (l *Login) password(ctx context.Context, a Attempt, mechanism, user, password string) (Who, error) {
	const op = "login.Password"
	wait, err := l.slot(a, parseUser(user))
	if err != nil {
		return Who{}, l.refuse(ctx, a, mechanism, user, err)
	}
	c, err := l.claim(ctx, a, mechanism, user)
	if err != nil {
		return Who{}, err
	}
	// Whoever has a password is let in at once, however many others guess.
	if who, ok, err := l.atOnce(ctx, &c, password); ok || err != nil {
		return who, err
	}
	if err := l.hold(ctx, a, c.addr, wait); err != nil {
		return Who{}, l.refuse(ctx, a, mechanism, user, err)
	}
	fits, err := l.fits(ctx, &c, password)
	if err != nil {
		return Who{}, l.refuse(ctx, a, mechanism, user, fault.Wrap(op, err))
	}
	if c.reason == "" && !fits {
		c.reason = "wrong password"
	}
	if c.reason != "" {
		return Who{}, l.fail(ctx, a, mechanism, user, c.addr, c.reason)
	}
	return l.welcome(ctx, &c, Who{})
}

// atOnce lets in whose password is remembered, or is an app password: these are
// too long to be guessed, and need no slow hash.
func (l *Login) atOnce(ctx context.Context, c *claim, password string) (Who, bool, error) {
	if c.reason != "" || !c.there {
		return Who{}, false, nil
	}
	if !c.secrets.AppsOnly && !c.secrets.TOTP.On {
		if _, ok := l.known.has(l.known.tag(kindPassword, c.acct, password)); ok {
			who, err := l.welcome(ctx, c, Who{})
			return who, true, err
		}
	}
	app := findApp(c.acct, c.secrets.Apps, password)
	if app == nil {
		return Who{}, false, nil
	}
	if why := app.refuses(c.a.scope(), time.Now()); why != "" {
		return Who{}, false, l.fail(ctx, c.a, c.mechanism, c.user, c.addr, why)
	}
	who, err := l.welcomeApp(ctx, c, app.AppPassword)
	return who, true, err
}

// fits says whether a password is the main one of a claim. It costs the same
// where there is none. What is right is remembered, and kept in the form that is
// wanted now.
func (l *Login) fits(ctx context.Context, c *claim, password string) (bool, error) {
	if c.reason == "" && c.secrets.AppsOnly {
		c.reason = "the main password is not for mail programs"
	}
	main, code := password, uint64(0)
	if c.reason == "" && c.secrets.TOTP.On {
		if main, code = splitCode(c.secrets.TOTP, password, time.Now()); !l.o.TOTPSuffix {
			c.reason = "with one-time codes on, mail programs need an app password"
		} else if code == 0 {
			c.reason = "no one-time code, or a wrong one"
		}
	}
	if c.away && (c.reason == "" || !c.there) {
		return l.elsewhere(ctx, c, main, code)
	}
	fits, err := l.hashed(ctx, c, main)
	if err != nil || !fits || c.reason != "" {
		return false, err
	}
	if code == 0 {
		l.known.add(l.known.tag(kindPassword, c.acct, password), known{until: time.Now().Add(believed)})
	} else if fits, err = l.spend(ctx, c, code); err != nil || !fits {
		return false, err
	}
	l.raise(c, main)
	return true, nil
}

// elsewhere asks who knows the passwords of the domain, and takes in an account
// that is new here.
func (l *Login) elsewhere(ctx context.Context, c *claim, password string, code uint64) (bool, error) {
	if password == "" || len(password) > sasl.MaxPassword {
		return false, nil // LDAP takes a bind without a password for an anonymous one
	}
	e, err := l.o.Elsewhere.Check(ctx, c.addr, password)
	if fault.Is(err, fault.Unauthenticated) {
		return false, nil
	}
	if err != nil {
		l.o.Sink.Emit(ctx, event.Failed{Where: "login", Err: err})
		return false, fault.As(fault.Unavailable, "login.elsewhere", err)
	}
	if !c.there {
		if c.acct, err = l.provision(ctx, c.addr, e); err != nil {
			return false, err
		}
		c.there = true
	}
	if c.acct.Disabled {
		c.reason = "disabled account"
		return false, nil
	}
	if code != 0 {
		return l.spend(ctx, c, code)
	}
	l.known.add(l.known.tag(kindPassword, c.acct, password), known{until: time.Now().Add(l.o.Elsewhere.Believe())})
	return true, nil
}

// hashed compares a password with what is kept of it here.
func (l *Login) hashed(ctx context.Context, c *claim, password string) (bool, error) {
	kept := c.secrets.Credentials
	if len(password) == 0 || len(password) > sasl.MaxPassword {
		password, kept = "", directory.Credentials{}
	}
	if v := kept.SCRAM256; kept.Argon2 == "" && !v.IsZero() {
		fits := false
		err := l.gate.do(ctx, l.turn(c), func() { fits = v.Matches(password) })
		return fits, err
	}
	hash, err := parsePHC(kept.Argon2)
	if err != nil {
		hash = l.decoy
	}
	// Hashes that came from elsewhere were made of the password as it was typed.
	forms := []string{sasl.Prepare(password)}
	if forms[0] != password {
		forms = append(forms, password)
	}
	fits := false
	for _, form := range forms {
		if err := l.gate.do(ctx, l.turn(c), func() { fits = hash.fits(form) || fits }); err != nil {
			return false, err
		}
	}
	return fits, nil
}

// paramsFor are the parameters of a domain's passwords.
func (l *Login) paramsFor(d directory.Settings) Params {
	p := l.o.Params
	if d.NoSCRAM {
		p.SCRAM = []sasl.Hash{}
	}
	return p
}
