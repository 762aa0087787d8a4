// Package screen has a message judged on its way in, and carries the verdict
// out, for strangers' mail and our users' alike.
package screen

import (
	"context"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/gather"
	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Options are the rooms that screen works with.
type Options struct {
	Gather   *gather.Gatherer
	Settings judge.Settings
	// Of says how mail for a recipient is judged where that is not as Settings have
	// it; nil: all is judged alike.
	Of       func(ctx context.Context, to mail.Address) (directory.Screening, error)
	Deliver  *deliver.Deliverer
	Refusals *history.Refusals
	Sink     event.Sink
	Hostname string // by which we sign what was found out
}

// Screener has messages judged. The nil Screener has none.
type Screener struct{ o Options }

// New makes a Screener.
func New(o Options) *Screener { return &Screener{o} }

// Screening is the judgement of one message. The nil Screening is of one about
// which nobody is asked; it has no objections and costs nothing.
type Screening struct {
	s       *Screener
	arrival *mail.Arrival
	asked   *gather.Gathering
}

// Begin judges the peer and the reverse-path of an arrival, submitted by a user
// of ours or not. A reply that is not zero refuses the transaction; else the
// Screening must end with Accept or Close.
func (s *Screener) Begin(ctx context.Context, a *mail.Arrival, submitted bool) (*Screening, smtp.Reply) {
	if s == nil {
		return nil, smtp.Reply{}
	}
	asked := s.o.Gather.Begin(ctx, a, submitted)
	if asked == nil {
		return nil, smtp.Reply{}
	}
	if v := s.judge(ctx, judge.AtMail, a, mail.Address{}, asked.Sender()); v.Refuses() {
		asked.Close()
		return nil, v.Reply
	}
	return &Screening{s, a, asked}, smtp.Reply{}
}

// Rcpt judges one more recipient. A reply that is not zero refuses it.
func (c *Screening) Rcpt(ctx context.Context, to mail.Recipient) smtp.Reply {
	if c == nil {
		return smtp.Reply{}
	}
	return c.s.judge(ctx, judge.AtRcpt, c.arrival, to.Address, c.asked.Recipient(ctx, to)).Reply
}

// Close ends a Screening without a message, or after one.
func (c *Screening) Close() {
	if c != nil {
		c.asked.Close()
	}
}

// Write takes the content as it comes in, before anything of it is changed. It
// never fails.
func (c *Screening) Write(p []byte) (int, error) {
	if c == nil {
		return len(p), nil
	}
	return c.asked.Write(p)
}

// Accept ends the writing of the arrival's content, has it judged, and refuses
// it, throws it away, or delivers it as the filters changed it. Its replies are
// as Deliverer.Accept's; one alone answers for all recipients.
func (c *Screening) Accept(ctx context.Context, w *blob.Writer) []smtp.Reply {
	defer c.Close()
	d, a := c.s.o.Deliver, c.arrival
	c.asked.Wrote(ctx)
	h, err := w.Commit()
	if err != nil {
		return c.broken(ctx, err)
	}
	a.Content, a.Size = h.ID(), h.Size()
	e, draft, err := c.asked.Content(ctx, a, h)
	if err != nil {
		return c.broken(ctx, err)
	}
	defer draft.Close()
	v, aside := c.s.judgeAll(ctx, a, e)
	a.Verdict, a.Opinions = v.Action.String(), told(v, e)
	switch v.Action {
	case judge.Defer, judge.Reject:
		return d.RefuseAll(ctx, a, v.Reply)
	case judge.Discard:
		return d.Discard(ctx, a)
	case judge.Junk:
		a.Junk = true
	case judge.Hold:
		a.Hold = v.Why()
	}
	if h, err = draft.Finish(ctx, a, h); err != nil {
		return c.broken(ctx, err)
	}
	if e.Sender != nil {
		a.Prefix = append(c.s.found(v, e.Sender), a.Prefix...)
	}
	for i, r := range a.Envelope.To {
		a.Envelope.To[i].Junk = slices.Contains(aside, r.Address)
	}
	if len(a.Envelope.To) == 0 { // the filters have taken away every recipient
		return d.Discard(ctx, a)
	}
	return one(d.AcceptStored(ctx, a, h))
}

// VerdictField is the header field that tells what was decided about a message and
// why.
const VerdictField = "Ekiden-Verdict"

// found is what the message is told about itself: what was found out, for programs
// (RFC 8601), and what was decided, for people.
func (s *Screener) found(v judge.Verdict, found *judge.Sender) []byte {
	text := v.Action.String()
	if why := v.Why(); why != "" {
		text += "; " + why
	}
	b := message.AppendText(nil, VerdictField, text)
	return message.AppendAuthResults(b, s.o.Hostname, found.Results())
}

// told is the verdict's reasons and what everybody said, in one line.
func told(v judge.Verdict, e *judge.Evidence) string {
	if e.Sender == nil {
		return e.String()
	}
	return v.Why() + history.FoundOut + e.String()
}

// one is the best of the replies: the filters may have changed the recipients,
// and the peer has one answer for all.
func one(replies []smtp.Reply) []smtp.Reply {
	best := replies[0]
	for _, r := range replies[1:] {
		if r.Code/100 < best.Code/100 {
			best = r
		}
	}
	return []smtp.Reply{best}
}

// broken puts the message off for a failure of ours.
func (c *Screening) broken(ctx context.Context, err error) []smtp.Reply {
	c.s.o.Sink.Emit(ctx, event.Failed{Where: "screen", Peer: c.arrival.Peer.Addr, Err: err})
	return []smtp.Reply{c.s.o.Deliver.Refuse(ctx, c.arrival, mail.Address{}, smtp.Fault(err))}
}

// judgeAll judges a message for each recipient as he wants it. The mildest verdict
// is the message's, which has but one reply; those who would rather not have it find
// it in their \Junk mailboxes.
func (s *Screener) judgeAll(ctx context.Context, a *mail.Arrival, e *judge.Evidence) (v judge.Verdict, aside []mail.Address) {
	all := make([]judge.Verdict, len(a.Envelope.To))
	for i, r := range a.Envelope.To {
		set := s.settings(ctx, r.Address)
		if all[i] = judge.Judge(judge.AtData, e, &set); i == 0 || all[i].Action < v.Action {
			v = all[i]
		}
	}
	for i, one := range all {
		if one.Action > v.Action {
			to := a.Envelope.To[i].Address
			aside = append(aside, to)
			v.Because = append(v.Because, judge.Reason{Source: "settings", Text: "junk for " + to.String() + ", who would " + one.Action.String() + " it"})
		}
	}
	s.tell(ctx, a, mail.Address{}, v, e)
	return v, aside
}

// settings are how mail for a recipient is judged.
func (s *Screener) settings(ctx context.Context, to mail.Address) judge.Settings {
	set := s.o.Settings
	if s.o.Of == nil {
		return set
	}
	own, err := s.o.Of(ctx, to)
	if err != nil {
		s.o.Sink.Emit(ctx, event.Failed{Where: "screen", Err: err})
		return set
	}
	if own.DMARC != "" {
		set.IgnoreDMARC = own.DMARC == directory.Ignore
	}
	for _, p := range []struct {
		at  *float64
		own float64
	}{{&set.JunkAt, own.JunkAt}, {&set.RejectAt, own.RejectAt}} {
		if p.own != 0 {
			*p.at = max(p.own, 0) // below zero means never, and so does 0
		}
	}
	return set
}

// judge finds a verdict before the message is here, and tells of it.
func (s *Screener) judge(ctx context.Context, at judge.Stage, a *mail.Arrival, to mail.Address, e *judge.Evidence) judge.Verdict {
	v := judge.Judge(at, e, &s.o.Settings)
	s.tell(ctx, a, to, v, e)
	return v
}

// tell notes a verdict where that is not simply to go on. Why somebody is refused is
// remembered as cheaply as that he is.
func (s *Screener) tell(ctx context.Context, a *mail.Arrival, to mail.Address, v judge.Verdict, e *judge.Evidence) {
	if v.Refuses() {
		s.o.Refusals.Note(a.ID, history.Entry{
			At: time.Now(), What: history.Judged, From: a.Envelope.From, To: to, Account: a.Peer.Account, Action: v.Action.String(), Reply: told(v, e),
		})
	}
	if v.Action != judge.Accept {
		s.o.Sink.Emit(ctx, event.Judged{ID: a.ID, Verdict: v.Action.String(), Why: v.Why()})
	}
}
