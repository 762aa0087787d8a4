package relay

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// Writing an outcome is tried this often with its report, and then without it;
// without, it goes on until it holds: a message that was sent must not be sent
// again.
const (
	triesWithReport = 4
	settlePause     = 100 * time.Millisecond // at first; it doubles
	settlePauseMax  = 10 * time.Second
	settleTime      = 30 * time.Second // for one try
)

// settlement is what one attempt of one message makes true.
type settlement struct {
	r       *Relay
	m       queue.Message
	hold    *queue.Hold // of its partition's lease
	at      time.Time
	jitter  float64
	parts   []settled
	letters []*letter
	local   *deliver.Plan // lays the message itself down here; nil if it went out
}

// settled is one recipient's part.
type settled struct {
	queue.Delivery
	result result
	notice queue.Notice
	late   bool // its deliver-by-time has passed, and it is returned (RFC 2852)
	there  bool // its row was, when it was written

	kept string // why its sender is not told; "" if he is
}

// settle writes what is known of an attempt. It says false if it could not.
func (r *Relay) settle(ctx context.Context, m parcel, rs []result, local *deliver.Plan) bool {
	// One draw for all: recipients of one message stay together.
	s := &settlement{r: r, m: m.Message, hold: m.hold, at: time.Now(), local: local, jitter: rand.Float64()}
	policy := r.o.Policy
	policy.By = m.By
	for _, res := range rs {
		if !res.known {
			continue
		}
		d, notice := queue.Settle(res.Delivery, res.outcome(s.jitter), policy, s.at)
		s.parts = append(s.parts, settled{Delivery: d, result: res, notice: notice, late: m.By.Return && m.By.Passed(s.at)})
	}
	if len(s.parts) == 0 {
		return true
	}
	// What a host has said must not be lost: the end of the relay ends the
	// trying, but not the writing.
	steady := context.WithoutCancel(ctx)
	pause := settlePause
	for try := 1; ; try++ {
		err := s.compose(steady)
		if err != nil && try >= triesWithReport {
			r.failed(ctx, err)
			s.withoutReports()
			err = nil
		}
		if err == nil {
			if err = s.write(steady); err == nil {
				s.emit(steady)
				return true
			}
		}
		if try == 1 || try%20 == 0 {
			r.failed(ctx, err)
		}
		if errors.Is(err, queue.ErrLost) {
			return false // what becomes of them is another node's to say
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
			pause = min(2*pause, settlePauseMax)
		}
	}
}

// compose writes and prepares the reports that are due, one a kind of notice.
func (s *settlement) compose(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	s.letters = nil
	if s.m.From.IsNull() { // RFC 5321 §4.5.5: nobody is ever told
		return nil
	}
	for i := range s.parts {
		p := &s.parts[i]
		var err error
		if p.kept, err = s.r.withheld(ctx, s.m, p.notice, p); err != nil {
			return err
		}
	}
	for _, n := range []queue.Notice{queue.NoticeFailed, queue.NoticeDelayed, queue.NoticeRelayed} {
		var of []*settled
		for i := range s.parts {
			if s.parts[i].notice == n && s.parts[i].kept == "" {
				of = append(of, &s.parts[i])
			}
		}
		if len(of) == 0 {
			continue
		}
		l, err := s.r.write(ctx, s.m, n, of, s.at)
		if err != nil {
			return err
		}
		s.letters = append(s.letters, l)
	}
	return nil
}

// withoutReports gives the reports up for this time. What would have failed
// waits instead, to be refused and reported later; what was to be told of a
// delay is told next time; a success stays untold.
func (s *settlement) withoutReports() {
	s.letters = nil
	for i := range s.parts {
		p := &s.parts[i]
		switch p.notice {
		case queue.NoticeFailed:
			later := p.result.outcome(s.jitter)
			later.Result = queue.Deferred
			d := p.result.Delivery
			d.First = s.at                                    // or it would be given up at once
			d, _ = queue.Settle(d, later, s.r.o.Policy, s.at) // without a deliver-by-time, for the same reason
			d.First = p.result.First
			p.Delivery = d
		case queue.NoticeDelayed:
			p.Warned, p.Late = p.result.Warned, p.result.Late
		}
		p.notice = queue.NoNotice
	}
}

