package login

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Tokens says what an access token is worth.
type Tokens interface {
	// Verify gives for whom a token was made out. fault.Unauthenticated if it is
	// not valid here, with a public text; any other error is its trouble. It waits
	// no longer than ctx.
	Verify(ctx context.Context, token string) (Token, error)
	// Hint says how a client gets a token.
	Hint() (scope, configuration string)
}

// Token is a valid access token.
type Token struct {
	Address mail.Address
	Expires time.Time // zero: it does not say
	Believe time.Duration
}

// token serves OAUTHBEARER and XOAUTH2. A token that is right is remembered
// until it ends, or for as long as its issuer wants to be believed.
func (s *Session) token(b sasl.Bearer) error {
	const op = "login.token"
	l, c := s.l, &s.c
	c.user, c.addr = b.User, parseUser(b.User)
	wait, err := l.slot(c.a, c.addr)
	if err == nil {
		err = l.hold(s.ctx, c.a, c.addr, wait)
	}
	if err != nil {
		return l.refuse(s.ctx, c.a, c.mechanism, c.user, err)
	}
	if c.user != "" { // who comes back need not ask for the same token again
		if err := l.look(s.ctx, c); err != nil {
			return err
		}
		if c.there && c.reason == "" {
			if k, ok := l.known.has(l.known.tag(kindToken, c.acct, b.Token)); ok {
				s.who, err = l.welcome(s.ctx, c, Who{Until: k.ends})
				return err
			}
		}
		c.reason = ""
	}
	t, err := l.o.Tokens.Verify(s.ctx, b.Token)
	switch {
	case fault.Is(err, fault.Unauthenticated):
		return s.tokenRefused(fault.Public(err))
	case err != nil:
		l.o.Sink.Emit(s.ctx, event.Failed{Where: "login", Err: fault.Wrap(op, err)})
		return l.refuse(s.ctx, c.a, c.mechanism, c.user, fault.As(fault.Unavailable, op, err))
	case b.User != "" && c.addr != parseUser(t.Address.String()):
		return s.tokenRefused("the token is " + t.Address.String() + "'s")
	}
	c.addr = parseUser(t.Address.String())
	if err := l.look(s.ctx, c); err != nil {
		return err
	}
	if !c.there && c.reason == "" { // known elsewhere, perhaps
		c.reason = "unknown account"
		if ok, err := l.Missing(s.ctx, c.addr); err != nil {
			return l.refuse(s.ctx, c.a, c.mechanism, c.user, fault.As(fault.Unavailable, op, err))
		} else if ok {
			if c.reason = ""; l.look(s.ctx, c) != nil || !c.there {
				c.reason = "unknown account"
			}
		}
	}
	if c.reason != "" {
		return s.tokenRefused(c.reason)
	}
	until := time.Now().Add(t.Believe)
	if !t.Expires.IsZero() && t.Expires.Before(until) {
		until = t.Expires
	}
	l.known.add(l.known.tag(kindToken, c.acct, b.Token), known{until: until, ends: t.Expires})
	s.who, err = l.welcome(s.ctx, c, Who{Until: t.Expires})
	return err
}

// tokenRefused tells the client how it gets a better token, and ends the
// exchange after that. The operator learns why.
func (s *Session) tokenRefused(reason string) error {
	scope, configuration := s.l.o.Tokens.Hint()
	return &sasl.TokenError{
		Status: "invalid_token", Scope: scope, Config: configuration,
		Err: s.l.fail(s.ctx, s.c.a, s.c.mechanism, s.c.user, s.c.addr, reason),
	}
}
