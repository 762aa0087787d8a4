package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// slowDB counts commits, each of which takes a while, and refuses those that
// touch a partition.
type slowDB struct {
	kv.DB
	bad kv.Shard

	mu      sync.Mutex
	commits int
}

func (s *slowDB) Update(ctx context.Context, shards []kv.Shard, fn func(kv.Tx) error) error {
	time.Sleep(time.Millisecond)
	for _, sh := range shards {
		if string(sh) == string(s.bad) {
			return errors.New("a bad partition")
		}
	}
	s.mu.Lock()
	s.commits++
	s.mu.Unlock()
	return s.DB.Update(ctx, shards, fn)
}

// TestCommits writes many outcomes at once: in few commits, all of them, and but
// for the one that cannot be written.
func TestCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memkv.New(memkv.Options{})
		defer db.Close()
		blobs, err := blob.Open(blob.Options{DB: db})
		if err != nil {
			t.Fatal(err)
		}
		defer blobs.Close()
		content, err := blobs.Put(t.Context(), []byte("Subject: x\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		const n = 200
		q := queue.New(db, blobs)
		slow := &slowDB{DB: db, bad: kv.Partition(7)}
		r := New(Options{DB: slow, Queue: q})
		now := time.Now()
		var ended, failed int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range n {
			m := queue.Message{ID: mail.ArrivalID{byte(i), 1}, At: now, Blob: content.ID()}
			d := queue.Delivery{Message: m.ID, To: mail.Address{Local: fmt.Sprint("r", i), Domain: "far.test"}}
			err := db.Update(t.Context(), []kv.Shard{kv.PartitionShard(m.ID)}, func(tx kv.Tx) error {
				return q.Add(tx, m, content, []queue.Delivery{d})
			})
			if err != nil {
				t.Fatal(err)
			}
			d.State = queue.Delivered
			s := &settlement{r: r, m: m, at: now, parts: []settled{{Delivery: d}}}
			all.Go(func() {
				err := s.write(t.Context())
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil && m.ID[0]%kv.Partitions != 7:
					t.Errorf("%v: %v", m.ID, err)
				case err != nil:
					failed++
				case !s.parts[0].there:
					t.Errorf("%v was not there", m.ID)
				default:
					ended++
				}
			})
		}
		all.Wait()
		if ended != n-4 || failed != 4 {
			t.Errorf("%d are written and %d not; want %d and 4", ended, failed, n-4)
		}
		left := 0
		for range q.List(t.Context(), queue.Filter{}) {
			left++
		}
		if left != failed {
			t.Errorf("%d wait, want %d", left, failed)
		}
		if es, err := history.New(db).ByArrival(t.Context(), mail.ArrivalID{1, 1}); err != nil || len(es) != 1 || es[0].What != history.Relayed {
			t.Errorf("%v, %v", es, err)
		}
		slow.bad, slow.commits = nil, 0
		for range 100 {
			s := &settlement{r: r, m: queue.Message{ID: mail.ArrivalID{1, 1}}, at: now, parts: []settled{{Delivery: queue.Delivery{Message: mail.ArrivalID{1, 1}, State: queue.Delivered}}}}
			all.Go(func() {
				if err := s.write(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if slow.commits > 4 {
			t.Errorf("%d commits of 100 outcomes that come at once", slow.commits)
		}
	})
}
