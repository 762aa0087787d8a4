package relay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

const zone = `
y.test      MX 10 mx1.y.test
y.test      MX 20 mx2.y.test
w.test      MX 10 mx1.y.test
mx1.y.test  A  192.0.2.1
mx2.y.test  A  192.0.2.2
z.test      MX 10 mx.z.test
mx.z.test   A  192.0.2.3
none.test   MX 0 .
broken.test SERVFAIL
`

// bed is a relay with everything below it, over a database in memory.
type bed struct {
	testing.TB
	db     kv.DB
	o      Options
	hist   *history.Store
	dir    *directory.Store
	box    *mailbox.Store
	net    *network
	alice  mail.AccountID
	start  time.Time
	events recorder

	demanded string // content of the next message that demands something
}

// recorder keeps events as text.
type recorder struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func (r *recorder) Emit(_ context.Context, e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := time.Since(r.start).Round(time.Second)
	switch e := e.(type) {
	case event.Attempted:
		r.lines = append(r.lines, fmt.Sprintf("%s %s %s: %s %s", at, e.To, e.Outcome, or(e.Host, "-"), e.Reply))
	case event.Reported:
		r.lines = append(r.lines, fmt.Sprintf("%s reported %s to %s", at, e.Action, e.To))
	case event.Failed:
		r.lines = append(r.lines, fmt.Sprintf("%s FAILED %v", at, e.Err))
	}
}

// take gives the events since the last call.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.Join(r.lines, "\n")
	r.lines = nil
	return s
}

func newBed(t testing.TB) *bed {
	b := newBedOver(t, memkv.New(memkv.Options{Rerun: true}), newNetwork())
	b.must(b.dir.AddDomain(t.Context(), "home.test"))
	a, err := b.dir.AddAccount(t.Context(), address("alice@home.test"), directory.Credentials{}, 0)
	b.must(err)
	b.alice = a.ID
	return b
}

// newBedOver is for a database that has been used before, too.
func newBedOver(t testing.TB, db kv.DB, n *network) *bed {
	b := &bed{TB: t, db: db, net: n, start: time.Now()}
	b.events.start = b.start
	blobs, err := blob.Open(blob.Options{DB: b.db})
	b.must(err)
	b.hist, b.dir = history.New(b.db), directory.New(b.db)
	b.box = mailbox.New(mailbox.Options{DB: b.db, Blobs: blobs})
	q := queue.New(b.db, blobs)
	router := route.New(route.Options{Resolver: dnstest.New(zone), AllowPrivate: true, Hostname: "me.test"})
	b.o = Options{
		DB: b.db, Queue: q, Blobs: blobs, Router: router, Sink: &b.events, Hostname: "me.test", Dial: b.net.dial, Here: b.dir.Here,
		Deliver: deliver.New(deliver.Options{
			DB: b.db, Blobs: blobs, Mailbox: b.box, Queue: q, Directory: b.dir, Sink: event.Discard{}, Hostname: "me.test",
		}),
		Answer: answer.New(answer.Options{Hostname: "me.test"}),
	}
	return b
}

func (b *bed) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func address(s string) mail.Address {
	if s == "" {
		return mail.Address{}
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// run starts the relay and gives what stops it.
func (b *bed) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := New(b.o).Run(ctx); err != nil {
			b.Errorf("Run: %v", err)
		}
	})
	return func() { cancel(); wg.Wait(); b.net.wg.Wait() }
}

// send puts a message into the queue.
func (b *bed) send(n int, subject, from string, to ...string) mail.ArrivalID {
	b.Helper()
	var ds []queue.Delivery
	for i, r := range to {
		r, words, _ := strings.Cut(r, " ")
		d := queue.Delivery{N: uint32(i), To: address(r)}
		for j, w := range []string{"NEVER", "SUCCESS", "FAILURE", "DELAY"} {
			if slices.Contains(strings.Fields(words), w) {
				d.Notify |= 1 << j
			}
		}
		ds = append(ds, d)
	}
	return b.queue(n, subject, from, ds)
}

func (b *bed) queue(n int, subject, from string, ds []queue.Delivery) mail.ArrivalID {
	b.Helper()
	h, err := b.o.Blobs.Put(context.Background(), []byte("Subject: "+subject+"\r\n\r\n.hello\r\n"))
	b.must(err)
	m := queue.Message{ID: mail.ArrivalID{byte(n), byte(n >> 8), 1}, At: time.Now(), Size: h.Size(), Prefix: []byte("X-Prefix: yes\r\n"), From: address(from)}
	b.o.Queue.Offer(b.addFresh(m, h, ds))
	return m.ID
}

func (b *bed) addFresh(m queue.Message, h blob.Handle, ds []queue.Delivery) (f *queue.Fresh) {
	b.Helper()
	b.must(b.db.Update(context.Background(), []kv.Shard{kv.PartitionShard(m.ID)}, func(tx kv.Tx) (err error) {
		f, err = b.o.Queue.AddFresh(tx, m, h, ds)
		return err
	}))
	return f
}

// waiting lists what is in the queue.
func (b *bed) waiting() string {
	b.Helper()
	var all []string
	for e, err := range b.o.Queue.List(context.Background(), queue.Filter{}) {
		b.must(err)
		d := e.Delivery
		all = append(all, fmt.Sprintf("%s %d attempts", d.To, d.Attempts))
	}
	return strings.Join(all, "; ")
}

// story is the history of an arrival.
func (b *bed) story(id mail.ArrivalID) string {
	b.Helper()
	es, err := b.hist.ByArrival(context.Background(), id)
	b.must(err)
	var all []string
	for _, e := range es {
		all = append(all, strings.TrimSpace(e.What+" "+e.To.String()+" "+e.Action))
	}
	return strings.Join(all, "; ")
}

// inbox lists what lies in alice's inbox: of a report what it says for
// programs, of anything else its body.
func (b *bed) inbox() []string {
	b.Helper()
	var all []string
	var ms []mailbox.Message
	err := b.box.View(context.Background(), b.alice, func(tx *mailbox.Tx) error {
		ms = nil
		box, err := tx.BoxByName("INBOX")
		if err != nil {
			return nil //nolint:nilerr // not provisioned yet: empty
		}
		for p, err := range tx.Placements(box.ID, 1, 1<<32-1) {
			if err != nil {
				return err
			}
			m, err := tx.Message(p.Message)
			if err != nil {
				return err
			}
			ms = append(ms, m)
		}
		return nil
	})
	b.must(err)
	for _, m := range ms {
		c, err := b.box.OpenMessage(context.Background(), b.alice, m)
		b.must(err)
		buf := make([]byte, c.Size())
		_, _ = c.ReadAt(buf, 0)
		_ = c.Close()
		_, body, _ := strings.Cut(string(buf), "\r\n\r\n")
		if !strings.Contains(string(buf), "message/delivery-status") {
			all = append(all, strings.TrimSpace(body))
			continue
		}
		var said []string
		for line := range strings.Lines(body) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if slices.Contains([]string{"Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Will-Retry-Until"}, name) {
				said = append(said, value)
			}
		}
		all = append(all, strings.Join(said, ", "))
	}
	return all
}

func (b *bed) want(what, got, want string) {
	b.Helper()
	if got != want {
		b.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}
