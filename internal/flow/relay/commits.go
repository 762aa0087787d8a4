package relay

import (
	"context"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Bounds of what is committed together.
const (
	maxTogether  = 50  // settlements
	partTogether = 400 // recipients; each takes up to eight writes of a transaction's 5,000
)

// commits makes settlements true together: those that come while one commit is
// being written go with the next, so that the cost of a commit is shared by many
// and nobody waits for company. The zero commits is ready.
type commits struct {
	db kv.DB

	mu      sync.Mutex
	waiting []*commitment
	busy    bool // somebody commits
}

// commitment is a settlement that waits to be committed.
type commitment struct {
	s    *settlement
	turn chan turn
}

// turn is what a commitment is told: how it went, or to commit those that wait.
type turn struct {
	lead bool
	err  error
}

// write returns when s is true, or could not be made so. What cannot be written
// holds up nobody else: after a failure each tries by itself.
func (c *commits) write(ctx context.Context, s *settlement) error {
	own := &commitment{s, make(chan turn, 1)}
	c.mu.Lock()
	c.waiting = append(c.waiting, own)
	lead := !c.busy
	c.busy = true
	c.mu.Unlock()
	t := turn{lead: lead}
	if !lead {
		t = <-own.turn
	}
	var company []*commitment
	if t.lead {
		company = c.take()[1:] // its own is the first that waits
		t.err = c.commit(ctx, append([]*commitment{own}, company...))
		c.pass()
		for _, other := range company {
			other.turn <- turn{err: t.err}
		}
	}
	if t.err != nil && (!t.lead || len(company) > 0) {
		return c.commit(ctx, []*commitment{own})
	}
	return t.err
}

// take takes the first of those that wait.
func (c *commits) take() []*commitment {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, parts := 0, 0
	for _, w := range c.waiting {
		if parts += len(w.s.parts); n > 0 && (parts > partTogether || n == maxTogether) {
			break
		}
		n++
	}
	all := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	return all
}

// pass lets the next one commit, if there is one.
func (c *commits) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy = len(c.waiting) > 0; c.busy {
		c.waiting[0].turn <- turn{lead: true}
	}
}

// commit is the transaction.
func (c *commits) commit(ctx context.Context, all []*commitment) error {
	var shards []kv.Shard
	for _, w := range all {
		shards = join(shards, []kv.Shard{kv.PartitionShard(w.s.m.ID)})
	}
	return c.db.Update(ctx, shards, func(tx kv.Tx) error {
		for _, w := range all {
			if err := w.s.record(tx); err != nil {
				return err
			}
		}
		return nil
	})
}
