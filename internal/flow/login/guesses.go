package login

import (
	"net/netip"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// How those who guess are slowed.
const (
	freeFailures = 3                // typing errors cost nothing
	firstDelay   = time.Second      // after them; doubled by each further failure
	maxDelay     = 10 * time.Second // of one answer
	forgetAfter  = 15 * time.Minute // without a failure
	banAccounts  = 50               // failures on so many accounts, with no success, ban an address
	firstBan     = 10 * time.Minute // doubled by each further ban
	maxBan       = 4 * time.Hour
	maxGuessed   = 20_000 // accounts, and addresses, that are remembered
	maxHeld      = 10_000 // answers that wait at a time
)

// guesses counts failures. An account under attack delays every answer about
// it, by at most maxDelay, side by side, so that its owner gets in. An address
// that fails gets its answers one after the other, and none at all while the
// line of its own making is longer than maxDelay.
type guesses struct {
	mu       sync.Mutex
	accounts map[mail.Address]*guessed
	addrs    map[netip.Prefix]*guessed
	held     int
}

// guessed is what one account or address has against it.
type guessed struct {
	failures int
	last     time.Time             // failure
	next     time.Time             // when the address gets its next answer
	on       map[mail.Address]bool // the accounts that an address failed on; bounded by banAccounts
	bans     int
	banned   time.Time // until then
}

func newGuesses() *guesses {
	return &guesses{accounts: map[mail.Address]*guessed{}, addrs: map[netip.Prefix]*guessed{}}
}

// delay is what one answer waits after so many failures.
func (g *guessed) delay(now time.Time) time.Duration {
	if g == nil || g.failures < freeFailures || now.Sub(g.last) > forgetAfter {
		return 0
	}
	return min(maxDelay, firstDelay<<min(g.failures-freeFailures, 10))
}

// isNear says whether an address is exempt from lines and bans: loopback, or a
// door that knows no addresses.
func isNear(a netip.Addr) bool { return !a.IsValid() || a.Unmap().IsLoopback() }

// slot says how long an answer about account must wait. fault.TooMany if from
// has to wait longer than an answer may.
func (g *guesses) slot(now time.Time, account mail.Address, from netip.Addr) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := g.accounts[account].delay(now)
	a := g.addrs[limit.Key(from)]
	if isNear(from) || a == nil {
		return wait, nil
	}
	if line := a.next.Sub(now); line > maxDelay || a.banned.After(now) {
		return 0, fault.New(fault.TooMany, "login.slot", "too many failed logins; please try again later")
	} else if line > wait {
		wait = line
	}
	if d := a.delay(now); d > 0 {
		if a.next.Before(now) {
			a.next = now
		}
		a.next = a.next.Add(d)
		wait = max(wait, min(d, maxDelay))
	}
	return wait, nil
}

// failed counts a failure against both.
func (g *guesses) failed(now time.Time, account mail.Address, from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	count(g.accounts, account, now)
	if isNear(from) {
		return
	}
	a := count(g.addrs, limit.Key(from), now)
	if a.on == nil {
		a.on = map[mail.Address]bool{}
	}
	a.on[account] = true
	if len(a.on) >= banAccounts {
		a.banned = now.Add(min(maxBan, firstBan<<min(a.bans, 8)))
		a.bans++
		clear(a.on)
	}
}

// count adds a failure under k. Where there is no room left it forgets what is
// old, or else whatever comes first, which is in a guesser's favour but bounded.
func count[K comparable](m map[K]*guessed, k K, now time.Time) *guessed {
	e := m[k]
	if e == nil {
		if len(m) >= maxGuessed {
			forget(m, now)
		}
		e = &guessed{}
		m[k] = e
	}
	if now.Sub(e.last) > forgetAfter {
		e.failures = 0
	}
	e.failures++
	e.last = now
	return e
}

func forget[K comparable](m map[K]*guessed, now time.Time) {
	for k, e := range m {
		if now.Sub(e.last) > forgetAfter && !e.banned.After(now) {
			delete(m, k)
		}
	}
	for k := range m {
		if len(m) < maxGuessed*9/10 {
			return
		}
		delete(m, k)
	}
}

// succeeded forgets what was against both.
func (g *guesses) succeeded(account mail.Address, from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.accounts, account)
	delete(g.addrs, limit.Key(from))
}

// hold takes a place among the answers that wait; false if there is none.
func (g *guesses) hold() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held >= maxHeld {
		return false
	}
	g.held++
	return true
}

func (g *guesses) unhold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held--
}
