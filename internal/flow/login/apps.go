package login

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Scopes are the protocols that an app password may be for.
func Scopes() []string { return directory.Protocols() }

// usedEvery is how exactly the last use of an app password is known: each write
// makes the directory forget what it had read.
const usedEvery = 24 * time.Hour

// maxAppName bounds what an owner calls an app password, in octets.
const maxAppName = 100

// NewApp is an app password as it was made: its text is told this once.
type NewApp struct {
	directory.AppPassword
	Password string
}

// makeUp gives 100 random bits in four groups that can be read out.
func makeUp() string {
	s := strings.ToLower(rand.Text())
	return strings.Join([]string{s[:5], s[5:10], s[10:15], s[15:20]}, "-")
}

// sumOf is what is kept of an app password for PLAIN and LOGIN. Groups may be
// typed without what stands between them, or with spaces.
func sumOf(a mail.AccountID, password string) []byte {
	h := hmac.New(sha256.New, binary.BigEndian.AppendUint64([]byte("app password"), uint64(a)))
	h.Write([]byte(strings.NewReplacer("-", "", " ", "").Replace(strings.ToLower(password))))
	return h.Sum(nil)
}

// app is an app password that was found.
type app struct{ directory.AppPassword }

// findApp gives the app password that this is; nil if it is none.
func findApp(a directory.Account, apps []directory.AppPassword, password string) *app {
	if len(apps) == 0 || len(password) > 64 {
		return nil
	}
	sum := sumOf(a.ID, password)
	for _, p := range apps {
		if subtle.ConstantTimeCompare(sum, p.Sum) == 1 {
			return &app{p}
		}
	}
	return nil
}

// refuses says why an app password does not open a door now; "" if it does.
func (p app) refuses(scope string, now time.Time) string {
	switch {
	case !p.Expires.IsZero() && !now.Before(p.Expires):
		return "app password " + p.ID + " has expired"
	case !slices.Contains(p.Scopes, scope):
		return "app password " + p.ID + " is not for " + scope
	}
	return ""
}

// welcomeApp lets in who has an app password, and notes that it is in use.
func (l *Login) welcomeApp(ctx context.Context, c *claim, p directory.AppPassword) (Who, error) {
	if now := time.Now(); now.Sub(p.Used) >= usedEvery {
		err := l.o.Directory.UpdateSecrets(context.WithoutCancel(ctx), c.acct.ID, false, func(_ directory.Account, s *directory.Secrets) error {
			for i := range s.Apps {
				if s.Apps[i].ID == p.ID {
					s.Apps[i].Used = now.UTC().Truncate(usedEvery)
				}
			}
			return nil
		})
		if err != nil {
			l.o.Sink.Emit(ctx, event.Failed{Where: "login", Err: fault.Wrap("login.welcomeApp", err)})
		}
	}
	return l.welcome(ctx, c, Who{App: p.ID, Until: p.Expires})
}

// AddApp makes an app password up for an account. name is for its owner, scopes
// are what it opens, and a zero expires means that it does not end.
// fault.NotFound; fault.Invalid for what cannot be; fault.Conflict if another
// password of the account changes at the same moment.
func (l *Login) AddApp(ctx context.Context, addr mail.Address, name string, scopes []string, expires time.Time) (NewApp, error) {
	const op = "login.AddApp"
	switch {
	case len(name) > maxAppName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return NewApp{}, fault.Newf(fault.Invalid, op, "a name has at most %d octets and no control characters", maxAppName)
	case len(scopes) == 0:
		return NewApp{}, fault.Newf(fault.Invalid, op, "an app password is for at least one of %s", strings.Join(Scopes(), ", "))
	case !expires.IsZero() && !expires.After(time.Now()):
		return NewApp{}, fault.New(fault.Invalid, op, "an app password cannot end in the past")
	}
	for _, s := range scopes {
		if !slices.Contains(Scopes(), s) {
			return NewApp{}, fault.Newf(fault.Invalid, op, "%.20q is none of %s", s, strings.Join(Scopes(), ", "))
		}
	}
	a, secrets, settings, err := l.o.Directory.Secrets(ctx, addr)
	if err != nil {
		return NewApp{}, fault.Wrap(op, err)
	}
	made := NewApp{Password: makeUp()}
	made.AppPassword = directory.AppPassword{
		ID: strings.ToLower(rand.Text()[:8]), Name: name, Scopes: slices.Compact(slices.Sorted(slices.Values(scopes))),
		Added: time.Now().UTC().Truncate(time.Second), Expires: expires, Sum: sumOf(a.ID, made.Password),
	}
	p := l.paramsFor(settings)
	for _, h := range p.SCRAM {
		v, err := l.verifierLike(ctx, h, made.Password, p, secrets)
		if err != nil {
			return NewApp{}, fault.Wrap(op, err)
		}
		made.SetSCRAM(v)
	}
	err = l.o.Directory.UpdateSecrets(ctx, a.ID, false, func(_ directory.Account, now *directory.Secrets) error {
		if !sameFactors(secrets, *now) {
			return fault.New(fault.Conflict, op, "the account's passwords have changed meanwhile; please try again")
		}
		now.Apps = append(now.Apps, made.AppPassword)
		return nil
	})
	return made, fault.Wrap(op, err)
}

