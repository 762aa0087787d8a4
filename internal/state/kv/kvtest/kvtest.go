// Package kvtest is the contract of kv as a test: one suite for all engines.
package kvtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

var (
	shardA = kv.AccountShard(mail.AccountID(1))
	shardB = kv.AccountShard(mail.AccountID(2))
)

// Run checks what open gives, a fresh and empty database each time, against the
// contract. The tests close it.
func Run(t *testing.T, open func(t *testing.T) kv.DB) {
	for _, c := range []struct {
		name string
		test func(*testing.T, kv.DB)
	}{
		{"RowsAndVersions", rowsAndVersions},
		{"ErrorRollsBack", errorRollsBack},
		{"PanicRollsBack", panicRollsBack},
		{"EmptyUpdate", emptyUpdate},
		{"Scan", scan},
		{"OwnWrites", ownWrites},
		{"Limits", limits},
		{"Fences", fences},
		{"ViewIsOneMoment", viewIsOneMoment},
		{"CallerKeepsBytes", callerKeepsBytes},
		{"BorrowedRows", borrowedRows},
		{"Increments", increments},
		{"Transfers", transfers},
		{"LooseUpdatesInOrder", looseUpdatesInOrder},
		{"Watch", watch},
		{"Wake", wake},
		{"Backup", backup},
		{"EndedContext", endedContext},
		{"AfterClose", afterClose},
		{"Newest", newest},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := open(t)
			defer func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}()
			c.test(t, db)
		})
	}
}

func key(s kv.Shard, name string) []byte { return kv.NewKey(s).Text(name) }

func update(t *testing.T, db kv.DB, fn func(kv.Tx) error, shards ...kv.Shard) {
	t.Helper()
	if err := db.Update(context.Background(), shards, fn); err != nil {
		t.Errorf("Update: %v", err)
	}
}

func view(t *testing.T, db kv.DB, s kv.Shard, fn func(kv.Reader) error) {
	t.Helper()
	if err := db.View(context.Background(), s, fn); err != nil {
		t.Errorf("View: %v", err)
	}
}

func set(t *testing.T, db kv.DB, s kv.Shard, name, value string) {
	t.Helper()
	update(t, db, func(tx kv.Tx) error { tx.Set(key(s, name), []byte(value)); return nil }, s)
}

func get(t *testing.T, r kv.Reader, k []byte) (string, bool) {
	t.Helper()
	v, ok, err := r.Get(k)
	if err != nil {
		t.Errorf("Get(%q): %v", k, err)
	}
	return string(v), ok
}

func version(t *testing.T, db kv.DB, s kv.Shard) (v kv.Version) {
	t.Helper()
	view(t, db, s, func(r kv.Reader) error { v = r.Version(s); return nil })
	return v
}

// names gives the last text of each key of a scan.
func names(t *testing.T, r kv.Reader, s kv.Shard, q kv.Range) []string {
	t.Helper()
	got := []string{}
	for p, err := range r.Scan(q) {
		if err != nil {
			t.Errorf("Scan: %v", err)
		}
		got = append(got, kv.ReadKey(p.Key, s).Text())
	}
	return got
}

