package relay

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// play runs a scene in virtual time.
func play(t *testing.T, scene func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { scene(newBed(t)) })
}

func TestDelivers(t *testing.T) {
	play(t, func(b *bed) {
		y, z := b.net.add("192.0.2.1:25", &host{}), b.net.add("192.0.2.3:25", &host{})
		defer b.run()()
		synctest.Wait()
		id := b.send(1, "one", "alice@home.test", "b@y.test", "c@y.test", "d@z.test")
		synctest.Wait()
		b.want("y took", y.got(), "alice@home.test > b@y.test,c@y.test: one")
		b.want("z took", z.got(), "alice@home.test > d@z.test: one")
		b.want("content", y.contents[0], "X-Prefix: yes\r\nSubject: one\r\n\r\n.hello\r\n")
		b.want("queue", b.waiting(), "")
		for _, want := range []string{"relayed b@y.test", "relayed c@y.test", "relayed d@z.test"} {
			if !strings.Contains(b.story(id), want) {
				b.Errorf("history: %s", b.story(id))
			}
		}
		if strings.Count(b.events.take(), "delivered: ") != 3 {
			b.Errorf("events")
		}
	})
}

// TestAnswers sees what becomes of the recipients of one message by what the
// hosts say: what is refused for a time is offered to the next host (RFC 5321
// §5.1), what is refused for good is not.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name     string
		mx1, mx2 *host // nil: cannot be reached
		to       string
		events   string
		took     string // by mx2
	}{
		{"taken", &host{}, &host{}, "b@y.test", "0s b@y.test delivered: mx1.y.test 250 2.0.0 taken", ""},
		{"first cannot be reached", nil, &host{}, "b@y.test", "0s b@y.test delivered: mx2.y.test 250 2.0.0 taken", "alice@home.test > b@y.test: s"},
		{"none can be reached", nil, nil, "b@y.test", "0s b@y.test deferred: - 451 4.4.1 mx2.y.test [192.0.2.2:25]: connection refused", ""},
		{"refused for good", &host{any: "550 5.1.1 no"}, &host{}, "b@y.test",
			"0s b@y.test bounced: mx1.y.test 550 5.1.1 no\n0s reported failed to alice@home.test", ""},
		{"refused for a time", &host{any: "450 4.2.0 later"}, &host{any: "451 4.2.1 later too"}, "b@y.test",
			"0s b@y.test deferred: mx2.y.test 451 4.2.1 later too", ""},
		{"refused for a time, then taken", &host{any: "450 later"}, &host{}, "b@y.test", "0s b@y.test delivered: mx2.y.test 250 2.0.0 taken",
			"alice@home.test > b@y.test: s"},
		{"each its own", &host{rcpt: map[string]string{"b@y.test": "550 no", "c@y.test": "450 later"}}, &host{}, "b@y.test c@y.test d@y.test",
			"0s b@y.test bounced: mx1.y.test 550 no\n0s c@y.test delivered: mx2.y.test 250 2.0.0 taken\n" +
				"0s d@y.test delivered: mx1.y.test 250 2.0.0 taken\n0s reported failed to alice@home.test", "alice@home.test > c@y.test: s"},
		{"greeting refuses for good", &host{greet: "554 go away"}, nil, "b@y.test",
			"0s b@y.test deferred: mx1.y.test 554 go away", ""},
		{"content refused", &host{data: "554 5.7.1 junk"}, &host{}, "b@y.test",
			"0s b@y.test bounced: mx1.y.test 554 5.7.1 junk\n0s reported failed to alice@home.test", ""},
		{"connection breaks behind the dot", &host{data: "cut"}, &host{}, "b@y.test",
			"0s b@y.test deferred: mx1.y.test 451 4.4.2 the connection broke behind the final dot; what became of it is not known", ""},
		{"no mail taken", nil, nil, "b@none.test", "0s b@none.test bounced: - 556 5.1.10 the domain none.test takes no mail (null MX)\n" +
			"0s reported failed to alice@home.test", ""},
		{"no such domain", nil, nil, "b@nowhere.test", "0s b@nowhere.test bounced: - 550 5.1.2 the domain nowhere.test does not exist\n" +
			"0s reported failed to alice@home.test", ""},
		{"name servers fail", nil, nil, "b@broken.test",
			"0s b@broken.test deferred: - 451 4.4.3 the name servers of broken.test do not answer as they should", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(b *bed) {
				if c.mx1 != nil {
					b.net.add("192.0.2.1:25", c.mx1)
				}
				if c.mx2 != nil {
					b.net.add("192.0.2.2:25", c.mx2)
				}
				b.send(1, "s", "alice@home.test", strings.Fields(c.to)...)
				stop := b.run()
				synctest.Wait()
				b.want("events", b.events.take(), c.events)
				if c.mx2 != nil {
					b.want("mx2 took", c.mx2.got(), c.took)
				}
				stop()
			})
		})
	}
}

