package app

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// TestReserve opens a store whose reserve the disk has, and one that it has not.
func TestReserve(t *testing.T) {
	c := Default()
	c.Data, c.Hostname = t.TempDir(), "mx.example.test"
	c.Store.Reserve = 1 << 20
	db, blobs, err := openStore(&c, event.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	_, put := blobs.Put(context.Background(), make([]byte, 100_000))
	err = db.Update(context.Background(), []kv.Shard{kv.DirectoryShard()}, func(tx kv.Tx) error {
		tx.Set([]byte("d/x"), nil)
		return nil
	})
	if err := errors.Join(put, err, blobs.Close(), db.Close()); err != nil {
		t.Errorf("with room: %v", err)
	}
	c.Store.Reserve = math.MaxInt64
	if _, _, err := openStore(&c, event.Discard{}); !fault.IsFull(err) {
		t.Errorf("without room: %v", err)
	}
	c.Store.Reserve = -1
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "reserve") {
		t.Errorf("a negative reserve: %v", err)
	}
}
