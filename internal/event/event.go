// Package event says what happened, as typed values. Packages emit outcomes,
// not progress; the log, the metrics and the tests read the same events.
package event

import (
	"context"
	"log/slog"
	"net/netip"
)

// Event is one thing that happened. Name is stable, lower case with dots
// ("message.accepted"); Attrs are its facts in a fixed order.
type Event interface {
	Name() string
	Level() slog.Level
	Attrs() []slog.Attr
}

// Sink takes events. It must not block: a slow reader loses events and says how
// many, never mail.
type Sink interface {
	Emit(ctx context.Context, e Event)
}

// Discard is a Sink that takes everything and keeps nothing.
type Discard struct{}

// Emit does nothing.
func (Discard) Emit(context.Context, Event) {}

// Log is a Sink that writes one line an event.
type Log struct{ Logger *slog.Logger }

// Emit writes e.
func (l Log) Emit(ctx context.Context, e Event) {
	if l.Logger.Enabled(ctx, e.Level()) {
		l.Logger.LogAttrs(ctx, e.Level(), e.Name(), e.Attrs()...)
	}
}

// addr is a peer's address; "" for what came through no door.
func addr(p netip.AddrPort) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}
