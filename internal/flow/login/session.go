package login

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Session is one SASL exchange. It belongs to one goroutine.
type Session struct {
	l      *Login
	ctx    context.Context // of the exchange: it begins with Start and ends with the last Next
	c      claim
	server sasl.Server
	who    Who

	// What SCRAM has learned on its way.
	scram bool
	apps  []*directory.AppPassword // of the verifiers, in their order; nil for the main password
	which int                      // was proved
}

// Mechanisms lists what Start takes at an attempt, the strongest first. Those
// with -PLUS are there where they are wanted and the connection can be bound to,
// OAuth's and EXTERNAL where TLS is. Whether a door offers the others without TLS
// is the door's to say.
func (l *Login) Mechanisms(a Attempt) []string {
	var all []string
	for _, plus := range []bool{true, false} {
		if plus && len(l.bindings(a)) == 0 {
			continue
		}
		for _, h := range []sasl.Hash{sasl.SHA512, sasl.SHA256, sasl.SHA1} {
			if slices.Contains(l.o.Params.SCRAM, h) {
				all = append(all, h.Mechanism(plus))
			}
		}
	}
	if l.o.Tokens != nil && a.TLS { // RFC 7628 §3: never without
		all = append(all, sasl.OAuthBearer, sasl.XOAuth2)
	}
	all = append(all, sasl.Plain, sasl.Login)
	if len(l.certified(a)) > 0 {
		all = append(all, sasl.External)
	}
	return all
}

// bindings are what an exchange may be bound to here.
func (l *Login) bindings(a Attempt) []sasl.Binding {
	if !l.o.Binding {
		return nil
	}
	return a.bound()
}

// Start begins an exchange, which ends when ctx does. The mechanism may be in
// any case. fault.Unsupported for one that is not offered here.
func (l *Login) Start(ctx context.Context, a Attempt, mechanism string) (*Session, error) {
	mechanism = strings.ToUpper(mechanism)
	if !slices.Contains(l.Mechanisms(a), mechanism) {
		return nil, fault.New(fault.Unsupported, "login.Start", "that mechanism is not spoken here")
	}
	s := &Session{l: l, ctx: ctx, c: claim{a: a, mechanism: mechanism}}
	switch mechanism {
	case sasl.Plain:
		s.server = sasl.PlainServer(s.verify)
	case sasl.Login:
		s.server = sasl.LoginServer(s.verify)
	case sasl.OAuthBearer:
		s.server = sasl.OAuthBearerServer(s.token)
	case sasl.XOAuth2:
		s.server = sasl.XOAuth2Server(s.token)
	case sasl.External:
		s.server = sasl.ExternalServer(s.external)
	default:
		h, plus, _ := sasl.ParseScram(mechanism)
		s.scram = true
		s.server = sasl.ScramServer(sasl.ScramOptions{
			Hash: h, Plus: plus, Bindings: l.bindings(a), Done: func(_ string, which int) { s.which = which },
			Lookup: func(user string) ([]sasl.ScramVerifier, error) { return s.lookup(h, user) },
		})
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
	case err == nil && done && s.scram:
		if err = s.proved(); err != nil {
			return nil, false, err
		}
	case errors.Is(err, sasl.ErrMalformed):
		s.l.tell(s.ctx, s.c.a, s.c.mechanism, s.c.user, "malformed response")
		err = fault.As(fault.Unauthenticated, "login.Next", err)
	case errors.Is(err, sasl.ErrFailed):
		err = s.l.fail(s.ctx, s.c.a, s.c.mechanism, s.c.user, s.c.addr, s.whyFailed(err))
	case err != nil && !errors.As(err, &f):
		err = fault.Wrap("login.Next", err)
	}
	return challenge, done, err
}

func (s *Session) whyFailed(err error) string {
	switch {
	case s.c.reason != "":
		return s.c.reason
	case errors.Is(err, sasl.ErrBinding):
		return "channel binding"
	}
	return "wrong password"
}

// Who came in, once Next said done.
func (s *Session) Who() Who { return s.who }

