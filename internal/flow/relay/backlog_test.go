package relay

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// backlog is a relay over a database on disk in which so many messages wait.
func backlog(t *testing.T, dir string, n int) *bed {
	t.Helper()
	db, err := pebblekv.Open(dir, pebblekv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := newBedOver(t, db, newNetwork())
	h, err := b.o.Blobs.Put(t.Context(), []byte("Subject: s\r\n\r\nhello\r\n"))
	b.must(err)
	const each = 500 // of one partition in one transaction
	for at := 0; at < n; at += each {
		b.must(db.Update(t.Context(), []kv.Shard{kv.Partition(uint8(at / each % kv.Partitions))}, func(tx kv.Tx) error {
			return b.fill(tx, h, at, min(each, n-at))
		}))
	}
	return b
}

// fill queues messages of a hundred senders, most of them of the first, to three
// domains.
func (b *bed) fill(tx kv.Tx, h blob.Handle, from, n int) error {
	for i := from; i < from+n; i++ {
		m := queue.Message{ID: mail.ArrivalID{byte(from / 500 % kv.Partitions)}, At: b.start, Size: h.Size(), Account: mail.AccountID(max(1, i%200-100))}
		binary.BigEndian.PutUint64(m.ID[8:], uint64(i))
		to := address(fmt.Sprintf("b@%s.test", []string{"y", "y", "w", "z"}[i%4]))
		if err := b.o.Queue.Add(tx, m, h, []queue.Delivery{{To: to}}); err != nil {
			return err
		}
	}
	return nil
}

// drained runs the relay until so many messages are taken. It gives the time to
// the first, the rate of the second half, and how much the heap has grown.
func (b *bed) drained(n int) (first time.Duration, rate float64, heap int64) {
	b.Helper()
	taken := make(chan struct{}, 1<<20)
	for _, ip := range []string{"192.0.2.1:25", "192.0.2.3:25"} {
		b.net.add(ip, &host{onDot: func() { taken <- struct{}{} }})
	}
	before := used()
	start := time.Now()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { _ = New(b.o).Run(ctx); close(done) }()
	<-taken
	first = time.Since(start)
	var half time.Time
	for count := 1; count < n; count++ {
		if <-taken; count == n/2 { // by then the index has been read
			half = time.Now()
		}
	}
	rate = float64(n-n/2) / time.Since(half).Seconds()
	heap = used() - before
	cancel()
	<-done
	b.net.wg.Wait()
	return first, rate, heap
}

func used() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBacklog starts with a million messages that wait: it begins at once, takes
// no more memory, and is as fast as with few.
func TestBacklog(t *testing.T) {
	few, many := 2000, 40_000
	if os.Getenv("EKIDEN_LONG") != "" {
		few, many = 40_000, 1_000_000
	}
	n := few
	a := backlog(t, t.TempDir(), few)
	_, rate, _ := a.drained(n)
	b := backlog(t, t.TempDir(), many)
	first, rateMany, heap := b.drained(n)
	t.Logf("of %d: %.0f/s; of %d: first after %s, %.0f/s, heap %+d MB", few, rate, many, first.Round(time.Millisecond), rateMany, heap>>20)
	if first > 2*time.Second || rateMany < rate/4 || heap > 64<<20 {
		t.Errorf("of %d: %.0f/s; of %d: first after %s, %.0f/s, heap %+d MB", few, rate, many, first, rateMany, heap>>20)
	}
}
