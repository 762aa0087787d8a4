package returns

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

const (
	maxNoted    = 100     // recipients of one report that are noted
	maxReport   = 4 << 20 // octets of a message that is looked at for a report
	maxReceived = 100     // Received fields that are looked at
)

// news is what a report says of one recipient.
type news struct {
	names  []mail.Address // of the recipient, the likeliest first
	host   string
	action string
	reason bounce.Reason
	words  string
}

// Take looks whether an arrival that was laid down is a report, and notes in the
// history of the message it tells of what it says. The arrival stays as it is:
// its recipient reads it too. It fails only in the log.
func (r *Returns) Take(ctx context.Context, a *mail.Arrival) {
	err := r.take(ctx, a)
	if !fault.Is(err, fault.NotFound) {
		r.failed(ctx, err)
	}
}

func (r *Returns) take(ctx context.Context, a *mail.Arrival) error {
	if a.Size > maxReport {
		return nil
	}
	content, err := r.o.Blobs.Open(ctx, a.Content)
	if err != nil {
		return err
	}
	defer content.Close()
	ix, err := message.Parse(content, a.Size)
	if err != nil {
		return err
	}
	var all []news
	var paths []mail.Address
	var returned message.Header
	complaint, err := dsn.ParseComplaint(ix, content)
	switch {
	case err == nil && !complaint.IsComplaint(), fault.Is(err, fault.Invalid):
		return nil
	case err == nil:
		all, paths, returned = complained(complaint), []mail.Address{complaint.MailFrom}, complaint.Returned
	case !fault.Is(err, fault.NotFound):
		return err
	default:
		var report *dsn.Report
		report, err = dsn.Parse(ix, content)
		if fault.Is(err, fault.NotFound) {
			report, err = dsn.Guess(ix, content)
		}
		if fault.Is(err, fault.Invalid) {
			return nil
		} else if err != nil {
			return err
		}
		all, returned = told(report), report.Returned
	}
	m, signed, err := r.match(ctx, a, paths, returned, complaint != nil)
	if fault.Is(err, fault.NotFound) && complaint == nil {
		m, err = r.only(ctx, a, all)
	}
	if err != nil {
		return err
	}
	return r.note(ctx, a, m, all, signed)
}

// complained is the news of a complaint.
func complained(c *dsn.Complaint) []news {
	one := news{action: "complaint", reason: bounce.Complaint, words: "feedback report of type " + c.Type + " by " + c.Agent}
	if len(c.Recipients) == 0 {
		return []news{one}
	}
	var all []news
	for _, to := range c.Recipients {
		one.names = []mail.Address{to}
		all = append(all, one)
	}
	return all
}

// told is the news of a report.
func told(report *dsn.Report) []news {
	var all []news
	for _, rcpt := range report.Recipients {
		n := news{action: string(rcpt.Action), host: rcpt.RemoteMTA, words: rcpt.Diagnostic}
		if n.host == "" {
			n.host = report.ReportingMTA
		}
		switch rcpt.Action {
		case dsn.Failed, dsn.Delayed:
			if n.reason = bounce.Classify(rcpt.Status, rcpt.Diagnostic); n.reason == bounce.None || n.reason == bounce.Other && rcpt.Diagnostic == "" {
				n.reason = bounce.Accepted
			}
		case "":
			continue
		}
		if n.words = strings.Join(strings.Fields(n.words), " "); n.words == "" {
			n.words = rcpt.Status
		}
		if !rcpt.Final.IsNull() {
			n.names = append(n.names, rcpt.Final)
		}
		if _, original, ok := strings.Cut(rcpt.Original, ";"); ok {
			if to, err := mail.ParseAddress(original); err == nil {
				n.names = append(n.names, to)
			}
		}
		all = append(all, n)
	}
	return all
}

// original is a message of ours as its history has it.
type original struct {
	id   mail.ArrivalID
	from mail.Address
	to   []mail.Address // to whom it went out
}

// message looks a message up; the zero original if nothing is known.
func (r *Returns) message(ctx context.Context, id mail.ArrivalID) (original, error) {
	entries, err := r.o.History.ByArrival(ctx, id)
	m := original{id: id}
	for _, e := range entries {
		switch e.What {
		case history.Accepted:
			m.from = e.From
		case history.Queued, history.Held, history.Relayed, history.Deferred, history.Bounced:
			if !e.To.IsNull() && !slices.Contains(m.to, e.To) {
				m.to = append(m.to, e.To)
			}
		}
	}
	return m, err
}

// match finds the message that a report tells of: by a return path that we
// signed, which the report came to or which stands in what it brings, or else by
// our Received field in the header that it brings. Anybody can have seen that
// one, so then the report must have come to that message's sender, or a complaint
// to his domain. fault.NotFound if it tells of nothing of ours.
func (r *Returns) match(ctx context.Context, a *mail.Arrival, paths []mail.Address, returned message.Header, complaint bool) (original, bool, error) {
	for _, to := range a.Envelope.To {
		paths = append(paths, to.Address)
	}
	if path, err := mail.ParseAddress(strings.Trim(strings.TrimSpace(returned.Get("Return-Path")), "<>")); err == nil {
		paths = append(paths, path)
	}
	var senders []mail.Address
	for _, to := range paths {
		path, err := r.path(ctx, to)
		switch {
		case fault.Is(err, fault.NotFound), fault.Is(err, fault.Denied):
			continue
		case err != nil:
			return original{}, false, err
		case path.ID != mail.ArrivalID{}:
			m, err := r.message(ctx, path.ID)
			return m, true, err
		}
		senders = append(senders, path.To)
	}
	id, ok := r.passed(returned)
	if !ok {
		return original{}, false, fault.New(fault.NotFound, "returns.match", "the report tells of no message of ours")
	}
	m, err := r.message(ctx, id)
	for _, to := range a.Envelope.To {
		senders = append(senders, to.Address)
	}
	if err == nil && !slices.ContainsFunc(senders, func(s mail.Address) bool {
		return directory.Fold(s) == directory.Fold(m.from) || complaint && s.Domain == m.from.Domain
	}) {
		err = fault.New(fault.NotFound, "returns.match", "the report did not come to the sender of that message")
	}
	return m, false, err
}

