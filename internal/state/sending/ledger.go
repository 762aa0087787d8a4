// Package sending keeps what each account has sent lately: how much, to whom it
// had not written before, from which networks, and how much of it was refused.
package sending

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Bounds are how much an account may send within 24 hours. 0 and less is no
// bound.
type Bounds struct {
	Messages   int64
	Recipients int64
	New        int64 // recipients whom the account has not written to before
}

// Limits of what is remembered of one account.
const (
	hours       = 24
	maxKnown    = 4096 // recipients; those not written to for longest are forgotten
	maxNetworks = 64   // in the same way
)

// counts are what was sent in one hour.
type counts struct {
	Messages, Recipients, New, Refused uint64
}

func (c *counts) add(o counts) {
	c.Messages += o.Messages
	c.Recipients += o.Recipients
	c.New += o.New
	c.Refused += o.Refused
}

// ledger is what is remembered of one account. It is pure: its hours are those
// since 1970.
type ledger struct {
	hour     int64 // the newest that is counted
	counts   [hours]counts
	known    map[uint64]int64 // recipients: the hour they were last written to
	networks map[uint64]network
}

// network is one that the account was used from.
type network struct{ first, last int64 }

func newLedger() *ledger {
	return &ledger{known: map[uint64]int64{}, networks: map[uint64]network{}}
}

// at moves the window to the hour of a time. A clock that goes back changes
// nothing.
func (l *ledger) at(now time.Time) *counts {
	hour := now.Unix() / 3600
	if hour > l.hour+hours {
		l.hour, l.counts = hour, [hours]counts{}
	}
	for l.hour < hour {
		l.hour++
		l.counts[l.hour%hours] = counts{}
	}
	return &l.counts[l.hour%hours]
}

// day sums the window up.
func (l *ledger) day() (sum counts) {
	for _, c := range l.counts {
		sum.add(c)
	}
	return sum
}

// Excess says which bound would be passed. The zero Excess is none.
type Excess struct {
	What  string // "messages", "recipients", "new recipients"
	Bound int64
	Wait  time.Duration // until it is worth another try, to the hour
}

// IsZero says whether nothing would be passed.
func (e Excess) IsZero() bool { return e.Bound == 0 }

// String is the sentence that a user is told.
func (e Excess) String() string {
	return fmt.Sprintf("at most %d %s within 24 hours; please try again in %.0f hours", e.Bound, e.What, e.Wait.Hours())
}

// excess says which bound one more message to n recipients, of whom fresh are
// new, would pass.
func (l *ledger) excess(now time.Time, b Bounds, n, fresh uint64) Excess {
	l.at(now)
	d := l.day()
	for _, c := range []struct {
		what        string
		bound       int64
		sent, fresh uint64
		of          func(counts) uint64
	}{
		{"messages", b.Messages, d.Messages, 1, func(c counts) uint64 { return c.Messages }},
		{"recipients", b.Recipients, d.Recipients, n, func(c counts) uint64 { return c.Recipients }},
		{"new recipients", b.New, d.New, fresh, func(c counts) uint64 { return c.New }},
	} {
		if c.bound > 0 && c.sent+c.fresh > uint64(c.bound) && c.fresh > 0 {
			return Excess{c.what, c.bound, l.wait(c.sent+c.fresh-uint64(c.bound), c.of)}
		}
	}
	return Excess{}
}

// wait is the time until so many have left the window.
func (l *ledger) wait(n uint64, of func(counts) uint64) time.Duration {
	var gone uint64
	for i := int64(1); i < hours; i++ {
		if gone += of(l.counts[(l.hour+i)%hours]); gone >= n {
			return time.Duration(i) * time.Hour
		}
	}
	return hours * time.Hour
}

// fresh counts the recipients that are not known.
func (l *ledger) fresh(to []uint64) (n uint64) {
	for i, r := range to {
		if _, ok := l.known[r]; !ok && !slices.Contains(to[:i], r) {
			n++
		}
	}
	return n
}

