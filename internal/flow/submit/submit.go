// Package submit takes our users' mail: it checks whose name it goes out under,
// repairs what is missing, and hands it on to be delivered.
package submit

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/screen"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/sending"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Options are the rooms that submit works with.
type Options struct {
	Deliver   *deliver.Deliverer
	Blobs     *blob.Store
	Directory *directory.Store
	Hostname  string           // for Message-ID where the sender has no domain
	Screen    *screen.Screener // nil: nobody else is asked

	Book       *sending.Book  // what accounts have sent; nil: nothing is bounded
	Bounds     sending.Bounds // of an account for which nothing else is said
	Waits      *Waits         // bounds what of an account's mail has to wait; nil: nothing does
	NoWatch    bool           // no account is held, however it behaves
	HideClient bool           // no sender's address in Received, whatever a domain says
	Networks   []Network      // from which mail is taken without a login
	Priority   int8           // the highest that a user may ask for (RFC 6710)
	Sink       event.Sink     // nil: nobody is told of an account that is held

	// Suppressed says why the domain of from sends to a recipient no more; "" if it
	// does. nil: every domain sends to everybody.
	Suppressed func(ctx context.Context, from, to mail.Address) (why string, err error)
}

// Submitter opens transactions for those who may send.
type Submitter struct {
	o     Options
	rates []*limit.Buckets[netip.Prefix] // of the networks: messages, then recipients
}

// New makes a Submitter.
func New(o Options) *Submitter {
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	s := &Submitter{o: o}
	for _, n := range o.Networks {
		s.rates = append(s.rates,
			limit.NewBuckets[netip.Prefix](limit.Rate{Burst: n.Messages, Per: time.Hour}, maxListed),
			limit.NewBuckets[netip.Prefix](limit.Rate{Burst: n.Recipients, Per: time.Hour}, maxListed))
	}
	return s
}

// Begin opens a mail transaction (RFC 6409). The account must be allowed to use
// the reverse-path; the null one is allowed, since users send disposition
// notifications (RFC 8098 §3.1). Who did not log in is taken only from a listed
// network.
func (s *Submitter) Begin(ctx context.Context, p *mail.Peer, from mail.Address, o smtp.MailOptions) (*Transaction, smtp.Reply) {
	if p.Account != 0 {
		return s.begin(ctx, s.account(p), p, from, o)
	}
	if n := s.network(p.Addr.Addr()); n != nil {
		return s.begin(ctx, n, p, from, o)
	}
	t := s.transaction(nil, p, from, o)
	return nil, t.refuse(ctx, mail.Address{}, smtp.Answer(530, smtp.Enhanced{5, 7, 0}, "authentication required"))
}

// BeginFor opens a transaction of somebody who did not log in, and may send from
// what is allowed.
func (s *Submitter) BeginFor(ctx context.Context, name string, allowed func(mail.Address) bool, p *mail.Peer, from mail.Address, o smtp.MailOptions) (*Transaction, smtp.Reply) {
	return s.begin(ctx, &local{name: name, allowed: allowed}, p, from, o)
}

func (s *Submitter) transaction(who sender, p *mail.Peer, from mail.Address, o smtp.MailOptions) *Transaction {
	t := &Transaction{s: s, who: who, arrival: mail.NewArrival(p, time.Now())}
	t.arrival.Envelope, t.arrival.Ours = o.Envelope(from, t.arrival.At), true
	return t
}

func (s *Submitter) begin(ctx context.Context, who sender, p *mail.Peer, from mail.Address, o smtp.MailOptions) (*Transaction, smtp.Reply) {
	granted := o.Grant(s.o.Priority, smtp.Answer(250, smtp.Enhanced{2, 1, 0}, "sender ok"))
	t := s.transaction(who, p, from, o)
	t.arrival.NoClient = s.o.HideClient
	refused, err := who.begin(ctx, t)
	if err == nil && refused.IsZero() && !from.IsNull() {
		refused, err = t.may(ctx, from)
	}
	if err != nil {
		refused = smtp.Fault(err)
	}
	if refused.IsZero() {
		t.screening, refused = s.o.Screen.Begin(ctx, &t.arrival, true)
	}
	if !refused.IsZero() {
		return nil, t.refuse(ctx, mail.Address{}, refused)
	}
	return t, granted
}

// may refuses an address that the sender may not use, by its name.
func (t *Transaction) may(ctx context.Context, from mail.Address) (smtp.Reply, error) {
	ok, err := t.who.may(ctx, from)
	if err != nil || ok {
		return smtp.Reply{}, err
	}
	return smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "%s may not send as <%s>", t.who, from), nil
}

// Transaction is one message on its way out.
type Transaction struct {
	s         *Submitter
	who       sender
	arrival   mail.Arrival
	screening *screen.Screening // nil: nobody is asked
	name      string            // of the sender, for a From field that is missing
}

// ID is the arrival's.
func (t *Transaction) ID() mail.ArrivalID { return t.arrival.ID }

// Name gives the name of the sender for a From field that is missing.
func (t *Transaction) Name(name string) { t.name = name }

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
	refused, err := t.suppressed(ctx, to)
	if err == nil && refused.IsZero() {
		refused, err = t.who.rcpt(ctx, t, to)
	}
	if err != nil {
		refused = smtp.Fault(err)
	}
	recipient := o.Recipient(to)
	if refused.IsZero() {
		refused = t.screening.Rcpt(ctx, recipient)
	}
	if !refused.IsZero() {
		return t.refuse(ctx, to, refused)
	}
	t.arrival.Envelope.To = append(t.arrival.Envelope.To, recipient)
	return smtp.Answer(250, smtp.Enhanced{2, 1, 5}, "recipient ok")
}

// suppressed refuses to whom the sender's domain writes no more: the sender is
// told so at once, and why.
func (t *Transaction) suppressed(ctx context.Context, to mail.Address) (smtp.Reply, error) {
	if t.s.o.Suppressed == nil || t.arrival.Envelope.From.IsNull() {
		return smtp.Reply{}, nil
	}
	why, err := t.s.o.Suppressed(ctx, t.arrival.Envelope.From, to)
	if err != nil || why == "" {
		return smtp.Reply{}, err
	}
	return smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "%s", why), nil
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
	if err == nil && reply.IsZero() {
		reply, err = t.who.data(ctx, t)
	}
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