// verify serves the mechanisms that carry the password.
func (s *Session) verify(authzid, user, password string) error {
	s.c.user = user
	if authzid != "" && authzid != user && parseUser(authzid) != parseUser(user) {
		// Nobody acts for another yet.
		return s.l.fail(s.ctx, s.c.a, s.c.mechanism, user, parseUser(user), "another's authorization identity")
	}
	var err error
	s.who, err = s.l.password(s.ctx, s.c.a, s.c.mechanism, user, password)
	return err
}

// lookup serves SCRAM, in which the password never comes: it waits like a
// password would, and makes up a verifier for whoever has none.
func (s *Session) lookup(h sasl.Hash, user string) ([]sasl.ScramVerifier, error) {
	const op = "login.lookup"
	c := &s.c
	c.user, c.addr = user, parseUser(user)
	wait, err := s.l.slot(c.a, c.addr)
	if err == nil {
		err = s.l.hold(s.ctx, c.a, c.addr, wait)
	}
	if err != nil {
		return nil, s.l.refuse(s.ctx, c.a, c.mechanism, user, fault.Wrap(op, err))
	}
	if err := s.l.look(s.ctx, c); err != nil {
		return nil, err
	}
	if all := s.verifiers(h); len(all) > 0 {
		return all, nil
	}
	secret, err := s.l.storeSecret(s.ctx)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	name := c.addr.String()
	if c.addr.IsNull() {
		name = user
	}
	decoy := sasl.Decoy(h, secret, name, s.l.o.Params.Iterations)
	if v := s.shown(h); !v.IsZero() { // whose salt is the account's, whatever may be used of it
		decoy.Salt, decoy.Iterations = v.Salt, v.Iterations
	}
	return []sasl.ScramVerifier{decoy}, nil
}

// verifiers gives those of the account's passwords that open this door, and
// says why if there are none.
func (s *Session) verifiers(h sasl.Hash) []sasl.ScramVerifier {
	c := &s.c
	if c.reason != "" || c.domain.NoSCRAM {
		if c.reason == "" {
			c.reason = "the domain keeps no SCRAM verifiers"
		}
		return nil
	}
	var all []sasl.ScramVerifier
	take := func(v sasl.ScramVerifier, p *directory.AppPassword) {
		if len(all) == 0 || bytes.Equal(v.Salt, all[0].Salt) && v.Iterations == all[0].Iterations {
			all, s.apps = append(all, v), append(s.apps, p)
		}
	}
	main := c.secrets.SCRAM(h)
	switch {
	case c.secrets.AppsOnly, c.secrets.TOTP.On:
		c.reason = "SCRAM takes app passwords alone from this account"
	case c.away:
		c.reason = "the password is known elsewhere, and SCRAM cannot ask there"
	case main.IsZero():
		c.reason = "no SCRAM verifier yet"
	default:
		take(main, nil)
	}
	now := time.Now()
	for i := range c.secrets.Apps {
		p := &c.secrets.Apps[i]
		if v := p.SCRAM(h); !v.IsZero() && (app{*p}).refuses(c.a.scope(), now) == "" {
			take(v, p)
		}
	}
	return all
}

// shown is a verifier of the account, if it has any.
func (s *Session) shown(h sasl.Hash) sasl.ScramVerifier {
	if v := s.c.secrets.SCRAM(h); !v.IsZero() || s.c.domain.NoSCRAM {
		return v
	}
	for _, p := range s.c.secrets.Apps {
		if v := p.SCRAM(h); !v.IsZero() {
			return v
		}
	}
	return sasl.ScramVerifier{}
}

// proved ends a SCRAM exchange in which the client has shown its proof. The
// credentials may have changed since the exchange began.
func (s *Session) proved() error {
	c := &s.c
	now, err := s.l.o.Directory.AccountByID(s.ctx, c.acct.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return fault.Wrap("login.proved", err)
	}
	if err != nil || now.Disabled || now.Changed != c.acct.Changed {
		return s.l.fail(s.ctx, c.a, c.mechanism, c.user, c.addr, "the account changed meanwhile")
	}
	if p := s.apps[s.which]; p != nil {
		s.who, err = s.l.welcomeApp(s.ctx, c, *p)
	} else {
		s.who, err = s.l.welcome(s.ctx, c, Who{})
	}
	return err
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