const (
	lately   = 7 * 24 * time.Hour // servers seldom try for longer
	maxNames = 5                  // recipients that are looked up
	maxSent  = 50                 // messages to each
)

// only finds the message where the report brings nothing to know it by: it is the
// only one that its addressee has sent to a recipient it names, of those that were
// taken lately. With two it is not known which is meant.
func (r *Returns) only(ctx context.Context, a *mail.Arrival, all []news) (original, error) {
	none := fault.New(fault.NotFound, "returns.only", "it is not known what the report tells of")
	var id mail.ArrivalID
	looked := 0
	for _, n := range all {
		for _, name := range n.names {
			if looked++; looked > maxNames {
				return original{}, none
			}
			entries, err := r.o.History.ByAddress(ctx, name, maxSent)
			if err != nil {
				return original{}, err
			}
			for _, e := range entries {
				if e.What != history.Queued || !addressed(a, e.From) {
					continue
				}
				if taken, err := r.taken(ctx, e.ID, name, a.At.Add(-lately)); err != nil || !taken {
					if err != nil {
						return original{}, err
					}
					continue
				}
				if id != (mail.ArrivalID{}) && id != e.ID {
					return original{}, none
				}
				id = e.ID
			}
		}
	}
	if id == (mail.ArrivalID{}) {
		return original{}, none
	}
	return r.message(ctx, id)
}

// taken says whether a host has taken a message to a recipient since a time.
func (r *Returns) taken(ctx context.Context, id mail.ArrivalID, to mail.Address, since time.Time) (bool, error) {
	entries, err := r.o.History.ByArrival(ctx, id)
	return slices.ContainsFunc(entries, func(e history.Entry) bool {
		return e.What == history.Relayed && directory.Fold(e.To) == directory.Fold(to) && !e.At.Before(since)
	}), err
}

// addressed says whether an arrival came to an address.
func addressed(a *mail.Arrival, to mail.Address) bool {
	return slices.ContainsFunc(a.Envelope.To, func(r mail.Recipient) bool { return directory.Fold(r.Address) == directory.Fold(to) })
}

// passed finds the id of the message in the latest Received field of ours.
func (r *Returns) passed(h message.Header) (id mail.ArrivalID, ok bool) {
	for i, v := range h.All("Received") {
		if i == maxReceived {
			break
		}
		words := strings.Fields(v)
		by := slices.Index(words, "by")
		if by < 0 || by+1 == len(words) || !strings.EqualFold(words[by+1], r.o.Hostname) {
			continue
		}
		at := slices.Index(words[by:], "id")
		if at < 0 || by+at+1 == len(words) {
			continue
		}
		if id, err := mail.ParseArrivalID(strings.TrimSuffix(words[by+at+1], ";")); err == nil {
			return id, true
		}
	}
	return id, false
}

// recipient says to which of the message's recipients a name belongs. Where it
// went to one only, it is that one, under whatever name its host knows it.
func (m original) recipient(n news, signed bool) (mail.Address, bool) {
	for _, name := range n.names {
		for _, to := range m.to {
			if to.Domain == name.Domain && strings.EqualFold(to.Local, name.Local) {
				return to, true
			}
		}
	}
	switch {
	case len(m.to) == 1:
		return m.to[0], true
	case len(n.names) > 0 && signed:
		return n.names[0], true
	}
	return mail.Address{}, false
}

// note writes the news into the history of the message. What is not signed is
// only told: nobody else may have us stop to write to somebody.
func (r *Returns) note(ctx context.Context, a *mail.Arrival, m original, all []news, signed bool) error {
	if m.from.IsNull() {
		return nil
	}
	var entries []history.Entry
	for _, n := range all {
		to, ok := m.recipient(n, signed)
		if !ok || len(entries) == maxNoted {
			continue
		}
		e := history.Entry{
			At: a.At, What: history.Returned, From: m.from, To: to, Host: n.host, Reply: n.words, Report: a.ID, Action: n.action, Reason: n.reason,
		}
		if a.Peer.Addr.IsValid() {
			e.Peer = a.Peer.Addr.String()
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		return nil
	}
	err := r.o.DB.Update(ctx, []kv.Shard{kv.PartitionShard(m.id)}, func(tx kv.Tx) error {
		history.Write(tx, m.id, entries...)
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range entries {
		r.o.Sink.Emit(ctx, event.Returned{ID: m.id, Report: a.ID, To: e.To, Action: e.Action, Reason: string(e.Reason), Signed: signed})
		if signed && (e.Action == string(dsn.Failed) || e.Reason == bounce.Complaint) {
			r.suppress(ctx, m.id, m.from, e.To, e.Reason, e.Reply)
		}
	}
	return nil
}
