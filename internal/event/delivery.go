package event

import (
	"log/slog"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Attempted says how one try to relay a message to one recipient ended.
type Attempted struct {
	ID       mail.ArrivalID
	To       mail.Address
	Host     string // the MX or smart host that was spoken to; "" if none was reached
	Outcome  string // "delivered", "deferred", "bounced"
	Reply    string // the remote's words, or ours where it said none
	TLS      bool
	Attempts int
	Next     time.Time // when it is tried again; zero if it is not
}

// Name is "delivery.attempted".
func (Attempted) Name() string { return "delivery.attempted" }

// Level is Info, or Warn for a bounce.
func (e Attempted) Level() slog.Level {
	if e.Outcome == "bounced" {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Attrs are the facts.
func (e Attempted) Attrs() []slog.Attr {
	a := []slog.Attr{
		slog.String("id", e.ID.String()), slog.String("to", e.To.String()), slog.String("outcome", e.Outcome),
		slog.String("host", e.Host), slog.Bool("tls", e.TLS), slog.Int("attempts", e.Attempts), slog.String("reply", e.Reply),
	}
	if !e.Next.IsZero() {
		a = append(a, slog.Time("next", e.Next))
	}
	return a
}

// Reported says that a report (RFC 3464) was sent home.
type Reported struct {
	ID     mail.ArrivalID // of the message reported on
	Report mail.ArrivalID // of the report
	To     mail.Address
	Action string // "failed", "delayed", "delivered", "relayed"
}

// Name is "delivery.reported".
func (Reported) Name() string { return "delivery.reported" }

// Level is Info.
func (Reported) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e Reported) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("id", e.ID.String()), slog.String("report", e.Report.String()), slog.String("to", e.To.String()),
		slog.String("action", e.Action),
	}
}
