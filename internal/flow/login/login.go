// Package login says who may come in: it checks passwords and SASL exchanges
// against the directory and slows those who guess.
package login

import (
	"context"
	"crypto/rand"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/ban"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Options are what a Login is made of. Zero values: Params means DefaultParams,
// Sink means nobody is told.
type Options struct {
	Directory *directory.Store
	Sink      event.Sink
	Params    Params
	NoLimits  bool       // guessers are not slowed: for load tests
	Bans      *ban.Store // where guessers are banned; nil: they are only slowed
	Guesses   Guesses    // how guessers are slowed and banned
}

// Login decides who may come in. It may be used by many goroutines at once.
type Login struct {
	o       Options
	gate    *gate
	guesses *guesses
	known   *memory
	decoy   phc // what the password of nobody is compared with

	mu     sync.Mutex
	secret []byte // of the store, for SCRAM's decoys
}

// New makes a Login.
func New(o Options) *Login {
	o.Params = o.Params.orDefault()
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	decoy := phc{Params: o.Params, salt: make([]byte, saltSize), sum: make([]byte, sumSize)}
	_, _ = rand.Read(decoy.salt)
	_, _ = rand.Read(decoy.sum)
	return &Login{o: o, gate: newGate(), guesses: newGuesses(o.Guesses), known: newMemory(), decoy: decoy}
}

// Attempt is where somebody tries to come in.
type Attempt struct {
	Door string // "smtp", "imap", "pop3"
	Addr netip.AddrPort
	TLS  bool
}

// Who came in.
type Who struct {
	Account mail.AccountID
	Address mail.Address
	Stamp   uint64 // directory.Account.Changed at the time
}

// Password checks a name and a password that came without SASL, as in IMAP's
// LOGIN and POP3's USER and PASS. It takes as long for a name that does not
// exist as for a wrong password, and says the same: fault.Unauthenticated. After
// failures it waits before it answers; fault.TooMany means that the address has
// failed too often, fault.Unavailable that the line is too long or ctx ended.
func (l *Login) Password(ctx context.Context, a Attempt, user, password string) (Who, error) {
	return l.password(ctx, a, "LOGIN", user, password)
}

func (l *Login) password(ctx context.Context, a Attempt, mechanism, user, password string) (Who, error) {
	const op = "login.Password"
	addr := parseUser(user)
	wait, err := l.slot(a, addr)
	if err != nil {
		return Who{}, l.refuse(ctx, a, mechanism, user, err)
	}
	acct, cred, err := l.o.Directory.Credentials(ctx, addr)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Who{}, fault.Wrap(op, err)
	}
	reason := ""
	switch {
	case err != nil:
		reason = "unknown account"
	case acct.Disabled:
		reason = "disabled account"
	case l.known.has(acct, password):
		// Whoever has the password is let in at once, however many others guess.
		return l.welcome(ctx, a, mechanism, acct), nil
	}
	if err := l.hold(ctx, a, addr, wait); err != nil {
		return Who{}, l.refuse(ctx, a, mechanism, user, err)
	}
	fits, err := l.fits(ctx, cred, password)
	if err != nil {
		return Who{}, l.refuse(ctx, a, mechanism, user, fault.Wrap(op, err))
	}
	if reason == "" && !fits {
		reason = "wrong password"
	}
	if reason != "" {
		return Who{}, l.fail(ctx, a, mechanism, user, addr, reason)
	}
	l.known.add(acct, password)
	l.raise(ctx, acct, cred, password)
	return l.welcome(ctx, a, mechanism, acct), nil
}

// parseUser reads a login name. What is no address becomes one that nobody has.
func parseUser(user string) mail.Address {
	if len(user) > sasl.MaxName {
		return mail.Address{}
	}
	addr, err := mail.ParseAddress(strings.TrimSpace(user))
	if err != nil {
		return mail.Address{}
	}
	return directory.Fold(addr)
}

// fits says whether a password is the one of the credentials. It costs the same
// where there are none.
func (l *Login) fits(ctx context.Context, c directory.Credentials, password string) (bool, error) {
	if len(password) == 0 || len(password) > sasl.MaxPassword {
		password, c = "", directory.Credentials{}
	}
	if c.Argon2 == "" && !c.SCRAM256.IsZero() {
		fits := false
		err := l.gate.do(ctx, func() { fits = c.SCRAM256.Matches(password) })
		return fits, err
	}
	hash, err := parsePHC(c.Argon2)
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
		if err := l.gate.do(ctx, func() { fits = hash.fits(form) || fits }); err != nil {
			return false, err
		}
	}
	return fits, nil
}