// spend notes one message.
func (l *ledger) spend(now time.Time, to []uint64, from uint64) {
	c := l.at(now)
	c.add(counts{Messages: 1, Recipients: uint64(len(to)), New: l.fresh(to)})
	for _, r := range to {
		l.known[r] = l.hour
	}
	forget(l.known, maxKnown, func(last int64) int64 { return last })
	if from == 0 {
		return
	}
	n, ok := l.networks[from]
	if !ok {
		n.first = l.hour
	}
	n.last = l.hour
	l.networks[from] = n
	forget(l.networks, maxNetworks, func(n network) int64 { return n.last })
}

// forget keeps most of m: those used longest ago go, an eighth at once.
func forget[V any](m map[uint64]V, most int, last func(V) int64) {
	if len(m) <= most {
		return
	}
	keys := make([]uint64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b uint64) int { return cmp.Or(cmp.Compare(last(m[a]), last(m[b])), cmp.Compare(a, b)) })
	for _, k := range keys[:len(m)-most+most/8] {
		delete(m, k)
	}
}

// pardon forgets what made an account suspicious: an operator has looked.
func (l *ledger) pardon() {
	for i := range l.counts {
		l.counts[i].New, l.counts[i].Refused = 0, 0
	}
	for k, n := range l.networks {
		n.first = 0
		l.networks[k] = n
	}
}

// Evidence is what speaks for or against an account being its owner's.
type Evidence struct {
	Recipients, Refused uint64 // within 24 hours
	New                 uint64 // recipients within 24 hours
	NewNow              uint64 // within this hour and the one before
	Known               uint64 // recipients in all
	NewNetworks         uint64 // first seen within 24 hours
	OldNetworks         uint64
	FromNew             bool // this message comes from one of the new ones
}

// evidence is l's, for a message from a network; 0 is none.
func (l *ledger) evidence(now time.Time, from uint64) Evidence {
	c := l.at(now)
	d := l.day()
	e := Evidence{
		Recipients: d.Recipients, Refused: d.Refused, New: d.New, Known: uint64(len(l.known)),
		NewNow: c.New + l.counts[(l.hour+hours-1)%hours].New,
	}
	for k, n := range l.networks {
		if l.hour-n.first >= hours {
			e.OldNetworks++
			continue
		}
		e.NewNetworks++
		e.FromNew = e.FromNew || k == from
	}
	return e
}

// What makes an account suspicious. An account whose owner has no habits yet is
// judged by refusals alone.
const (
	suspectRefused  = 50  // recipients refused in 24 hours, if they are a quarter of all
	suspectBurst    = 150 // new recipients in two hours, from a network that is new
	suspectNetworks = 10  // new networks in 24 hours, with
	suspectNew      = 50  // so many new recipients
	habit           = 20  // recipients known before, for an account to have habits
)

// Suspect says why an account behaves as a stolen one does; "" if it does not.
func Suspect(e Evidence) string {
	settled := e.OldNetworks > 0 && e.Known >= e.New+habit
	switch {
	case e.Refused >= suspectRefused && e.Refused*4 >= e.Recipients:
		return fmt.Sprintf("%d of %d recipients in 24 hours were refused", e.Refused, e.Recipients)
	case settled && e.FromNew && e.NewNow >= suspectBurst:
		return fmt.Sprintf("%d recipients that are new in two hours, from a network that is new", e.NewNow)
	case settled && e.NewNetworks >= suspectNetworks && e.New >= suspectNew:
		return fmt.Sprintf("%d new networks and %d new recipients in 24 hours", e.NewNetworks, e.New)
	}
	return ""
}

// Network is what an address is remembered under: its /24 in IPv4, its /48 in
// IPv6, since one place gives its visitors many.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, _ := a.Prefix(bits)
	return p
}
