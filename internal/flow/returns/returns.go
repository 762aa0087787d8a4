// Package returns signs the reverse-paths of what goes out and reads the reports
// that come back: it finds the message that each tells of, notes it in that
// message's history, and puts on the suppression list whom nothing reaches.
package returns

import (
	"context"
	"fmt"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/suppress"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
	"github.com/ekiden-mail/ekiden/internal/wire/returnpath"
)

// Options are the rooms that returns works with.
type Options struct {
	DB        kv.DB
	Blobs     *blob.Store
	Directory *directory.Store
	History   *history.Store
	Suppress  *suppress.Store
	Sink      event.Sink
	Hostname  string // in our Received fields, by which messages of ours are known again
}

// Returns is the room. It may be used by many goroutines at once.
type Returns struct{ o Options }

// New makes the room.
func New(o Options) *Returns { return &Returns{o} }

// Sign gives the reverse-path that the next hop is told in place of a's own: a
// token where the sender's domain or account asks for one, SRS (or a token, where
// that has no room) where an alias of by's sends on what is not from here. The
// null address means that it stays.
func (r *Returns) Sign(ctx context.Context, a *mail.Arrival, by mail.Domain) (mail.Address, error) {
	const op = "returns.Sign"
	from := a.Envelope.From
	if from.IsNull() || from.Domain == "" {
		return mail.Address{}, nil
	}
	set, _, ours, err := r.o.Directory.ReportsOf(ctx, from)
	if err != nil || ours && !set.Signed || !ours && by == "" {
		return mail.Address{}, fault.Wrap(op, err)
	}
	keys, err := r.o.Directory.PathKeys(ctx, a.At)
	if err != nil {
		return mail.Address{}, fault.Wrap(op, err)
	}
	if ours {
		by = from.Domain
	} else if path, ok := returnpath.Forward(keys, a.At, from, by); ok {
		return path, nil
	}
	path, _ := returnpath.Token(keys, a.At, a.ID, by)
	return path, nil
}

// Read says where mail for a signed path is sent. fault.NotFound if a is none of
// ours; fault.Denied if it was forged, has expired, or is of a message that is
// forgotten.
func (r *Returns) Read(ctx context.Context, a mail.Address) (mail.Address, error) {
	path, err := r.path(ctx, a)
	if err != nil || path.ID == (mail.ArrivalID{}) {
		return path.To, err
	}
	m, err := r.message(ctx, path.ID)
	if err == nil && m.from.IsNull() {
		err = fault.New(fault.Denied, "returns.Read", "nothing is known of that message any more")
	}
	return m.from, err
}

// path reads a signed path. Its errors are those of returnpath.Read.
func (r *Returns) path(ctx context.Context, a mail.Address) (returnpath.Path, error) {
	const op = "returns.path"
	if !returnpath.Looks(a) {
		return returnpath.Path{}, fault.New(fault.NotFound, op, "not a return path of ours")
	}
	if ours, err := r.o.Directory.IsLocal(ctx, a.Domain); err != nil || !ours {
		if err == nil {
			err = fault.New(fault.NotFound, op, "not at a domain of ours")
		}
		return returnpath.Path{}, fault.Wrap(op, err)
	}
	now := time.Now()
	keys, err := r.o.Directory.PathKeys(ctx, now)
	if err != nil {
		return returnpath.Path{}, fault.Wrap(op, err)
	}
	path, err := returnpath.Read(keys, now, a)
	return path, fault.Wrap(op, err)
}

// Suppressed says why a domain sends to a recipient no more; "" if it does.
func (r *Returns) Suppressed(ctx context.Context, from, to mail.Address) (why string, err error) {
	e, found, err := r.o.Suppress.Find(ctx, from.Domain, to, time.Now())
	if err != nil || !found {
		return "", fault.Wrap("returns.Suppressed", err)
	}
	why = fmt.Sprintf("%s is on the suppression list of %s since %s: %s", to, from.Domain, e.Since.UTC().Format(time.DateOnly), e.Reason)
	if e.Detail != "" {
		why += " (" + e.Detail + ")"
	}
	return why, nil
}

// Bounced is told that a host has refused a recipient of a message for good. It
// fails only in the log: the delivery is settled.
func (r *Returns) Bounced(ctx context.Context, id mail.ArrivalID, from, to mail.Address, reply string) {
	if from.IsNull() {
		return
	}
	r.suppress(ctx, id, from, to, bounce.Classify("", reply), reply)
}

// suppress puts a recipient on the list of the sender's domain, where that asks
// for it and the reason is the address itself.
func (r *Returns) suppress(ctx context.Context, id mail.ArrivalID, from, to mail.Address, why bounce.Reason, words string) {
	if !why.Lasting() {
		return
	}
	set, _, ours, err := r.o.Directory.ReportsOf(ctx, from)
	if err == nil && ours && set.Suppress {
		now := time.Now()
		err = r.o.Suppress.Add(ctx, suppress.Entry{
			Domain: from.Domain, To: to, Reason: why, Detail: words, Since: now, Until: now.Add(set.SuppressFor()), Message: id,
		})
		if err == nil {
			r.o.Sink.Emit(ctx, event.Suppressed{ID: id, Domain: from.Domain, To: to, Reason: string(why)})
		}
	}
	r.failed(ctx, err)
}

func (r *Returns) failed(ctx context.Context, err error) {
	if err != nil {
		r.o.Sink.Emit(ctx, event.Failed{Where: "returns", Err: err})
	}
}
