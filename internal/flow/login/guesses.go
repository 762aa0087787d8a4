package login

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Guesses are how those who guess are slowed and banned. Zero fields take the
// defaults in brackets.
type Guesses struct {
	Free     int           // failures that cost nothing: typing errors [3]
	First    time.Duration // what the answer to the next one waits; doubled by each further failure [1 s]
	Max      time.Duration // of one answer [10 s]
	Forget   time.Duration // without a failure all is forgotten [15 min]
	Accounts int           // an address that failed on so many within Within, with no success, is banned [20]
	Within   time.Duration // [24 h]
}

func (g Guesses) withDefaults() Guesses {
	g.Free, g.Accounts = cmp.Or(g.Free, 3), cmp.Or(g.Accounts, 20)
	g.First, g.Max = cmp.Or(g.First, time.Second), cmp.Or(g.Max, 10*time.Second)
	g.Forget, g.Within = cmp.Or(g.Forget, 15*time.Minute), cmp.Or(g.Within, 24*time.Hour)
	return g
}

// What is remembered of guessers at most.
const (
	maxGuessed = 20_000 // accounts; addresses; addresses of an account's owner
	maxHeld    = 10_000 // answers that wait at a time
)

// guesses counts failures. An account under attack delays every answer about
// it, by at most Guesses.Max, side by side, so that its owner gets in. An address
// that fails gets its answers one after the other, and none at all while the
// line of its own making is longer than that. Where an owner came in lately he
// stands in a line of his own, whoever else fails behind the same address.
type guesses struct {
	o        Guesses
	mu       sync.Mutex
	accounts map[mail.Address]*guessed
	addrs    map[netip.Prefix]*guessed
	owners   map[owner]*guessed
	held     int
}

// owner is an account and where somebody came into it.
type owner struct {
	account mail.Address
	from    netip.Prefix
}

// guessed is what one account or address has against it.
type guessed struct {
	failures int
	last     time.Time             // failure
	next     time.Time             // when the address gets its next answer
	on       map[mail.Address]bool // the accounts that an address failed on; bounded by Guesses.Accounts
	since    time.Time             // the first of them; of an owner, the last success
}

func newGuesses(o Guesses) *guesses {
	return &guesses{o: o.withDefaults(), accounts: map[mail.Address]*guessed{}, addrs: map[netip.Prefix]*guessed{}, owners: map[owner]*guessed{}}
}

// lineOf is the line that answers to from about account stand in; nil if there
// is none.
func (g *guesses) lineOf(now time.Time, account mail.Address, from netip.Addr) *guessed {
	k := limit.Key(from)
	if e := g.owners[owner{account, k}]; e != nil && now.Sub(e.since) <= g.o.Within {
		return e
	}
	return g.addrs[k]
}

// delay is what one answer waits after so many failures.
func (g *guesses) delay(e *guessed, now time.Time) time.Duration {
	if e == nil || e.failures < g.o.Free || now.Sub(e.last) > g.o.Forget {
		return 0
	}
	return min(g.o.Max, g.o.First<<min(e.failures-g.o.Free, 10))
}

// isNear says whether an address is exempt from lines and bans: loopback, or a
// door that knows no addresses.
func isNear(a netip.Addr) bool { return !a.IsValid() || a.Unmap().IsLoopback() }

// slot says how long an answer about account must wait. fault.TooMany if from
// has to wait longer than an answer may.
func (g *guesses) slot(now time.Time, account mail.Address, from netip.Addr) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := g.delay(g.accounts[account], now)
	a := g.lineOf(now, account, from)
	if isNear(from) || a == nil {
		return wait, nil
	}
	if line := a.next.Sub(now); line > g.o.Max {
		return 0, tooMany()
	} else if line > wait {
		wait = line
	}
	if d := g.delay(a, now); d > 0 {
		if a.next.Before(now) {
			a.next = now
		}
		a.next = a.next.Add(d)
		wait = max(wait, min(d, g.o.Max))
	}
	return wait, nil
}

