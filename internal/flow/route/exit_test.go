package route

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// TestExit plays what happens at the port, minute by minute: "x ADDR DOMAIN" is a
// server that was not reached, "o ADDR" one that was, "confirm" that none of the
// targets was.
func TestExit(t *testing.T) {
	for _, c := range []struct{ name, play, want string }{
		{"one network", "x 192.0.2.1 a.test; x 192.0.2.2 b.test; x 192.0.3.3 c.test; x 192.0.4.4 d.test", "...."},
		{"one domain", "x 192.0.2.1 a.test; x 198.51.100.1 a.test; x 203.0.113.1 a.test", "..."},
		{"several", "x 192.0.2.1 a.test; x 198.51.100.1 b.test; x 203.0.113.1 a.test; confirm", "..sB"},
		{"both families", "x 192.0.2.1 a.test; x 2001:db8::1 a.test; x 2001:db9::1 b.test; confirm", "..sB"},
		{"a /32 of IPv6 is one network", "x 2001:db8::1 a.test; x 2001:db8:1::1 b.test; x 2001:db8:2::1 c.test", "..."},
		{"one in between", "x 192.0.2.1 a.test; x 198.51.100.1 b.test; o 10.0.0.1; x 203.0.113.1 c.test; confirm", "....."},
		{"a target was reached", "x 192.0.2.1 a.test; x 198.51.100.1 b.test; x 203.0.113.1 c.test; o 10.0.0.1; confirm", "..s.."},
		{"and is no more", "x 192.0.2.1 a.test; x 198.51.100.1 b.test; x 203.0.113.1 c.test; confirm; x 10.1.0.1 d.test; o 10.0.0.1; x 192.0.2.1 a.test", "..sB.O."},
		{"said once", "x 192.0.2.1 a.test; x 198.51.100.1 b.test; x 203.0.113.1 c.test; confirm; confirm", "..sB."},
		{"long ago", "x 192.0.2.1 a.test; x 198.51.100.1 b.test; wait; x 203.0.113.1 c.test", "...."},
		{"the same ones for long", "x 192.0.2.1 a.test; x 198.51.100.1 b.test; wait; x 192.0.2.1 a.test; x 198.51.100.1 b.test; x 203.0.113.1 c.test", ".....s"},
	} {
		var e Exit
		got, now := "", time.Unix(0, 0)
		for step := range strings.SplitSeq(c.play, "; ") {
			now = now.Add(time.Minute)
			var what, addr, domain string
			fmt.Sscan(step, &what, &addr, &domain)
			said := false
			switch what {
			case "x":
				said = e.Failed(now, mail.Domain(domain), netip.AddrPortFrom(netip.MustParseAddr(addr), 25))
			case "o":
				said = e.Reached(netip.AddrPortFrom(netip.MustParseAddr(addr), 25))
			case "confirm":
				said = e.Confirm(now)
			case "wait":
				now = now.Add(exitWindow)
			}
			if !said {
				what = "."
			}
			got += map[string]string{".": ".", "x": "s", "o": "O", "confirm": "B"}[what]
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestExitTargets sees that what was reached lately is tried first.
func TestExitTargets(t *testing.T) {
	var e Exit
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	for _, a := range []string{"10.0.0.1:25", "10.1.0.1:25", "10.2.0.1:25", "10.3.0.1:25", "10.1.0.2:25", "10.4.0.1:25"} {
		e.Reached(at(a))
	}
	e.Failed(time.Unix(1, 0), "a.test", at("192.0.2.1:25"))
	if got := fmt.Sprint(e.Targets()); got != "[10.4.0.1:25 10.1.0.2:25 10.3.0.1:25 10.2.0.1:25 192.0.2.1:25]" {
		t.Error(got)
	}
}