// TestFiveDays is the life of what nobody takes: tried again and again, the
// sender told once after four hours and once at the end.
func TestFiveDays(t *testing.T) {
	const failed = "rfc822; b@y.test, failed, 4.4.7, dns; mx1.y.test, smtp; 450 4.2.0 later"
	const delayed = "rfc822; b@y.test, delayed, 4.2.0, dns; mx1.y.test, smtp; 450 4.2.0 later, Thu, 06 Jan 2000 00:00:00 +0000"
	for _, c := range []struct{ from, to, reports, story, inbox string }{
		{"alice@home.test", "b@y.test", "4h0m0s reported delayed to alice@home.test\n120h0m0s reported failed to alice@home.test",
			"bounced b@y.test; reported alice@home.test failed", delayed + "|" + failed},
		{"alice@home.test", "b@y.test NEVER", "", "bounced b@y.test", ""},
		{"alice@home.test", "b@y.test FAILURE", "120h0m0s reported failed to alice@home.test", "bounced b@y.test; reported alice@home.test failed",
			failed},
		{"", "b@y.test", "", "bounced b@y.test; untold b@y.test", ""},
	} {
		t.Run(c.from+" "+c.to, func(t *testing.T) {
			play(t, func(b *bed) {
				b.o.Again = 12 * time.Hour
				h := b.net.add("192.0.2.1:25", &host{any: "450 4.2.0 later"})
				id := b.send(1, "s", c.from, c.to)
				stop := b.run()
				time.Sleep(6 * 24 * time.Hour)
				stop()
				var reports []string
				attempts := 0
				for line := range strings.Lines(b.events.take()) {
					if strings.Contains(line, "reported") {
						reports = append(reports, strings.TrimSpace(line))
					} else {
						attempts++
					}
				}
				b.want("reports", strings.Join(reports, "\n"), c.reports)
				if attempts < 30 || attempts > 60 || h.conns != attempts {
					b.Errorf("%d attempts, %d connections", attempts, h.conns)
				}
				if !strings.HasSuffix(b.story(id), c.story) {
					b.Errorf("history ends: %s", b.story(id))
				}
				b.want("queue", b.waiting(), "")
				b.want("inbox", strings.Join(b.inbox(), "|"), c.inbox)
			})
		})
	}
}

func TestSuccessReport(t *testing.T) {
	play(t, func(b *bed) {
		b.net.add("192.0.2.1:25", &host{})
		z := b.net.add("192.0.2.3:25", &host{ext: []string{"DSN"}})
		defer b.run()()
		b.send(1, "s", "alice@home.test", "b@y.test SUCCESS", "c@z.test SUCCESS", "d@y.test")
		synctest.Wait()
		b.want("inbox", strings.Join(b.inbox(), "|"), "rfc822; b@y.test, relayed, 2.0.0, dns; mx1.y.test, smtp; 250 2.0.0 taken")
		if !strings.Contains(strings.Join(z.command, "\n"), "RCPT TO:<c@z.test> NOTIFY=SUCCESS") {
			b.Errorf("the request was not passed on: %q", z.command)
		}
	})
}

