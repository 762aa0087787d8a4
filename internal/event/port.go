package event

import (
	"log/slog"
	"net/netip"
)

// PortBlocked says that other servers cannot be reached at their port, as far as
// several networks tell: an access network that lets no mail out (OP25B).
type PortBlocked struct {
	Port     int
	Tried    int    // servers that were tried on purpose
	Fallback string // the smart host that mail goes to meanwhile; "": there is none, and mail waits
}

// Name is "port.blocked".
func (PortBlocked) Name() string { return "port.blocked" }

// Level is Error.
func (PortBlocked) Level() slog.Level { return slog.LevelError }

// Attrs are the facts.
func (e PortBlocked) Attrs() []slog.Attr {
	return []slog.Attr{slog.Int("port", e.Port), slog.Int("tried", e.Tried), slog.String("fallback", e.Fallback)}
}

// PortReached says that a server was reached at a port that was blocked: mail
// goes directly again.
type PortReached struct {
	Port int
	Host netip.Addr
}

// Name is "port.reached".
func (PortReached) Name() string { return "port.reached" }

// Level is Info.
func (PortReached) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e PortReached) Attrs() []slog.Attr {
	return []slog.Attr{slog.Int("port", e.Port), slog.String("host", e.Host.String())}
}
