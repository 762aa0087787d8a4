package kvtest

import (
	"context"
	"sync"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// newest holds what is told without a look at the rows to what an Update that
// has returned made true, and to what a View shows.
func newest(t *testing.T, db kv.DB) {
	quick, ok := db.(kv.Newest)
	if !ok {
		t.Skip("this engine does not tell")
	}
	ctx := context.Background()
	write := func() kv.Version {
		var made kv.Version
		err := db.Update(ctx, []kv.Shard{shardA, shardB}, func(tx kv.Tx) error {
			made = tx.Next(shardA)
			tx.Set(kv.NewKey(shardA).Text("x"), []byte("y"))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return made
	}
	if v, ok := quick.Newest(shardA); ok && v != 0 { // begins to follow it
		t.Errorf("before anything was written there is version %d", v)
	}
	if made := write(); made != 0 {
		if v, ok := quick.Newest(shardA); ok && v != made {
			t.Errorf("after the first write there is version %d, want %d", v, made)
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				made := write()
				told, ok := quick.Newest(shardA)
				if !ok || told < made {
					t.Errorf("%d was made, and %d is told (%v)", made, told, ok)
				}
				var seen kv.Version
				if err := db.View(ctx, shardA, func(r kv.Reader) error { seen = r.Version(shardA); return nil }); err != nil || seen < told {
					t.Errorf("%d was told, and %d is seen: %v", told, seen, err)
				}
				if again, _ := quick.Newest(shardA); again < seen {
					t.Errorf("%d was seen, and %d is told", seen, again)
				}
			}
		})
	}
	all.Wait()
	if v, ok := quick.Newest(shardB); ok && v != 0 {
		t.Errorf("a shard that nobody wrote to has version %d", v)
	}
	_ = db.Close()
	if _, ok := quick.Newest(shardA); ok {
		t.Error("a database that is closed still tells")
	}
}
