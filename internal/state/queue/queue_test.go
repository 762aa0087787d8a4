package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// bed is a queue over a database in memory that reruns transactions.
type bed struct {
	testing.TB
	db    *memkv.DB
	blobs *blob.Store
	*Store
}

func newBed(t testing.TB) *bed {
	t.Helper()
	db := memkv.New(memkv.Options{Rerun: true})
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close(); _ = db.Close() })
	return &bed{t, db, blobs, New(db, blobs)}
}

func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// id makes an arrival's id in partition n%64.
func id(n byte) mail.ArrivalID { return mail.ArrivalID{n, 1, 2, 3} }

// add puts a message into the queue for the recipients given.
func (b *bed) add(n byte, from string, to ...string) mail.ArrivalID {
	b.Helper()
	h, err := b.blobs.Put(context.Background(), fmt.Appendf(nil, "Subject: %d\r\n\r\n", n))
	if err != nil {
		b.Fatal(err)
	}
	m := Message{ID: id(n), At: t0, Size: h.Size(), From: address(from)}
	var ds []Delivery
	for i, r := range to {
		ds = append(ds, Delivery{N: uint32(i), To: address(r)})
	}
	b.update(m.ID, func(tx kv.Tx) error { return b.Add(tx, m, h, ds) })
	return m.ID
}

func (b *bed) update(id mail.ArrivalID, fn func(kv.Tx) error) {
	b.Helper()
	if err := b.db.Update(context.Background(), []kv.Shard{kv.PartitionShard(id)}, fn); err != nil {
		b.Fatal(err)
	}
}

func (b *bed) write(d Delivery, now time.Time) (there bool) {
	b.Helper()
	b.update(d.Message, func(tx kv.Tx) error {
		found, err := b.Write(tx, now, d)
		there = err == nil && found[0]
		return err
	})
	return there
}

