package certs

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

func memory(t *testing.T) kv.DB {
	db := memkv.New(memkv.Options{})
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestRows(t *testing.T) {
	r := NewRows(memory(t), "")
	ctx := t.Context()
	if _, _, err := r.Load(ctx, "a/b"); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v", err)
	}
	for _, path := range []string{"a/b", "a/b/c", "a/bc", "a/b\x00d/e", "z"} {
		if err := r.Store(ctx, path, []byte(path)); err != nil {
			t.Fatal(err)
		}
	}
	b, changed, err := r.Load(ctx, "a/b\x00d/e")
	if err != nil || string(b) != "a/b\x00d/e" || time.Since(changed) > time.Minute {
		t.Errorf("got %q, %v, %v", b, changed, err)
	}
	for path, want := range map[string][]string{
		"":    {"a/b", "a/b/c", "a/b\x00d/e", "a/bc", "z"},
		"a":   {"a/b", "a/b/c", "a/b\x00d/e", "a/bc"},
		"a/b": {"a/b/c"}, "b": nil,
	} {
		if got, err := r.List(ctx, path); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v; want %q", path, got, err, want)
		}
	}
	for range 2 {
		if err := r.Delete(ctx, "a/b"); err != nil {
			t.Error(err)
		}
	}
	if got, _ := r.List(ctx, ""); !slices.Equal(got, []string{"a/b\x00d/e", "a/bc", "z"}) {
		t.Errorf("left: %q", got)
	}
	if err := r.Store(ctx, "large", bytes.Repeat([]byte("x"), kv.MaxValue)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestLock lets one in at a time, on two nodes.
func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory(t)
		nodes := []*Rows{NewRows(db, "n1"), NewRows(db, "n2")}
		var inside, most atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				r := nodes[i%2]
				if err := r.Lock(t.Context(), "x"); err != nil {
					t.Error(err)
				}
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(time.Second)
				inside.Add(-1)
				if err := r.Unlock(t.Context(), "x"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most.Load() != 1 {
			t.Errorf("%d at once", most.Load())
		}
	})
}

// TestLockOfTheDead takes over what a process before this one held, at once, and
// what another node holds after its lease.
func TestLockOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory(t)
		dead := NewRows(db, "n1")
		if err := dead.Lock(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		soon, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		other := NewRows(db, "n2")
		if err := other.Lock(soon, "x"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
		again := NewRows(db, "n1")
		if err := again.Lock(t.Context(), "x"); err != nil || time.Since(start) > time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		start = time.Now()
		if err := other.Lock(t.Context(), "x"); err != nil || time.Since(start) < lease {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if err := again.Unlock(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		soon, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := again.Lock(soon, "x"); err == nil {
			t.Error("who had lost the lock gave it away")
		}
	})
}

// TestTicketKeys turns the keys, keeps them over a restart, and forgets them.
func TestTicketKeys(t *testing.T) {
	db := memory(t)
	start := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	seen := map[[32]byte]int{}
	for _, c := range []struct {
		after time.Duration
		want  string // the keys, numbered as they were first seen
	}{
		{0, "[1]"}, {time.Hour, "[1]"}, {ticketTurn, "[2 1]"}, {2 * ticketTurn, "[3 2 1]"}, {3*ticketTurn + time.Hour, "[4 3 2]"},
		{4*ticketTurn + 2*time.Hour, "[5 4 3]"}, {4*ticketTurn + 3*time.Hour, "[5 4 3]"}, {100 * ticketTurn, "[6]"},
		{0, "[7]"}, // the clock was set back
	} {
		keys, err := NewRows(db, "").Tickets(t.Context(), start.Add(c.after))
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, k := range keys {
			if seen[k] == 0 {
				seen[k] = len(seen) + 1
			}
			got = append(got, seen[k])
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("after %v: keys %v, want %s", c.after, got, c.want)
		}
	}
}
