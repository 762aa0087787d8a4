package queue

import (
	"bytes"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// fresh queues a message of a prefix of so many octets for a recipient.
func (b *bed) fresh(n byte, prefix int, ds ...Delivery) (f *Fresh) {
	b.Helper()
	h, err := b.blobs.Put(b.Context(), []byte("Subject: s\r\n\r\n"))
	if err != nil {
		b.Fatal(err)
	}
	m := Message{ID: id(n), At: t0, Size: h.Size(), From: address("a@x.test"), Prefix: bytes.Repeat([]byte("x"), prefix)}
	b.update(m.ID, func(tx kv.Tx) (err error) { f, err = b.AddFresh(tx, m, h, ds); return err })
	return f
}

// TestFreshIsWhatIsRead compares what is offered with the rows and the index.
func TestFreshIsWhatIsRead(t *testing.T) {
	b := newBed(t)
	to := func(n uint32, s string) Delivery { return Delivery{N: n, To: address(s)} }
	held := to(2, "d@z.test")
	held.State = Held
	f := b.fresh(1, 10, to(0, "b@y.test"), to(1, "c@z.test"), held)
	l, err := b.TakeDue(t.Context(), 1, Cursor{}, t0, 10)
	if err != nil || len(l.Due) != 2 {
		t.Fatal(l, err)
	}
	for i, d := range f.Dues() {
		if d.Sender == 0 || d.Sender != l.Due[i].Sender || d.Ref != l.Due[i].Ref || d.Domain != l.Due[i].Domain || d.At != l.Due[i].At {
			t.Errorf("offered %+v, read %+v", d, l.Due[i])
		}
		if !l.Next.Passed(d) || (Cursor{}).Passed(d) {
			t.Errorf("a reader has not passed %+v", d)
		}
	}
	m, ds, err := b.Load(t.Context(), f.Message.ID, []uint32{0, 1, 2})
	if err != nil || len(ds) != 2 || m.Blob != f.Message.Blob || !bytes.Equal(m.Prefix, f.Message.Prefix) {
		t.Fatalf("%+v %v", m, err)
	}
	for i, d := range f.Pick([]uint32{0, 1, 2}) {
		if d.To != ds[i].To || !d.First.Equal(ds[i].First) || !d.Due.Equal(ds[i].Due) || d.place != ds[i].place {
			t.Errorf("offered %+v, read %+v", d, ds[i])
		}
	}
}

// TestFreshLater sees that what is not due yet is looked for.
func TestFreshLater(t *testing.T) {
	b := newBed(t)
	d := Delivery{To: address("b@y.test"), Due: t0.Add(time.Hour)}
	if f := b.fresh(1, 0, d); f != nil {
		t.Errorf("offered: %+v", f)
	}
	if b.Readied(1) == 0 {
		t.Error("nobody looks")
	}
	if b.fresh(2, 0, Delivery{To: address("b@y.test")}); b.Readied(2) != 0 {
		t.Error("what is offered is looked for as well")
	}
}

// TestOfferBounds offers to nobody, and more than is kept.
func TestOfferBounds(t *testing.T) {
	b := newBed(t)
	d := Delivery{To: address("b@y.test")}
	b.Offer(b.fresh(0, 0, d))
	wake := b.Listen()
	if all, look := b.TakeFresh(); len(all)+len(look) != 0 {
		t.Errorf("kept for nobody: %v %v", all, look)
	}
	sum := 0
	for n := range byte(100) {
		b.Offer(b.fresh(n+1, MaxPrefix, d))
	}
	<-wake
	all, look := b.TakeFresh()
	for _, f := range all {
		sum += f.Weight()
	}
	missed := map[uint8]bool{}
	for n := len(all); n < 100; n++ {
		missed[Ref{Message: id(byte(n + 1))}.Partition()] = true
	}
	if sum > maxFresh || sum < maxFresh/2 || len(look) != len(missed) {
		t.Errorf("%d octets, %d to be looked for, want %d", sum, len(look), len(missed))
	}
	if all, look := b.TakeFresh(); len(all)+len(look) != 0 {
		t.Errorf("twice: %v %v", all, look)
	}
	b.Leave()
	b.Offer(b.fresh(101, 0, d))
	if all, _ := b.TakeFresh(); len(all) != 0 {
		t.Error("kept for who left")
	}
}

// TestFreshNoLonger sees that what an operator does makes copies stale.
func TestFreshNoLonger(t *testing.T) {
	b := newBed(t)
	f := b.fresh(1, 0, Delivery{To: address("b@y.test")})
	if !b.IsCurrent(f) {
		t.Error("stale at once")
	}
	if _, err := b.Hold(t.Context(), Filter{ID: f.Message.ID}); err != nil || b.IsCurrent(f) {
		t.Errorf("current after a hold: %v", err)
	}
}
