package pebblekv

import (
	"context"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// maxNewest is how many shards Newest follows: those that are asked about again
// and again, such as the directory.
const maxNewest = 16

// newest is the durable versions of the shards that were asked about, each one
// higher than it is; 0 is one that is not known yet.
type newest struct {
	mu sync.RWMutex
	of map[string]kv.Version
}

// Newest tells the durable version of s, if it is one of the few that are
// followed.
func (db *DB) Newest(s kv.Shard) (kv.Version, bool) {
	db.newest.mu.RLock()
	v, followed := db.newest.of[string(s)]
	db.newest.mu.RUnlock()
	if !followed {
		v = db.follow(s)
	}
	if v == 0 || db.life.over() {
		return 0, false
	}
	return v - 1, true
}

// follow begins to follow s. A commit that becomes durable from then on is noted
// as it does; what was before, a View tells. It gives what newest has.
func (db *DB) follow(s kv.Shard) kv.Version {
	n := &db.newest
	n.mu.Lock()
	_, followed := n.of[string(s)]
	full := len(n.of) >= maxNewest
	if !followed && !full {
		if n.of == nil {
			n.of = map[string]kv.Version{}
		}
		n.of[string(s)] = 0
	}
	n.mu.Unlock()
	if full {
		return 0
	}
	var v kv.Version
	if db.View(context.Background(), s, func(r kv.Reader) error { v = r.Version(s); return nil }) != nil {
		return 0
	}
	n.land([]shardVersion{{s, v}})
	return v + 1
}

// land notes commits that are durable.
func (n *newest) land(made []shardVersion) {
	for _, m := range made {
		n.mu.RLock()
		v, followed := n.of[string(m.shard)]
		n.mu.RUnlock()
		if !followed || v > m.version {
			continue
		}
		n.mu.Lock()
		n.of[string(m.shard)] = max(n.of[string(m.shard)], m.version+1)
		n.mu.Unlock()
	}
}
