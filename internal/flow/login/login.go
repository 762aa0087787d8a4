// Package login says who may come in: it checks passwords and SASL exchanges
// against the directory and slows those who guess.
package login

import (
	"context"
	"net/netip"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Params is how much work a password hash costs.
type Params struct {
	Memory     uint32 // KiB
	Time       uint32 // passes
	Threads    uint8
	Iterations int // of SCRAM-SHA-256
}

// Options are what a Login is made of. Zero values: Params means DefaultParams,
// Sink means nobody is told.
type Options struct {
	Directory *directory.Store
	Sink      event.Sink
	Params    Params
	NoLimits  bool // guessers are not slowed: for load tests
}

// Login decides who may come in. It may be used by many goroutines at once.
type Login struct {
	o Options
}

// New makes a Login.
func New(o Options) *Login { return &Login{o: o} }

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

// Session is one SASL exchange.
type Session struct {
	server sasl.Server
	who    Who
}

// Mechanisms lists what Start takes, the strongest first.
func (l *Login) Mechanisms(a Attempt) []string { panic("soon") }

// Start begins an exchange. fault.Unsupported for a mechanism that we do not speak.
func (l *Login) Start(ctx context.Context, a Attempt, mechanism string) (*Session, error) {
	panic("soon")
}

// Next goes on with the exchange as sasl.Server.Next does.
func (s *Session) Next(response []byte) (challenge []byte, done bool, err error) { panic("soon") }

// Who came in, once Next said done.
func (s *Session) Who() Who { return s.who }

// Password checks a name and a password that came without SASL.
func (l *Login) Password(ctx context.Context, a Attempt, user, password string) (Who, error) {
	panic("soon")
}

// NewCredentials makes credentials of a password with the parameters of l.
func (l *Login) NewCredentials(password string) (directory.Credentials, error) { panic("soon") }

// Hash makes credentials of a password.
func Hash(password string, p Params) (directory.Credentials, error) { panic("soon") }

// ParsePHC says whether s is an argon2id hash in PHC form that we can check.
func ParsePHC(s string) error { panic("soon") }
