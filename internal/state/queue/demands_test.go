package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// TestSettleBy: a deliver-by-time ends the trying, or the sender is told once
// that it has passed (RFC 2852 §4.1.3).
func TestSettleBy(t *testing.T) {
	in := func(d time.Duration, ret bool) mail.DeliverBy { return mail.DeliverBy{At: t0.Add(d), Return: ret} }
	never, fail, delay := mail.NotifyNever, mail.NotifyFailure, mail.NotifyDelay
	half := Outcome{Jitter: 0.5}
	for _, c := range []struct {
		name   string
		by     mail.DeliverBy
		d      Delivery
		after  time.Duration
		o      Outcome
		state  State
		notice Notice
		pause  time.Duration
	}{
		{"R, in a hurry", in(2*time.Minute, true), Delivery{}, 0, half, Waiting, NoNotice, time.Minute},
		{"R, at the end of the time", in(2*time.Minute, true), Delivery{}, 115 * time.Second, half, Waiting, NoNotice, 5 * time.Second},
		{"R, passed", in(2*time.Minute, true), Delivery{}, 2 * time.Minute, half, Bounced, NoticeFailed, 0},
		{"R, passed, never", in(2*time.Minute, true), Delivery{Notify: never}, 2 * time.Minute, half, Bounced, NoNotice, 0},
		{"R, but sent", in(2*time.Minute, true), Delivery{}, 2 * time.Minute, Outcome{Result: Sent}, Delivered, NoNotice, 0},
		{"R, longer than we keep", in(30*24*time.Hour, true), Delivery{Warned: true}, 5 * 24 * time.Hour, half, Bounced, NoticeFailed, 0},
		{"N, in a hurry", in(time.Hour, false), Delivery{Attempts: 20}, 0, half, Waiting, NoNotice, 30 * time.Minute},
		{"N, passed", in(time.Minute, false), Delivery{}, time.Minute, half, Waiting, NoticeDelayed, 5 * time.Minute},
		{"N, passed, told before", in(time.Minute, false), Delivery{Late: true}, 2 * time.Minute, half, Waiting, NoNotice, 5 * time.Minute},
		{"N, passed, delay asked", in(time.Minute, false), Delivery{Notify: delay}, time.Minute, half, Waiting, NoticeDelayed, 5 * time.Minute},
		{"N, passed, delay not asked", in(time.Minute, false), Delivery{Notify: fail}, time.Minute, half, Waiting, NoNotice, 5 * time.Minute},
		{"relayed, to be told", mail.DeliverBy{}, Delivery{Notify: fail}, 0, Outcome{Result: Sent, DSN: true, Tell: true}, Delivered, NoticeRelayed, 0},
		{"relayed, never", mail.DeliverBy{}, Delivery{Notify: never}, 0, Outcome{Result: Sent, Tell: true}, Delivered, NoNotice, 0},
	} {
		c.d.First = t0
		now := t0.Add(c.after)
		got, notice := Settle(c.d, c.o, Policy{By: c.by}, now)
		if got.State != c.state || notice != c.notice || c.pause > 0 && got.Due.Sub(now) != c.pause {
			t.Errorf("%s: %s, notice %d, pause %s", c.name, got.State, notice, got.Due.Sub(now))
		}
	}
}

// TestPlanPriorities: what is urgent goes first, in its hop and among hops, and
// what has no hurry goes last (RFC 6710 §5.1).
func TestPlanPriorities(t *testing.T) {
	p := NewPlan(Limits{Batches: 100}, Ways{})
	offer := func(m byte, domain mail.Domain, priority int8) {
		d := due(m, 0, domain)
		d.Priority = priority
		p.Offer(d)
	}
	offer(1, "a", -4)
	offer(2, "a", 0)
	offer(3, "b", 0)
	offer(4, "a", 0)
	offer(5, "c", 6)
	offer(6, "b", 3)
	offer(7, "b", 3)
	offer(8, "a", 9)
	offer(9, "a", -9)
	var got []string
	for {
		b, ok := p.Next(t0)
		if !ok {
			break
		}
		got = append(got, fmt.Sprint(b.Message[0]))
	}
	if s := strings.Join(got, " "); s != "8 5 6 7 2 3 4 1 9" {
		t.Errorf("%s", s)
	}
	if p.uneven != 0 || p.ready != 0 {
		t.Errorf("%d uneven, %d ready", p.uneven, p.ready)
	}
}

