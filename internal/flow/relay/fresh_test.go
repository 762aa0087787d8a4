package relay

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// TestFreshIsNotLookedFor sends what was just queued without a read of the queue.
func TestFreshIsNotLookedFor(t *testing.T) {
	play(t, func(first *bed) {
		db := &odd{DB: first.db.(*memkv.DB)}
		b := newBedOver(t, db, first.net)
		h := b.net.add("192.0.2.1:25", &host{})
		stop := b.run()
		synctest.Wait()
		looks := 0
		db.view = func(s kv.Shard) error {
			if string(s) == string(kv.Partition(1)) {
				looks++
			}
			return nil
		}
		b.send(1, "s", "alice@home.test", "b@y.test", "c@y.test")
		synctest.Wait()
		b.want("taken", h.got(), "alice@home.test > b@y.test,c@y.test: s")
		if looks != 0 {
			b.Errorf("the queue was read %d times", looks)
		}
		stop()
		b.want("queue", b.waiting(), "")
	})
}

// TestFreshHeldMeanwhile sees that a copy in memory does not hide what an
// operator has done to its rows.
func TestFreshHeldMeanwhile(t *testing.T) {
	play(t, func(b *bed) {
		h := b.net.add("192.0.2.1:25", &host{pause: time.Minute})
		b.o.Limits = queue.Limits{Batches: 1}
		defer b.run()()
		synctest.Wait()
		b.send(1, "first", "alice@home.test", "b@y.test")
		held := b.send(2, "held", "alice@home.test", "c@y.test")
		dropped := b.send(3, "dropped", "alice@home.test", "d@y.test")
		b.send(4, "last", "alice@home.test", "e@y.test")
		synctest.Wait()
		_, err := b.o.Queue.Hold(context.Background(), queue.Filter{ID: held})
		b.must(err)
		_, err = b.o.Queue.Drop(context.Background(), queue.Filter{ID: dropped})
		b.must(err)
		time.Sleep(10 * time.Minute)
		b.want("taken", h.got(), "alice@home.test > b@y.test: first; alice@home.test > e@y.test: last")
		b.want("queue", b.waiting(), "c@y.test 0 attempts")
	})
}

// TestFreshAndSeen offers what a look has found, sent and settled before.
func TestFreshAndSeen(t *testing.T) {
	for _, priority := range []int8{0, 4} {
		play(t, func(b *bed) {
			h := b.net.add("192.0.2.1:25", &host{})
			defer b.run()()
			synctest.Wait()
			content, err := b.o.Blobs.Put(context.Background(), []byte("Subject: once\r\n\r\n"))
			b.must(err)
			m := queue.Message{ID: mail.ArrivalID{1}, At: time.Now(), Size: content.Size(), From: address("alice@home.test")}
			m.Priority = priority
			f := b.addFresh(m, content, deliveries([]string{"b@y.test"}))
			time.Sleep(2 * time.Minute)
			b.want("taken", h.got(), "alice@home.test > b@y.test: once")
			b.o.Queue.Offer(f)
			time.Sleep(2 * time.Minute)
			b.want("taken after the offer", h.got(), "alice@home.test > b@y.test: once")
		})
	}
}

// TestFreshIsTriedOnce uses a copy for the first attempt only, though it is kept
// for another recipient's.
func TestFreshIsTriedOnce(t *testing.T) {
	play(t, func(b *bed) {
		b.net.add("192.0.2.1:25", &host{any: "450 later"})
		b.net.add("192.0.2.3:25", &host{pause: 9 * time.Minute})
		b.o.Limits = queue.Limits{PerHop: 1}
		defer b.run()()
		synctest.Wait()
		b.send(1, "slow", "", "a@z.test")
		b.send(2, "both", "", "b@y.test", "c@z.test")
		time.Sleep(8 * time.Minute)
		b.want("queue", b.waiting(), "a@z.test 0 attempts; b@y.test 2 attempts; c@z.test 0 attempts")
	})
}

// TestFreshInMasses queues more than is kept in memory, while all is slow.
func TestFreshInMasses(t *testing.T) {
	play(t, func(b *bed) {
		h := b.net.add("192.0.2.1:25", &host{pause: time.Millisecond})
		b.o.Limits = queue.Limits{Remembered: 300, Total: 500}
		defer b.run()()
		synctest.Wait()
		for n := range 2000 {
			b.send(n, fmt.Sprint(n), "", "b@y.test")
		}
		time.Sleep(time.Minute)
		b.want("queue", b.waiting(), "")
		seen := map[string]bool{}
		h.set(func(h *host) {
			for _, line := range h.received {
				if seen[line] {
					b.Errorf("twice: %s", line)
				}
				seen[line] = true
			}
		})
		if len(seen) != 2000 {
			b.Errorf("%d were taken", len(seen))
		}
	})
}
