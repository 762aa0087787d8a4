package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/receive"
	"github.com/ekiden-mail/ekiden/internal/flow/relay"
	"github.com/ekiden-mail/ekiden/internal/flow/returns"
	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/policies"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/suppress"
)

var errDead = errors.New("the process is dead")

// mortal is the database as a process has it that may be killed at any Update:
// from then on nothing of it reaches the disk, nor the network.
type mortal struct {
	*memkv.DB
	dead  atomic.Bool
	left  atomic.Int64 // Updates until then; never if it is not above 0
	after bool         // the last Update holds, and nobody hears of it
	once  sync.Once
	kill  func()
}

// Update fails once the process is dead.
func (m *mortal) Update(ctx context.Context, s []kv.Shard, fn func(kv.Tx) error) error {
	if m.left.Add(-1) == 0 {
		if m.after {
			_ = m.DB.Update(ctx, s, fn)
		}
		m.dead.Store(true)
		m.once.Do(m.kill)
	}
	if m.dead.Load() {
		return errDead
	}
	return m.DB.Update(ctx, s, fn)
}

// View fails once the process is dead.
func (m *mortal) View(ctx context.Context, s kv.Shard, fn func(kv.Reader) error) error {
	if m.dead.Load() {
		return errDead
	}
	return m.DB.View(ctx, s, fn)
}

// us is one life of our process: the rooms as app wires them.
type us struct {
	db      *mortal
	queue   *queue.Store
	history *history.Store
	box     *mailbox.Store
	submit  *submit.Submitter
	receive *receive.Receiver
	dir     *directory.Store
	killed  chan struct{}
	stop    context.CancelFunc
	running sync.WaitGroup
}

const ourName = "mx.home.example"

// born starts a life over a database.
func born(t testing.TB, w *world, db *memkv.DB, rnd *rand.Rand) *us {
	u := &us{db: &mortal{DB: db, after: rnd.IntN(2) == 0}, killed: make(chan struct{})}
	u.db.left.Store(-1)
	u.db.kill = func() { w.die(); w.book.died(); close(u.killed) }
	blobs, err := blob.Open(blob.Options{DB: u.db, Inline: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	b := w.book
	u.dir, u.history = directory.New(u.db), history.New(u.db)
	u.box = mailbox.New(mailbox.Options{DB: u.db, Blobs: blobs})
	u.queue = queue.New(u.db, blobs)
	lists := suppress.New(u.db)
	back := returns.New(returns.Options{DB: u.db, Blobs: blobs, Directory: u.dir, History: u.history, Suppress: lists, Sink: b, Hostname: ourName})
	letters := answer.New(answer.Options{Hostname: ourName})
	d := deliver.New(deliver.Options{
		DB: u.db, Blobs: blobs, Mailbox: u.box, Queue: u.queue, Directory: u.dir, Sink: b, Hostname: ourName, Answer: letters, Paths: back,
	})
	u.receive = receive.New(receive.Options{Deliver: d, Blobs: blobs, Reports: back.Take})
	u.submit = submit.New(submit.Options{Deliver: d, Blobs: blobs, Directory: u.dir, Hostname: ourName, Suppressed: back.Suppressed, Priority: 5, Sink: b})
	known := policies.New(policies.Options{DB: u.db, Resolver: w, Fetch: w.fetch, Failed: func(ctx context.Context, err error) { b.Emit(ctx, event.Failed{Where: "policies", Err: err}) }})
	router := route.New(route.Options{Resolver: w, Hostname: ourName, Self: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Policy: known.Find, Account: u.address, SmartHosts: w.smartHosts()})
	sites := route.NewSites(router, w.rules())
	r := relay.New(relay.Options{
		DB: u.db, Queue: u.queue, Blobs: blobs, Router: router, Sites: sites, Deliver: d, Answer: letters, Sink: b,
		Hostname: ourName, RootCAs: ring().roots, Here: u.dir.Here, Bounced: back.Bounced, Refused: u.submit.Refused,
		Again: time.Hour, // hints are not lost here, and a look at all costs
		Dial: func(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error) {
			probe := o.TLS == smtpc.None
			o.Connect = func(ctx context.Context, _ netip.Addr, addr string) (net.Conn, error) {
				return w.connect(ctx, addr, probe)
			}
			return smtpc.Dial(ctx, addr, o)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	u.stop = cancel
	w.live()
	b.born()
	u.running.Go(func() { _ = r.Run(ctx) })
	u.running.Go(func() { _ = known.Run(ctx) })
	return u
}

func (u *us) address(ctx context.Context, id mail.AccountID) (mail.Address, error) {
	a, err := u.dir.AccountByID(ctx, id)
	return a.Address, err
}

// end ends the life, whether it was killed or not.
func (u *us) end(w *world) {
	u.stop()
	u.running.Wait()
	w.die()
	w.book.died()
	w.wg.Wait()
	for _, d := range w.domains {
		if d.sts != nil {
			d.sts.forget()
		}
	}
}

// found makes the domains, accounts and aliases of ours, before anything is
// counted.
func found(t testing.TB, db kv.DB) (accounts []directory.Account) {
	ctx := context.Background()
	dir := directory.New(db)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range ourDomains {
		must(dir.AddDomain(ctx, d))
		for _, name := range ourUsers {
			a, err := dir.AddAccount(ctx, mail.Address{Local: name, Domain: d}, directory.Credentials{}, 0)
			must(err)
			accounts = append(accounts, a)
		}
	}
	must(dir.UpdateDomain(ctx, ourDomains[1], func(d *directory.Domain) error { d.Settings.Reports.Suppress = true; return nil }))
	for name, to := range aliases {
		must(dir.AddAlias(ctx, mail.Address{Local: name, Domain: ourDomains[0]}, to))
	}
	return accounts
}