func tooMany() error {
	return fault.New(fault.TooMany, "login.slot", "too many failed logins; please try again later")
}

// failed counts a failure against both. It says true if the address has now
// failed on so many accounts that it is to be banned.
func (g *guesses) failed(now time.Time, account mail.Address, from netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	count(g.accounts, account, now, g.o.Forget)
	if isNear(from) {
		return false
	}
	k := limit.Key(from)
	if e := g.owners[owner{account, k}]; e != nil && now.Sub(e.since) <= g.o.Within {
		count(g.owners, owner{account, k}, now, g.o.Forget)
		return false
	}
	a := count(g.addrs, k, now, g.o.Forget)
	if a.on == nil || now.Sub(a.since) > g.o.Within {
		a.on, a.since = map[mail.Address]bool{}, now
	}
	a.on[account] = true
	if len(a.on) < g.o.Accounts {
		return false
	}
	a.on = nil
	return true
}

// count adds a failure under k. Where there is no room left it forgets what is
// old, or else whatever comes first, which is in a guesser's favour but bounded.
func count[K comparable](m map[K]*guessed, k K, now time.Time, keep time.Duration) *guessed {
	e := m[k]
	if e == nil {
		if len(m) >= maxGuessed {
			forget(m, now, keep)
		}
		e = &guessed{}
		m[k] = e
	}
	if now.Sub(e.last) > keep {
		e.failures = 0
	}
	e.failures++
	e.last = now
	return e
}

func forget[K comparable](m map[K]*guessed, now time.Time, keep time.Duration) {
	for k, e := range m {
		if now.Sub(e.last) > keep {
			delete(m, k)
		}
	}
	thin(m)
}

// succeeded forgets what was against both.
func (g *guesses) succeeded(account mail.Address, from netip.Addr) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.accounts, account)
	if isNear(from) {
		return
	}
	k := limit.Key(from)
	delete(g.addrs, k)
	if len(g.owners) >= maxGuessed {
		forgetOwners(g.owners, now, g.o.Within)
	}
	g.owners[owner{account, k}] = &guessed{since: now}
}

func forgetOwners(m map[owner]*guessed, now time.Time, keep time.Duration) {
	for k, e := range m {
		if now.Sub(e.since) > keep {
			delete(m, k)
		}
	}
	thin(m)
}

// thin forgets whatever comes first until a tenth is free.
func thin[K comparable](m map[K]*guessed) {
	for k := range m {
		if len(m) < maxGuessed*9/10 {
			return
		}
		delete(m, k)
	}
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

// mayTry asks for leave: how long the answer must wait. fault.TooMany for a
// banned address, whose session was there before the ban.
func (l *Login) mayTry(now time.Time, account mail.Address, from netip.Addr) (time.Duration, error) {
	if l.o.Bans != nil {
		if _, barred := l.o.Bans.Barred(now, from); barred {
			return 0, tooMany()
		}
	}
	return l.guesses.slot(now, account, from)
}

// failed counts a failure, and bans an address that failed on many accounts
// with no success. A ban that cannot be written is told: the guesser is slowed
// all the same.
func (l *Login) failed(ctx context.Context, account mail.Address, from netip.Addr) {
	if !l.guesses.failed(time.Now(), account, from) || l.o.Bans == nil {
		return
	}
	ctx = context.WithoutCancel(ctx) // who goes away is banned too
	reason := fmt.Sprintf("failed logins on %d accounts", l.guesses.o.Accounts)
	if _, _, err := l.o.Bans.Punish(ctx, from, reason); err != nil {
		l.o.Sink.Emit(ctx, event.Failed{Where: "login", Err: fault.Wrap("login.failed", err)})
	}
}

// succeeded forgets what was against both, and saves the address from bans for
// a while.
func (l *Login) succeeded(account mail.Address, from netip.Addr) {
	l.guesses.succeeded(account, from)
	if l.o.Bans != nil {
		l.o.Bans.Welcome(time.Now(), from)
	}
}
