package memkv_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

func TestCrashInTheWindow(t *testing.T) {
	ctx := context.Background()
	s := kv.DirectoryShard()
	var window func()
	db := memkv.New(memkv.Options{Window: func() { window() }})
	put := func(k, v string) error {
		return db.Update(ctx, []kv.Shard{s}, func(tx kv.Tx) error { tx.Set(append([]byte("d/"), k...), []byte(v)); return nil })
	}
	get := func() (value string, version kv.Version) {
		_ = db.View(ctx, s, func(r kv.Reader) error {
			v, _, err := r.Get([]byte("d/k"))
			value, version = string(v), r.Version(s)
			return err
		})
		return value, version
	}
	window = func() {}
	if err := put("k", "answered"); err != nil {
		t.Fatal(err)
	}
	window = func() {
		if v, n := get(); v != "answered" || n != 1 {
			t.Errorf("a View shows %q, version %d, which a crash could unsay", v, n)
		}
		db.Crash()
	}
	if err := put("k", "lost"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an Update whose commit was lost returned %v", err)
	}
	window = func() {}
	if v, n := get(); v != "answered" || n != 1 {
		t.Errorf("after the crash: %q, version %d", v, n)
	}
	if err := put("k", "new"); err != nil {
		t.Fatal(err)
	}
	if v, n := get(); v != "new" || n != 2 {
		t.Errorf("after the crash and a commit: %q, version %d", v, n)
	}
}

// A commit that another one's sync made durable is answered as such although
// the crash came before its own.
func TestCrashAfterTheNeighboursSync(t *testing.T) {
	ctx := context.Background()
	var window func()
	db := memkv.New(memkv.Options{Window: func() { window() }})
	put := func(s kv.Shard) error {
		return db.Update(ctx, []kv.Shard{s}, func(tx kv.Tx) error { tx.Set(s, nil); return nil })
	}
	window = func() {
		window = func() {}
		if err := put(kv.Partition(2)); err != nil {
			t.Error(err)
		}
		db.Crash()
	}
	if err := put(kv.Partition(1)); err != nil {
		t.Error(err)
	}
}

func TestRestore(t *testing.T) {
	ctx := context.Background()
	s := kv.DirectoryShard()
	db := memkv.New(memkv.Options{})
	for range 3 {
		if err := db.Update(ctx, []kv.Shard{s}, func(tx kv.Tx) error { tx.Set([]byte("d/k"), []byte("v")); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := db.Backup(ctx, &out); err != nil {
		t.Fatal(err)
	}
	again, err := memkv.Restore(bytes.NewReader(out.Bytes()), memkv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = again.View(ctx, s, func(r kv.Reader) error {
		if v, _, _ := r.Get([]byte("d/k")); string(v) != "v" || r.Version(s) != 3 {
			t.Errorf("restored: %q, version %d", v, r.Version(s))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := memkv.Restore(bytes.NewReader(out.Bytes()[:9]), memkv.Options{}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a torn backup: %v", err)
	}
}

func BenchmarkUpdate(b *testing.B) {
	db := memkv.New(memkv.Options{})
	s := []kv.Shard{kv.DirectoryShard()}
	for i := range b.N {
		_ = db.Update(context.Background(), s, func(tx kv.Tx) error {
			tx.Set(kv.NewKey([]byte("d/")).Uint32(uint32(i)), make([]byte, 100))
			return nil
		})
	}
}
