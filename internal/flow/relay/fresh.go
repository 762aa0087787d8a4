package relay

import (
	"bytes"
	"context"
	"io"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// Bounds of the messages that are kept in memory until they are started. What is
// beyond them is read again.
const (
	maxCopies       = 1000
	maxCopiesWeight = 8 << 20 // octets, about
)

// copies are messages as they were queued, whose deliveries stand in the plan:
// neither the index nor the rows need to be read for them.
type copies struct {
	all    map[mail.ArrivalID]*kept
	weight int
}

// kept is one of them, with the numbers of its deliveries that are not started.
type kept struct {
	*queue.Fresh
	left []uint32
}

func (c *copies) keep(f *queue.Fresh, left []uint32) {
	w := f.Weight()
	if len(left) == 0 || len(c.all) >= maxCopies || c.weight+w > maxCopiesWeight {
		return
	}
	if c.all == nil {
		c.all = map[mail.ArrivalID]*kept{}
	}
	c.all[f.Message.ID] = &kept{f, left}
	c.weight += w
}

// give adds its copy to b, if it is kept: to each delivery's first attempt only,
// for later ones the rows know more.
func (c *copies) give(b queue.Batch) queue.Batch {
	k := c.all[b.Message]
	if k == nil {
		return b
	}
	before := len(k.left)
	k.left = slices.DeleteFunc(k.left, func(n uint32) bool { return slices.Contains(b.N, n) })
	if before-len(k.left) == len(b.N) {
		b.Fresh = k.Fresh
	}
	if len(k.left) == 0 {
		delete(c.all, b.Message)
		c.weight -= k.Weight()
	}
	return b
}

// takeFresh offers the plan what this process has just queued.
func (r *Relay) takeFresh(ctx context.Context) {
	all, look := r.o.Queue.TakeFresh()
	for _, part := range look {
		r.hints.keep(part)
	}
	for _, f := range all {
		epoch, ours := r.o.Leases.Epoch(queue.Ref{Message: f.Message.ID}.Partition())
		if !ours {
			continue // who has the lease hears of the commit
		}
		f.Epoch = epoch
		var taken []uint32
		for _, d := range f.Dues() {
			if d.Via == "" { // the sender may decide, whom the index does not name
				d.Via = string(r.o.Router.Via(ctx, d.Domain, route.Sender{From: f.Message.From, Account: f.Message.Account}).Hop())
			}
			part := d.Partition()
			switch {
			case r.seen[part].Passed(d):
				// A look was faster; it may be sent and settled already.
			case r.plan.Full() && d.Priority <= 0:
				r.hints.keep(part)
			case r.plan.Offer(d):
				taken = append(taken, d.N)
			}
		}
		r.copies.keep(f, taken)
	}
}

// passed moves the cursor of a partition on.
func (r *Relay) passed(part uint8, to queue.Cursor) {
	r.cursors[part] = to
	r.seen[part] = r.seen[part].Most(to)
}

// load reads what b names, or has it already, sometimes with the content.
func (r *Relay) load(ctx context.Context, b queue.Batch, h *queue.Hold) (parcel, []queue.Delivery, error) {
	// What an operator does at another node is seen in the rows alone.
	if b.Fresh != nil && r.o.Leases.Sole() && b.Fresh.Epoch == h.Epoch() && r.o.Queue.IsCurrent(b.Fresh) {
		return parcel{b.Fresh.Message, h, b.Fresh.Body}, b.Fresh.Pick(b.N), nil
	}
	m, ds, err := r.o.Queue.Load(ctx, b.Message, b.N)
	return parcel{Message: m, hold: h}, ds, err
}

// parcel is a message on its way, with its content if that is at hand, else nil.
type parcel struct {
	queue.Message
	hold *queue.Hold // of its partition's lease
	body []byte
}

// open gives the content behind its prefix, and what closes it.
func (r *Relay) open(ctx context.Context, m parcel) (blob.Prefixed, io.Closer, error) {
	if m.body != nil {
		return blob.Prefixed{Prefix: m.Prefix, Rest: bytes.NewReader(m.body)}, io.NopCloser(nil), nil
	}
	content, err := r.o.Blobs.Open(ctx, m.Blob)
	return blob.Prefixed{Prefix: m.Prefix, Rest: content}, content, err
}

// reading is how far each partition's index was read.
type reading struct {
	cursors [kv.Partitions]queue.Cursor // where to go on
	seen    [kv.Partitions]queue.Cursor // the farthest they have been
	epochs  [kv.Partitions]uint64       // of the lease under which that was
}