// TestPlanRoomForUrgent: a plan that is full still takes what is urgent.
func TestPlanRoomForUrgent(t *testing.T) {
	p := NewPlan(Limits{Batches: 1, Total: 3, Remembered: 3}, Ways{})
	for m := range byte(7) {
		d := due(m, 0, "a")
		d.Sender = uint64(m)
		p.Offer(d)
	}
	d := due(9, 0, "a")
	d.Priority = 1
	p.Offer(d)
	if b, ok := p.Next(t0); !p.Full() || !ok || b.Message[0] != 9 {
		t.Errorf("full %v, %v", p.Full(), b)
	}
}

// TestLanes: what is urgent is found first, however much waits, and a reader of
// it alone passes nothing else.
func TestLanes(t *testing.T) {
	b := newBed(t)
	part := id(1)[0] % kv.Partitions
	for n := range byte(4) {
		b.add(1+n*kv.Partitions, "a@x.test", "b@y.test")
	}
	urgent := mail.ArrivalID{1, 9}
	h, err := b.blobs.Put(context.Background(), []byte("x\r\n"))
	must(t, err)
	b.update(urgent, func(tx kv.Tx) error {
		m := Message{ID: urgent, At: t0, Demands: mail.Demands{Priority: 4}}
		return b.Add(tx, m, h, []Delivery{{To: address("c@y.test")}, {N: 1, To: address("c@z.test")}})
	})
	l, err := b.TakeDue(context.Background(), part, Cursor{}, time.Now(), 3)
	must(t, err)
	if len(l.Due) != 3 || l.Due[0].Message != urgent || l.Due[1].Priority != 4 || l.Due[1].Domain != "z.test" || l.Due[2].Priority != 0 || !l.More {
		t.Errorf("%+v", l)
	}
	first, err := b.TakeFirst(context.Background(), part, Cursor{}, 10)
	must(t, err)
	if len(first.Due) != 2 || first.Next.now != "" || first.More {
		t.Errorf("%+v", first)
	}
	if again, err := b.TakeFirst(context.Background(), part, first.Next, 10); err != nil || len(again.Due) != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	l, err = b.TakeDue(context.Background(), part, first.Next, time.Now(), 100)
	must(t, err)
	if len(l.Due) != 4 {
		t.Errorf("then %d", len(l.Due))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRelease: what a sender wants released later is not due before, whatever an
// operator does, but it can be dropped (RFC 4865 §4.2).
func TestRelease(t *testing.T) {
	b := newBed(t)
	ctx := context.Background()
	m := Message{ID: id(7), At: time.Now(), Demands: mail.Demands{Release: time.Now().Add(time.Hour)}}
	h, err := b.blobs.Put(ctx, []byte("x\r\n"))
	must(t, err)
	b.update(m.ID, func(tx kv.Tx) error {
		return b.Add(tx, m, h, []Delivery{{To: address("c@y.test")}, {N: 1, To: address("c@z.test")}})
	})
	dues := func() (all []time.Duration) {
		for e, err := range b.List(ctx, Filter{ID: m.ID}) {
			must(t, err)
			if !e.Delivery.First.Equal(m.Release) {
				t.Errorf("its time counts from %s", e.Delivery.First)
			}
			all = append(all, e.Delivery.Due.Sub(m.Release))
		}
		return all
	}
	look := func(at time.Time) int {
		l, err := b.TakeDue(ctx, m.ID[0]%kv.Partitions, Cursor{}, at, 10)
		must(t, err)
		return len(l.Due)
	}
	for _, do := range []func(context.Context, Filter) (int, error){b.Retry, b.Hold, b.Store.Release} {
		if _, err := do(ctx, Filter{}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(dues(), []time.Duration{0, 0}) || look(time.Now()) != 0 || look(m.Release) != 2 {
		t.Errorf("due %v, %d now, %d then", dues(), look(time.Now()), look(m.Release))
	}
	if n, err := b.Drop(ctx, Filter{ID: m.ID}); n != 2 || err != nil || look(m.Release) != 0 {
		t.Errorf("dropped %d, %v", n, err)
	}
}
