package pebblekv

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// BenchmarkDeliveries commits what a delivery of 4 KiB writes, durably, on the
// disk that EKIDEN_BENCH_DIR or the system's directory for temporary files is
// on: to as many accounts as there are writers, and to one.
func BenchmarkDeliveries(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { deliveries(b, writers, writers) })
	}
	b.Run("writers=16/one account", func(b *testing.B) { deliveries(b, 16, 1) })
}

func deliveries(b *testing.B, writers, accounts int) {
	path, err := os.MkdirTemp(os.Getenv("EKIDEN_BENCH_DIR"), "ekiden-bench")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(path) }()
	db, err := Open(path, Options{Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 4<<10)
	for i := range body {
		body[i] = byte(i * i >> 3)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.SetBytes(int64(len(body)))
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			s := kv.AccountShard(mail.AccountID(w % accounts))
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				err := db.Update(context.Background(), []kv.Shard{s}, func(tx kv.Tx) error {
					id := uint64(tx.Next(s))
					tx.Set(kv.NewKey([]byte("b/body/")).Uint64(uint64(n)), body)
					tx.Set(kv.NewKey([]byte("b/ref/")).Uint64(uint64(n)), nil)
					tx.Set(kv.NewKey(s).Text("uid").Uint64(id), make([]byte, 60))
					tx.Set(kv.NewKey(s).Text("msg").Uint64(id), make([]byte, 100))
					tx.Set(kv.NewKey(s).Text("view").Uint64(id), make([]byte, 400))
					tx.Set(kv.NewKey(s).Text("box"), make([]byte, 80))
					return nil
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	if err := db.Close(); err != nil {
		b.Error(err)
	}
}
