// Package deliver lays messages down: it resolves recipients and, in one commit,
// writes them into mailboxes, the queue and the history.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// MaxAccounts is how many accounts one commit writes to. The recipients beyond
// it are written as queue rows by the same commit and delivered from there, so
// that no list is too long and no transaction too large.
const MaxAccounts = 100

// Options are the rooms that deliver works with.
type Options struct {
	DB        kv.DB
	Blobs     *blob.Store
	Mailbox   *mailbox.Store
	Queue     *queue.Store
	Directory *directory.Store
	Sink      event.Sink
	Answer    *answer.Answerer // writes the reports of success; nil: there are none
	Hostname  string           // for Received
	Fit       Fit              // what an arrival may be made of

	// Ask asks the host of a relayed domain whether a recipient is there, as
	// Accepts says; nil: none is asked.
	Ask func(context.Context, mail.Address) error
	// Missing takes in the account of a recipient that is known elsewhere and not
	// here yet, and says whether it did; nil: there is no elsewhere.
	Missing func(context.Context, mail.Address) (bool, error)
	Paths   Paths  // signs reverse-paths; nil: all stay as they came
	Signer  Signer // signs messages; nil: nobody does
}

// Deliverer prepares plans.
type Deliverer struct {
	o       Options
	buffers sync.Pool // of *[copyBuffer]byte
}

// copyBuffer is how much content is moved at a time, in octets.
const copyBuffer = 32 << 10

// New makes a Deliverer.
func New(o Options) *Deliverer {
	return &Deliverer{o: o, buffers: sync.Pool{New: func() any { return new([copyBuffer]byte) }}}
}

// Copy is io.Copy with buffers that are used again: messages are many and
// small.
func (d *Deliverer) Copy(w io.Writer, r io.Reader) (int64, error) {
	b := d.buffers.Get().(*[copyBuffer]byte)
	defer d.buffers.Put(b)
	return io.CopyBuffer(w, r, b[:])
}

// Prepare does everything that takes time: it resolves the recipients and
// indexes the message. It changes nothing that anyone could see. A recipient
// that is not here, or is not ours to deliver, fails the whole plan only if no
// other is left; Replies tells each one's fate.
func (d *Deliverer) Prepare(ctx context.Context, a *mail.Arrival, content blob.Handle) (*Plan, error) {
	p := &Plan{d: d, arrival: a, content: content, replies: make([]smtp.Reply, len(a.Envelope.To))}
	if err := p.signOurs(ctx); err != nil {
		return nil, fault.Wrap("deliver.Prepare", err)
	}
	for i, r := range a.Envelope.To {
		if err := p.expand(ctx, i, r); err != nil {
			return nil, fault.Wrap("deliver.Prepare", err)
		}
	}
	p.reportLater()
	if err := p.ready(ctx); err != nil {
		return nil, fault.Wrap("deliver.Prepare", err)
	}
	p.reportSuccess(ctx)
	return p, nil
}

