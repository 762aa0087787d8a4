package event

import "log/slog"

// TLSReported says that a domain was told how the securing of lines to it went
// on a day (RFC 8460), or could not be told.
type TLSReported struct {
	Domain     string
	Day        string // as 2026-11-24
	To         string // a URI
	Successful int64
	Failed     int64
	Err        error // nil: it was
}

// Name is "tls.reported".
func (TLSReported) Name() string { return "tls.reported" }

// Level is Info, or Warn if it failed.
func (e TLSReported) Level() slog.Level {
	if e.Err != nil {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Attrs are the facts.
func (e TLSReported) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("domain", e.Domain), slog.String("day", e.Day), slog.String("to", e.To), slog.Int64("successful", e.Successful),
		slog.Int64("failed", e.Failed), slog.Any("error", e.Err),
	}
}
