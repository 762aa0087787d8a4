package crashtest

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// relay takes what is due in a partition and settles one message's deliveries,
// as if they had been tried.
func (k *worker) relay() {
	part := uint8(k.IntN(partitions))
	look, err := k.queue.TakeDue(k.ctx, part, queue.Cursor{}, time.Now(), 20)
	if !k.must("looking for what is due", err) || len(look.Due) == 0 {
		time.Sleep(100 * time.Microsecond)
		return
	}
	id := look.Due[k.IntN(len(look.Due))].Message
	var ns []uint32
	for _, d := range look.Due {
		if d.Message == id {
			ns = append(ns, d.N)
		}
	}
	m, ds, err := k.queue.Load(k.ctx, id, ns)
	if !k.must("loading a delivery", err) {
		return
	}
	k.disk.tell(func() {
		if l := k.book.letters[id]; l != nil {
			l.shown = true
		}
		for _, d := range ds {
			if p := k.book.parcels[d.Ref()]; p != nil && (p.ended || p.attempts > d.Attempts) {
				k.errorf("a delivery of %v that was settled is due again", id)
			}
		}
	})
	k.handles.RLock()
	r, err := k.blobs.Open(k.ctx, m.Blob)
	if k.must("opening what is to be sent", err) {
		k.must("closing it", r.Close())
	}
	k.handles.RUnlock()
	k.settle(m, ds)
}

// settle writes how the attempts ended.
func (k *worker) settle(m queue.Message, ds []queue.Delivery) {
	now := time.Now()
	for i := range ds {
		o := queue.Outcome{Result: queue.Result(k.IntN(3)), Reply: "250 2.0.0 as drawn", Host: "mx.far.test"}
		ds[i], _ = queue.Settle(ds[i], o, queue.Policy{RetryFirst: time.Millisecond, RetryMax: time.Millisecond}, now)
	}
	k.disk.tell(func() {
		for i := range ds {
			p := k.book.parcels[ds[i].Ref()]
			if p == nil {
				p = &parcel{}
				k.book.parcels[ds[i].Ref()] = p
			}
			p.asked = &ds[i]
		}
	})
	err := k.db.Update(k.ctx, []kv.Shard{kv.PartitionShard(m.ID)}, func(tx kv.Tx) error {
		there, err := k.queue.Write(tx, now, ds...)
		if err != nil {
			return err
		}
		for i, d := range ds {
			if !there[i] {
				k.errorf("a delivery of %v went by itself", m.ID)
			}
			history.Write(tx, m.ID, history.Entry{At: now, What: history.Deferred, From: m.From, To: d.To})
		}
		return nil
	})
	if !k.must("settling", err) {
		return
	}
	k.disk.tell(func() {
		for _, d := range ds {
			p := k.book.parcels[d.Ref()]
			p.attempts, p.ended, p.asked = d.Attempts, d.State.Ended(), nil
		}
	})
}

// checkQueue compares the queue with what was answered: no delivery is lost,
// none is there that has ended.
func (w *world) checkQueue(ctx context.Context) map[queue.Ref]queue.Delivery {
	rows := map[queue.Ref]queue.Delivery{}
	for e, err := range w.queue.List(ctx, queue.Filter{}) {
		if !w.must("listing the queue", err) {
			return nil
		}
		d := e.Delivery
		rows[d.Ref()] = d
		p := w.book.parcels[d.Ref()]
		switch {
		case w.book.letters[d.Message] == nil:
			w.errorf("the queue has a delivery of %v, which nobody brought", d.Message)
		case p == nil:
			if d.Attempts != 0 {
				w.errorf("a delivery of %v was tried %d times by nobody", d.Message, d.Attempts)
			}
		case p.ended:
			w.errorf("a delivery of %v has ended and is there again", d.Message)
		case d.Attempts != p.attempts && (p.asked == nil || d.Attempts != p.asked.Attempts):
			w.errorf("a delivery of %v says %d attempts, %d were answered", d.Message, d.Attempts, p.attempts)
		}
		if _, err := w.blobs.Handle(ctx, e.Message.Blob); err != nil {
			w.errorf("the body of %v in the queue: %v", d.Message, err)
		}
	}
	w.checkIndex(ctx, rows)
	for ref, p := range w.book.parcels {
		d, there := rows[ref]
		switch {
		case there:
			*p = parcel{attempts: d.Attempts}
		case !p.ended && (p.asked == nil || !p.asked.State.Ended()):
			w.errorf("a delivery of %v that waits is lost", ref.Message)
		default:
			*p = parcel{ended: true}
		}
	}
	return rows
}

// checkIndex wants an index row for each delivery that waits, and no other.
func (w *world) checkIndex(ctx context.Context, rows map[queue.Ref]queue.Delivery) {
	n := 0
	for part := range uint8(partitions) {
		look, err := w.queue.TakeDue(ctx, part, queue.Cursor{}, time.Now().Add(1000*time.Hour), 1<<20)
		w.must("reading the queue's index", err)
		for _, d := range look.Due {
			if _, ok := rows[d.Ref]; !ok {
				w.errorf("the queue's index has a delivery of %v, which is not there", d.Message)
			}
			n++
		}
	}
	if n != len(rows) {
		w.errorf("%d deliveries wait, %d stand in the index", len(rows), n)
	}
}

// checkLetters holds each message to all or nothing: if any of it is there, its
// history, all its deliveries and all its copies are.
func (w *world) checkLetters(ctx context.Context, copies []map[mail.ArrivalID]int, rows map[queue.Ref]queue.Delivery) {
	for id, l := range w.book.letters {
		entries, err := w.history.ByArrival(ctx, id)
		w.must("reading a history", err)
		there := len(entries) > 0
		if l.promised() && !there {
			w.errorf("message %v was answered: %v, was seen: %v, and is lost", id, l.accepted, l.shown)
		}
		for n := range l.remote {
			ref := queue.Ref{Message: id, N: uint32(n)}
			if _, waits := rows[ref]; !waits && there && w.book.parcels[ref] == nil {
				w.errorf("a delivery of %v is lost", id)
			} else if waits && !there {
				w.errorf("half of %v is there: a delivery", id)
			}
		}
		for _, i := range l.accounts {
			w.checkCopy(l, there, w.book.holders[i], copies[i][id])
		}
		if l.accepted = there; !there {
			delete(w.book.letters, id)
		}
	}
	w.book.flying = nil
}

// checkCopy wants the one copy of a message in an account, unless its user has
// done away with it.
func (w *world) checkCopy(l *letter, there bool, h *holder, n int) {
	seen, alive := false, false
	for _, s := range h.spots {
		if s.arrival == l.id {
			seen, alive = true, alive || !s.gone
		}
	}
	switch {
	case n > 1:
		w.errorf("message %v is there %d times", l.id, n)
	case n == 1 && !there:
		w.errorf("half of %v is there: a copy", l.id)
	case n == 1 && seen && !alive:
		w.errorf("message %v was expunged and is there again", l.id)
	case n == 0 && there && (!seen || alive):
		w.errorf("a copy of %v is lost", l.id)
	}
}
