package event

import (
	"log/slog"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// FilterFailed says that a program outside that is asked about mail gave no
// opinion of a message; the settings say whether it was taken all the same.
type FilterFailed struct {
	ID     mail.ArrivalID
	Filter string
	Err    error
}

// Name is "filter.failed".
func (FilterFailed) Name() string { return "filter.failed" }

// Level is Warn.
func (FilterFailed) Level() slog.Level { return slog.LevelWarn }

// Attrs are the facts.
func (e FilterFailed) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("id", e.ID.String()), slog.String("filter", e.Filter), slog.Any("error", e.Err)}
}

// Judged says what was decided about a message of which others were asked, where
// that is not simply to take it.
type Judged struct {
	ID      mail.ArrivalID
	Verdict string // "junk", "hold", "defer", "discard", "reject"
	Why     string
}

// Name is "message.judged".
func (Judged) Name() string { return "message.judged" }

// Level is Info.
func (Judged) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e Judged) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("id", e.ID.String()), slog.String("verdict", e.Verdict), slog.String("why", e.Why)}
}
