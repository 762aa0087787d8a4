package login

import (
	"context"
	"errors"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Session is one SASL exchange. It belongs to one goroutine.
type Session struct {
	l         *Login
	ctx       context.Context // of the exchange: it begins with Start and ends with the last Next
	a         Attempt
	mechanism string
	server    sasl.Server
	who       Who

	// What SCRAM has learned on its way.
	user    string
	addr    mail.Address
	account directory.Account
	reason  string // why it cannot succeed, whatever the proof
}

// Mechanisms lists what Start takes, the strongest first. Whether a door offers
// them without TLS is the door's to say.
func (l *Login) Mechanisms(Attempt) []string {
	return []string{sasl.ScramSHA256, sasl.Plain, sasl.Login}
}

// Start begins an exchange, which ends when ctx does. The mechanism may be in
// any case. fault.Unsupported for one that we do not speak.
func (l *Login) Start(ctx context.Context, a Attempt, mechanism string) (*Session, error) {
	s := &Session{l: l, ctx: ctx, a: a, mechanism: strings.ToUpper(mechanism)}
	switch s.mechanism {
	case sasl.Plain:
		s.server = sasl.PlainServer(s.verify)
	case sasl.Login:
		s.server = sasl.LoginServer(s.verify)
	case sasl.ScramSHA256:
		s.server = sasl.ScramServer(sasl.ScramOptions{Hash: sasl.SHA256, Lookup: s.lookup})
	default:
		return nil, fault.New(fault.Unsupported, "login.Start", "that mechanism is not spoken here")
	}
	return s, nil
}

// Next goes on with the exchange as sasl.Server.Next does: the first call takes
// the initial response or nil, and with done there is no challenge left. Errors
// as those of Login.Password; after one the exchange is over.
func (s *Session) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = s.server.Next(response)
	var f *fault.Error
	switch {
	case err == nil && done && s.mechanism == sasl.ScramSHA256:
		if err = s.proved(); err != nil {
			return nil, false, err
		}
	case errors.Is(err, sasl.ErrMalformed):
		s.l.tell(s.ctx, s.a, s.mechanism, s.user, "malformed response")
		err = fault.As(fault.Unauthenticated, "login.Next", err)
	case errors.Is(err, sasl.ErrFailed):
		reason := s.reason
		if reason == "" {
			reason = "wrong password"
		}
		err = s.l.fail(s.ctx, s.a, s.mechanism, s.user, s.addr, reason)
	case err != nil && !errors.As(err, &f):
		err = fault.Wrap("login.Next", err)
	}
	return challenge, done, err
}

// Who came in, once Next said done.
func (s *Session) Who() Who { return s.who }

// verify serves the mechanisms that carry the password.
func (s *Session) verify(authzid, user, password string) error {
	s.user = user
	if authzid != "" && authzid != user && parseUser(authzid) != parseUser(user) {
		// Nobody acts for another yet.
		return s.l.fail(s.ctx, s.a, s.mechanism, user, parseUser(user), "another's authorization identity")
	}
	var err error
	s.who, err = s.l.password(s.ctx, s.a, s.mechanism, user, password)
	return err
}

// lookup serves SCRAM, in which the password never comes: it waits like a
// password would, and makes up a verifier for whoever has none.
func (s *Session) lookup(user string) ([]sasl.ScramVerifier, error) {
	const op = "login.lookup"
	s.user, s.addr = user, parseUser(user)
	wait, err := s.l.slot(s.a, s.addr)
	if err == nil {
		err = s.l.hold(s.ctx, s.a, s.addr, wait)
	}
	if err != nil {
		return nil, s.l.refuse(s.ctx, s.a, s.mechanism, user, fault.Wrap(op, err))
	}
	secret, err := s.l.storeSecret(s.ctx)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	acct, cred, err := s.l.o.Directory.Credentials(s.ctx, s.addr)
	switch {
	case fault.Is(err, fault.NotFound):
		s.reason = "unknown account"
	case err != nil:
		return nil, fault.Wrap(op, err)
	case acct.Disabled:
		s.reason = "disabled account"
	case cred.SCRAM256.IsZero():
		s.reason = "no SCRAM verifier yet"
	default:
		s.account = acct
		return []sasl.ScramVerifier{cred.SCRAM256}, nil
	}
	name := s.addr.String()
	if s.addr.IsNull() {
		name = user
	}
	return []sasl.ScramVerifier{sasl.Decoy(sasl.SHA256, secret, name, s.l.o.Params.Iterations)}, nil
}

// proved ends a SCRAM exchange in which the client has shown its proof. The
// credentials may have changed since the exchange began.
func (s *Session) proved() error {
	now, err := s.l.o.Directory.AccountByID(s.ctx, s.account.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return fault.Wrap("login.proved", err)
	}
	if err != nil || now.Disabled || now.Changed != s.account.Changed {
		return s.l.fail(s.ctx, s.a, s.mechanism, s.user, s.addr, "the account changed meanwhile")
	}
	s.who = s.l.welcome(s.ctx, s.a, s.mechanism, now)
	return nil
}

// storeSecret gives the secret that decoys are made with.
func (l *Login) storeSecret(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secret == nil {
		secret, err := l.o.Directory.Secret(ctx)
		if err != nil {
			return nil, err
		}
		l.secret = secret
	}
	return l.secret, nil
}
