package event

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// LoggedIn says that somebody came in.
type LoggedIn struct {
	Door      string // "smtp", "imap", "pop3"
	Peer      netip.AddrPort
	User      mail.Address
	Mechanism string
	TLS       bool
	App       string // the id of the app password, if it was one
}

// Name is "login.accepted".
func (LoggedIn) Name() string { return "login.accepted" }

// Level is Info.
func (LoggedIn) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e LoggedIn) Attrs() []slog.Attr {
	all := []slog.Attr{
		slog.String("door", e.Door), slog.String("peer", addr(e.Peer)), slog.String("user", e.User.String()),
		slog.String("mechanism", e.Mechanism), slog.Bool("tls", e.TLS),
	}
	if e.App != "" {
		all = append(all, slog.String("app", e.App))
	}
	return all
}

// LoginFailed says that somebody did not come in. Reason is for the operator;
// the stranger is told the same words whatever it is.
type LoginFailed struct {
	Door      string
	Peer      netip.AddrPort
	User      string // as given, cut to 200 octets
	Mechanism string
	Reason    string
}

// Name is "login.failed".
func (LoginFailed) Name() string { return "login.failed" }

// Level is Warn.
func (LoginFailed) Level() slog.Level { return slog.LevelWarn }

// Attrs are the facts.
func (e LoginFailed) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("door", e.Door), slog.String("peer", addr(e.Peer)), slog.String("user", e.User),
		slog.String("mechanism", e.Mechanism), slog.String("reason", e.Reason),
	}
}

// SessionEnded says that a connection is over.
type SessionEnded struct {
	Door     string
	Peer     netip.AddrPort
	User     mail.Address
	Duration time.Duration
	Commands int
	Reason   string // "quit", "closed", "timeout", "shutdown", or an error's text
}

// Name is "session.ended".
func (SessionEnded) Name() string { return "session.ended" }

// Level is Debug.
func (SessionEnded) Level() slog.Level { return slog.LevelDebug }

// Attrs are the facts.
func (e SessionEnded) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("door", e.Door), slog.String("peer", addr(e.Peer)), slog.String("user", e.User.String()),
		slog.Duration("duration", e.Duration), slog.Int("commands", e.Commands), slog.String("reason", e.Reason),
	}
}

// Failed says that something of ours broke; the mail concerned was answered
// 4xx or NO and is not lost.
type Failed struct {
	Where string // "smtpd", "relay", …
	Peer  netip.AddrPort
	Err   error
}

// Name is "internal.failed".
func (Failed) Name() string { return "internal.failed" }

// Level is Error.
func (Failed) Level() slog.Level { return slog.LevelError }

// Attrs are the facts.
func (e Failed) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("where", e.Where), slog.String("peer", addr(e.Peer)), slog.Any("error", e.Err)}
}
