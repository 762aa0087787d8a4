package event

import (
	"log/slog"
	"net/netip"
	"time"
)

// AddressBanned says that an address or a network may not come in at any door
// for a while, because of what it did or because an operator said so.
type AddressBanned struct {
	Net    netip.Prefix
	Until  time.Time // zero: until an operator lifts it
	Times  int       // how often it was banned lately, this time too
	Reason string
}

// Name is "address.banned".
func (AddressBanned) Name() string { return "address.banned" }

// Level is Warn.
func (AddressBanned) Level() slog.Level { return slog.LevelWarn }

// Attrs are the facts.
func (e AddressBanned) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("net", e.Net.String()), slog.String("until", moment(e.Until)), slog.Int("times", e.Times), slog.String("reason", e.Reason),
	}
}

// BanLifted says that an operator let a banned address or network in again.
type BanLifted struct{ Net netip.Prefix }

// Name is "address.unbanned".
func (BanLifted) Name() string { return "address.unbanned" }

// Level is Info.
func (BanLifted) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e BanLifted) Attrs() []slog.Attr { return []slog.Attr{slog.String("net", e.Net.String())} }

// NetworkAllowed says that an operator put a network on the list of those that
// are never banned, or took it off.
type NetworkAllowed struct {
	Net  netip.Prefix
	Note string
	Off  bool
}

// Name is "network.allowed".
func (NetworkAllowed) Name() string { return "network.allowed" }

// Level is Info.
func (NetworkAllowed) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e NetworkAllowed) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("net", e.Net.String()), slog.String("note", e.Note), slog.Bool("off", e.Off)}
}

// ConnectionRefused says that somebody was turned away before a session began.
type ConnectionRefused struct {
	Door   string
	Peer   netip.AddrPort
	Reason string
}

// Name is "connection.refused".
func (ConnectionRefused) Name() string { return "connection.refused" }

// Level is Debug: under attack there are many.
func (ConnectionRefused) Level() slog.Level { return slog.LevelDebug }

// Attrs are the facts.
func (e ConnectionRefused) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("door", e.Door), slog.String("peer", addr(e.Peer)), slog.String("reason", e.Reason)}
}

// moment is a time in RFC 3339; "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
