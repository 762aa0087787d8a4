package deliver

import (
	"context"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Plan is an arrival that is ready to be laid down.
type Plan struct {
	d       *Deliverer
	arrival *mail.Arrival
	content blob.Handle
	lines   blob.Handle // content as accounts have it: IMAP and POP3 know only lines
	prefix  []byte      // Received and what the arrival brought, for every copy
	passed  []byte      // our signature for what an alias sends on
	targets []*target
	waiting []queue.Delivery
	replies []smtp.Reply
	told    []answer.Success // successes that senders asked to be told of
	letter  *letter          // tells them; nil: nobody asked
	by      mail.Domain      // of an alias that sends it on; "" if none does
	path    mail.Address     // signed reverse-path of what waits; null: as it came
	fresh   *queue.Fresh     // what the commit has queued
	lists   []*Plan          // what goes to the members of mailing lists
	outer   *Plan            // of such one: the plan it is part of
}

// target is one account's copy.
type target struct {
	account mail.AccountID
	to      mail.Address
	junk    bool // for this one
	prefix  []byte
	message mailbox.NewMessage
	quota   mailbox.Quota
	level   int           // of the quota that this delivery reached, in percent; 0 if none
	used    mailbox.Usage // with it
}

// Empty says whether there is nothing to commit, because every recipient was
// refused.
func (p *Plan) Empty() bool { return len(p.targets)+len(p.waiting)+len(p.lists) == 0 }

// Shards names what Commit will touch.
func (p *Plan) Shards() []kv.Shard {
	shards := []kv.Shard{kv.PartitionShard(p.arrival.ID)}
	for _, t := range p.targets {
		shards = append(shards, kv.AccountShard(t.account))
	}
	for _, within := range p.within() {
		for _, s := range within.Shards() {
			if !slices.ContainsFunc(shards, func(have kv.Shard) bool { return string(have) == string(s) }) {
				shards = append(shards, s)
			}
		}
	}
	return shards
}

// within are the plans that are committed with this one.
func (p *Plan) within() []*Plan {
	if p.letter == nil {
		return p.lists
	}
	return append(slices.Clone(p.lists), p.letter.plan)
}

// Commit only writes, and may run again. When the transaction holds, every
// recipient's copy is stored or queued, once. This commit is the acceptance.
func (p *Plan) Commit(tx kv.Tx) error {
	const op = "deliver.Commit"
	for _, t := range p.targets {
		if err := p.lay(tx, t); err != nil {
			return fault.Wrap(op, err)
		}
	}
	if len(p.waiting) > 0 {
		var err error
		if p.fresh, err = p.d.o.Queue.AddFresh(tx, p.message(), p.content, p.waiting); err != nil {
			return fault.Wrap(op, err)
		}
	}
	history.Write(tx, p.arrival.ID, p.story()...)
	for _, l := range p.lists {
		if err := l.Commit(tx); err != nil {
			return err
		}
	}
	if p.letter != nil {
		if err := p.letter.commit(tx, p.arrival); err != nil {
			return fault.Wrap(op, err)
		}
	}
	return nil
}

// story is what the commit makes true.
func (p *Plan) story() []history.Entry {
	a := p.arrival
	accepted := history.Entry{At: a.At, What: history.Accepted, From: a.Envelope.From, Size: a.Size, Account: a.Peer.Account, Subject: a.Subject}
	if a.Peer.Addr.IsValid() {
		accepted.Peer = a.Peer.Addr.String()
	}
	all := append(make([]history.Entry, 0, 2+len(p.targets)+len(p.waiting)), accepted)
	if a.Verdict != "" {
		all = append(all, Judged(a))
	}
	for _, t := range p.targets {
		all = append(all, history.Entry{At: a.At, What: history.Delivered, From: a.Envelope.From, To: t.to, Account: t.account, Size: a.Size})
	}
	for _, w := range p.waiting {
		e := history.Entry{At: a.At, What: history.Queued, From: a.Envelope.From, To: w.To, Size: a.Size, Next: a.Envelope.Release}
		if w.State == queue.Held {
			e.What, e.Reply = history.Held, a.Hold
		}
		all = append(all, e)
	}
	for _, l := range p.lists {
		all = append(all, history.Entry{At: a.At, What: history.Expanded, From: a.Envelope.From, To: l.arrival.Envelope.To[0].Address, Report: l.arrival.ID})
	}
	return all
}

// lay writes one account's copy into its inbox or, if it was judged junk, into
// the mailbox for that. A mailbox that went away means the inbox.
func (p *Plan) lay(tx kv.Tx, t *target) error {
	m := p.d.o.Mailbox.In(tx, t.account)
	before, err := t.usage(m)
	if err != nil {
		return err
	}
	role := mailbox.RoleInbox
	if p.arrival.Junk || t.junk {
		role = mailbox.RoleJunk
	}
	if _, err = m.Deliver(role, t.message); err != nil {
		return err
	}
	t.used, err = t.usage(m)
	if t.level = t.quota.Level(t.used); t.level <= t.quota.Level(before) {
		t.level = 0
	}
	return err
}

// usage is what the account holds, where it has a quota.
func (t *target) usage(m *mailbox.Tx) (mailbox.Usage, error) {
	if t.quota == (mailbox.Quota{}) {
		return mailbox.Usage{}, nil
	}
	return m.Usage()
}

// message is the queue's view of the arrival.
func (p *Plan) message() queue.Message {
	a := p.arrival
	return queue.Message{
		ID: a.ID, At: a.At, Blob: p.content.ID(), Size: p.content.Size(), Prefix: p.outward(), From: a.Envelope.From, Path: p.path,
		EnvID: a.Envelope.ID, HeadersOnly: a.Envelope.Headers, UTF8: a.Envelope.UTF8, EightBit: a.Envelope.EightBit,
		RequireTLS: a.Envelope.RequireTLS, Quoted: a.Envelope.Quoted, Junk: a.Junk, Account: a.Peer.Account, Demands: a.Envelope.Demands,
	}
}

// Replies answers for each recipient of the arrival, in order.
func (p *Plan) Replies() []smtp.Reply { return p.replies }

// Emit tells what the commit has made true.
func (p *Plan) Emit(ctx context.Context) {
	a := p.arrival
	if p.fresh != nil {
		p.d.o.Queue.Offer(p.fresh)
	}
	p.d.o.Sink.Emit(ctx, event.Accepted{
		ID: a.ID, From: a.Envelope.From, Recipients: len(a.Envelope.To), Size: a.Size, Priority: a.Envelope.Priority, Peer: a.Peer,
	})
	for _, t := range p.targets {
		p.d.o.Sink.Emit(ctx, event.Delivered{ID: a.ID, To: t.to, Account: t.account})
		if t.level > 0 {
			p.d.o.Sink.Emit(ctx, event.QuotaReached{Address: t.to, Account: t.account, Percent: t.level, Octets: t.used.Octets, Messages: t.used.Messages})
		}
	}
	for _, l := range p.lists {
		l.Emit(ctx)
	}
	if p.letter != nil {
		p.letter.emit(ctx, p.d.o.Sink, a)
	}
}
