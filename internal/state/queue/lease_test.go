package queue

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

const lapse = 30 * time.Second

// cut is a way to the store that can be cut off.
type cut struct {
	kv.DB
	mu  sync.Mutex
	off bool
}

func (c *cut) set(off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
}

func (c *cut) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return fault.New(fault.Unavailable, "cut", "cut off")
	}
	return nil
}

func (c *cut) View(ctx context.Context, s kv.Shard, fn func(kv.Reader) error) error {
	if err := c.err(); err != nil {
		return err
	}
	return c.DB.View(ctx, s, fn)
}

func (c *cut) Update(ctx context.Context, s []kv.Shard, fn func(kv.Tx) error) error {
	if err := c.err(); err != nil {
		return err
	}
	return c.DB.Update(ctx, s, fn)
}

// node is one that keeps leases.
type node struct {
	*Leases
	db   *cut
	stop func()
}

// cluster is nodes over one store.
type cluster struct {
	*testing.T
	db *memkv.DB
}

func (c *cluster) start(name string, sole bool) *node {
	n := &node{db: &cut{DB: c.db}}
	n.Leases = NewLeases(LeaseOptions{DB: n.db, Node: name, Sole: sole, Lapse: lapse})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := n.Run(ctx, func(err error) {
			if !fault.Is(err, fault.Unavailable) {
				c.Error(err)
			}
		}); err != nil {
			c.Error(err)
		}
	})
	n.stop = func() { cancel(); wg.Wait() }
	return n
}

// has counts the partitions of a node.
func (n *node) has() (count int) {
	for part := range uint8(kv.Partitions) {
		if _, ok := n.Epoch(part); ok {
			count++
		}
	}
	return count
}

// once checks that no two nodes have the same.
func (c *cluster) once(nodes ...*node) {
	c.Helper()
	for part := range uint8(kv.Partitions) {
		holders := 0
		for _, n := range nodes {
			if _, ok := n.Epoch(part); ok {
				holders++
			}
		}
		if holders > 1 {
			c.Errorf("partition %d has %d holders", part, holders)
		}
	}
}

func (c *cluster) fenced(h *Hold) bool {
	c.Helper()
	err := c.db.Update(c.Context(), []kv.Shard{kv.Partition(h.part)}, func(tx kv.Tx) error { return h.Fence(tx) })
	if err != nil && (!errors.Is(err, ErrLost) || !fault.Is(err, fault.Conflict)) {
		c.Fatal(err)
	}
	return err != nil
}

func inCluster(t *testing.T, test func(c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		db := memkv.New(memkv.Options{Rerun: true})
		defer db.Close()
		test(&cluster{t, db})
	})
}

// TestSole: one node that nobody shares the store with has all at once, in spite
// of what another has left, and for good.
func TestSole(t *testing.T) {
	inCluster(t, func(c *cluster) {
		old := c.start("old", false)
		synctest.Wait()
		old.db.set(true)
		old.stop()
		one := c.start("one", true)
		synctest.Wait()
		time.Sleep(10 * lapse)
		if one.has() != kv.Partitions {
			t.Errorf("%d partitions", one.has())
		}
		before, _ := one.Epoch(3)
		one.stop()
		again := c.start("one", true)
		defer again.stop()
		synctest.Wait()
		if after, ok := again.Epoch(3); !ok || after <= before {
			t.Errorf("epoch %d is followed by %d", before, after)
		}
	})
}

// TestShares: nodes that come get their share once nobody uses it any more, and
// what one that goes has is taken at once.
func TestShares(t *testing.T) {
	inCluster(t, func(c *cluster) {
		a := c.start("a", false)
		synctest.Wait()
		if a.has() != kv.Partitions {
			t.Fatalf("alone it has %d", a.has())
		}
		last, ok := a.Hold(kv.Partitions - 1)
		if !ok {
			t.Fatal("no hold")
		}
		b := c.start("b", false)
		time.Sleep(lapse)
		if a.has() != 32 || b.has() != 31 || !last.Good() || c.fenced(last) {
			t.Errorf("with the last partition in use they have %d and %d", a.has(), b.has())
		}
		if _, ok := a.Hold(kv.Partitions - 1); ok {
			t.Error("something is begun in a partition that is to be given away")
		}
		last.Done()
		time.Sleep(lapse)
		if a.has() != 32 || b.has() != 32 {
			t.Errorf("they have %d and %d", a.has(), b.has())
		}
		c.once(a, b)
		if !c.fenced(last) || last.Good() {
			t.Error("a lease that was given away is good")
		}
		third := c.start("c", false)
		time.Sleep(lapse)
		if a.has() > 22 || b.has() > 22 || a.has()+b.has()+third.has() != kv.Partitions {
			t.Errorf("they have %d, %d and %d", a.has(), b.has(), third.has())
		}
		c.once(a, b, third)
		third.stop()
		b.stop()
		time.Sleep(lapse / 2)
		if a.has() != kv.Partitions {
			t.Errorf("alone again it has %d", a.has())
		}
		a.stop()
	})
}

// TestDeadNode: what a node has that is cut off from the store lapses, and it
// knows before anybody else can have it.
func TestDeadNode(t *testing.T) {
	inCluster(t, func(c *cluster) {
		a, b := c.start("a", false), c.start("b", false)
		time.Sleep(2 * lapse)
		var hold *Hold
		for part := range uint8(kv.Partitions) {
			if h, ok := a.Hold(part); ok {
				hold = h
				break
			}
		}
		a.db.set(true)
		for start := time.Now(); b.has() < kv.Partitions; time.Sleep(time.Second) {
			if time.Since(start) > 2*lapse {
				t.Fatalf("after %v the other one has %d", time.Since(start), b.has())
			}
			c.once(a, b)
			if _, taken := b.Epoch(hold.part); taken && hold.Good() {
				t.Fatal("a final dot could be sent after the partition was taken")
			}
		}
		if !c.fenced(hold) {
			t.Error("what it still writes is not refused")
		}
		// It comes back, and gets its share again.
		a.db.set(false)
		time.Sleep(2 * lapse)
		if a.has() != 32 || b.has() != 32 {
			t.Errorf("they have %d and %d", a.has(), b.has())
		}
		c.once(a, b)
		hold.Done() // of a lease that it has no more
		a.stop()
		b.stop()
	})
}

func FuzzClaim(f *testing.F) {
	f.Add([]byte(claim{"node", 7}.encode()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := readClaim(b); err == nil {
			if again, err := readClaim(c.encode()); err != nil || again != c {
				t.Errorf("%+v reads back as %+v, %v", c, again, err)
			}
		}
	})
}
