package queue

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// endTime is how long giving everything back may take at the end.
const endTime = 5 * time.Second

// Run keeps the leases until ctx ends, and then gives them back: whoever uses
// them ends before. It tells failed of what goes wrong and tries again.
func (l *Leases) Run(ctx context.Context, failed func(error)) error {
	tick := time.NewTicker(l.o.Lapse / 4)
	defer tick.Stop()
	for {
		if err := l.beat(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		} else if l.o.Sole && err == nil {
			<-ctx.Done()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
			defer cancel()
			if err := l.giveBack(end); err != nil {
				failed(err)
			}
			return nil
		}
	}
}

// beat renews what is held, takes what is free, and gives away what is too much.
func (l *Leases) beat(ctx context.Context) error {
	start := time.Now()
	all, err := l.roll(ctx)
	if err != nil {
		return fault.Wrap("queue.Leases", err)
	}
	take, leave := l.choose(all, start)
	shards := []kv.Shard{kv.ClusterShard()}
	for _, part := range take {
		shards = append(shards, kv.Partition(part))
	}
	var now roll
	err = l.o.DB.Update(kv.Freeing(ctx), shards, func(tx kv.Tx) (err error) {
		if now, err = readRoll(tx); err != nil {
			return err
		}
		tx.Set(nodeKey(l.o.Node), kv.Value{}.Byte(rowVersion).Uint(l.own+1))
		for _, part := range leave {
			if c := now.claims[part]; l.mine(part, c) {
				tx.Delete(leaseKey(part))
				delete(now.claims, part)
			}
		}
		for _, part := range take {
			c := now.claims[part]
			if c != all.claims[part] || now.beats[c.node] != all.beats[c.node] {
				continue // somebody was faster, or shows life
			}
			last, err := readEpoch(tx, part)
			if err != nil {
				return err
			}
			c = claim{l.o.Node, max(last, c.epoch) + 1}
			tx.Set(epochKey(part), kv.Value{}.Byte(rowVersion).Uint(c.epoch))
			tx.Set(leaseKey(part), c.encode())
			now.claims[part] = c
		}
		return nil
	})
	if err != nil {
		return fault.Wrap("queue.Leases", err)
	}
	l.own++
	l.adopt(now, take, start)
	return nil
}

// mine says whether c is a lease that this node, since it started, has taken.
func (l *Leases) mine(part uint8, c claim) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.node == l.o.Node && c.epoch > 0 && c.epoch == l.held[part].epoch
}

// choose says which partitions to take and which to give away, so that each node
// that is alive has its share.
func (l *Leases) choose(all roll, now time.Time) (take, leave []uint8) {
	alive := map[string]bool{l.o.Node: true}
	for node, n := range all.beats {
		if node == l.o.Node || l.o.Sole {
			continue
		}
		if b, ok := l.seen[node]; !ok || b.n != n {
			l.seen[node] = beat{n, now}
		}
		alive[node] = now.Sub(l.seen[node].at) < l.o.Lapse
	}
	nodes := 0
	for _, is := range alive {
		if is {
			nodes++
		}
	}
	share := (kv.Partitions + nodes - 1) / nodes
	var mine []uint8
	var free []uint8
	for part := range uint8(kv.Partitions) {
		switch c := all.claims[part]; {
		case l.mine(part, c):
			mine = append(mine, part)
		case c.node == l.o.Node || !alive[c.node]:
			free = append(free, part)
		}
	}
	leave = l.leave(mine, share)
	if more := share - len(mine); more > 0 {
		take = free[:min(more, len(free))]
	}
	return take, leave
}

// leave stops the use of leases beyond the share, and gives those of them that
// nobody uses any more.
func (l *Leases) leave(mine []uint8, share int) (unused []uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, part := range mine {
		h := &l.held[part]
		if h.leaving = i >= share; h.leaving && h.using == 0 {
			unused = append(unused, part)
		}
	}
	return unused
}

// adopt makes what was committed known. Leases are good until the others may take
// them, less what their clocks may be faster: those count from when they saw the
// beat, which was after start.
func (l *Leases) adopt(now roll, taken []uint8, start time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := !l.good(time.Now())
	if !l.o.Sole {
		l.until = start.Add(l.o.Lapse * 9 / 10)
	}
	for _, part := range taken {
		if c := now.claims[part]; c.node == l.o.Node && c.epoch != l.held[part].epoch {
			l.held[part] = lease{epoch: c.epoch}
			news = true
		}
	}
	for part := range uint8(kv.Partitions) {
		if c := now.claims[part]; c.node != l.o.Node || c.epoch != l.held[part].epoch {
			l.held[part] = lease{}
		}
	}
	if news {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

// giveBack ends all leases, so that nobody has to wait for them to lapse.
func (l *Leases) giveBack(ctx context.Context) error {
	err := l.o.DB.Update(kv.Freeing(ctx), []kv.Shard{kv.ClusterShard()}, func(tx kv.Tx) error {
		now, err := readRoll(tx)
		if err != nil {
			return err
		}
		tx.Delete(nodeKey(l.o.Node))
		for part, c := range now.claims {
			if l.mine(part, c) {
				tx.Delete(leaseKey(part))
			}
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = [kv.Partitions]lease{}
	return fault.Wrap("queue.Leases", err)
}
