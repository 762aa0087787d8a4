package resolver

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How servers are remembered.
const (
	maxPeers     = 20_000
	peerMemory   = time.Hour
	lameMemory   = 15 * time.Minute // a server that does not know a zone it is named for (RFC 9520 §2)
	familyMemory = time.Minute      // without a way to IPv4 or IPv6
	familyAfter  = 5                // silences in a row of servers of one family: what goes that way is lost
	downAfter    = 3                // silences in a row
	downMemory   = time.Minute
	minTimeout   = 300 * time.Millisecond
	maxTimeout   = 3 * time.Second
	newTimeout   = 900 * time.Millisecond // of a server that was never asked
	noRTT        = 80 * time.Millisecond  // it is taken to answer within that, at most
	closeEnough  = 15 * time.Millisecond  // servers so near the nearest are as good
)

// peers is what is known of name servers by their address.
type peers struct {
	seen *bounded[netip.AddrPort, *peer]
	lame *bounded[lameness, bool]
	away *bounded[bool, bool] // by whether it is IPv4

	silences [2]atomic.Int32 // in a row, of any server, by IPv6 and by IPv4
}

type lameness struct {
	server netip.AddrPort
	zone   string
}

// peer is one server.
type peer struct {
	mu     sync.Mutex
	srtt   time.Duration // smoothed round trip; 0: never asked
	vary   time.Duration
	silent int // questions in a row without an answer
	down   time.Time
	plain  bool // it does not know EDNS (RFC 6891 §7)
	fold   bool // it does not keep the case of a question, by TCP either
}

func newPeers() *peers {
	return &peers{seen: newBounded[netip.AddrPort, *peer](maxPeers), lame: newBounded[lameness, bool](maxPeers), away: newBounded[bool, bool](2)}
}

func (p *peers) of(a netip.AddrPort, now time.Time) *peer {
	if x, ok := p.seen.get(a, now); ok {
		return x
	}
	x := &peer{}
	p.seen.put(a, x, now.Add(peerMemory))
	return x
}

// answered takes the time an answer took (RFC 6298's estimate).
func (x *peer) answered(rtt time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.silent, x.down = 0, time.Time{}
	rtt = max(rtt, time.Microsecond)
	if x.srtt == 0 {
		x.srtt, x.vary = rtt, rtt/2
		return
	}
	x.vary += ((rtt - x.srtt).Abs() - x.vary) / 4
	x.srtt += (rtt - x.srtt) / 8
}

// silence takes that no answer came.
func (x *peer) silence(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.silent++; x.silent >= downAfter {
		x.down = now.Add(downMemory)
	}
}

// timeout is how long to wait for an answer.
func (x *peer) timeout() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := newTimeout
	if x.srtt > 0 {
		t = max(x.srtt+4*x.vary, minTimeout)
	}
	return min(t<<min(x.silent, 4), maxTimeout)
}

func (x *peer) flags() (plain, fold bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.plain, x.fold
}

func (x *peer) set(f *bool) {
	x.mu.Lock()
	*f = true
	x.mu.Unlock()
}

// failed takes an error of the network: a family without a way is not tried for a while.
func (p *peers) failed(a netip.AddrPort, err error, now time.Time) {
	if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		p.away.put(a.Addr().Is4(), true, now.Add(familyMemory))
		return
	}
	p.of(a, now).silence(now)
	if p.family(a).Add(1) >= familyAfter {
		p.away.put(a.Addr().Is4(), true, now.Add(familyMemory))
	}
}

// family counts the silences of a server's family.
func (p *peers) family(a netip.AddrPort) *atomic.Int32 {
	if a.Addr().Is4() {
		return &p.silences[1]
	}
	return &p.silences[0]
}

// heard takes that a server answered, and how long that took.
func (p *peers) heard(a netip.AddrPort, x *peer, rtt time.Duration) {
	x.answered(rtt)
	if f := p.family(a); f.Load() != 0 {
		f.Store(0)
		p.away.forget(a.Addr().Is4())
	}
}

// order puts the servers of a zone in the order in which they are tried: the near
// ones first, at random among the nearest, so that who would forge an answer does not
// know whose; those that are down, lame or out of reach last or not at all.
func (p *peers) order(servers []netip.AddrPort, zone string, now time.Time) []netip.AddrPort {
	type ranked struct {
		server netip.AddrPort
		rank   time.Duration
	}
	var good, bad []ranked
	nearest := time.Duration(1 << 62)
	for _, s := range servers {
		if lame, _ := p.lame.get(lameness{s, zone}, now); lame {
			continue
		}
		x := p.of(s, now)
		x.mu.Lock()
		rank, down := x.srtt+time.Duration(x.silent)*minTimeout, now.Before(x.down)
		x.mu.Unlock()
		if rank == 0 {
			rank = rand.N(noRTT)
		}
		if away, _ := p.away.get(s.Addr().Is4(), now); down || away {
			bad = append(bad, ranked{s, rank})
			continue
		}
		nearest = min(nearest, rank)
		good = append(good, ranked{s, rank})
	}
	for i := range good {
		if good[i].rank <= nearest+closeEnough {
			good[i].rank = rand.N(closeEnough)
		}
	}
	byRank := func(a, b ranked) int { return int(a.rank - b.rank) }
	slices.SortStableFunc(good, byRank)
	slices.SortStableFunc(bad, byRank)
	all := make([]netip.AddrPort, 0, len(servers))
	for _, s := range append(good, bad...) {
		all = append(all, s.server)
	}
	return all
}
