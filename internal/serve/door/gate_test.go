package door

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/limit"
)

type journal struct{ lines []string }

func (j *journal) Emit(_ context.Context, e event.Event) {
	for _, a := range e.Attrs() {
		if a.Key == "reason" {
			j.lines = append(j.lines, e.Name()+" "+a.Value.String())
		}
	}
}

// TestGate: each limit refuses for a reason of its own, and what was counted for
// one that is refused is given back.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		until := time.Now().Add(time.Hour)
		g := NewGate("test", Limits{
			Total: 6, PerAddress: 2, PerNetwork: 3, Connects: limit.Rate{Burst: 3, Per: time.Minute}, Network: limit.Rate{Burst: 7, Per: time.Minute},
		}, Guards{
			Barred: func(_ time.Time, a netip.Addr) (time.Time, bool) { return until, a.String() == "203.0.113.1" },
			Allows: func(a netip.Addr) bool { return a.String() == "192.0.2.99" },
		}, j)
		crowds := 0
		g.OnCrowd(func() { crowds++ })
		leaves := map[string][]func(){}
		for i, c := range []struct{ do, addr, want string }{
			{"+", "203.0.113.1", "banned"},
			{"+", "192.0.2.1", ""}, {"+", "192.0.2.1", ""}, {"+", "192.0.2.1", "too many of the address"},
			{"+", "192.0.2.2", ""}, {"+", "192.0.2.3", "too many of the network"},
			{"-", "192.0.2.1", ""}, {"+", "192.0.2.3", ""},
			{"+", "192.0.2.99", ""}, {"+", "192.0.2.99", ""}, {"+", "192.0.2.99", ""}, // six are in
			{"+", "198.51.100.1", "too many"},
			{"-", "192.0.2.99", ""}, {"-", "192.0.2.99", ""}, {"-", "192.0.2.3", ""},
			{"+", "198.51.100.1", ""}, {"-", "198.51.100.1", ""}, {"+", "198.51.100.1", ""}, {"-", "198.51.100.1", ""},
			{"+", "198.51.100.1", "too fast"},
			{"+", "192.0.2.4", ""}, {"-", "192.0.2.4", ""}, {"+", "192.0.2.5", "network too fast"},
			{"+", "127.0.0.1", ""}, {"+", "127.0.0.1", ""}, {"+", "127.0.0.1", "too many of the address"},
		} {
			if c.do == "-" {
				leaves[c.addr][0]()
				leaves[c.addr] = leaves[c.addr][1:]
				continue
			}
			leave, why := g.Enter(context.Background(), netip.AddrPortFrom(netip.MustParseAddr(c.addr), 1))
			if why.Reason != c.want || (leave == nil) == (c.want == "") || (why.Text == "") != why.IsZero() {
				t.Errorf("step %d: %s: %+v", i, c.addr, why)
			}
			if leave != nil {
				leaves[c.addr] = append(leaves[c.addr], leave)
			}
		}
		if crowds != 2 { // the sixth, and the one for whom there is no place
			t.Errorf("told %d times that it is crowded", crowds)
		}
		for _, all := range leaves {
			for _, leave := range all {
				leave()
			}
		}
		if g.Len() != 0 {
			t.Errorf("%d are still in", g.Len())
		}
		if len(j.lines) != 7 || !strings.HasPrefix(j.lines[0], "connection.refused banned") {
			t.Errorf("told %q", j.lines)
		}
		time.Sleep(time.Minute)
		if _, why := g.Enter(context.Background(), netip.MustParseAddrPort("192.0.2.5:1")); !why.IsZero() {
			t.Errorf("a minute later: %+v", why)
		}
	})
}

func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		r         Refusal
		temporary bool
	}{
		{Refusal{Reason: "too many"}, true}, {Refusal{Reason: "banned", Banned: true, Until: time.Now()}, true}, {Refusal{Reason: "banned", Banned: true}, false},
	} {
		if c.r.Temporary() != c.temporary || c.r.IsZero() {
			t.Errorf("%+v", c.r)
		}
	}
}
