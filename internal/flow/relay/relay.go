// Package relay sends what waits in the queue to the next hops, settles each
// delivery in one transaction with its history, and brings reports home.
//
// What is under way is known in memory only: a delivery's row waits until the
// outcome is written, so that after a crash everything that waited waits again.
package relay

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// Limits of one attempt and of one connection.
const (
	maxAddrs    = 10     // addresses that are connected to
	maxSessions = 3      // of them that answered and yet did not take everything
	maxTurn     = 100    // batches of one hop before it is another's turn
	maxDown     = 10_000 // hops that are known to be down
	page        = 500    // index rows read at once
	rowsAtOnce  = 1000   // before workers are served again

	trimEvery        = time.Hour
	lookAfterFailure = 10 * time.Second // of our own
)

// Options are the rooms that relay works with, and its limits. Sink and what
// follows Hostname may be zero.
type Options struct {
	DB      kv.DB
	Queue   *queue.Store
	Blobs   *blob.Store
	Router  *route.Router
	Sites   *route.Sites       // what hops are one destination; nil: each is its own
	History *history.Store     // is trimmed; nil: it is not
	Leases  *queue.Leases      // of the partitions it works; nil: all
	Deliver *deliver.Deliverer // lays reports down
	Answer  *answer.Answerer   // composes them
	Sink    event.Sink

	Hostname string     // what we call ourselves
	Sources  []Source   // of connections; what none is for leaves from Local
	Local    netip.Addr // source address
	SOCKS5   string     // host:port of a proxy that all connections go through; "": none
	RootCAs  *x509.CertPool
	Policy   queue.Policy
	Limits   queue.Limits
	Timeouts smtpc.Timeouts
	Grace    time.Duration // how long attempts may go on after the end; 10 s
	Idle     time.Duration // how long an unused connection is kept; 15 s; negative: not at all
	Keep     time.Duration // of the history; 30 days
	Again    time.Duration // to look whatever was heard, for hints may be lost; 1 min

	// Here says whether what waits for an address is laid into accounts here.
	Here func(context.Context, mail.Address) (bool, error)
	// Refused is told how many recipients of an account's message were refused
	// for good; nil: nobody is.
	Refused func(ctx context.Context, account mail.AccountID, n int) error
	// Bounced is told of each recipient of a message that was given up, with what
	// was said last; nil: nobody is.
	Bounced func(ctx context.Context, id mail.ArrivalID, from, to mail.Address, reply string)
	// Observe is told how the securing of lines went; nil: nobody is. It must not
	// wait for anything.
	Observe func(route.Session)
	// Dial opens a connection; nil means smtpc.Dial.
	Dial func(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error)
}

// Relay is the service.
type Relay struct {
	o     Options
	hints hints

	// The loop's own.
	plan   *queue.Plan
	copies copies
	moods  moods
	paces  paces
	fresh  <-chan struct{} // something was queued by this process
	reading
	wakes   [kv.Partitions]time.Time // when something falls due
	anew    [kv.Partitions]time.Time // when to look from the beginning, after a failure
	again   time.Time                // when to look at all, whatever was heard
	down    hosts
	idle    idle
	exit    exit
	commits commits
	wants   chan want
	workers sync.WaitGroup
}

// want is a worker that is done with a batch. It gets another one for the same
// hop on more, if it asks and there is one.
type want struct {
	done   queue.Batch
	failed bool          // nothing was settled: it must be found again
	back   bool          // it only went ahead
	moved  []queue.Batch // of it, what waits for its turn at another hop or site
	more   chan<- queue.Batch
}

// New makes a relay.
func New(o Options) *Relay {
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	if o.Dial == nil {
		o.Dial = smtpc.Dial
	}
	if o.Observe == nil {
		o.Observe = func(route.Session) {}
	}
	if o.Here == nil {
		o.Here = func(context.Context, mail.Address) (bool, error) { return false, nil }
	}
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.Idle = cmp.Or(o.Idle, 15*time.Second)
	o.Keep = cmp.Or(o.Keep, 30*24*time.Hour)
	o.Again = cmp.Or(o.Again, time.Minute)
	return &Relay{o: o, idle: idle{keep: o.Idle, sites: o.Sites, wake: make(chan struct{}, 1)}, exit: exit{suspect: make(chan struct{}, 1)}, commits: commits{db: o.DB}, paces: paces{wake: make(chan struct{}, 1)}}
}