// TestReuse sees that what is in hand for one hop goes over few connections, a
// bounded number at once, and that a server's bound on one connection is kept.
func TestReuse(t *testing.T) {
	for _, limit := range []int{0, 3} {
		play(t, func(b *bed) {
			h := b.net.add("192.0.2.1:25", &host{pause: time.Second, limit: limit})
			for n := range 60 {
				b.send(n, fmt.Sprint(n), "alice@home.test", "b@y.test")
			}
			stop := b.run()
			time.Sleep(time.Minute)
			stop()
			if n := len(h.received); n != 60 {
				b.Errorf("limit %d: %d taken: %s", limit, n, b.events.take())
			}
			if limit == 0 && (h.most != 8 || h.conns != 8) || limit == 3 && (h.conns < 20 || h.conns > 28) {
				b.Errorf("limit %d: %d connections, %d at once, %d messages on one", limit, h.conns, h.most, h.perConn)
			}
		})
	}
}

// TestHopsDoNotWaitForEachOther puts a long backlog for a slow hop before one
// message to another.
func TestHopsDoNotWaitForEachOther(t *testing.T) {
	play(t, func(b *bed) {
		b.o.Limits = queue.Limits{Remembered: 10}
		b.net.add("192.0.2.1:25", &host{pause: time.Minute})
		z := b.net.add("192.0.2.3:25", &host{})
		for n := range 200 {
			b.send(n, fmt.Sprint(n), "alice@home.test", "b@y.test")
		}
		b.send(250, "quick", "alice@home.test", "c@z.test")
		stop := b.run()
		time.Sleep(time.Second)
		b.want("z took", z.got(), "alice@home.test > c@z.test: quick")
		time.Sleep(30 * time.Minute)
		b.want("queue", b.waiting(), "")
		stop()
	})
}

// TestDownHop sees that a hop that cannot be reached is not tried by every
// message that waits for it, and that the first try afterwards is a real one.
func TestDownHop(t *testing.T) {
	play(t, func(b *bed) {
		for n := range 20 {
			b.send(n, fmt.Sprint(n), "alice@home.test", "b@z.test")
		}
		stop := b.run()
		time.Sleep(time.Second)
		if n := strings.Count(b.events.take(), "connection refused"); n != 20 {
			b.Errorf("%d were deferred", n)
		}
		h := b.net.add("192.0.2.3:25", &host{})
		time.Sleep(6 * time.Minute)
		stop()
		if n := len(h.received); n != 20 {
			b.Errorf("%d were taken after the host came up", n)
		}
	})
}

// TestLocalJunk sees that what was judged junk is laid down as that, though it
// had to wait.
func TestLocalJunk(t *testing.T) {
	play(t, func(b *bed) {
		b.must(b.box.Update(context.Background(), b.alice, b.alice, func(tx *mailbox.Tx) error { return tx.Provision() }))
		h, err := b.o.Blobs.Put(context.Background(), []byte("Subject: s\r\n\r\n.hello\r\n"))
		b.must(err)
		m := queue.Message{ID: mail.ArrivalID{1}, At: time.Now(), Size: h.Size(), From: address("c@y.test"), Junk: true}
		b.must(b.db.Update(context.Background(), []kv.Shard{kv.PartitionShard(m.ID)}, func(tx kv.Tx) error {
			return b.o.Queue.Add(tx, m, h, []queue.Delivery{{To: address("alice@home.test")}})
		}))
		stop := b.run()
		synctest.Wait()
		b.want("inbox", strings.Join(b.inbox(), "|"), "")
		b.must(b.box.View(context.Background(), b.alice, func(tx *mailbox.Tx) error {
			box, err := tx.BoxByRole(mailbox.RoleJunk)
			if box.Messages != 1 {
				b.Errorf("%d messages are in Junk", box.Messages)
			}
			return err
		}))
		stop()
	})
}

// TestLocal sees that what waits for accounts of ours is laid down here.
func TestLocal(t *testing.T) {
	play(t, func(b *bed) {
		id := b.send(1, "s", "c@y.test", "alice@home.test", "nobody@home.test NEVER")
		stop := b.run()
		synctest.Wait()
		b.want("inbox", strings.Join(b.inbox(), "|"), ".hello")
		b.want("queue", b.waiting(), "")
		if s := b.story(id); !strings.Contains(s, "delivered alice@home.test") || !strings.Contains(s, "bounced nobody@home.test") {
			b.Errorf("history: %s", s)
		}
		stop()
	})
}

