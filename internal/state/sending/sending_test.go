package sending

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

var (
	t0   = time.Unix(1_800_000_000, 0)
	home = netip.MustParseAddr("192.0.2.1")
)

func people(from, n int) (all []mail.Address) {
	for i := range n {
		all = append(all, mail.Address{Local: fmt.Sprint(from + i), Domain: "far.test"})
	}
	return all
}

func open(t testing.TB) *Book {
	db := memkv.New(memkv.Options{})
	t.Cleanup(func() { db.Close() })
	return New(db)
}

// TestBounds: each bound holds for 24 hours, to the hour, and each says when to
// come again.
func TestBounds(t *testing.T) {
	b, ctx := open(t), context.Background()
	spend := func(at time.Duration, bounds Bounds, to []mail.Address) string {
		over, _, err := b.Spend(ctx, 1, t0.Add(at), bounds, to, home)
		if err != nil {
			t.Fatal(err)
		}
		if over.IsZero() {
			return ""
		}
		return over.String()
	}
	for i, c := range []struct {
		at     time.Duration
		bounds Bounds
		to     []mail.Address
		want   string
	}{
		{0, Bounds{Messages: 2}, people(0, 3), ""},
		{2 * time.Hour, Bounds{Messages: 2}, people(0, 3), ""},
		{3 * time.Hour, Bounds{Messages: 2}, people(0, 3), "at most 2 messages within 24 hours; please try again in 21 hours"},
		{3 * time.Hour, Bounds{Messages: -1, New: 3}, people(0, 3), ""}, // old friends
		{3 * time.Hour, Bounds{New: 3}, people(3, 1), "at most 3 new recipients within 24 hours; please try again in 21 hours"},
		{4 * time.Hour, Bounds{Recipients: 10}, people(0, 2), "at most 10 recipients within 24 hours; please try again in 20 hours"},
		{24 * time.Hour, Bounds{Messages: 3, Recipients: 9, New: 3}, people(3, 3), ""},
		{25 * time.Hour, Bounds{Messages: 1}, people(0, 1), "at most 1 messages within 24 hours; please try again in 23 hours"},
		{100 * time.Hour, Bounds{1, 1, 1}, people(9, 1), ""},
		{90 * time.Hour, Bounds{1, 9, 9}, people(0, 1), "at most 1 messages within 24 hours; please try again in 24 hours"}, // a clock that went back
	} {
		if got := spend(c.at, c.bounds, c.to); got != c.want {
			t.Errorf("%d: %q, want %q", i, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	b, ctx := open(t), context.Background()
	if _, _, err := b.Spend(ctx, 1, t0, Bounds{}, people(0, 2), home); err != nil {
		t.Fatal(err)
	}
	var d Draft
	bounds := Bounds{Messages: 2, Recipients: 5, New: 3}
	for i, want := range []bool{true, true, true, false} { // 0 is known, 1 is known, 2 is the third new one, 3 is too many
		over, err := b.Check(ctx, 1, t0, bounds, &d, people(i, 1)[0])
		if over.IsZero() != want || err != nil {
			t.Errorf("%d: %v, %v", i, over, err)
		}
	}
	if d != (Draft{3, 1}) {
		t.Errorf("%+v", d)
	}
	bounds.Messages = 1
	if over, _ := b.Check(ctx, 1, t0, bounds, &Draft{}, mail.Address{}); over.What != "messages" {
		t.Errorf("%+v", over)
	}
	if got, err := b.Lately(ctx, 1, t0.Add(23*time.Hour)); got != (Lately{1, 2, 2, 0}) || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := b.Lately(ctx, 1, t0.Add(24*time.Hour)); got != (Lately{}) || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSuspect(t *testing.T) {
	settled := Evidence{Known: 500, OldNetworks: 2}
	with := func(e Evidence, fn func(*Evidence)) Evidence { fn(&e); return e }
	for name, c := range map[string]struct {
		e    Evidence
		want string
	}{
		"nothing":                         {Evidence{}, ""},
		"a newsletter from home":          {with(settled, func(e *Evidence) { e.New, e.NewNow, e.Recipients, e.Known = 400, 400, 400, 900 }), ""},
		"a newsletter from a new network": {with(settled, func(e *Evidence) { e.New, e.NewNow, e.FromNew, e.Known = 150, 150, true, 650 }), "150 recipients that are new in two hours, from a network that is new"},
		"a new account":                   {Evidence{New: 400, NewNow: 400, Known: 400, FromNew: true, NewNetworks: 1, Recipients: 400}, ""},
		"a new account with an old list":  {Evidence{New: 200, Known: 200, Recipients: 200, Refused: 50}, "50 of 200 recipients in 24 hours were refused"},
		"a large list, a little old":      {Evidence{New: 900, Known: 900, Recipients: 900, Refused: 60}, ""},
		"a journey":                       {with(settled, func(e *Evidence) { e.NewNetworks, e.New, e.FromNew = 12, 20, true }), ""},
		"many hands":                      {with(settled, func(e *Evidence) { e.NewNetworks, e.New, e.FromNew = 10, 50, true }), "10 new networks and 50 new recipients in 24 hours"},
		"few refusals":                    {Evidence{Recipients: 60, Refused: 49}, ""},
	} {
		if got := Suspect(c.e); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestStolen is the whole way: an owner's habits, and then somebody else's.
func TestStolen(t *testing.T) {
	b, ctx := open(t), context.Background()
	spend := func(at time.Time, to []mail.Address, from string) string {
		_, e, err := b.Spend(ctx, 1, at, Bounds{}, to, netip.MustParseAddr(from))
		if err != nil {
			t.Fatal(err)
		}
		return Suspect(e)
	}
	for day := range 30 {
		if why := spend(t0.Add(time.Duration(day)*24*time.Hour), people(day, 5), "192.0.2.9"); why != "" {
			t.Fatal(why)
		}
	}
	at := t0.Add(31 * 24 * time.Hour)
	if why := spend(at, people(1000, 149), "203.0.113.1"); why != "" {
		t.Error(why)
	}
	if why := spend(at.Add(time.Hour), people(2000, 1), "203.0.113.200"); why == "" {
		t.Error("150 strangers from a strange network are nothing")
	}
	if why := spend(at.Add(time.Hour), people(2001, 1), "192.0.2.77"); why != "" {
		t.Error("from home:", why)
	}
	if err := b.Pardon(ctx, 1, at); err != nil {
		t.Fatal(err)
	}
	if why := spend(at.Add(time.Hour), people(3000, 149), "203.0.113.1"); why != "" {
		t.Error("pardoned:", why)
	}
	if e, err := b.Refused(ctx, 1, at.Add(time.Hour), 100); err != nil || Suspect(e) == "" {
		t.Error(e, err)
	}
}

// TestKept: what is in memory is written each minute and at the end, and read
// again.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memkv.New(memkv.Options{Rerun: true})
		defer db.Close()
		b := New(db)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = b.Run(ctx) })
		spend := func(b *Book, n int) Excess {
			over, _, err := b.Spend(t.Context(), 1, time.Now(), Bounds{Messages: 2}, people(n, 1), home)
			if err != nil {
				t.Fatal(err)
			}
			return over
		}
		spend(b, 1)
		time.Sleep(writeEvery + time.Second)
		if over := spend(New(db), 2); !over.IsZero() { // as after a crash
			t.Error(over)
		}
		spend(b, 2)
		cancel()
		wg.Wait()
		if over := spend(New(db), 3); over.IsZero() {
			t.Error("the second message was forgotten")
		}
		// What nobody uses goes out of memory.
		b.write(t.Context(), time.Now().Add(2*keepIdle))
		if len(b.ledgers) != 0 {
			t.Error("an idle ledger is kept in memory")
		}
	})
}

func TestForget(t *testing.T) {
	l := newLedger()
	for i := range uint64(maxKnown + 100) {
		l.spend(t0.Add(time.Duration(i)*time.Minute), []uint64{i + 1}, i+1)
	}
	if len(l.known) > maxKnown || len(l.networks) > maxNetworks {
		t.Errorf("%d recipients, %d networks", len(l.known), len(l.networks))
	}
	if _, ok := l.known[maxKnown+100]; !ok {
		t.Error("the newest is forgotten")
	}
	if got, err := decode(l.encode()); err != nil || !reflect.DeepEqual(got, l) {
		t.Error("not read as it was written", err)
	}
}

func FuzzLedger(f *testing.F) {
	l := newLedger()
	l.spend(t0, []uint64{1, 2}, 3)
	f.Add([]byte(l.encode()))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(l.encode())
		if err != nil || !bytes.Equal(again.encode(), l.encode()) {
			t.Errorf("%+v is read as %+v, %v", l, again, err)
		}
		l.spend(t0, []uint64{7}, 8)
		_ = Suspect(l.evidence(t0, 8))
	})
}

// BenchmarkSpend is what one message costs.
func BenchmarkSpend(b *testing.B) {
	book := open(b)
	to := people(0, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, err := book.Spend(b.Context(), mail.AccountID(i%1000+1), t0, Bounds{Messages: 1 << 40}, to, home); err != nil {
			b.Fatal(err)
		}
	}
}