// write makes it true: together with what others have to write at this time, or
// where reports or copies of it lie elsewhere, in a transaction of its own.
func (s *settlement) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(kv.Freeing(ctx), settleTime)
	defer cancel()
	if s.local == nil && len(s.letters) == 0 {
		return s.r.commits.write(ctx, s)
	}
	shards := []kv.Shard{kv.PartitionShard(s.m.ID)}
	if s.local != nil && !s.local.Empty() {
		shards = join(shards, s.local.Shards())
	}
	for _, l := range s.letters {
		if !l.plan.Empty() {
			shards = join(shards, l.plan.Shards())
		}
	}
	return s.r.o.DB.Update(ctx, shards, func(tx kv.Tx) error {
		if s.local != nil && !s.local.Empty() {
			if err := s.local.Commit(tx); err != nil {
				return err
			}
		}
		if err := s.record(tx); err != nil {
			return err
		}
		for _, l := range s.letters {
			if err := l.commit(tx, s.m, s.at); err != nil {
				return err
			}
		}
		return nil
	})
}

// record writes how far the deliveries have come, and their story.
func (s *settlement) record(tx kv.Tx) error {
	if err := s.hold.Fence(tx); err != nil {
		return err
	}
	ds := make([]queue.Delivery, len(s.parts))
	entries := make([]history.Entry, len(s.parts))
	for i := range s.parts {
		ds[i], entries[i] = s.parts[i].Delivery, s.entry(&s.parts[i])
	}
	there, err := s.r.o.Queue.Write(tx, s.at, ds...)
	if err != nil {
		return err
	}
	for i := range s.parts {
		s.parts[i].there = there[i]
	}
	history.Write(tx, s.m.ID, append(entries, s.untold()...)...)
	return nil
}

// join adds those of more that are not among all.
func join(all, more []kv.Shard) []kv.Shard {
	seen := map[string]bool{}
	for _, s := range all {
		seen[string(s)] = true
	}
	for _, s := range more {
		if !seen[string(s)] {
			seen[string(s)] = true
			all = append(all, s)
		}
	}
	return all
}

// entry is the attempt as the history keeps it.
func (s *settlement) entry(p *settled) history.Entry {
	e := history.Entry{
		At: s.at, What: history.Deferred, From: s.m.From, To: p.To, Host: p.LastHost, Reply: p.LastReply,
		Account: s.m.Account, Size: s.m.Size, TLS: p.result.tls,
	}
	switch p.State {
	case queue.Delivered:
		e.What = history.Relayed
		if s.local != nil {
			e.What = history.Delivered
		}
	case queue.Bounced:
		e.What = history.Bounced
	default:
		e.Next = p.Due
	}
	return e
}

// Record writes what an operator did to a delivery into the history: it is a
// queue.Store's OnChange.
func Record(tx kv.Tx, what string, e queue.Entry, at time.Time) {
	host := ""
	if what == queue.DidReroute {
		host = cmp.Or(e.Delivery.Via, "the usual way")
	}
	history.Write(tx, e.Message.ID, history.Entry{
		At: at, What: what, From: e.Message.From, To: e.Delivery.To, Account: e.Message.Account, Size: e.Message.Size, Host: host,
	})
}

// untold are the failures of which nobody can be told: a report that cannot be
// delivered goes nowhere (RFC 3464 §2, RFC 5321 §6.1).
func (s *settlement) untold() (all []history.Entry) {
	for i := range s.parts {
		why := s.parts[i].kept
		if s.m.From.IsNull() {
			why = "the reverse-path is null"
		}
		if s.parts[i].notice == queue.NoticeFailed && why != "" {
			all = append(all, history.Entry{At: s.at, What: history.Untold, To: s.parts[i].To, Reply: why})
		}
	}
	return all
}

// emit tells what the commit has made true.
func (s *settlement) emit(ctx context.Context) {
	refused := 0
	for i := range s.parts {
		p := &s.parts[i]
		e := event.Attempted{
			ID: s.m.ID, To: p.To, Host: p.LastHost, Outcome: "deferred", Reply: p.LastReply, TLS: p.result.tls, Attempts: p.Attempts,
		}
		switch p.State {
		case queue.Delivered:
			e.Outcome = "delivered"
		case queue.Bounced:
			e.Outcome = "bounced"
			refused++
			if s.r.o.Bounced != nil {
				s.r.o.Bounced(ctx, s.m.ID, s.m.From, p.To, p.LastReply)
			}
		default:
			e.Next = p.Due
		}
		s.r.o.Sink.Emit(ctx, e)
	}
	if refused > 0 && s.m.Account != 0 && s.r.o.Refused != nil {
		if err := s.r.o.Refused(ctx, s.m.Account, refused); err != nil {
			s.r.failed(ctx, err)
		}
	}
	for _, l := range s.letters {
		l.emit(ctx, s.r.o.Sink, s.m)
	}
	if s.local != nil && !s.local.Empty() {
		s.local.Emit(ctx)
	}
}