// TestOperator sees that retry, hold, release and drop reach a running relay.
func TestOperator(t *testing.T) {
	play(t, func(b *bed) {
		b.o.Queue.OnChange = Record
		h := b.net.add("192.0.2.1:25", &host{any: "450 later"})
		first := b.send(1, "s", "alice@home.test", "b@y.test")
		stop := b.run()
		defer stop()
		synctest.Wait()
		h.set(func(h *host) { h.any = "" })
		ctx, all := context.Background(), queue.Filter{}
		b.count(b.o.Queue.Hold(ctx, all))
		time.Sleep(24 * time.Hour)
		b.want("held", b.waiting(), "b@y.test 1 attempts")
		b.count(b.o.Queue.Release(ctx, all))
		synctest.Wait()
		b.want("released", b.waiting(), "")
		b.want("history", b.story(first), "deferred b@y.test; held b@y.test; released b@y.test; relayed b@y.test")
		h.set(func(h *host) { h.any = "450 later" })
		b.send(2, "s", "alice@home.test", "b@y.test")
		synctest.Wait()
		h.set(func(h *host) { h.any = "" })
		b.count(b.o.Queue.Retry(ctx, all))
		synctest.Wait()
		b.want("retried", b.waiting(), "")
		// What is dropped while it is refused is not reported.
		h.set(func(h *host) { h.data, h.onDot = "550 no", func() { b.count(b.o.Queue.Drop(ctx, all)) } })
		id := b.send(3, "s", "alice@home.test", "b@y.test")
		synctest.Wait()
		b.want("inbox", strings.Join(b.inbox(), "|"), "")
		b.want("history", b.story(id), "dropped b@y.test; bounced b@y.test")
	})
}

func TestTrims(t *testing.T) {
	play(t, func(b *bed) {
		b.o.History, b.o.Keep, b.o.Again = b.hist, 48*time.Hour, 12*time.Hour
		b.net.add("192.0.2.1:25", &host{})
		id := b.send(1, "s", "alice@home.test", "b@y.test")
		stop := b.run()
		time.Sleep(47 * time.Hour)
		b.want("after 47 hours", b.story(id), "relayed b@y.test")
		time.Sleep(2*time.Hour + time.Second)
		b.want("after 49 hours", b.story(id), "")
		stop()
	})
}

func (b *bed) count(n int, err error) {
	b.Helper()
	if err != nil || n != 1 {
		b.Errorf("%d changed, %v", n, err)
	}
}

// TestStop sees that attempts in flight may end within the grace time, and that
// what was cut waits as before.
func TestStop(t *testing.T) {
	for _, c := range []struct {
		pause   time.Duration
		waiting string
	}{{5 * time.Second, ""}, {time.Hour, "b@y.test 0 attempts"}} {
		play(t, func(b *bed) {
			b.net.add("192.0.2.1:25", &host{pause: c.pause})
			b.send(1, "s", "alice@home.test", "b@y.test")
			stop := b.run()
			synctest.Wait()
			stop()
			b.want("queue", b.waiting(), c.waiting)
			if d := time.Since(b.start); c.pause > time.Minute && d < 10*time.Second {
				b.Errorf("stopped after %s", d)
			}
		})
	}
}

