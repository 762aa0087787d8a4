package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// TestWaits counts what has to wait: not what leaves at once, and whatever
// becomes of it.
func TestWaits(t *testing.T) {
	b := newBed(t)
	const account = mail.AccountID(7)
	want := func(what string, deliveries, octets int64) {
		t.Helper()
		if w, err := b.Waits(t.Context(), account); err != nil || w != (Waits{deliveries, octets}) {
			t.Errorf("%s: %+v, %v; want %d and %d", what, w, err, deliveries, octets)
		}
	}
	h, err := b.blobs.Put(t.Context(), []byte("Subject: x\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	add := func(n byte, release time.Time, ds ...Delivery) {
		t.Helper()
		m := Message{ID: id(n), At: t0, Size: 90, Prefix: make([]byte, 10), From: address("a@x.test"), Account: account}
		m.Release = release
		b.update(m.ID, func(tx kv.Tx) error { return b.Add(tx, m, h, ds) })
	}
	load := func(n byte, rcpt uint32) Delivery {
		t.Helper()
		_, ds, err := b.Load(t.Context(), id(n), []uint32{rcpt})
		if err != nil || len(ds) != 1 {
			t.Fatalf("%v, %v", ds, err)
		}
		return ds[0]
	}
	to := func(n uint32) Delivery { return Delivery{N: n, To: address(fmt.Sprintf("r%d@y.test", n))} }
	settle := func(d Delivery, s State) {
		t.Helper()
		if d.State = s; s == Waiting {
			d.Due = t0.Add(time.Hour)
		}
		if !b.write(d, t0) {
			t.Errorf("%v was not there", d.Ref())
		}
	}
	add(1, time.Time{}, to(0), to(1), to(2))
	want("due at once", 0, 0)
	settle(load(1, 0), Waiting)
	settle(load(1, 1), Waiting)
	settle(load(1, 2), Delivered)
	want("put off", 2, 200)
	settle(load(1, 0), Waiting)
	want("put off again", 2, 200)
	settle(load(1, 0), Bounced)
	want("given up", 1, 100)
	held := to(0)
	held.State = Held
	add(2, time.Time{}, held)
	add(3, t0.Add(time.Hour), to(0), to(1))
	want("held and to be released", 4, 400)
	for _, step := range []struct {
		what               string
		do                 func() (int, error)
		n                  int
		deliveries, octets int64
	}{
		{"retried", func() (int, error) { return b.Retry(t.Context(), Filter{ID: id(1)}) }, 1, 3, 300},
		{"held by an operator", func() (int, error) { return b.Hold(t.Context(), Filter{}) }, 3, 4, 400},
		{"rerouted", func() (int, error) { return b.Reroute(t.Context(), Filter{}, Direct) }, 4, 4, 400},
		{"released", func() (int, error) { return b.Release(t.Context(), Filter{ID: id(2)}) }, 1, 3, 300},
		{"dropped", func() (int, error) { return b.Drop(t.Context(), Filter{}) }, 4, 0, 0},
	} {
		if n, err := step.do(); err != nil || n != step.n {
			t.Errorf("%s: %d, %v", step.what, n, err)
		}
		want(step.what, step.deliveries, step.octets)
	}
	for part := range uint8(kv.Partitions) {
		if n := b.rows(kv.Partition(part), kv.Partition(part)); n != 0 {
			t.Errorf("%d rows are left in partition %d", n, part)
		}
	}
}

// TestReroute has an operator choose the way: it is kept over attempts, decides the
// hop, and stands against an attempt in flight.
func TestReroute(t *testing.T) {
	b := newBed(t)
	b.add(1, "a@x.test", "b@y.test", "c@y.test")
	_, flying, err := b.Load(t.Context(), id(1), []uint32{0})
	if err != nil {
		t.Fatal(err)
	}
	via := func() (all string) {
		for e, err := range b.List(t.Context(), Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			all += fmt.Sprintf("%d:%s:%s ", e.Delivery.N, e.Delivery.Via, b.Site(e.Delivery))
		}
		return all
	}
	if n, err := b.Reroute(t.Context(), Filter{To: address("b@y.test")}, "smart.test:587"); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	d := flying[0]
	d.Due, d.Attempts = t0.Add(time.Hour), 1
	b.write(d, t0)
	if got := via(); got != "0:smart.test:587:smart.test:587 1::y.test " {
		t.Error(got)
	}
	l, err := b.TakeDue(t.Context(), 1, Cursor{}, t0.Add(2*time.Hour), 9)
	if err != nil || len(l.Due) != 2 {
		t.Fatal(l, err)
	}
	p := NewPlan(Limits{}, Ways{})
	hops := map[mail.Domain]uint32{}
	for _, due := range l.Due {
		p.Offer(due)
	}
	for batch, ok := p.Next(t0); ok; batch, ok = p.Next(t0) {
		hops[batch.Hop] = batch.N[0]
	}
	if n, ok := hops["smart.test:587"]; len(hops) != 2 || !ok || n != 0 {
		t.Errorf("%v", hops)
	}
	if n, err := b.Reroute(t.Context(), Filter{Site: "smart.test:587"}, ""); err != nil || n != 1 {
		t.Error(n, err)
	}
	if got := via(); got != "0::y.test 1::y.test " {
		t.Error(got)
	}
}
