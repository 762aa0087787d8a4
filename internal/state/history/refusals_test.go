package history

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// TestRefusals: what was refused is known at once, and lies in rows a moment
// later; what the history tells already is not told twice.
func TestRefusals(t *testing.T) {
	db := memkv.New(memkv.Options{Rerun: true})
	defer db.Close()
	r, s, ctx := NewRefusals(db), New(db), t.Context()
	id, at := mail.ArrivalID{1, 2}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	bob := mail.Address{Local: "bob", Domain: "x.test"}
	r.Note(id, Entry{At: at, To: bob, Action: "RCPT", Reply: "550 5.1.1 no such recipient"})
	r.Note(id, Entry{At: at.Add(time.Second), Action: "DATA", Reply: "554 5.7.1 a virus"})
	r.Note(mail.ArrivalID{9}, Entry{At: at, Action: "EHLO", Reply: "421 no"})
	if got := r.ByReference(id); len(got) != 2 || got[0].Action != "RCPT" || got[1].What != Refused {
		t.Fatalf("%+v", got)
	}
	// A filter's verdict is in the history by itself.
	err := db.Update(ctx, []kv.Shard{kv.PartitionShard(id)}, func(tx kv.Tx) error {
		Write(tx, id, Entry{At: at, What: Refused, Reply: "554 5.7.1 a virus"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.ByArrival(ctx, id)
	if err != nil || len(rows) != 2 {
		t.Errorf("%+v, %v", rows, err)
	}
	if found, err := s.ByAddress(ctx, bob, 10); err != nil || len(found) != 1 || found[0].ID != id {
		t.Errorf("%+v, %v", found, err)
	}
}

// TestRefusalsUnderAttack: a flood costs no more memory and no more rows than the
// bounds say, and the latest are known.
func TestRefusalsUnderAttack(t *testing.T) {
	db := memkv.New(memkv.Options{})
	defer db.Close()
	r, at := NewRefusals(db), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id := func(n int) mail.ArrivalID { return mail.ArrivalID{byte(n), byte(n >> 8), byte(n >> 16), 1} }
	const flood = 3 * remembered
	written := 0
	for n := range flood {
		at = at.Add(100 * time.Microsecond) // ten thousand a second
		r.Note(id(n), Entry{At: at, Reply: fmt.Sprintf("550 %0*d", maxText, n)})
		if n%5000 == 0 {
			written += len(r.waiting)
			if err := r.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	written += len(r.waiting)
	if written > burst+3 || len(r.ring) != remembered {
		t.Errorf("%d rows, %d remembered", written, len(r.ring))
	}
	if len(r.ByReference(id(flood-1))) != 1 || len(r.ByReference(id(flood-remembered))) != 1 || len(r.ByReference(id(0))) != 0 {
		t.Error("not the latest are remembered")
	}
	r.Note(id(1), Entry{At: at.Add(time.Hour)})
	if r.left != burst-1 {
		t.Errorf("after an hour %d may be written", r.left)
	}
}

// TestRefusalsEnd: what waits at the end is written.
func TestRefusalsEnd(t *testing.T) {
	db := memkv.New(memkv.Options{})
	defer db.Close()
	r := NewRefusals(db)
	r.Note(mail.ArrivalID{7}, Entry{At: time.Now(), Reply: "550 no"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if rows, err := New(db).ByArrival(t.Context(), mail.ArrivalID{7}); err != nil || len(rows) != 1 {
		t.Errorf("%+v, %v", rows, err)
	}
}

func BenchmarkNote(b *testing.B) {
	db := memkv.New(memkv.Options{})
	defer db.Close()
	r, e := NewRefusals(db), Entry{At: time.Now(), Reply: "550 5.1.1 no such recipient here: <x@y.test>"}
	b.ReportAllocs()
	for b.Loop() {
		r.Note(mail.NewArrivalID(), e)
	}
}
