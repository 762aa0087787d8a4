package event

import "log/slog"

// RootReached says that the DNS root was reached, or no longer is, so that other
// servers answer our questions.
type RootReached struct {
	Reached bool
	System  bool // the system's name servers answer meanwhile
	Err     error
}

// Name is dns.root.
func (RootReached) Name() string { return "dns.root" }

// Level is a warning where the root is out of reach.
func (e RootReached) Level() slog.Level {
	if e.Reached {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// Attrs are the facts.
func (e RootReached) Attrs() []slog.Attr {
	a := []slog.Attr{slog.Bool("reached", e.Reached)}
	if !e.Reached {
		a = append(a, slog.Bool("system_resolvers", e.System))
		if e.Err != nil {
			a = append(a, slog.String("reason", e.Err.Error()))
		}
	}
	return a
}

// ResolverUnsigned says that the name servers that were given hand on no signatures
// that lead to a trust anchor, so that nothing counts as signed (DNSSEC).
type ResolverUnsigned struct{ Err error }

// Name is dns.unsigned.
func (ResolverUnsigned) Name() string { return "dns.unsigned" }

// Level is a warning.
func (ResolverUnsigned) Level() slog.Level { return slog.LevelWarn }

// Attrs are the facts.
func (e ResolverUnsigned) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("reason", e.Err.Error())}
}

// AnchorsRolled says that the keys that DNSSEC begins with have changed (RFC 5011).
type AnchorsRolled struct {
	Zone string
	Keys string // each with its state
}

// Name is dns.anchors.
func (AnchorsRolled) Name() string { return "dns.anchors" }

// Level is that of information.
func (AnchorsRolled) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e AnchorsRolled) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("zone", e.Zone), slog.String("keys", e.Keys)}
}