func wantNames(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func rowsAndVersions(t *testing.T, db kv.DB) {
	if v := version(t, db, shardA); v != 0 {
		t.Fatalf("a shard never written to has version %d", v)
	}
	for i := 1; i <= 3; i++ {
		update(t, db, func(tx kv.Tx) error {
			if tx.Version(shardA) != kv.Version(i-1) || tx.Next(shardA) != kv.Version(i) {
				t.Errorf("in commit %d: version %d, next %d", i, tx.Version(shardA), tx.Next(shardA))
			}
			tx.Set(key(shardA, "k"), fmt.Append(nil, i))
			return nil
		}, shardA, shardB, shardA)
		if a, b := version(t, db, shardA), version(t, db, shardB); a != kv.Version(i) || b != 0 {
			t.Errorf("after commit %d: versions %d and %d", i, a, b)
		}
	}
	update(t, db, func(tx kv.Tx) error { tx.Set(key(shardA, "empty"), nil); return nil }, shardA)
	view(t, db, shardA, func(r kv.Reader) error {
		if v, ok := get(t, r, key(shardA, "k")); v != "3" || !ok {
			t.Errorf("k is %q, %v", v, ok)
		}
		many, err := r.GetMany([][]byte{key(shardA, "none"), key(shardA, "k"), key(shardA, "empty")})
		if err != nil || many[0] != nil || string(many[1]) != "3" || many[2] == nil || len(many[2]) != 0 {
			t.Errorf("GetMany: %q, %v", many, err)
		}
		return nil
	})
	update(t, db, func(tx kv.Tx) error { tx.Delete(key(shardA, "k")); return nil }, shardA)
	view(t, db, shardA, func(r kv.Reader) error {
		if _, ok := get(t, r, key(shardA, "k")); ok {
			t.Error("a deleted row is there")
		}
		return nil
	})
}

func errorRollsBack(t *testing.T, db kv.DB) {
	mine := errors.New("mine")
	ctx := context.Background()
	err := db.Update(ctx, []kv.Shard{shardA}, func(tx kv.Tx) error {
		tx.Set(key(shardA, "k"), []byte("v"))
		tx.Set([]byte("b/k"), []byte("v"))
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("Update returned %v", err)
	}
	err = db.Update(ctx, []kv.Shard{shardA}, func(tx kv.Tx) error {
		tx.Set(key(shardA, "k"), []byte("v"))
		tx.Fail(mine)
		tx.Fail(errors.New("a second one"))
		return nil
	})
	if !errors.Is(err, mine) {
		t.Errorf("after Fail, Update returned %v", err)
	}
	if err := db.View(ctx, shardA, func(kv.Reader) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("View returned %v", err)
	}
	if v := version(t, db, shardA); v != 0 {
		t.Errorf("version %d after nothing", v)
	}
	view(t, db, nil, func(r kv.Reader) error {
		if _, ok := get(t, r, []byte("b/k")); ok {
			t.Error("a row is there that was rolled back")
		}
		return nil
	})
}

// panicRollsBack: whoever catches a panic goes on with the database.
func panicRollsBack(t *testing.T, db kv.DB) {
	for range 10 {
		func() {
			defer func() { _ = recover() }()
			_ = db.Update(context.Background(), []kv.Shard{shardA}, func(tx kv.Tx) error {
				tx.Set(key(shardA, "k"), nil)
				panic("in a transaction")
			})
		}()
	}
	set(t, db, shardA, "k", "v")
	if v := version(t, db, shardA); v != 1 {
		t.Errorf("version %d after one commit", v)
	}
}

func emptyUpdate(t *testing.T, db kv.DB) {
	set(t, db, shardA, "k", "v")
	update(t, db, func(tx kv.Tx) error { _, _, err := tx.Get(key(shardA, "k")); return err }, shardA)
	update(t, db, func(tx kv.Tx) error { tx.Set([]byte("b/k"), []byte("loose")); return nil }, shardA)
	update(t, db, func(tx kv.Tx) error { return nil })
	if v := version(t, db, shardA); v != 1 {
		t.Errorf("version %d, want 1: only one commit wrote to the shard", v)
	}
	view(t, db, nil, func(r kv.Reader) error {
		if v, _ := get(t, r, []byte("b/k")); v != "loose" {
			t.Errorf("the loose row is %q", v)
		}
		return nil
	})
}

func scan(t *testing.T, db kv.DB) {
	all := []string{"", "\x00", "\x00\xff", "a", "ab", "b", "c\xff", "d"}
	update(t, db, func(tx kv.Tx) error {
		for _, n := range all {
			tx.Set(key(shardA, n), []byte(n))
			tx.Set(key(shardB, n), []byte(n))
		}
		tx.Set([]byte("b/x"), nil)
		return nil
	}, shardA, shardB)
	back := slices.Clone(all)
	slices.Reverse(back)
	whole := kv.Prefix(shardA)
	view(t, db, shardA, func(r kv.Reader) error {
		wantNames(t, "whole", names(t, r, shardA, whole), all...)
		wantNames(t, "reverse", names(t, r, shardA, kv.Range{From: whole.From, To: whole.To, Reverse: true}), back...)
		wantNames(t, "limit", names(t, r, shardA, kv.Range{From: whole.From, To: whole.To, Limit: 3}), all[:3]...)
		wantNames(t, "reverse limit", names(t, r, shardA, kv.Range{From: whole.From, To: whole.To, Reverse: true, Limit: 2}), back[:2]...)
		wantNames(t, "part", names(t, r, shardA, kv.Range{From: key(shardA, "a"), To: key(shardA, "c\xff")}), "a", "ab", "b")
		wantNames(t, "empty", names(t, r, shardA, kv.Range{From: key(shardA, "b"), To: key(shardA, "a")}))
		for range r.Scan(whole) {
			break // leaving early must do no harm
		}
		return nil
	})
}

func ownWrites(t *testing.T, db kv.DB) {
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		set(t, db, shardA, n, "old")
	}
	whole := kv.Prefix(shardA)
	update(t, db, func(tx kv.Tx) error {
		tx.Set(key(shardA, "b2"), []byte("new"))
		tx.Delete(key(shardA, "a"))
		tx.Clear(kv.Range{From: key(shardA, "c"), To: key(shardA, "e")})
		tx.Set(key(shardA, "d"), []byte("again"))
		wantNames(t, "own", names(t, tx, shardA, whole), "b", "b2", "d", "e")
		wantNames(t, "own reverse", names(t, tx, shardA, kv.Range{From: whole.From, To: whole.To, Reverse: true}), "e", "d", "b2", "b")
		if v, _ := get(t, tx, key(shardA, "d")); v != "again" {
			t.Errorf("d is %q", v)
		}
		if _, ok := get(t, tx, key(shardA, "c")); ok {
			t.Error("c is there after Clear")
		}
		n := 0
		for p, err := range tx.Scan(whole) { // a scan shows the rows as they were when it began
			if err != nil {
				return err
			}
			n++
			tx.Delete(p.Key)
			tx.Set(append(p.Key, 'x'), nil)
		}
		if n != 4 {
			t.Errorf("a scan that deletes what it sees gave %d rows", n)
		}
		tx.Clear(whole)
		wantNames(t, "cleared", names(t, tx, shardA, whole))
		tx.Set(key(shardA, "last"), nil)
		return nil
	}, shardA)
	view(t, db, shardA, func(r kv.Reader) error {
		wantNames(t, "committed", names(t, r, shardA, whole), "last")
		return nil
	})
}

func limits(t *testing.T, db kv.DB) {
	long := append(bytes.Clone(shardA), bytes.Repeat([]byte{1}, kv.MaxKey-len(shardA))...)
	for _, c := range []struct {
		name string
		ok   bool
		fn   func(kv.Tx)
	}{
		{"key at the limit", true, func(tx kv.Tx) { tx.Set(long, nil) }},
		{"key", false, func(tx kv.Tx) { tx.Set(append(bytes.Clone(long), 1), nil) }},
		{"value at the limit", true, func(tx kv.Tx) { tx.Set(key(shardA, "k"), make([]byte, kv.MaxValue)) }},
		{"value", false, func(tx kv.Tx) { tx.Set(key(shardA, "k"), make([]byte, kv.MaxValue+1)) }},
		{"writes at the limit", true, func(tx kv.Tx) { writeMany(tx, kv.MaxWrites, 0) }},
		{"writes", false, func(tx kv.Tx) { writeMany(tx, kv.MaxWrites+1, 0) }},
		{"octets", false, func(tx kv.Tx) { writeMany(tx, kv.MaxTxBytes/80_000+1, 80_000) }},
	} {
		err := db.Update(context.Background(), []kv.Shard{shardA}, func(tx kv.Tx) error { c.fn(tx); return nil })
		if c.ok != (err == nil) || err != nil && !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func writeMany(tx kv.Tx, n, size int) {
	value := make([]byte, size)
	for i := range n {
		tx.Set(kv.NewKey(shardA).Uint32(uint32(i)), value)
	}
}

func fences(t *testing.T, db kv.DB) {
	set(t, db, shardB, "k", "v")
	foreign, end := key(shardB, "k"), kv.PrefixEnd(shardB)
	drain := func(r kv.Reader, q kv.Range) error {
		for _, err := range r.Scan(q) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	reads := map[string]func(kv.Reader) error{
		"Get":        func(r kv.Reader) error { _, _, err := r.Get(foreign); return err },
		"Get of all": func(r kv.Reader) error { _, _, err := r.Get([]byte("z")); return err },
		"Each":       func(r kv.Reader) error { return r.Each([][]byte{foreign}, func(int, []byte) error { return nil }) },
		"GetMany":    func(r kv.Reader) error { _, err := r.GetMany([][]byte{foreign}); return err },
		"Scan":       func(r kv.Reader) error { return drain(r, kv.Prefix(shardB)) },
		"Scan over":  func(r kv.Reader) error { return drain(r, kv.Range{From: shardA, To: end}) },
		"Scan open":  func(r kv.Reader) error { return drain(r, kv.Range{From: shardA}) },
		"Version":    func(r kv.Reader) error { r.Version(shardB); return nil },
	}
	writes := map[string]func(kv.Tx){
		"Set":    func(tx kv.Tx) { tx.Set(foreign, nil) },
		"Delete": func(tx kv.Tx) { tx.Delete(foreign) },
		"Clear":  func(tx kv.Tx) { tx.Clear(kv.Range{From: shardA, To: end}) },
		"Next":   func(tx kv.Tx) { tx.Next(shardB) },
	}
	check := func(name string, err error) {
		if !fault.Is(err, fault.Internal) {
			t.Errorf("%s beyond the shards: %v", name, err)
		}
	}
	ctx := context.Background()
	for name, fn := range reads {
		check("View: "+name, db.View(ctx, shardA, fn))
		check("View of loose rows: "+name, db.View(ctx, nil, fn))
		check("Update: "+name, db.Update(ctx, []kv.Shard{shardA}, func(tx kv.Tx) error { return fn(tx) }))
	}
	for name, fn := range writes {
		check(name, db.Update(ctx, []kv.Shard{shardA}, func(tx kv.Tx) error { fn(tx); return nil }))
	}
	for _, s := range []kv.Shard{{}, kv.Shard("b/x"), {0, 1}, shardA[:4]} {
		check(fmt.Sprintf("shard %q", s), db.Update(ctx, []kv.Shard{shardA, s}, func(kv.Tx) error { return nil }))
	}
	check("loose row in a shard's View", db.View(ctx, shardA, func(r kv.Reader) error { _, _, err := r.Get([]byte("b/x")); return err }))
	view(t, db, shardB, func(r kv.Reader) error {
		if v, _ := get(t, r, foreign); v != "v" {
			t.Errorf("the foreign row became %q", v)
		}
		return nil
	})
}

func viewIsOneMoment(t *testing.T, db kv.DB) {
	set(t, db, shardA, "k", "old")
	view(t, db, shardA, func(r kv.Reader) error {
		set(t, db, shardA, "k", "new")
		set(t, db, shardA, "k2", "new")
		if v, _ := get(t, r, key(shardA, "k")); v != "old" || r.Version(shardA) != 1 {
			t.Errorf("a View moved to %q, version %d", v, r.Version(shardA))
		}
		wantNames(t, "scan", names(t, r, shardA, kv.Prefix(shardA)), "k")
		return nil
	})
}

func callerKeepsBytes(t *testing.T, db kv.DB) {
	k, v := key(shardA, "k"), []byte("value")
	update(t, db, func(tx kv.Tx) error {
		k2, v2 := bytes.Clone(k), bytes.Clone(v)
		tx.Set(k2, v2)
		clear(k2)
		clear(v2)
		return nil
	}, shardA)
	for range 2 { // spoiling what was given must not spoil the store
		view(t, db, shardA, func(r kv.Reader) error {
			got, _, _ := r.Get(k)
			for p := range r.Scan(kv.Prefix(shardA)) {
				if !bytes.Equal(p.Key, k) || !bytes.Equal(p.Value, v) || !bytes.Equal(got, v) {
					t.Errorf("row %q = %q, got %q", p.Key, p.Value, got)
				}
				clear(p.Key)
				clear(p.Value)
			}
			clear(got)
			return nil
		})
	}
}

func add(tx kv.Tx, k []byte, n int64) error {
	b, _, err := tx.Get(k)
	if err != nil {
		return err
	}
	runtime.Gosched() // lets others come between, if they can
	if b == nil {
		b = make([]byte, 8)
	}
	tx.Set(k, binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(b)+uint64(n)))
	return nil
}

func read(r kv.Reader, k []byte) int64 {
	b, _, _ := r.Get(k)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// inParallel runs fn for 0..n-1 at once.
func inParallel(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

func increments(t *testing.T, db kv.DB) {
	const writers, each = 8, 20
	inParallel(writers, func(int) {
		for range each {
			update(t, db, func(tx kv.Tx) error { return add(tx, key(shardA, "n"), 1) }, shardA)
		}
	})
	view(t, db, shardA, func(r kv.Reader) error {
		if n, v := read(r, key(shardA, "n")), r.Version(shardA); n != writers*each || v != writers*each {
			t.Errorf("%d increments gave %d, version %d", writers*each, n, v)
		}
		return nil
	})
}

// transfers move amounts between shards named in both orders; the sum stays.
func transfers(t *testing.T, db kv.DB) {
	a, b := key(shardA, "n"), key(shardB, "n")
	inParallel(4, func(i int) {
		shards, amount := []kv.Shard{shardA, shardB}, int64(i+1)
		if i%2 == 1 {
			slices.Reverse(shards)
		}
		for range 10 {
			update(t, db, func(tx kv.Tx) error {
				if read(tx, a)+read(tx, b) != 0 {
					return errors.New("the sum is not zero")
				}
				return errors.Join(add(tx, a, amount), add(tx, b, -amount))
			}, shards...)
		}
	})
	if a, b := version(t, db, shardA), version(t, db, shardB); a != 40 || b != 40 {
		t.Errorf("versions %d and %d", a, b)
	}
}

func looseUpdatesInOrder(t *testing.T, db kv.DB) {
	inParallel(4, func(int) {
		for range 20 {
			update(t, db, func(tx kv.Tx) error { return add(tx, []byte("b/n"), 1) })
		}
	})
	view(t, db, nil, func(r kv.Reader) error {
		if n := read(r, []byte("b/n")); n != 80 {
			t.Errorf("80 increments gave %d", n)
		}
		return nil
	})
}

func watch(t *testing.T, db kv.DB) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, b := db.Watch(ctx, shardA), db.Watch(ctx, shardB)
	for range 3 {
		set(t, db, shardA, "k", "v")
	}
	if v := <-a; v != 3 {
		t.Errorf("the hint says %d, want 3", v)
	}
	set(t, db, shardA, "k", "v")
	if v := <-a; v != 4 {
		t.Errorf("the hint says %d, want 4", v)
	}
	select {
	case v := <-b:
		t.Errorf("the other shard got hint %d", v)
	default:
	}
	cancel()
	timeout := time.After(5 * time.Second)
	for _, c := range []<-chan kv.Version{a, b} {
		select {
		case _, open := <-c:
			if open {
				t.Error("a hint after the context ended")
			}
		case <-timeout:
			t.Fatal("the channel was not closed")
		}
	}
	set(t, db, shardA, "k", "v")
}

func backup(t *testing.T, db kv.DB) {
	set(t, db, shardA, "k", "v")
	set(t, db, shardA, "k", "w")
	update(t, db, func(tx kv.Tx) error { tx.Set([]byte("b/k"), nil); return nil })
	var out bytes.Buffer
	if err := db.Backup(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	var rows, versions []string
	collect := func(b []byte) error {
		return kv.ReadDump(bytes.NewReader(b),
			func(k, v []byte) error { rows = append(rows, fmt.Sprintf("%q=%q", k, v)); return nil },
			func(s kv.Shard, v kv.Version) error {
				versions = append(versions, fmt.Sprintf("%q=%d", s, v))
				return nil
			})
	}
	if err := collect(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	wantNames(t, "rows", rows, fmt.Sprintf("%q=%q", key(shardA, "k"), "w"), `"b/k"=""`)
	wantNames(t, "versions", versions, fmt.Sprintf("%q=2", []byte(shardA)))
	for i := range out.Bytes() {
		bad := bytes.Clone(out.Bytes())
		bad[i] ^= 4
		if err := collect(bad); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("a backup with octet %d changed: %v", i, err)
		}
		if err := collect(out.Bytes()[:i]); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("a backup cut at %d: %v", i, err)
		}
	}
}

func endedContext(t *testing.T, db kv.DB) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.View(ctx, shardA, func(kv.Reader) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("View: %v", err)
	}
	err := db.Update(ctx, []kv.Shard{shardA}, func(kv.Tx) error { return nil })
	if !fault.Is(err, fault.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v", err)
	}
}

func afterClose(t *testing.T, db kv.DB) {
	c := db.Watch(context.Background(), shardA)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-c; open {
		t.Error("a watch outlived the store")
	}
	if err := db.Update(context.Background(), []kv.Shard{shardA}, func(kv.Tx) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Update: %v", err)
	}
	if err := db.View(context.Background(), shardA, func(kv.Reader) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("View: %v", err)
	}
}
