package login

import (
	"context"
	"net/netip"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// MaxHashing is how many passwords are hashed at a time, MaxWaiting how many
// wait for their turn, and of these how many for one account and from one
// address (a /64 of IPv6; loopback counts as nobody's).
const (
	MaxHashing        = 2
	MaxWaiting        = 256
	MaxWaitingAccount = 16
	MaxWaitingAddress = 32
)

// gate lets MaxHashing in at a time.
type gate struct {
	free chan struct{}

	mu        sync.Mutex
	waiting   int
	accounts  map[mail.Address]int
	addresses map[netip.Prefix]int
}

func newGate() *gate {
	return &gate{free: make(chan struct{}, MaxHashing), accounts: map[mail.Address]int{}, addresses: map[netip.Prefix]int{}}
}

// turn is who wants to be let in; what is zero is not counted.
type turn struct {
	account mail.Address
	from    netip.Addr
}

// do runs fn when it is its turn. fault.Unavailable if the line is too long or
// ctx ends first.
func (g *gate) do(ctx context.Context, t turn, fn func()) error {
	select {
	case g.free <- struct{}{}:
	default:
		if !g.enter(t) {
			return fault.New(fault.Unavailable, "login.gate", "too many are logging in; please try again later")
		}
		defer g.leave(t)
		select {
		case g.free <- struct{}{}:
		case <-ctx.Done():
			return fault.Wrap("login.gate", ctx.Err())
		}
	}
	defer func() { <-g.free }()
	fn()
	return nil
}

// enter takes a place in the line; false if there is none.
func (g *gate) enter(t turn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := limit.Key(t.from)
	if g.waiting >= MaxWaiting || g.accounts[t.account] >= MaxWaitingAccount || g.addresses[k] >= MaxWaitingAddress {
		return false
	}
	g.waiting++
	if !t.account.IsNull() {
		g.accounts[t.account]++
	}
	if !isNear(t.from) {
		g.addresses[k]++
	}
	return true
}

func (g *gate) leave(t turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting--
	release(g.accounts, t.account)
	release(g.addresses, limit.Key(t.from))
}

// release takes one from a count, and forgets what is none.
func release[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}
