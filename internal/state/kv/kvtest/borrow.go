package kvtest

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// borrowedRows are right while they are lent, and the store's own stay as they are.
func borrowedRows(t *testing.T, db kv.DB) {
	for _, name := range []string{"1", "2", "3"} {
		set(t, db, shardA, name, "value "+name)
	}
	q := kv.Prefix(shardA)
	q.Borrow = true
	for range 2 {
		view(t, db, shardA, func(r kv.Reader) error {
			n := 0
			for p, err := range r.Scan(q) {
				n++
				name := strconv.Itoa(n)
				if err != nil || !bytes.Equal(p.Key, key(shardA, name)) || string(p.Value) != "value "+name {
					t.Errorf("row %q = %q, %v", p.Key, p.Value, err)
				}
			}
			if n != 3 {
				t.Errorf("%d rows", n)
			}
			return borrowEach(t, r)
		})
	}
}

func borrowEach(t *testing.T, r kv.Reader) error {
	names := []string{"3", "none", "1"}
	var keys [][]byte
	for _, name := range names {
		keys = append(keys, key(shardA, name))
	}
	var got []string
	stop := errors.New("stop")
	err := r.Each(keys, func(i int, v []byte) error {
		if string(v) != "value "+names[i] {
			t.Errorf("%s is %q", names[i], v)
		}
		got = append(got, names[i])
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"3", "1"}) {
		t.Errorf("each of %v: %v, %v", names, got, err)
	}
	if err := r.Each(keys, func(int, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	return nil
}
