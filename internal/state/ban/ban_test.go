package ban

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

var ctx = context.Background()

func open(t *testing.T) *Store {
	t.Helper()
	db := memkv.New(memkv.Options{})
	t.Cleanup(func() { db.Close() })
	return New(db, Options{})
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestParseNet(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"192.0.2.1", "192.0.2.1/32"}, {"192.0.2.77/24", "192.0.2.0/24"}, {"2001:db8::1", "2001:db8::1/128"},
		{"2001:db8:1::/48", "2001:db8:1::/48"}, {"::ffff:192.0.2.1", "192.0.2.1/32"}, {"::ffff:192.0.2.0/120", "192.0.2.0/24"},
		{"", ""}, {"x", ""}, {"fe80::1%eth0", ""}, {"192.0.2.1/33", ""}, {"::ffff:192.0.2.0/64", ""}, {"192.0.2.1/", ""},
	} {
		got, err := ParseNet(c.in)
		if c.want == "" && !fault.Is(err, fault.Invalid) || c.want != "" && got.String() != c.want {
			t.Errorf("%q gave %v, %v", c.in, got, err)
		}
	}
}

// TestByHand: an operator's bans are of any network, and the list of the allowed
// is above them.
func TestByHand(t *testing.T) {
	s, now := open(t), time.Now()
	for _, c := range []struct {
		net  string
		kind fault.Kind
	}{{"10.0.0.0/7", fault.Invalid}, {"2000::/15", fault.Invalid}, {"127.0.0.1", fault.Invalid}, {"::/1", fault.Invalid}, {"::1", fault.Invalid}} {
		p, err := ParseNet(c.net)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(ctx, p, 0, ""); !fault.Is(err, c.kind) {
			t.Errorf("%s gave %v", c.net, err)
		}
	}
	add := func(net string, d time.Duration) {
		p, err := ParseNet(net)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(ctx, p, d, "abuse"); err != nil {
			t.Fatal(err)
		}
	}
	add("192.0.2.0/24", 0)
	add("198.51.100.7", time.Hour)
	add("2001:db8::/32", time.Hour)
	for a, want := range map[string]bool{
		"192.0.2.255": true, "::ffff:192.0.2.1": true, "192.0.3.1": false, "198.51.100.7": true, "198.51.100.8": false,
		"2001:db8:9::1": true, "2001:db9::1": false, "127.0.0.1": false,
	} {
		if _, got := s.Barred(now, addr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if _, barred := s.Barred(now.Add(2*time.Hour), addr("198.51.100.7")); barred {
		t.Error("a ban of an hour lasts two")
	}
	if b, barred := s.Barred(now.Add(1000*time.Hour), addr("192.0.2.9")); !barred || !b.Manual || b.Reason != "abuse" {
		t.Errorf("%+v, %v", b, barred)
	}
	office, _ := ParseNet("192.0.2.8/29")
	if _, err := s.Allow(ctx, office, "the office"); err != nil {
		t.Fatal(err)
	}
	if _, barred := s.Barred(now, addr("192.0.2.9")); barred {
		t.Error("the allowed is banned")
	}
	if all, err := s.Allowed(ctx); err != nil || len(all) != 1 || all[0].Net != office || all[0].Note != "the office" {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.Disallow(ctx, office); err != nil {
		t.Fatal(err)
	}
	if err := s.Disallow(ctx, office); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	net, _ := ParseNet("192.0.2.0/24")
	if err := s.Remove(ctx, net); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(ctx, net); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, barred := s.Barred(now, addr("192.0.2.9")); barred {
		t.Error("a lifted ban holds")
	}
	if all, err := s.Bans(ctx, now, false); err != nil || len(all) != 2 || all[0].Net.String() != "198.51.100.7/32" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestPersists: bans, allowed networks and recent successes are there after a
// restart, and another store over the same rows sees a change by its watch.
func TestPersists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memkv.New(memkv.Options{})
		defer db.Close()
		one, two := New(db, Options{}), New(db, Options{})
		run, end := context.WithCancel(ctx)
		done := make(chan error, 2)
		for _, s := range []*Store{one, two} {
			go func() { done <- s.Run(run) }()
		}
		synctest.Wait()
		if _, did, err := one.Punish(ctx, addr("2001:db8::1"), "guessing"); !did || err != nil {
			t.Fatal(did, err)
		}
		one.Welcome(time.Now(), addr("192.0.2.1"))
		synctest.Wait()
		if b, barred := two.Barred(time.Now(), addr("2001:db8::2")); !barred || b.Net.String() != "2001:db8::/64" || b.Reason != "guessing" {
			t.Errorf("the other node does not know: %+v", b)
		}
		time.Sleep(2 * lookEvery)
		if !two.Spares(time.Now(), addr("192.0.2.1")) {
			t.Error("the other node does not know of the success")
		}
		one.Welcome(time.Now(), addr("192.0.2.2")) // written at the end
		end()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		again := New(db, Options{})
		if err := again.Load(ctx); err != nil {
			t.Fatal(err)
		}
		if _, barred := again.Barred(time.Now(), addr("2001:db8::1")); !barred {
			t.Error("the ban did not survive")
		}
		for _, a := range []string{"192.0.2.1", "192.0.2.2"} {
			if _, did, err := again.Punish(ctx, addr(a), "guessing"); did || err != nil {
				t.Errorf("%s was banned in spite of a success: %v", a, err)
			}
		}
	})
}

// TestForgets: bans grow, not beyond a day, and are forgotten a week after their
// end, as successes are.
func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		a := addr("192.0.2.1")
		for i, want := range []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440} {
			b, did, err := s.Punish(ctx, a, "x")
			if !did || err != nil || b.Until.Sub(b.Since) != want*time.Minute || b.Times != i+1 {
				t.Fatalf("ban %d: %+v, %v, %v", i, b, did, err)
			}
			if _, did, _ := s.Punish(ctx, a, "x"); did {
				t.Error("banned twice")
			}
			time.Sleep(time.Until(b.Until) + time.Second)
		}
		s.Welcome(time.Now(), addr("192.0.2.9"))
		if err := s.flush(ctx); err != nil {
			t.Fatal(err)
		}
		for i, left := range []int{1, 0} {
			if err := s.Sweep(ctx, time.Now()); err != nil {
				t.Fatal(err)
			}
			if all, err := s.Bans(ctx, time.Now(), true); err != nil || len(all) != left {
				t.Errorf("sweep %d: %+v, %v", i, all, err)
			}
			if got := len(s.now.Load().good); got != left {
				t.Errorf("sweep %d: %d successes", i, got)
			}
			time.Sleep(8 * 24 * time.Hour)
		}
		if b, _, _ := s.Punish(ctx, a, "x"); b.Times != 1 {
			t.Errorf("not forgotten: %+v", b)
		}
	})
}

