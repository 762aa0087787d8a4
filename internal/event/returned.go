package event

import (
	"log/slog"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Returned says that another server's report about a message of ours came in.
type Returned struct {
	ID     mail.ArrivalID // of the message
	Report mail.ArrivalID // of the report
	To     mail.Address   // the recipient it tells of
	Action string         // "failed", "delayed", "delivered", "relayed", "expanded", "complaint"
	Reason string         // one of wire/bounce; "" of a success
	Signed bool           // the message is known by a return path that we signed
}

// Name is "delivery.returned".
func (Returned) Name() string { return "delivery.returned" }

// Level is Info.
func (Returned) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e Returned) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("id", e.ID.String()), slog.String("report", e.Report.String()), slog.String("to", e.To.String()),
		slog.String("action", e.Action), slog.String("reason", e.Reason), slog.Bool("signed", e.Signed),
	}
}

// Suppressed says that a recipient was put on a domain's suppression list.
type Suppressed struct {
	ID     mail.ArrivalID // of the message that it failed for
	Domain mail.Domain    // that sends
	To     mail.Address
	Reason string
}

// Name is "delivery.suppressed".
func (Suppressed) Name() string { return "delivery.suppressed" }

// Level is Info.
func (Suppressed) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e Suppressed) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("id", e.ID.String()), slog.String("domain", string(e.Domain)), slog.String("to", e.To.String()), slog.String("reason", e.Reason),
	}
}