// rows counts the rows under a prefix.
func (b *bed) rows(s kv.Shard, prefix []byte) int {
	b.Helper()
	n := 0
	err := b.db.View(context.Background(), s, func(r kv.Reader) error {
		n = 0
		for _, err := range r.Scan(kv.Prefix(prefix)) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func (b *bed) list(f Filter) string {
	b.Helper()
	var all []string
	for e, err := range b.List(context.Background(), f) {
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%d/%d %s %s %s", e.Message.ID[0], e.Delivery.N, e.Message.From, e.Delivery.To, e.Delivery.State))
	}
	return strings.Join(all, "; ")
}

// look takes what is due and gives it as text.
func (b *bed) look(part uint8, from Cursor, now time.Time, limit int) (string, Look) {
	b.Helper()
	l, err := b.TakeDue(context.Background(), part, from, now, limit)
	if err != nil {
		b.Fatal(err)
	}
	var all []string
	for _, d := range l.Due {
		all = append(all, fmt.Sprintf("%d/%d %s", d.Message[0], d.N, d.Domain))
	}
	return strings.Join(all, "; "), l
}

func TestLifeOfAMessage(t *testing.T) {
	b := newBed(t)
	id := b.add(1, "a@x.test", "b@y.test", "c@z.test")
	m, ds, err := b.Load(t.Context(), id, []uint32{0, 1, 2})
	if err != nil || m.From != address("a@x.test") || len(ds) != 2 {
		t.Fatalf("%+v %+v %v", m, ds, err)
	}
	d := ds[0]
	d.State, d.Due, d.Attempts = Waiting, t0.Add(time.Hour), 1
	b.write(d, t0)
	got, l := b.look(1, Cursor{}, t0, 10)
	if got != "1/1 z.test" || !l.Wake.Equal(t0.Add(time.Hour)) {
		t.Errorf("due %s, wake %s", got, l.Wake)
	}
	if got, _ := b.look(1, l.Next, t0.Add(time.Hour), 10); got != "1/0 y.test" {
		t.Errorf("an hour later: %s", got)
	}
	ds[1].State = Delivered
	b.write(ds[1], t0)
	if n := b.rows(nil, []byte("b/ref/")); n != 1 {
		t.Errorf("%d references to the content while one waits", n)
	}
	d.State = Bounced
	b.write(d, t0)
	if n := b.rows(kv.PartitionShard(id), kv.PartitionShard(id)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	if n := b.rows(nil, []byte("b/ref/")); n != 0 {
		t.Errorf("%d references are left", n)
	}
	if b.write(d, t0) {
		t.Error("a delivery that is gone was written")
	}
}

func TestTakeDueInPages(t *testing.T) {
	b := newBed(t)
	var to []string
	for i := range 7 {
		to = append(to, fmt.Sprintf("r%d@y.test", i))
	}
	b.add(1, "a@x.test", to...)
	b.add(65, "a@x.test", "z@z.test")
	_, ds, _ := b.Load(t.Context(), id(1), []uint32{5, 6})
	for i, d := range ds {
		d.Due = t0.Add(time.Duration(i+1) * time.Hour)
		b.write(d, t0)
	}
	var pages []string
	var l Look
	for more := true; more; more = l.More {
		var got string
		got, l = b.look(1, l.Next, t0.Add(90*time.Minute), 3)
		pages = append(pages, got)
	}
	want := []string{"1/0 y.test; 1/1 y.test; 1/2 y.test", "1/3 y.test; 1/4 y.test; 65/0 z.test", "1/5 y.test"}
	if !slices.Equal(pages, want) {
		t.Errorf("pages %q, want %q", pages, want)
	}
	if !l.Wake.Equal(t0.Add(2 * time.Hour)) {
		t.Errorf("wake %s", l.Wake)
	}
	// A later commit is behind the cursor, whatever time its message carries.
	b.add(129, "a@x.test", "late@y.test")
	if got, _ := b.look(1, l.Next, t0.Add(90*time.Minute), 3); !strings.Contains(got, "129/0") {
		t.Errorf("after a late commit: %s", got)
	}
	// From the place of one row it is read again, in its own lane only.
	_, l = b.look(1, Cursor{}, t0.Add(90*time.Minute), 100)
	if got, _ := b.look(1, l.Due[4].At, t0.Add(90*time.Minute), 100); got != "1/4 y.test; 65/0 z.test; 129/0 y.test" {
		t.Errorf("from a row's place: %s", got)
	}
	if got, _ := b.look(1, l.Due[7].At, t0.Add(90*time.Minute), 100); got != "1/5 y.test" {
		t.Errorf("from a later row's place: %s", got)
	}
}

// TestLateRows sees that a row which is written a little after its time is
// found behind a cursor that has passed it.
func TestLateRows(t *testing.T) {
	b := newBed(t)
	b.add(1, "a@x.test", "b@y.test")
	_, ds, _ := b.Load(t.Context(), id(1), []uint32{0})
	hour := t0.Add(time.Hour)
	_, l := b.look(1, Cursor{}, hour, 10)
	ds[0].Due = hour.Add(-30 * time.Second)
	b.write(ds[0], t0)
	got, l := b.look(1, l.Next, hour, 10)
	if got != "1/0 y.test" {
		t.Errorf("written late: %q", got)
	}
	if got, _ := b.look(1, l.Next, hour.Add(time.Hour), 10); got != "1/0 y.test" {
		t.Errorf("still not settled: %q", got)
	}
}

func TestFilters(t *testing.T) {
	b := newBed(t)
	b.SiteOf = func(d mail.Domain) mail.Domain {
		if d == "z.test" {
			return "big"
		}
		return d
	}
	b.add(1, "a@x.test", "b@y.test", "c@z.test")
	b.add(2, "A@x.test", "b@z.test")
	b.add(3, "n@x.test", "B@y.test")
	if _, err := b.Hold(t.Context(), Filter{ID: id(3)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		f    Filter
		want string
	}{
		{Filter{}, "1/0 a@x.test b@y.test waiting; 1/1 a@x.test c@z.test waiting; 2/0 A@x.test b@z.test waiting; 3/0 n@x.test B@y.test held"},
		{Filter{ID: id(1)}, "1/0 a@x.test b@y.test waiting; 1/1 a@x.test c@z.test waiting"},
		{Filter{From: address("a@x.test"), Domain: "z.test"}, "1/1 a@x.test c@z.test waiting; 2/0 A@x.test b@z.test waiting"},
		{Filter{To: address("b@y.test")}, "1/0 a@x.test b@y.test waiting; 3/0 n@x.test B@y.test held"},
		{Filter{State: Held}, "3/0 n@x.test B@y.test held"},
		{Filter{Site: "big"}, "1/1 a@x.test c@z.test waiting; 2/0 A@x.test b@z.test waiting"},
		{Filter{Site: "z.test"}, ""},
		{Filter{Before: t0}, ""},
		{Filter{After: t0.Add(-1), ID: id(3)}, "3/0 n@x.test B@y.test held"},
		{Filter{After: t0}, ""},
		{Filter{Error: "later"}, ""},
		{Filter{ID: id(9)}, ""},
	} {
		if got := b.list(c.f); got != c.want {
			t.Errorf("%+v: %s, want %s", c.f, got, c.want)
		}
	}
}

func TestOperatorsWork(t *testing.T) {
	b := newBed(t)
	var told []string
	b.OnChange = func(_ kv.Tx, what string, e Entry, _ time.Time) {
		if s := fmt.Sprintf("%s %d/%d", what, e.Message.ID[0], e.Delivery.N); len(told) == 0 || told[len(told)-1] != s {
			told = append(told, s)
		}
	}
	b.add(1, "a@x.test", "b@y.test", "c@z.test")
	_, ds, _ := b.Load(t.Context(), id(1), []uint32{0})
	d := ds[0]
	d.Due = t0.Add(time.Hour)
	b.write(d, t0)
	do := func(name string, fn func(context.Context, Filter) (int, error), f Filter, n int, due string) {
		t.Helper()
		got, err := fn(t.Context(), f)
		if err != nil || got != n {
			t.Errorf("%s: %d, %v; want %d", name, got, err, n)
		}
		if is, _ := b.look(1, Cursor{}, t0, 10); is != due {
			t.Errorf("%s: due is %s, want %s", name, is, due)
		}
	}
	y, all := Filter{Domain: "y.test"}, Filter{}
	do("retry", b.Retry, y, 1, "1/1 z.test; 1/0 y.test")
	do("hold", b.Hold, y, 1, "1/1 z.test")
	do("hold again", b.Hold, y, 0, "1/1 z.test")
	do("retry held", b.Retry, y, 0, "1/1 z.test")
	// An attempt that was in flight when it was held.
	if !b.write(d, t0) || b.list(y) != "1/0 a@x.test b@y.test held" {
		t.Errorf("a deferred attempt ends the hold: %s", b.list(y))
	}
	if _, ds, _ := b.Load(t.Context(), id(1), []uint32{0}); len(ds) != 0 {
		t.Error("what is held is loaded for an attempt")
	}
	do("release", b.Release, all, 1, "1/1 z.test; 1/0 y.test")
	do("drop", b.Drop, y, 1, "1/1 z.test")
	if b.write(d, t0) {
		t.Error("an attempt brings back what was dropped")
	}
	do("drop the rest", b.Drop, all, 1, "")
	if n := b.rows(nil, []byte("b/ref/")); n != 0 {
		t.Errorf("%d references are left", n)
	}
	want := []string{"retried 1/0", "held 1/0", "released 1/0", "dropped 1/0", "dropped 1/1"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestLongLists goes over several pages of rows, listing and changing.
func TestLongLists(t *testing.T) {
	b := newBed(t)
	var to []string
	for i := range 2*page + 100 {
		to = append(to, fmt.Sprintf("r%d@y.test", i))
	}
	b.add(1, "a@x.test", to[:page]...)
	b.add(65, "a@x.test", to[page:]...)
	b.add(2, "a@x.test", "b@y.test")
	n, err := b.Hold(t.Context(), Filter{Domain: "y.test"})
	if err != nil || n != len(to)+1 {
		t.Fatalf("held %d, %v", n, err)
	}
	if n := strings.Count(b.list(Filter{State: Held}), "held"); n != len(to)+1 {
		t.Errorf("listed %d", n)
	}
	if n, err := b.Drop(t.Context(), Filter{}); err != nil || n != len(to)+1 {
		t.Fatalf("dropped %d, %v", n, err)
	}
	if got := b.list(Filter{}); got != "" {
		t.Errorf("left: %.100s", got)
	}
}

func TestAddRefuses(t *testing.T) {
	b := newBed(t)
	h, _ := b.blobs.Put(t.Context(), []byte("x"))
	for kind, m := range map[fault.Kind]Message{
		fault.TooLarge: {ID: id(1), Prefix: make([]byte, MaxPrefix+1)}, fault.Internal: {ID: id(1)},
	} {
		err := b.db.Update(t.Context(), []kv.Shard{kv.PartitionShard(m.ID)}, func(tx kv.Tx) error { return b.Add(tx, m, h, nil) })
		if !fault.Is(err, kind) {
			t.Errorf("%v, want %s", err, kind)
		}
	}
}

// BenchmarkTakeDue takes the first 100 that are due, with backlogs that wait
// for later and that are due at once.
func BenchmarkTakeDue(b *testing.B) {
	for _, backlog := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(backlog), func(b *testing.B) {
			bed := newBed(b)
			h, _ := bed.blobs.Put(b.Context(), []byte("x"))
			for n := 0; n < backlog; n += 500 {
				m := Message{ID: mail.ArrivalID{1, byte(n >> 16), byte(n >> 8), byte(n)}, At: t0}
				var ds []Delivery
				for i := range uint32(500) {
					ds = append(ds, Delivery{N: i, To: address("a@x.test"), Due: t0.Add(time.Duration(i%2) * time.Hour)})
				}
				bed.update(m.ID, func(tx kv.Tx) error { return bed.Add(tx, m, h, ds) })
			}
			for b.Loop() {
				l, err := bed.TakeDue(b.Context(), 1, Cursor{}, t0, 100)
				if err != nil || len(l.Due) != 100 {
					b.Fatal(len(l.Due), err)
				}
			}
		})
	}
}
