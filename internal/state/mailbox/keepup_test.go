package mailbox

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
	"github.com/ekiden-mail/ekiden/internal/testkit/letters"
)

// BenchmarkKeepUp delivers letters at a steady rate, and shows how far the search
// index stays behind and what it costs: without an indexer, and with one that
// works as the program's does. The environment says at what rate, for how many
// seconds, to how many accounts, and with letters of what size.
func BenchmarkKeepUp(b *testing.B) {
	for _, name := range []string{"without", "with"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				k := newKeepUp(b)
				k.run(name == "with")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// keepUp is a store that letters come to.
type keepUp struct {
	*bench
	rate, seconds, accounts, size int

	letters []string
	boxes   []BoxID
	took    []time.Duration // of each delivery
	mu      sync.Mutex
}

func newKeepUp(b *testing.B) *keepUp {
	dir, err := os.MkdirTemp(os.Getenv("EKIDEN_BENCH_DIR"), "ekiden-keepup")
	if err != nil {
		b.Fatal(err)
	}
	db, err := pebblekv.Open(filepath.Join(dir, "store"), pebblekv.Options{Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	blobs, err := blob.Open(blob.Options{DB: db, Dir: filepath.Join(dir, "blobs")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _, _ = blobs.Close(), db.Close(), os.RemoveAll(dir) })
	k := &keepUp{
		bench: &bench{t: b, db: db, blobs: blobs, Store: New(Options{DB: db, Blobs: blobs})},
		rate:  setting("EKIDEN_BENCH_RATE", 1_000), seconds: setting("EKIDEN_BENCH_SECONDS", 5),
		accounts: setting("EKIDEN_BENCH_ACCOUNTS", 1), size: setting("EKIDEN_BENCH_SIZE", 4<<10),
	}
	c := letters.New(1)
	for i := range k.rate * k.seconds {
		k.letters = append(k.letters, c.Letter(i, k.size))
	}
	for i := range k.accounts {
		a := alice + mail.AccountID(i)
		k.must(k.Update(b.Context(), a, a, func(t *Tx) error { return t.Provision() }))
		k.must(k.View(b.Context(), a, func(t *Tx) error {
			box, err := t.BoxByName("INBOX")
			k.boxes = append(k.boxes, box.ID)
			return err
		}))
	}
	return k
}

// deliver brings letter i to its account, as a delivery of its own.
func (k *keepUp) deliver(i int) error {
	start, ctx := time.Now(), k.t.Context()
	h, err := k.blobs.Put(ctx, []byte(k.letters[i]))
	if err != nil {
		return err
	}
	ix, err := k.Store.Index(ctx, nil, h)
	if err != nil {
		return err
	}
	a := alice + mail.AccountID(i%k.accounts)
	err = k.Update(ctx, a, a, func(t *Tx) error {
		_, err := t.Add(k.boxes[i%k.accounts], NewMessage{Content: h, Index: ix, Received: when})
		return err
	})
	k.mu.Lock()
	k.took = append(k.took, time.Since(start))
	k.mu.Unlock()
	return err
}

// keepUpWriters is how many deliveries run at the same time.
const keepUpWriters = 16

func (k *keepUp) run(index bool) {
	b := k.t.(*testing.B)
	var writers, indexer sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	start, before := time.Now(), cpu()
	due := make(chan int)
	for range keepUpWriters {
		writers.Go(func() {
			for i := range due {
				if err := k.deliver(i); err != nil {
					b.Error(err)
				}
			}
		})
	}
	most := 0
	if index {
		indexer.Go(func() { most = k.index(ctx) })
	}
	for i := range k.letters {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(k.rate))))
		due <- i
	}
	close(due)
	writers.Wait()
	came, left := time.Since(start), 0
	if index {
		left = k.behind(ctx)
		cancel()
		indexer.Wait()
		for k.indexOnce(b.Context()) {
		}
	}
	slices.Sort(k.took)
	n := len(k.took)
	b.Logf("%d letters at %.0f a second to %d accounts: CPU %.3f ms each, delivery median %.1f ms, 99th percentile %.1f ms",
		n, float64(n)/came.Seconds(), k.accounts, ms(cpu()-before)/float64(n), ms(k.took[n/2]), ms(k.took[n*99/100]))
	if index {
		b.Logf("at most %d letters not indexed, %d when the last one had come, %.2f s later none", most, left, (time.Since(start) - came).Seconds())
	}
}

// index works until ctx ends and tells how many letters waited at most. It goes
// round as the program does, but begins sooner, as the run is short.
func (k *keepUp) index(ctx context.Context) (most int) {
	for ctx.Err() == nil {
		most = max(most, k.behind(ctx))
		if !k.indexOnce(ctx) {
			time.Sleep(2 * time.Second)
		}
	}
	return most
}

// indexOnce takes each account that lags one batch on.
func (k *keepUp) indexOnce(ctx context.Context) (more bool) {
	lag, err := k.Lagging(ctx, 0, k.accounts)
	for _, a := range lag {
		again, e := k.IndexMessages(ctx, a)
		if err == nil {
			err = e
		}
		more = more || again
	}
	if err != nil && ctx.Err() == nil {
		k.t.(*testing.B).Error(err)
	}
	return more
}

// behind is how many letters are not indexed.
func (k *keepUp) behind(ctx context.Context) (n int) {
	for i := range k.accounts {
		a := alice + mail.AccountID(i)
		last, _, err := k.searchState(ctx, a)
		upTo, err2 := k.search.Cursor(ctx, a)
		if err != nil || err2 != nil {
			return n
		}
		n += int(uint64(last) - min(upTo, uint64(last)))
	}
	return n
}
