// Package submit takes our users' mail: it checks whose name it goes out under,
// repairs what is missing, and hands it on to be delivered.
package submit

import (
	"context"
	"io"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/screen"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Options are the rooms that submit works with.
type Options struct {
	Deliver   *deliver.Deliverer
	Blobs     *blob.Store
	Directory *directory.Store
	Hostname  string           // for Message-ID where the sender has no domain
	Screen    *screen.Screener // nil: nobody else is asked
}

// Submitter opens transactions for those who logged in.
type Submitter struct{ o Options }

// New makes a Submitter.
func New(o Options) *Submitter { return &Submitter{o} }

// Begin opens a mail transaction (RFC 6409). The account must be allowed to use
// the reverse-path; the null one is allowed, since users send disposition
// notifications (RFC 8098 §3.1).
func (s *Submitter) Begin(ctx context.Context, p *mail.Peer, from mail.Address, o smtp.MailOptions) (*Transaction, smtp.Reply) {
	t := &Transaction{s: s, arrival: mail.Arrival{
		ID: mail.NewArrivalID(), At: time.Now(), Peer: *p,
		Envelope: mail.Envelope{From: from, UTF8: o.UTF8, EightBit: o.EightBit, Quoted: o.Quoted},
	}}
	if p.Account == 0 {
		return nil, t.refuse(ctx, mail.Address{}, smtp.Answer(530, smtp.Enhanced{5, 7, 0}, "authentication required"))
	}
	if !from.IsNull() {
		ok, err := s.o.Directory.MayUse(ctx, p.Account, from)
		if err != nil {
			return nil, t.refuse(ctx, mail.Address{}, smtp.Fault(err))
		}
		if !ok {
			return nil, t.refuse(ctx, mail.Address{}, notYours(p.User, from))
		}
	}
	var refused smtp.Reply
	if t.screening, refused = s.o.Screen.Begin(ctx, &t.arrival, true); !refused.IsZero() {
		return nil, t.refuse(ctx, mail.Address{}, refused)
	}
	return t, smtp.Answer(250, smtp.Enhanced{2, 1, 0}, "sender ok")
}

func notYours(user, from mail.Address) smtp.Reply {
	return smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "%s may not send as <%s>", user, from)
}

// Transaction is one message on its way out.
type Transaction struct {
	s         *Submitter
	arrival   mail.Arrival
	screening *screen.Screening // nil: nobody is asked
}

// Rcpt takes any recipient elsewhere, and those here that exist.
func (t *Transaction) Rcpt(ctx context.Context, to mail.Address, o smtp.RcptOptions) smtp.Reply {
	err := t.s.o.Deliver.Accepts(ctx, to)
	switch {
	case fault.Is(err, fault.Denied):
		// Not our domain: that is what the queue is for.
	case fault.Is(err, fault.NotFound):
		return t.refuse(ctx, to, smtp.Answer(550, smtp.Enhanced{5, 1, 1}, "no such recipient here: <%s>", to))
	case err != nil:
		return t.refuse(ctx, to, smtp.Fault(err))
	}
	recipient := mail.Recipient{Address: to, Original: o.Original, Notify: o.Notify, Quoted: o.Quoted}
	if refused := t.screening.Rcpt(ctx, recipient); !refused.IsZero() {
		return t.refuse(ctx, to, refused)
	}
	t.arrival.Envelope.To = append(t.arrival.Envelope.To, recipient)
	return smtp.Answer(250, smtp.Enhanced{2, 1, 5}, "recipient ok")
}

// Data reads the content to its end and answers for each recipient taken, in
// order. A positive answer means that the message is on disk.
func (t *Transaction) Data(ctx context.Context, content io.Reader) []smtp.Reply {
	defer t.screening.Close()
	d, a := t.s.o.Deliver, &t.arrival
	w, err := t.s.o.Blobs.Create(ctx)
	if err != nil {
		return d.RefuseAll(ctx, a, smtp.Fault(err))
	}
	defer w.Abort()
	reply, err := t.copyRepaired(ctx, w, content)
	if err != nil {
		reply = smtp.Fault(err)
	}
	if !reply.IsZero() {
		return d.RefuseAll(ctx, a, reply)
	}
	if t.screening != nil {
		return t.screening.Accept(ctx, w)
	}
	return d.Accept(ctx, a, w)
}

// Abort forgets the transaction; nothing has happened yet.
func (t *Transaction) Abort() { t.screening.Close() }

// refuse notes a refusal and gives its reply.
func (t *Transaction) refuse(ctx context.Context, to mail.Address, r smtp.Reply) smtp.Reply {
	return t.s.o.Deliver.Refuse(ctx, &t.arrival, to, r)
}
