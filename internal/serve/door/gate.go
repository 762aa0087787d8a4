package door

import (
	"context"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/limit"
)

// Limits are how many may be in at a time, and how often they may come. Zero
// means no limit.
type Limits struct {
	Total      int        // at once, all together
	PerAddress int        // at once, of an IPv4 address or an IPv6 /64
	PerNetwork int        // at once, of an IPv4 /24 or an IPv6 /48
	Connects   limit.Rate // of an address
	Network    limit.Rate // of a network
}

// Guards are what a gate asks about an address. The zero Guards ask nobody.
type Guards struct {
	// Barred says whether an address is banned, until when (zero: for good). It
	// must not wait.
	Barred func(now time.Time, a netip.Addr) (until time.Time, barred bool)
	// Allows says whether an address is above the limits of addresses and
	// networks.
	Allows func(a netip.Addr) bool
}

// Gate decides who may come in at the doors of one kind. It may be used by many
// goroutines.
type Gate struct {
	name     string
	limits   Limits
	guards   Guards
	sink     event.Sink
	addrs    *limit.Counts[netip.Prefix]
	networks *limit.Counts[netip.Prefix]
	connects *limit.Buckets[netip.Prefix]
	arrivals *limit.Buckets[netip.Prefix] // by network

	// crowded is called where few places are left, if it is set.
	crowded func()
}

// maxKnown is how many addresses, and networks, a gate remembers.
const maxKnown = 20_000

// NewGate makes the gate of the doors called name in events. A nil sink means
// that nobody listens.
func NewGate(name string, l Limits, g Guards, sink event.Sink) *Gate {
	if g.Barred == nil {
		g.Barred = func(time.Time, netip.Addr) (time.Time, bool) { return time.Time{}, false }
	}
	if g.Allows == nil {
		g.Allows = func(netip.Addr) bool { return false }
	}
	if sink == nil {
		sink = event.Discard{}
	}
	return &Gate{
		name: name, limits: l, guards: g, sink: sink,
		addrs: limit.NewCounts[netip.Prefix](0, l.Total), networks: limit.NewCounts[netip.Prefix](l.PerNetwork, 0),
		connects: limit.NewBuckets[netip.Prefix](l.Connects, maxKnown), arrivals: limit.NewBuckets[netip.Prefix](l.Network, maxKnown),
	}
}

// OnCrowd has fn called for each connection that comes while less than a
// twentieth of the places is left, or none, so that somebody can be asked to leave. It
// must be called before the gate is used, and fn must not wait.
func (g *Gate) OnCrowd(fn func()) { g.crowded = fn }

// Refusal is why somebody may not come in. The zero Refusal is none.
type Refusal struct {
	Reason string    // in a word, for events
	Text   string    // what the peer is told, without full stop
	Banned bool      // else it is a limit
	Until  time.Time // of a ban that ends
}

// full is the Reason where there is no place left at all.
const full = "too many"

// IsZero says whether there is no refusal.
func (r Refusal) IsZero() bool { return r.Reason == "" }

// Temporary says whether it helps to come again.
func (r Refusal) Temporary() bool { return !r.Banned || !r.Until.IsZero() }

// Exempt says whether a is above the limits of addresses and networks: it is
// this machine, or an operator allows it, or the door knows no addresses.
func (g *Gate) Exempt(a netip.Addr) bool { return !a.IsValid() || a.IsLoopback() || g.guards.Allows(a) }

// Enter lets a peer in, who gives its place back by leave, or says why not;
// then leave is nil.
func (g *Gate) Enter(ctx context.Context, peer netip.AddrPort) (leave func(), why Refusal) {
	leave, why = g.enter(time.Now(), peer.Addr())
	if leave == nil {
		g.sink.Emit(ctx, event.ConnectionRefused{Door: g.name, Peer: peer, Reason: why.Reason})
	}
	counted := leave != nil || why.Reason == full
	if counted && g.crowded != nil && g.limits.Total > 0 && g.addrs.Total() > g.limits.Total-g.limits.Total/20-1 {
		g.crowded()
	}
	return leave, why
}

func (g *Gate) enter(now time.Time, a netip.Addr) (leave func(), why Refusal) {
	key, network := limit.Key(a), limit.Network(a)
	if until, barred := g.guards.Barred(now, a); barred {
		text := "Your address is banned here"
		if !until.IsZero() {
			text = "Your address is banned here until " + until.UTC().Format(time.RFC3339)
		}
		return nil, Refusal{Reason: "banned", Text: text, Banned: true, Until: until}
	}
	exempt := g.Exempt(a)
	if !exempt {
		if _, ok := g.connects.Take(now, key, 1); !ok {
			return nil, Refusal{Reason: "too fast", Text: "Your address connects too often; please come back later"}
		}
		if _, ok := g.arrivals.Take(now, network, 1); !ok {
			return nil, Refusal{Reason: "network too fast", Text: "Your network connects too often; please come back later"}
		}
		if !g.networks.Acquire(network) {
			return nil, Refusal{Reason: "too many of the network", Text: "Too many connections from your network; please come back later"}
		}
	}
	out := func() {
		g.addrs.Release(key)
		if !exempt {
			g.networks.Release(network)
		}
	}
	if !g.addrs.Acquire(key) {
		if !exempt {
			g.networks.Release(network)
		}
		return nil, Refusal{Reason: full, Text: "Too many connections; please come back later"}
	}
	if !g.guards.Allows(a) && g.limits.PerAddress > 0 && g.addrs.Held(key) > g.limits.PerAddress {
		out()
		return nil, Refusal{Reason: "too many of the address", Text: "Too many connections from your address; please come back later"}
	}
	return out, Refusal{}
}

// Len says how many are in.
func (g *Gate) Len() int { return g.addrs.Total() }