// ready gives what was resolved its reverse-path and its index.
func (p *Plan) ready(ctx context.Context) error {
	if err := errors.Join(p.sign(ctx), p.signOthers(ctx)); err != nil {
		return err
	}
	if err := p.makeLines(ctx); err != nil {
		return err
	}
	if err := p.index(ctx); err != nil {
		return err
	}
	for _, l := range p.lists {
		if err := l.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// reportLater is for a recipient that went away since RCPT while others are
// there. SMTP has one reply for all, so it is taken with them and waits in the
// queue, from where its sender is told; LMTP answers for each by itself.
func (p *Plan) reportLater() {
	if p.arrival.Peer.LMTP || p.Empty() {
		return
	}
	for i, r := range p.replies {
		if !r.OK() {
			p.replies[i] = p.accepted()
			p.remote(p.arrival.Envelope.To[i], p.arrival.Envelope.To[i].Address)
		}
	}
}

func (p *Plan) accepted() smtp.Reply {
	return smtp.Answer(250, smtp.Enhanced{2, 0, 0}, "accepted %s", p.arrival.ID)
}

// Deliver prepares a plan, commits it and emits its events: the whole life of
// an arrival that joins no other transaction.
func (d *Deliverer) Deliver(ctx context.Context, a *mail.Arrival, content blob.Handle) ([]smtp.Reply, error) {
	p, err := d.Prepare(ctx, a, content)
	if err != nil {
		return nil, err
	}
	if p.Empty() {
		return p.Replies(), nil
	}
	r, err := p.unfit(ctx)
	if err != nil {
		return nil, fault.Wrap("deliver.Deliver", err)
	}
	if !r.IsZero() {
		return d.RefuseAll(ctx, a, r), nil
	}
	if err := d.o.DB.Update(ctx, p.Shards(), p.Commit); err != nil {
		return nil, fault.Wrap("deliver.Deliver", err)
	}
	p.Emit(ctx)
	return p.Replies(), nil
}

// expand finds where recipient i is to be laid and notes what it is told.
func (p *Plan) expand(ctx context.Context, i int, r mail.Recipient) error {
	p.replies[i] = p.accepted()
	found, err := p.d.resolve(ctx, r.Address)
	switch {
	case fault.Is(err, fault.Denied): // not our domain
		p.remote(r, r.Address)
		return nil
	case fault.Is(err, fault.NotFound):
		p.replies[i] = smtp.Answer(550, smtp.Enhanced{5, 1, 1}, "no such recipient here")
		return nil
	case err != nil:
		return err
	case p.arrival.Hold != "" || p.arrival.Envelope.Release.After(p.arrival.At): // it is resolved again when it is released
		p.remote(r, r.Address)
		return nil
	}
	for _, l := range found.Lists {
		p.list(r, l)
	}
	switch several := len(found.Accounts)+len(found.Remote) > 1; {
	case len(found.Accounts)+len(found.Remote) == 0:
		p.tell(r, r.Address, false) // for its sender a list is the end (RFC 3461 §5.2.7.1)
	case several:
		p.tell(r, r.Address, true)
		r = member(r)
	case len(found.Accounts) == 1 && len(p.targets) < MaxAccounts:
		p.tell(r, found.Accounts[0].Address, false)
	}
	for _, t := range found.Accounts {
		p.account(r, t)
	}
	for _, to := range found.Remote {
		p.remote(r, to)
		if p.by == "" && !slices.Contains(found.Relayed, to) {
			p.by = r.Address.Domain
		}
	}
	return nil
}

// account adds an account once, however many recipients lead to it; beyond
// MaxAccounts it goes by the queue.
func (p *Plan) account(r mail.Recipient, t directory.Target) {
	if p.reaches(t.Account) {
		return
	}
	if len(p.targets) >= MaxAccounts {
		p.remote(r, t.Address)
		return
	}
	prefix := fmt.Appendf(nil, "Return-Path: <%s>\r\nDelivered-To: %s\r\n", p.arrival.Envelope.From, r.Address)
	p.targets = append(p.targets, &target{
		account: t.Account, to: t.Address, junk: r.Junk, prefix: append(prefix, p.prefix...),
		quota: mailbox.Quota{Octets: t.Quota, Messages: t.MaxMessages},
	})
}

// remote adds a delivery that waits in the queue, once an address.
func (p *Plan) remote(r mail.Recipient, to mail.Address) {
	if p.sends(to) {
		return
	}
	state := queue.Waiting
	if p.arrival.Hold != "" {
		state = queue.Held
	}
	p.waiting = append(p.waiting, queue.Delivery{
		Message: p.arrival.ID, N: uint32(len(p.waiting)), To: to, Original: original(r, to), Notify: r.Notify, State: state,
		Quoted: r.Quoted && to == r.Address,
	})
}

// original is the ORCPT of a recipient that is passed on (RFC 3461 §5.2.1):
// what the sender gave, or the address it wrote where an alias changed it.
func original(r mail.Recipient, to mail.Address) string {
	if r.Original == "" && r.Address != to {
		kind := "rfc822;"
		if !r.Address.IsASCII() {
			kind = "utf-8;"
		}
		return kind + r.Address.String()
	}
	return r.Original
}

// index gives each target the index of its copy.
func (p *Plan) index(ctx context.Context) error {
	for _, t := range p.targets {
		index, err := p.d.o.Mailbox.Index(ctx, t.prefix, p.lines)
		if err != nil {
			return err
		}
		t.message = mailbox.NewMessage{Content: p.lines, Prefix: t.prefix, Index: index, Received: p.arrival.At, Arrival: p.arrival.ID}
		t.message.Prepare()
	}
	return nil
}
