package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

const (
	accounts   = 3
	partitions = 3 // of the queue that are used
	home       = "example.test"
)

// world is one run of the store, from opening to the cut.
type world struct {
	disk    *disk
	book    *book
	db      *pebblekv.DB
	blobs   *blob.Store
	people  *directory.Store
	boxes   *mailbox.Store
	queue   *queue.Store
	history *history.Store
	deliver *deliver.Deliverer

	// handles is held by those who have found a blob and will refer to it or read
	// it, and by the sweep that comes from the future alone: in life a day and a
	// half lie between.
	handles sync.RWMutex

	mu    sync.Mutex
	wrong []string // what is not as it was promised
}

func (w *world) errorf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wrong) < 8 {
		w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
	}
}

// must notes an error that nothing explains.
func (w *world) must(what string, err error) bool {
	if err != nil {
		w.errorf("%s: %v", what, err)
	}
	return err == nil
}

// open opens the store on a disk.
func open(d *disk, b *book) (*world, error) {
	w := &world{disk: d, book: b}
	var err error
	w.db, err = pebblekv.Open("store", pebblekv.Options{
		FS: pebbleFS{d}, Cache: 1 << 20, MemTable: 128 << 10, Reserve: -1,
		Fatal: func(err error) { w.errorf("the engine gives up: %v", err) },
	})
	if err != nil {
		return nil, err
	}
	w.blobs, err = blob.Open(blob.Options{DB: w.db, FS: segmentFS{d, "blobs"}, Inline: 8 << 10, Segment: 64 << 10, Reserve: -1, Memory: 1})
	if err != nil {
		return nil, errors.Join(err, w.db.Close())
	}
	w.people, w.history = directory.New(w.db), history.New(w.db)
	w.boxes = mailbox.New(mailbox.Options{DB: w.db, Blobs: w.blobs})
	w.queue = queue.New(w.db, w.blobs)
	w.deliver = deliver.New(deliver.Options{
		DB: w.db, Blobs: w.blobs, Mailbox: w.boxes, Queue: w.queue, Directory: w.people, Sink: event.Discard{}, Hostname: "mx." + home,
	})
	return w, nil
}

func (w *world) close() error { return errors.Join(w.blobs.Close(), w.db.Close()) }

// found makes the store on a new disk, and people to live in it.
func found(d *disk, b *book) error {
	if err := d.mkdir("blobs", false); err != nil {
		return err
	}
	d.sync("/", d.root)
	w, err := open(d, b)
	if err != nil {
		return err
	}
	ctx := context.Background()
	err = w.people.AddDomain(ctx, home)
	for i := range accounts {
		if err != nil {
			break
		}
		var a directory.Account
		if a, err = w.people.AddAccount(ctx, person(i), directory.Credentials{}, 0); err == nil {
			err = w.boxes.Update(ctx, 0, a.ID, (*mailbox.Tx).Provision)
		}
		b.holders = append(b.holders, &holder{id: a.ID, boxes: map[mailbox.BoxID]mailbox.Box{}, spots: map[mailbox.Place]*spot{}})
	}
	return errors.Join(err, w.close())
}

func person(i int) mail.Address { return mail.Address{Local: fmt.Sprintf("p%d", i), Domain: home} }

// point is one cut and what is found after it.
type point struct {
	disk  *disk // what is left
	wrong []string
}

// live lets everybody work on the disk until the power goes.
func live(d *disk, b *book, seed uint64) point {
	rng := rand.New(rand.NewPCG(seed, 1))
	reach := []int{12, 60, 250, 250, 800}[rng.IntN(5)]
	if d.killed && rng.IntN(2) == 0 {
		reach = 60 // before all that the kill left is synced with other things
	}
	d.kill = rng.IntN(3) == 0
	d.cutAt = d.ops + 1 + rng.IntN(reach)
	if rng.IntN(3) == 0 { // segments begin seldom
		d.cutAt, d.cutIn, d.kill = 0, d.names+1+rng.IntN(12), rng.IntN(2) == 0
	}
	w, err := open(d, b)
	if err != nil {
		return point{wrong: []string{fmt.Sprintf("opening: %v", err)}}
	}
	if !d.dead.Load() { // else the power went while it was opening
		w.check()
		w.work(seed)
	}
	left := d.cutNow()
	w.must("closing", w.close())
	return point{left, w.wrong}
}

// verify opens what is left after the last cut, and compares.
func verify(d *disk, b *book) []string {
	w, err := open(d, b)
	if err != nil {
		return []string{fmt.Sprintf("opening: %v", err)}
	}
	w.check()
	w.must("closing", w.close())
	return w.wrong
}
