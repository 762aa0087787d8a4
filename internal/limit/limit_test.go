package limit

import (
	"net/netip"
	"testing"
	"time"
)

func TestKey(t *testing.T) {
	for _, c := range []struct{ addr, key, network string }{
		{"192.0.2.1", "192.0.2.1/32", "192.0.2.0/24"},
		{"::ffff:192.0.2.1", "192.0.2.1/32", "192.0.2.0/24"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"fe80::1%eth0", "fe80::/64", "fe80::/48"},
	} {
		if got := Key(netip.MustParseAddr(c.addr)).String(); got != c.key {
			t.Errorf("Key(%s) = %s, want %s", c.addr, got, c.key)
		}
		if got := Network(netip.MustParseAddr(c.addr)).String(); got != c.network {
			t.Errorf("Network(%s) = %s, want %s", c.addr, got, c.network)
		}
	}
	if Key(netip.Addr{}).IsValid() || Network(netip.Addr{}).IsValid() {
		t.Error("no address has a key")
	}
}

func TestBuckets(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := NewBuckets[string](Rate{Burst: 3, Per: 3 * time.Second}, 10)
	for _, c := range []struct {
		at   time.Duration
		key  string
		n    int
		wait time.Duration
		ok   bool
	}{
		{0, "a", 1, 0, true},
		{0, "a", 2, 0, true},
		{0, "a", 1, time.Second, false},
		{0, "a", 3, 3 * time.Second, false},
		{0, "b", 3, 0, true}, // another key is not touched
		{999 * time.Millisecond, "a", 1, time.Millisecond, false},
		{time.Second, "a", 1, 0, true}, // one came back
		{time.Second, "a", 1, time.Second, false},
		{time.Minute, "a", 4, 0, false}, // never that many
		{time.Minute, "a", 3, 0, true},  // the refusals cost nothing, and a minute gives no more than Burst
		{time.Minute, "a", 1, time.Second, false},
		{59 * time.Second, "a", 1, 2 * time.Second, false}, // a clock that went back
	} {
		wait, ok := b.Take(start.Add(c.at), c.key, c.n)
		if wait != c.wait || ok != c.ok {
			t.Errorf("at %v Take(%q, %d) = %v, %v, want %v, %v", c.at, c.key, c.n, wait, ok, c.wait, c.ok)
		}
	}
	if _, ok := NewBuckets[int](Rate{}, 1).Take(start, 1, 1000); !ok {
		t.Error("the zero Rate must allow everything")
	}
}

func TestBucketsAreBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := NewBuckets[int](Rate{Burst: 1, Per: time.Minute}, 100)
	for i := range 1000 {
		b.Take(now, i, 1)
		b.Take(now, 0, 1) // refused, and yet it counts as used
	}
	if b.Len() != 100 {
		t.Fatalf("%d keys held, want 100", b.Len())
	}
	if _, ok := b.Take(now, 0, 1); ok {
		t.Error("the key in use was forgotten")
	}
	for i := range 200 { // full again: two go for each that comes
		b.Take(now.Add(time.Hour), 5000+i/100, 1)
		b.Take(now.Add(time.Hour), 6000+i, 0)
	}
	if b.Len() > 100 {
		t.Errorf("%d keys held", b.Len())
	}
}

func TestCounts(t *testing.T) {
	c := NewCounts[string](2, 3)
	steps := []struct {
		do   string
		key  string
		want bool
	}{
		{"+", "a", true}, {"+", "a", true}, {"+", "a", false}, {"+", "b", true},
		{"+", "c", false}, // three in all
		{"-", "a", true}, {"+", "c", true}, {"-", "x", true}, {"+", "c", false},
	}
	for i, s := range steps {
		if s.do == "-" {
			c.Release(s.key)
		} else if got := c.Acquire(s.key); got != s.want {
			t.Errorf("step %d: Acquire(%q) = %v", i, s.key, got)
		}
	}
	if c.Total() != 3 {
		t.Errorf("total %d, want 3", c.Total())
	}
	if c.Release("a"); len(c.held) != 2 {
		t.Errorf("keys without anything are kept: %v", c.held)
	}
	free := NewCounts[int](0, 0)
	for range 1000 {
		if !free.Acquire(1) {
			t.Fatal("a bound where none is")
		}
	}
}

func TestHas(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := NewBuckets[string](Rate{Burst: 2, Per: 2 * time.Second}, 10)
	for i, c := range []struct {
		at   time.Duration
		take bool
		n    int
		want bool
	}{
		{0, false, 1, true}, {0, true, 2, true}, {0, false, 1, false}, {time.Second, false, 1, true}, {time.Second, false, 2, false},
		{time.Second, true, 1, true}, {time.Second, false, 1, false}, {time.Minute, false, 2, true},
	} {
		got := b.Has(now.Add(c.at), "a", c.n)
		if c.take {
			_, got = b.Take(now.Add(c.at), "a", c.n)
		}
		if got != c.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	if !NewBuckets[int](Rate{}, 1).Has(now, 1, 1000) {
		t.Error("the zero Rate must allow everything")
	}
}