// Run relays until ctx ends; then it starts nothing more, gives the attempts in
// flight the grace time, cuts the rest and returns. It may be called once.
func (r *Relay) Run(ctx context.Context) error {
	r.plan = queue.NewPlan(r.o.Limits, queue.Ways{Hop: r.o.Router.Hop, Site: r.o.Sites.Site, Rule: r.o.Sites.Rule})
	r.wants = make(chan want, 256)
	r.hints.wake = make(chan struct{}, 1)
	r.fresh = r.o.Queue.Listen()
	defer r.o.Queue.Leave()
	r.lookAtAll(time.Now())

	var watchers sync.WaitGroup
	for part := range uint8(kv.Partitions) {
		changed := r.o.DB.Watch(ctx, kv.Partition(part))
		watchers.Go(func() {
			var looked kv.Version
			for v := range changed {
				// What other nodes have queued is known by the version alone.
				if r.o.Queue.Readied(part) > looked || !r.o.Leases.Sole() {
					looked = v // the look to come sees this version, or a later one
					r.hints.add(part)
				}
			}
		})
	}
	watchers.Go(func() { r.trim(ctx) })
	watchers.Go(func() { r.idle.tend(ctx) })
	watchers.Go(func() { r.guardExit(ctx) })
	r.recall(ctx)
	watchers.Go(func() { r.keepPaces(ctx) })
	defer watchers.Wait()

	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	r.loop(ctx, work)
	r.finish(cut)
	r.idle.close()
	return nil
}

// trim forgets old history, now and then.
func (r *Relay) trim(ctx context.Context) {
	for r.o.History != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(trimEvery):
		}
		if _, err := r.o.History.Trim(ctx, time.Now().Add(-r.o.Keep)); err != nil && ctx.Err() == nil {
			r.failed(ctx, err)
		}
	}
}

// loop looks for what is due and starts workers until ctx ends.
func (r *Relay) loop(ctx, work context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		busy := r.look(ctx)
		r.start(work)
		if busy {
			r.handAll()
			continue
		}
		timer.Reset(r.pause(time.Now()))
		select {
		case <-ctx.Done():
		case <-r.hints.wake:
		case <-r.fresh:
		case <-r.o.Leases.Changed():
			r.hints.all()
		case <-timer.C:
			r.fallDue(time.Now())
		case w := <-r.wants:
			r.hand(w)
		}
	}
}

// handAll serves those who want something at this moment.
func (r *Relay) handAll() {
	for {
		select {
		case w := <-r.wants:
			r.hand(w)
		default:
			return
		}
	}
}

// finish waits for the workers, and cuts them after the grace time.
func (r *Relay) finish(cut context.CancelFunc) {
	gone := make(chan struct{})
	go func() { r.workers.Wait(); close(gone) }()
	grace := time.NewTimer(r.o.Grace)
	defer grace.Stop()
	for {
		select {
		case w := <-r.wants:
			if w.more != nil {
				close(w.more) // nothing more is started
			}
		case <-grace.C:
			cut()
		case <-gone:
			return
		}
	}
}

// look reads a page of each partition that may have something due, and says
// whether to look again at once.
func (r *Relay) look(ctx context.Context) (again bool) {
	now := time.Now()
	r.takeFresh(ctx)
	var failed error
	if part, from, ok := r.plan.Hungry(); ok {
		again = true
		failed = r.refill(ctx, part, from, now)
	}
	rows := 0
	for _, part := range r.hints.take() {
		if !r.leased(part) {
			continue
		}
		if rows >= rowsAtOnce {
			r.hints.keep(part)
			again = true
			continue
		}
		if r.plan.Full() {
			r.hints.keep(part)
			failed = errors.Join(failed, r.lookForUrgent(ctx, part))
			continue
		}
		l, err := r.o.Queue.TakeDue(ctx, part, r.cursors[part], now, page)
		if err != nil {
			failed = err
			r.anew[part] = now.Add(lookAfterFailure)
			continue
		}
		for _, d := range l.Due {
			r.plan.Offer(d)
		}
		rows += len(l.Due)
		r.passed(part, l.Next)
		r.wakes[part] = l.Wake
		if l.More {
			r.hints.keep(part)
			again = true
		}
	}
	if failed != nil && ctx.Err() == nil {
		r.failed(ctx, failed)
	}
	return again && !r.plan.Full() && failed == nil
}

// leased says whether a partition is ours to work. One that has come anew is read
// from its beginning.
func (r *Relay) leased(part uint8) bool {
	epoch, ok := r.o.Leases.Epoch(part)
	if ok && epoch != r.epochs[part] {
		r.epochs[part] = epoch
		r.cursors[part], r.seen[part] = queue.Cursor{}, queue.Cursor{}
	}
	return ok
}