func (l *Login) verifierLike(ctx context.Context, h sasl.Hash, password string, p Params, s directory.Secrets) (v sasl.ScramVerifier, err error) {
	salt, iterations := factors(h, p, s)
	if main := s.SCRAM(h); len(s.Apps) == 0 && !main.IsZero() {
		salt, iterations = main.Salt, main.Iterations
	}
	if e := l.gate.do(ctx, turn{}, func() { v, err = sasl.NewScramVerifier(h, password, salt, iterations) }); e != nil {
		return v, e
	}
	return v, err
}

// Apps lists an account's app passwords. fault.NotFound.
func (l *Login) Apps(ctx context.Context, addr mail.Address) ([]directory.AppPassword, error) {
	_, s, _, err := l.o.Directory.Secrets(ctx, addr)
	return s.Apps, fault.Wrap("login.Apps", err)
}

// RemoveApp revokes an app password, by its id or by its name where only one is
// called so. All sessions of the account have to come in anew. It gives what was
// removed. fault.NotFound, fault.Conflict.
func (l *Login) RemoveApp(ctx context.Context, addr mail.Address, which string) (directory.AppPassword, error) {
	const op = "login.RemoveApp"
	var gone directory.AppPassword
	a, err := l.o.Directory.Account(ctx, addr)
	if err != nil {
		return gone, fault.Wrap(op, err)
	}
	err = l.o.Directory.UpdateSecrets(ctx, a.ID, true, func(_ directory.Account, s *directory.Secrets) error {
		at := slices.IndexFunc(s.Apps, func(p directory.AppPassword) bool { return p.ID == which })
		for i, p := range s.Apps {
			if p.Name != which || at == i {
				continue
			}
			if at >= 0 {
				return fault.Newf(fault.Conflict, op, "several app passwords are called %q; give the id", which)
			}
			at = i
		}
		if at < 0 {
			return fault.Newf(fault.NotFound, op, "there is no app password %.100q", which)
		}
		gone = s.Apps[at]
		s.Apps = slices.Delete(s.Apps, at, at+1)
		return nil
	})
	return gone, fault.Wrap(op, err)
}

// SetAppsOnly says whether mail programs need an app password. fault.NotFound.
func (l *Login) SetAppsOnly(ctx context.Context, addr mail.Address, only bool) error {
	const op = "login.SetAppsOnly"
	a, err := l.o.Directory.Account(ctx, addr)
	if err != nil {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, l.o.Directory.UpdateSecrets(ctx, a.ID, true, func(_ directory.Account, s *directory.Secrets) error {
		s.AppsOnly = only
		return nil
	}))
}

// SetPassword gives an account another main password; its app passwords stay.
// fault.NotFound; fault.Invalid if nobody could log in with it; fault.Conflict
// if another password of it changes at the same moment.
func (l *Login) SetPassword(ctx context.Context, addr mail.Address, password string) error {
	const op = "login.SetPassword"
	a, s, settings, err := l.o.Directory.Secrets(ctx, addr)
	if err != nil {
		return fault.Wrap(op, err)
	}
	var c directory.Credentials
	if e := l.gate.do(ctx, turn{}, func() { c, err = hashLike(password, l.paramsFor(settings), s) }); e != nil {
		err = e
	}
	if err != nil {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, l.o.Directory.UpdateSecrets(ctx, a.ID, true, func(_ directory.Account, now *directory.Secrets) error {
		if !sameFactors(s, *now) {
			return fault.New(fault.Conflict, op, "the account's passwords have changed meanwhile; please try again")
		}
		now.Credentials = c
		return nil
	}))
}
