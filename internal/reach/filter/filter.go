// Package filter asks programs outside for their opinion of a message: milters,
// rspamd, clamd, and HTTP hooks. It never decides.
package filter

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Message is what a filter is shown. Before the content has come, Fields is nil
// and none of the functions may be called.
type Message struct {
	ID        mail.ArrivalID
	At        time.Time
	Submitted bool   // by a user of ours; else it is from a stranger
	Hostname  string // ours
	Peer      *mail.Peer
	Envelope  *mail.Envelope
	Fields    []Field // the header, from the top
	Size      int64   // of the whole, in octets

	// Open gives the whole message from its beginning, OpenBody what stands
	// behind the header's empty line. Each may be called again.
	Open, OpenBody func() (io.ReadCloser, error)

	// NewBody gives what takes a body that is to replace the old one. It is
	// called at most once by a filter, which then says so with an Edit.
	NewBody func() (io.Writer, error)
}

// Field is one header field. Value is what follows the colon, with its folds and
// without the line end.
type Field struct{ Name, Value string }

// Asker is a filter that is shown the whole message at once. It may be asked
// by many at once. Its answer comes by ctx's deadline, within one reply of it.
type Asker interface {
	Ask(ctx context.Context, m *Message) Opinion
}

// Says is what a filter wants to become of a message.
type Says uint8

// What a filter may say, the weightier the later.
const (
	Nothing Says = iota // it has no objection
	Junk                // deliver it as junk
	Hold                // keep it until a person has looked
	Defer               // refuse it for the time being
	Discard             // take it, and throw it away
	Reject              // refuse it
)

// String is the word for s.
func (s Says) String() string {
	return [...]string{"ok", "junk", "hold", "defer", "discard", "reject"}[s]
}

// Opinion is what one filter said.
type Opinion struct {
	Says   Says
	Reply  smtp.Reply // its own words for a refusal; zero if it has none
	Reason string     // what it found, for our own eyes; at most MaxReason octets
	Edits  []Edit     // in the order in which they are to be made
	Err    error      // why it gave no opinion; then all else is zero
}

// MaxReason bounds the octets of a reason.
const MaxReason = 400

// MaxEdits and MaxAdded bound the changes to one message, in number and in
// octets of header.
const (
	MaxEdits = 1000
	MaxAdded = 256 << 10
)

// ErrTooLarge means that a message was not shown because of its size.
var ErrTooLarge = errors.New("the message is larger than the filter is shown")

// Change is one kind of edit.
type Change uint8

// The changes. Index counts from 1.
const (
	AddField        Change = iota + 1 // where it stands is left to us
	InsertField                       // in front of the field that is the Index-th of all; 0 is the same as 1
	ChangeField                       // the Index-th of its name; "" takes it away, and what is not there is added
	RemoveFields                      // all of a name
	ReplaceBody                       // by what was written to NewBody
	AddRecipient                      //
	RemoveRecipient                   //
	ChangeSender                      //
	numChanges
)

// String is the word for c.
func (c Change) String() string {
	if c == 0 || c >= numChanges {
		return ""
	}
	return [...]string{"add field", "insert field", "change field", "remove fields", "replace body", "add recipient", "remove recipient", "change sender"}[c-1]
}

// Envelope says whether c is of the envelope.
func (c Change) Envelope() bool { return c >= AddRecipient && c < numChanges }

// Edit is one change that a filter asks for.
type Edit struct {
	Change      Change
	Index       int
	Name, Value string // of a field; Value may be folded with CRLF, and the space in front is its own
	Address     mail.Address
}

// size is how much of MaxAdded an edit takes.
func (e Edit) size() int { return len(e.Name) + len(e.Value) }

// Place says where a filter listens: the network and address for net.Dial. It
// reads "host:port", "inet:port@host", "unix:/path", "local:/path" and "/path".
func Place(s string) (network, address string, err error) {
	kind, rest, ok := strings.Cut(s, ":")
	switch {
	case strings.HasPrefix(s, "/"):
		return "unix", s, nil
	case ok && (kind == "unix" || kind == "local"):
		if !strings.HasPrefix(rest, "/") {
			return "", "", errors.New("a socket's path begins with /")
		}
		return "unix", rest, nil
	case ok && (kind == "inet" || kind == "inet6"):
		port, host, ok := strings.Cut(rest, "@")
		if !ok {
			return "", "", errors.New("want inet:port@host")
		}
		s = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || port == "" {
		return "", "", errors.New("want host:port, or unix:/path")
	}
	return "tcp", s, nil
}

// short cuts and cleans what is quoted from outside.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > MaxReason {
		s = strings.ToValidUTF8(s[:MaxReason-3], "") + "..."
	}
	return s
}

// failed is the opinion of a filter that has none.
func failed(err error) Opinion { return Opinion{Err: err} }

// bound fails an opinion that asks for more changes than are made.
func bound(o Opinion) Opinion {
	n := 0
	for _, e := range o.Edits {
		n += e.size()
	}
	if len(o.Edits) > MaxEdits || n > MaxAdded {
		return failed(errors.New("too many changes"))
	}
	o.Reason = short(o.Reason)
	return o
}

// dial connects within d, or until ctx ends.
func dial(ctx context.Context, network, address string, d time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: d}
	return dialer.DialContext(ctx, network, address)
}

// watch lets what is read from or written to c fail when ctx ends. The function
// that it gives ends the watch.
func watch(ctx context.Context, c net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// extend gives c another d, but none beyond ctx.
func extend(ctx context.Context, c net.Conn, d time.Duration) error {
	end := time.Now().Add(d)
	if last, ok := ctx.Deadline(); ok && last.Before(end) {
		end = last
	}
	if err := c.SetDeadline(end); err != nil {
		return err
	}
	return ctx.Err()
}