// TestSuccessIsYoung: what became young again between the look and the sweep
// stays.
func TestSuccessIsYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		s.Welcome(time.Now(), addr("192.0.2.9"))
		if err := s.flush(ctx); err != nil {
			t.Fatal(err)
		}
		old := s.now.Load()
		time.Sleep(8 * 24 * time.Hour)
		s.Welcome(time.Now(), addr("192.0.2.9"))
		if err := s.flush(ctx); err != nil {
			t.Fatal(err)
		}
		s.now.Store(old)
		if err := s.Sweep(ctx, time.Now()); err != nil {
			t.Fatal(err)
		}
		if !s.Spares(time.Now(), addr("192.0.2.9")) {
			t.Error("a young success was swept")
		}
	})
}

func TestBounds(t *testing.T) {
	s := open(t)
	for i := range MaxAllowed {
		p, _ := ParseNet(fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))
		if _, err := s.Allow(ctx, p, ""); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := ParseNet("192.0.2.1")
	if _, err := s.Allow(ctx, p, ""); !fault.Is(err, fault.TooMany) {
		t.Errorf("got %v", err)
	}
}

func TestRows(t *testing.T) {
	for _, v := range [][]byte{nil, {2}, []byte("\x01{"), []byte("\x02{}")} {
		if _, err := decodeBan(netip.Prefix{}, v); err == nil {
			t.Errorf("%q is a ban", v)
		}
		if _, err := decodeAllowed(netip.Prefix{}, v); err == nil {
			t.Errorf("%q is an allowed network", v)
		}
		if _, err := decodeGood(v); err == nil {
			t.Errorf("%q is a success", v)
		}
	}
}

func BenchmarkBarred(b *testing.B) {
	s := New(memkv.New(memkv.Options{}), Options{})
	for i := range 100 {
		p, _ := ParseNet(fmt.Sprintf("10.%d.0.0/%d", i, 16+i%16))
		if _, err := s.Add(ctx, p, 0, ""); err != nil {
			b.Fatal(err)
		}
	}
	a, now := addr("192.0.2.1"), time.Now()
	for b.Loop() {
		s.Barred(now, a)
	}
}