// refill reads once more what there was no room for.
func (r *Relay) refill(ctx context.Context, part uint8, from queue.Cursor, now time.Time) error {
	l, err := r.o.Queue.TakeDue(ctx, part, from, now, page)
	if err != nil {
		return err
	}
	r.plan.Refill(part, from, r.cursors[part], l)
	r.seen[part] = r.seen[part].Most(l.Next)
	return nil
}

// lookForUrgent reads what is urgent in a partition although there is no room for
// more of the rest: a long queue does not hold it up (RFC 6710 §5.1).
func (r *Relay) lookForUrgent(ctx context.Context, part uint8) error {
	l, err := r.o.Queue.TakeFirst(ctx, part, r.cursors[part], page)
	if err != nil {
		return err
	}
	for _, d := range l.Due {
		r.plan.Offer(d)
	}
	r.passed(part, l.Next)
	return nil
}

func (r *Relay) failed(ctx context.Context, err error) {
	r.o.Sink.Emit(ctx, event.Failed{Where: "relay", Err: err})
}

// start starts what the plan wants started.
func (r *Relay) start(work context.Context) {
	for {
		b, ok := r.plan.Next(time.Now())
		switch {
		case !ok:
			return
		case b.Ahead:
			r.workers.Go(func() { r.ahead(work, b) })
			continue
		}
		b = r.copies.give(b)
		r.workers.Go(func() { r.work(work, b) })
	}
}

// hand takes a batch back and gives the worker another one.
func (r *Relay) hand(w want) {
	now := time.Now()
	defer func() {
		for _, b := range w.moved { // when it is done
			r.plan.Again(b)
		}
	}()
	for _, m := range r.moods.take() {
		r.plan.Note(m.site, m.mood, m.reply, now)
	}
	r.paces.add(r.plan.Suspensions())
	if w.back {
		r.plan.Back(w.done)
		return
	}
	if w.failed {
		// Its rows are behind the cursor.
		r.anew[w.done.Message[0]%kv.Partitions] = now.Add(lookAfterFailure)
	}
	if w.more == nil {
		r.plan.Done(w.done)
		return
	}
	if b, ok := r.plan.More(w.done, now); ok {
		w.more <- r.copies.give(b)
	}
	close(w.more)
}

// pause is the time until something falls due, or until it is time to look
// whatever was heard.
func (r *Relay) pause(now time.Time) time.Duration {
	next := r.again
	if t := r.plan.Wake(); !t.IsZero() && t.Before(next) {
		next = t
	}
	for part := range r.wakes {
		for _, t := range [...]time.Time{r.wakes[part], r.anew[part]} {
			if !t.IsZero() && t.Before(next) {
				next = t
			}
		}
	}
	return max(next.Sub(now), time.Millisecond)
}

// fallDue marks the partitions in which something has fallen due, and now and
// then all: hints may be lost.
func (r *Relay) fallDue(now time.Time) {
	if !r.again.After(now) {
		r.lookAtAll(now)
	}
	for part := range r.wakes {
		if t := r.anew[part]; !t.IsZero() && !t.After(now) {
			r.anew[part] = time.Time{}
			r.cursors[part] = queue.Cursor{}
			r.hints.keep(uint8(part))
		}
		if t := r.wakes[part]; !t.IsZero() && !t.After(now) {
			r.wakes[part] = time.Time{}
			r.hints.keep(uint8(part))
		}
	}
}

func (r *Relay) lookAtAll(now time.Time) {
	r.again = now.Add(r.o.Again)
	r.hints.all()
}

// hints are the partitions that may have something due.
type hints struct {
	wake  chan struct{}
	mu    sync.Mutex
	set   [kv.Partitions]bool
	first int // to be taken
}

// keep marks a partition for the next look, without a call to look.
func (h *hints) keep(part uint8) {
	h.mu.Lock()
	h.set[part] = true
	h.mu.Unlock()
}

func (h *hints) add(part uint8) {
	h.keep(part)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *hints) all() {
	for part := range uint8(kv.Partitions) {
		h.add(part)
	}
}

func (h *hints) take() []uint8 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var parts []uint8
	for i := range h.set {
		// A long one does not hold up those behind it.
		if part := (h.first + i) % len(h.set); h.set[part] {
			parts = append(parts, uint8(part))
		}
	}
	h.set = [kv.Partitions]bool{}
	h.first++
	return parts
}
