// Package login says who may come in: it checks passwords and SASL exchanges
// against the directory and slows those who guess.
package login

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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
// Sink means nobody is told; what is nil is not offered.
type Options struct {
	Directory *directory.Store
	Sink      event.Sink
	Params    Params
	NoLimits  bool       // guessers are not slowed: for load tests
	Bans      *ban.Store // where guessers are banned; nil: they are only slowed
	Guesses   Guesses    // how guessers are slowed and banned

	Tokens     Tokens         // who says what OAuth tokens are worth
	ClientCAs  *x509.CertPool // who signs the certificates of clients
	Elsewhere  Elsewhere      // who knows the passwords of some domains
	TOTPSuffix bool           // a one-time code may stand behind the main password
	Binding    bool           // SCRAM is offered with -PLUS too

	// Provisioned is told of an account that was taken in from elsewhere.
	Provisioned func(context.Context, directory.Account) error
}

// Login decides who may come in. It may be used by many goroutines at once.
type Login struct {
	o       Options
	gate    *gate
	guesses *guesses
	known   *memory
	decoy   phc // what the password of nobody is compared with
	raises  chan raising

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
	return &Login{o: o, gate: newGate(), guesses: newGuesses(o.Guesses), known: newMemory(), decoy: decoy, raises: make(chan raising, maxRaises)}
}

// Attempt is where somebody tries to come in.
type Attempt struct {
	Door    string // "smtp", "imap", "pop3"
	Addr    netip.AddrPort
	TLS     bool
	Secured *Secured // nil: nothing can be bound to, and no certificate was shown
}

// Secured is what is known of the TLS below an attempt. It belongs to one
// goroutine.
type Secured struct {
	State       tls.ConnectionState
	Certificate *x509.Certificate // that we showed; nil if it is not known

	looked   bool
	bindings []sasl.Binding
}

// bound gives what an exchange can be bound to.
func (a Attempt) bound() []sasl.Binding {
	s := a.Secured
	if s == nil {
		return nil
	}
	if !s.looked {
		s.looked, s.bindings = true, sasl.Bindings(&s.State, s.Certificate)
	}
	return s.bindings
}

// Who came in.
type Who struct {
	Account mail.AccountID
	Address mail.Address
	Stamp   uint64    // directory.Account.Changed at the time
	App     string    // the id of the app password, if it was one
	Until   time.Time // when what was shown ends; zero: never
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

// welcome lets a claim in, with what who says already. An account that may not
// be used by the protocol is told so, as whoever comes this far is its owner:
// fault.Denied.
func (l *Login) welcome(ctx context.Context, c *claim, who Who) (Who, error) {
	if p := c.a.scope(); !c.acct.Use.Over(c.domain.Use).Allows(p) {
		l.tell(ctx, c.a, c.mechanism, c.user, "not to be used by "+p)
		return Who{}, fault.Newf(fault.Denied, "login.welcome", "this account may not be used by %s; its administrator can allow it", p)
	}
	l.succeeded(c.acct.Address, c.a.Addr.Addr())
	l.o.Sink.Emit(ctx, event.LoggedIn{
		Door: c.a.Door, Peer: c.a.Addr, User: c.acct.Address, Mechanism: c.mechanism, TLS: c.a.TLS, App: who.App,
	})
	who.Account, who.Address, who.Stamp = c.acct.ID, c.acct.Address, c.acct.Changed
	return who, nil
}

// Still says whether who may go on: a session that lives asks each minute, and
// ends when a password was changed or revoked, what was shown has expired, or
// the account was disabled or removed.
func (l *Login) Still(ctx context.Context, who Who) (bool, error) {
	if !who.Until.IsZero() && !time.Now().Before(who.Until) {
		return false, nil
	}
	a, err := l.o.Directory.AccountByID(ctx, who.Account)
	switch {
	case fault.Is(err, fault.NotFound):
		return false, nil
	case err != nil:
		return false, fault.Wrap("login.Still", err)
	}
	return !a.Disabled && a.Changed == who.Stamp, nil
}

// NewCredentialsFor is NewCredentials for an account of a domain, which may keep
// no SCRAM verifiers. A domain that is not ours is like any.
func (l *Login) NewCredentialsFor(ctx context.Context, d mail.Domain, password string) (c directory.Credentials, err error) {
	known, err := l.o.Directory.Domain(ctx, d)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return c, fault.Wrap("login.NewCredentialsFor", err)
	}
	if e := l.gate.do(ctx, turn{}, func() { c, err = Hash(password, l.paramsFor(known.Settings)) }); e != nil {
		return c, e
	}
	return c, err
}

// NewCredentials makes credentials of a password with the parameters of l.
// fault.Invalid if nobody could log in with it.
func (l *Login) NewCredentials(password string) (directory.Credentials, error) {
	var c directory.Credentials
	var err error
	if e := l.gate.do(context.Background(), turn{}, func() { c, err = Hash(password, l.o.Params) }); e != nil {
		return c, e
	}
	return c, err
}
