package login

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// Elsewhere is a directory of others, such as LDAP, that knows the passwords of
// some domains. Its methods wait no longer than ctx.
type Elsewhere interface {
	// Serves says whether it knows the passwords of a domain.
	Serves(mail.Domain) bool
	// Check gives the entry whose password this is. fault.Unauthenticated if
	// there is none or the password is wrong; any other error is its trouble.
	Check(ctx context.Context, a mail.Address, password string) (Entry, error)
	// Find gives the entry of an address. fault.NotFound.
	Find(ctx context.Context, a mail.Address) (Entry, error)
	// Believe is how long its word counts without asking again.
	Believe() time.Duration
}

// Entry is what is known of an account elsewhere.
type Entry struct {
	Quota int64 // octets; 0: none
}

// claim is somebody who says that he is addr.
type claim struct {
	a         Attempt
	mechanism string
	user      string // as it was said
	addr      mail.Address

	acct    directory.Account
	secrets directory.Secrets
	domain  directory.Settings
	there   bool   // acct is
	away    bool   // the main password is known elsewhere
	reason  string // why it cannot succeed, whatever the proof
}

// claim finds out about a name. What it cannot find it gives a reason for; an
// error is the directory's.
func (l *Login) claim(ctx context.Context, a Attempt, mechanism, user string) (claim, error) {
	c := claim{a: a, mechanism: mechanism, user: user, addr: parseUser(user)}
	return c, l.look(ctx, &c)
}

// look fills in what the directory knows of c.addr.
func (l *Login) look(ctx context.Context, c *claim) error {
	var err error
	c.away = l.o.Elsewhere != nil && l.o.Elsewhere.Serves(c.addr.Domain)
	c.acct, c.secrets, c.domain, err = l.o.Directory.Secrets(ctx, c.addr)
	switch {
	case fault.Is(err, fault.NotFound) && c.away: // it may be there
	case fault.Is(err, fault.NotFound):
		c.reason = "unknown account"
	case err != nil:
		return fault.Wrap("login.claim", err)
	case c.acct.Disabled:
		c.there, c.reason = true, "disabled account"
	default:
		c.there = true
	}
	return nil
}

// scope is the protocol of a door in the words of app passwords.
func (a Attempt) scope() string {
	switch a.Door {
	case "submission", "submission_alt", "submissions", "smtp":
		return "smtp"
	}
	return a.Door
}

// turn is c's place in the line of those who are hashed.
func (l *Login) turn(c *claim) turn {
	if l.o.NoLimits {
		return turn{}
	}
	return turn{c.addr, c.a.Addr.Addr()}
}

// Missing takes in an account that is known elsewhere and not here yet, when
// mail for it comes. It says whether it did.
func (l *Login) Missing(ctx context.Context, a mail.Address) (bool, error) {
	const op = "login.Missing"
	if l.o.Elsewhere == nil || !l.o.Elsewhere.Serves(a.Domain) {
		return false, nil
	}
	a = directory.Fold(a)
	e, err := l.o.Elsewhere.Find(ctx, a)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err == nil {
		_, err = l.provision(ctx, a, e)
	}
	return err == nil, fault.Wrap(op, err)
}

// provision adds an account that is known elsewhere. One that another session
// has added meanwhile is as good.
func (l *Login) provision(ctx context.Context, addr mail.Address, e Entry) (directory.Account, error) {
	acct, err := l.o.Directory.AddAccount(ctx, addr, directory.Credentials{}, e.Quota)
	if fault.Is(err, fault.Exists) {
		return l.o.Directory.Account(ctx, addr)
	}
	if err != nil {
		return acct, err
	}
	if l.o.Provisioned != nil {
		// Mailboxes that cannot be made now are made by the first message.
		if err := l.o.Provisioned(context.WithoutCancel(ctx), acct); err != nil {
			l.o.Sink.Emit(ctx, event.Failed{Where: "login", Err: fault.Wrap("login.provision", err)})
		}
	}
	return acct, nil
}
