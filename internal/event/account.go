package event

import (
	"log/slog"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// AccountHeld says that what an account sends waits in the queue for an
// operator from now on: it behaves as a stolen one does, or an operator said so.
type AccountHeld struct {
	Address mail.Address
	Account mail.AccountID
	Reason  string
}

// Name is "account.held".
func (AccountHeld) Name() string { return "account.held" }

// Level is Warn.
func (AccountHeld) Level() slog.Level { return slog.LevelWarn }

// Attrs are the facts.
func (e AccountHeld) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("address", e.Address.String()), slog.Uint64("account", uint64(e.Account)), slog.String("reason", e.Reason)}
}

// AccountReleased says that an operator let an account send again.
type AccountReleased struct {
	Address    mail.Address
	Account    mail.AccountID
	Deliveries int // that were held, and go out
}

// Name is "account.released".
func (AccountReleased) Name() string { return "account.released" }

// Level is Info.
func (AccountReleased) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e AccountReleased) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("address", e.Address.String()), slog.Uint64("account", uint64(e.Account)), slog.Int("deliveries", e.Deliveries)}
}
