package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// TestRecent reads rows again and again in Updates, after every way in which a
// transaction can change them: what is at hand must be what the database holds.
func TestRecent(t *testing.T) {
	db, err := Open("", Options{FS: vfs.NewMem(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s := kv.Shard("a/1/")
	key := func(n int) []byte { return fmt.Appendf(nil, "a/1/%03d", n) }
	update := func(fn func(kv.Tx) error) {
		t.Helper()
		if err := db.Update(context.Background(), []kv.Shard{s}, fn); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(n int, want []byte) {
		t.Helper()
		for range 2 { // the second time it is at hand
			update(func(tx kv.Tx) error {
				v, ok, err := tx.Get(key(n))
				if err != nil || ok != (want != nil) || !bytes.Equal(v, want) {
					t.Errorf("row %d: got %.20q, %v, %v; want %.20q", n, v, ok, err, want)
				}
				if ok && len(v) > 0 {
					v[0]++ // the value is the caller's
				}
				return nil
			})
		}
	}
	large := bytes.Repeat([]byte("x"), recentRow+1)
	expect(1, nil)
	for _, v := range [][]byte{[]byte("one"), []byte("two"), {}, large, []byte("three")} {
		update(func(tx kv.Tx) error { tx.Set(key(1), v); return nil })
		expect(1, v)
	}
	update(func(tx kv.Tx) error { tx.Delete(key(1)); return nil })
	expect(1, nil)
	update(func(tx kv.Tx) error {
		tx.Set(key(1), []byte("a"))
		tx.Delete(key(1))
		tx.Set(key(1), []byte("b"))
		return nil
	})
	expect(1, []byte("b"))
	if err := db.Update(t.Context(), []kv.Shard{s}, func(tx kv.Tx) error { tx.Set(key(1), []byte("c")); return errors.New("no") }); err == nil {
		t.Fatal("an Update that fails has failed")
	}
	expect(1, []byte("b"))
	update(func(tx kv.Tx) error { tx.Clear(kv.Prefix(s)); tx.Set(key(2), []byte("d")); return nil })
	expect(1, nil)
	expect(2, []byte("d"))
	for n := range 60 { // more than a stripe keeps
		update(func(tx kv.Tx) error { tx.Set(key(n), large[:recentRow-n]); return nil })
		expect(n, large[:recentRow-n])
	}
	for n := range 60 {
		expect(n, large[:recentRow-n])
	}
	for i := range db.stripes {
		if b := db.stripes[i].bytes; b > recentBytes {
			t.Errorf("a stripe keeps %d octets", b)
		}
	}
}
