package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// mortal is a database as a process sees it that may be killed: from then on
// nothing of its reaches the disk.
type mortal struct {
	*memkv.DB
	dead atomic.Bool
	left atomic.Int64 // Updates until it is killed; never if negative
}

var errDead = errors.New("killed")

func (m *mortal) Update(ctx context.Context, s []kv.Shard, fn func(kv.Tx) error) error {
	if m.left.Add(-1) == 0 {
		m.dead.Store(true)
	}
	if m.dead.Load() {
		return errDead
	}
	return m.DB.Update(ctx, s, fn)
}

// TestKilledBehindTheDot kills the process when the host has taken the message
// and the outcome is not written: it is sent again, not lost.
func TestKilledBehindTheDot(t *testing.T) {
	play(t, func(first *bed) {
		m := &mortal{DB: first.db.(*memkv.DB)}
		b := newBedOver(t, m, first.net)
		b.o.Grace = time.Second
		h := b.net.add("192.0.2.1:25", &host{onDot: func() { m.dead.Store(true) }})
		id := b.send(1, "s", "alice@home.test", "b@y.test")
		stop := b.run()
		synctest.Wait()
		stop()
		first.want("queue after the end", first.waiting(), "b@y.test 0 attempts")
		h.set(func(h *host) { h.onDot = nil })
		stop = first.run()
		synctest.Wait()
		stop()
		first.want("queue", first.waiting(), "")
		first.want("taken", h.got(), "alice@home.test > b@y.test: s; alice@home.test > b@y.test: s")
		first.want("history", first.story(id), "relayed b@y.test")
	})
}

// TestKilledAnywhere kills the process at a random write, again and again. At
// the end every recipient's copy was taken or its sender was told.
func TestKilledAnywhere(t *testing.T) {
	for seed := range uint64(10) {
		play(t, func(first *bed) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			y := first.net.add("192.0.2.1:25", &host{pause: time.Second, rcpt: map[string]string{"r1@y.test": "550 no"}})
			z := first.net.add("192.0.2.3:25", &host{pause: 2 * time.Second})
			want := map[string]bool{}
			for n := range 30 {
				to := []string{fmt.Sprintf("r%d@y.test", n%3), fmt.Sprintf("r%d@z.test", n%4)}
				first.queue(n, fmt.Sprint(n), "alice@home.test", deliveries(to))
				for _, r := range to {
					if r != "r1@y.test" {
						want[fmt.Sprintf("%s: %d", r, n)] = true
					}
				}
			}
			for first.waiting() != "" {
				m := &mortal{DB: first.db.(*memkv.DB)}
				m.left.Store(rnd.Int64N(20) + 1)
				b := newBedOver(t, m, first.net)
				b.o.Grace = time.Millisecond
				stop := b.run()
				time.Sleep(20 * time.Second)
				stop()
			}
			for _, h := range []*host{y, z} {
				for _, line := range h.received {
					_, line, _ = strings.Cut(line, "> ")
					delete(want, line)
				}
			}
			if len(want) > 0 {
				t.Errorf("seed %d: lost %v", seed, want)
			}
			// The report and the end of the row are one commit.
			if n := len(first.inbox()); n != 10 {
				t.Errorf("seed %d: %d reports, want 10", seed, n)
			}
		})
	}
}

// TestLostCommits lets the database forget commits that were not yet durable
// while the process goes on: outcomes are written again, nothing is sent twice.
func TestLostCommits(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			var db *memkv.DB
			armed, crashes := false, 0
			db = memkv.New(memkv.Options{Window: func() {
				if armed && rnd.IntN(4) == 0 {
					crashes++
					db.Crash()
				}
			}})
			b := newBedOver(t, db, newNetwork())
			h := b.net.add("192.0.2.1:25", &host{rcpt: map[string]string{"r1@y.test": "450 later"}})
			b.o.Again = 6 * time.Hour
			b.o.Limits = queue.Limits{Batches: 1} // the dice are one process's
			for n := range 40 {
				b.queue(n, fmt.Sprint(n), "", deliveries([]string{"r0@y.test", "r1@y.test"}))
			}
			armed = true
			stop := b.run()
			time.Sleep(time.Hour)
			h.set(func(h *host) { h.rcpt = nil })
			time.Sleep(24 * time.Hour)
			stop()
			b.want("queue", b.waiting(), "")
			seen := map[string]bool{}
			for _, line := range h.received {
				if seen[line] {
					b.Errorf("seed %d: twice: %s", seed, line)
				}
				seen[line] = true
			}
			if len(seen) != 80 || crashes < 10 {
				b.Errorf("seed %d: %d taken, %d crashes", seed, len(seen), crashes)
			}
		})
	}
}

// odd is a database whose calls a test meddles with.
type odd struct {
	*memkv.DB
	view   func(s kv.Shard) error
	update func(ctx context.Context) error
}

func (o *odd) View(ctx context.Context, s kv.Shard, fn func(kv.Reader) error) error {
	if o.view != nil {
		if err := o.view(s); err != nil {
			return err
		}
	}
	return o.DB.View(ctx, s, fn)
}

func (o *odd) Update(ctx context.Context, s []kv.Shard, fn func(kv.Tx) error) error {
	if o.update != nil {
		if err := o.update(ctx); err != nil {
			return err
		}
	}
	return o.DB.Update(ctx, s, fn)
}

// TestOwnFailures lets a read fail, each in its turn: what was found and could
// not be attempted is found again.
func TestOwnFailures(t *testing.T) {
	for bad := range int64(4) {
		play(t, func(first *bed) {
			db := &odd{DB: first.db.(*memkv.DB)}
			b := newBedOver(t, db, first.net)
			b.o.Again = 12 * time.Hour
			h := b.net.add("192.0.2.1:25", &host{})
			b.send(1, "s", "alice@home.test", "b@y.test")
			var views atomic.Int64
			db.view = func(s kv.Shard) error {
				if string(s) == string(kv.Partition(1)) && views.Add(1) == bad {
					return errDead
				}
				return nil
			}
			stop := b.run()
			time.Sleep(time.Minute)
			stop()
			first.want("taken", h.got(), "alice@home.test > b@y.test: s")
			if failed := b.events.take(); bad == 1 || bad == 2 {
				if !strings.Contains(failed, "FAILED") {
					b.Errorf("view %d did not fail: %s", bad, failed)
				}
			}
		})
	}
}

// TestStopWhileSettling sees that the end of the grace time does not unsay what
// a host has said.
func TestStopWhileSettling(t *testing.T) {
	play(t, func(first *bed) {
		db := &odd{DB: first.db.(*memkv.DB)}
		b := newBedOver(t, db, first.net)
		b.o.Grace = time.Second
		b.net.add("192.0.2.1:25", &host{})
		b.send(1, "s", "alice@home.test", "b@y.test")
		db.update = func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Second):
				return nil
			}
		}
		stop := b.run()
		synctest.Wait()
		stop()
		first.want("queue", first.waiting(), "")
	})
}