// raise stores a password that was just proved in the form we want now: with a
// hash that costs what it should, and with a SCRAM verifier. That it fails is
// no reason to keep anybody out.
func (l *Login) raise(ctx context.Context, acct directory.Account, c directory.Credentials, password string) {
	hash, err := parsePHC(c.Argon2)
	if err == nil && !hash.cheaper(l.o.Params) && !c.SCRAM256.IsZero() {
		return
	}
	var fresh directory.Credentials
	err = l.gate.do(ctx, func() { fresh, err = Hash(password, l.o.Params) })
	if err == nil {
		err = l.o.Directory.RenewCredentials(ctx, acct.ID, acct.Changed, fresh)
	}
	if err != nil && ctx.Err() == nil {
		l.o.Sink.Emit(ctx, event.Failed{Where: "login", Err: fault.Wrap("login.raise", err)})
	}
}

// slot asks the guesses for leave. It gives how long the answer must wait.
func (l *Login) slot(a Attempt, addr mail.Address) (time.Duration, error) {
	if l.o.NoLimits {
		return 0, nil
	}
	return l.mayTry(time.Now(), addr, a.Addr.Addr())
}

// hold waits. Whoever goes away meanwhile has failed: otherwise a guesser would
// not need to wait for the answer.
func (l *Login) hold(ctx context.Context, a Attempt, addr mail.Address, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	if !l.guesses.hold() {
		return fault.New(fault.Unavailable, "login.hold", "too many are logging in; please try again later")
	}
	defer l.guesses.unhold()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		l.failed(ctx, addr, a.Addr.Addr())
		return ctx.Err()
	}
}

// fail counts a failure, tells of it, and gives the words for the stranger,
// which are the same for each.
func (l *Login) fail(ctx context.Context, a Attempt, mechanism, user string, addr mail.Address, reason string) error {
	if !l.o.NoLimits {
		l.failed(ctx, addr, a.Addr.Addr())
	}
	l.tell(ctx, a, mechanism, user, reason)
	return fault.New(fault.Unauthenticated, "login.fail", "")
}

// refuse tells of an attempt that was not looked at.
func (l *Login) refuse(ctx context.Context, a Attempt, mechanism, user string, err error) error {
	l.tell(ctx, a, mechanism, user, fault.KindOf(err).String())
	return err
}

func (l *Login) tell(ctx context.Context, a Attempt, mechanism, user, reason string) {
	l.o.Sink.Emit(ctx, event.LoginFailed{
		Door: a.Door, Peer: a.Addr, User: cut(user), Mechanism: mechanism, Reason: reason,
	})
}

// cut shortens a name for the log.
func cut(user string) string {
	if len(user) > 200 {
		user = user[:200]
	}
	return strings.ToValidUTF8(user, "?")
}

func (l *Login) welcome(ctx context.Context, a Attempt, mechanism string, acct directory.Account) Who {
	l.succeeded(acct.Address, a.Addr.Addr())
	l.o.Sink.Emit(ctx, event.LoggedIn{Door: a.Door, Peer: a.Addr, User: acct.Address, Mechanism: mechanism, TLS: a.TLS})
	return Who{Account: acct.ID, Address: acct.Address, Stamp: acct.Changed}
}

// Still says whether who may go on: a session that lives asks each minute, and
// ends when the password was changed or the account was disabled or removed.
func (l *Login) Still(ctx context.Context, who Who) (bool, error) {
	a, err := l.o.Directory.AccountByID(ctx, who.Account)
	switch {
	case fault.Is(err, fault.NotFound):
		return false, nil
	case err != nil:
		return false, fault.Wrap("login.Still", err)
	}
	return !a.Disabled && a.Changed == who.Stamp, nil
}

// NewCredentials makes credentials of a password with the parameters of l.
// fault.Invalid if nobody could log in with it.
func (l *Login) NewCredentials(password string) (directory.Credentials, error) {
	var c directory.Credentials
	var err error
	if e := l.gate.do(context.Background(), func() { c, err = Hash(password, l.o.Params) }); e != nil {
		return c, e
	}
	return c, err
}