// TestNothingTwice sends many messages at random to hosts that answer at random,
// and compares what was taken with what was told.
func TestNothingTwice(t *testing.T) {
	play(t, func(b *bed) {
		y := b.net.add("192.0.2.1:25", &host{pause: 10 * time.Millisecond, any: "450 later"})
		z := b.net.add("192.0.2.3:25", &host{pause: time.Millisecond, rcpt: map[string]string{"r3@z.test": "550 no"}})
		stop := b.run()
		sent := 0
		for n := range 200 {
			if n == 100 {
				y.set(func(h *host) { h.any = "" })
			}
			var to []string
			for r := range n%5 + 1 {
				to = append(to, fmt.Sprintf("r%d@%s.test", r, [...]string{"y", "z"}[(n+r)%2]))
			}
			sent += len(to)
			b.queue(n, fmt.Sprint(n), "alice@home.test", deliveries(to))
			time.Sleep(time.Duration(n) * time.Millisecond)
		}
		time.Sleep(24 * time.Hour)
		stop()
		b.want("queue", b.waiting(), "")
		taken := 0
		for _, h := range []*host{y, z} {
			seen := map[string]bool{}
			for _, line := range h.received {
				if seen[line] {
					b.Errorf("twice: %s", line)
				}
				seen[line] = true
				taken += strings.Count(line, ",") + 1
			}
		}
		bounced := strings.Count(b.events.take(), "bounced")
		if taken+bounced != sent {
			b.Errorf("%d taken and %d bounced of %d", taken, bounced, sent)
		}
		if n := len(b.inbox()); n != bounced {
			b.Errorf("%d reports of %d", n, bounced)
		}
	})
}

func deliveries(to []string) (ds []queue.Delivery) {
	for i, r := range to {
		ds = append(ds, queue.Delivery{N: uint32(i), To: address(r), Notify: mail.NotifyFailure})
	}
	return ds
}

// TestRerouted has an operator send what waits another way, and back.
func TestRerouted(t *testing.T) {
	play(t, func(b *bed) {
		b.net.add("192.0.2.1:25", &host{any: "451 4.2.1 later"})
		smart := b.net.add("192.0.2.9:587", &host{})
		b.o.Queue.OnChange = Record
		defer b.run()()
		synctest.Wait()
		id := b.send(1, "one", "alice@home.test", "b@y.test", "c@y.test")
		time.Sleep(time.Minute)
		if n, err := b.o.Queue.Reroute(b.Context(), queue.Filter{To: address("b@y.test")}, "192.0.2.9:587"); err != nil || n != 1 {
			b.Fatal(n, err)
		}
		synctest.Wait()
		b.want("the smart host took", smart.got(), "alice@home.test > b@y.test: one")
		b.want("queue", b.waiting(), "c@y.test 1 attempts")
		smart.set(func(h *host) { h.any = "450 4.2.1 not now" })
		for _, via := range []string{"192.0.2.9:587", queue.Direct} {
			if n, err := b.o.Queue.Reroute(b.Context(), queue.Filter{}, via); err != nil || n != 1 {
				b.Fatal(n, err)
			}
			synctest.Wait()
		}
		b.want("queue", b.waiting(), "c@y.test 3 attempts")
		story := b.story(id)
		for _, want := range []string{"relayed b@y.test", "rerouted b@y.test", "rerouted c@y.test"} {
			if !strings.Contains(story, want) {
				b.Errorf("history: %s", story)
			}
		}
	})
}

// TestListFailure has a member of a mailing list refused: its owner hears of it, who
// wrote to the list does not.
func TestListFailure(t *testing.T) {
	play(t, func(b *bed) {
		y := b.net.add("192.0.2.1:25", &host{rcpt: map[string]string{"gone@y.test": "550 5.1.1 no such user"}})
		list, alice := address("list@home.test"), address("alice@home.test")
		b.must(b.dir.AddList(b.Context(), list, []mail.Address{address("gone@y.test"), address("b@y.test")}, alice))
		defer b.run()()
		synctest.Wait()
		h, err := b.o.Blobs.Put(b.Context(), []byte("Subject: to all\r\n\r\nhello\r\n"))
		b.must(err)
		a := &mail.Arrival{ID: mail.NewArrivalID(), At: time.Now(), Envelope: mail.Envelope{
			From: address("writer@z.test"), To: []mail.Recipient{{Address: list, Notify: mail.NotifyFailure}},
		}}
		replies, err := b.o.Deliver.Deliver(b.Context(), a, h)
		b.must(err)
		if !replies[0].OK() {
			b.Fatal(replies)
		}
		synctest.Wait()
		b.want("y took", y.got(), "alice@home.test > b@y.test: to all")
		b.want("queue", b.waiting(), "")
		inbox := b.inbox()
		if len(inbox) != 1 || !strings.Contains(inbox[0], "gone@y.test, failed, 5.1.1") {
			b.Errorf("the owner has %q", inbox)
		}
	})
}
