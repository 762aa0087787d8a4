package login

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/ban"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// try logs in and gives how long that took in the bubble's time.
func try(l *Login, from, user, pass string) (time.Duration, error) {
	begin := time.Now()
	_, err := l.Password(context.Background(), at(from), user, pass)
	return time.Since(begin), err
}

func TestSlowsGuessers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, small)
		for i, want := range []time.Duration{0, 0, 0, 1, 2, 4, 8, 10, 10} {
			took, err := try(l, "192.0.2.1:9", "alice@x.test", "chalk")
			if took != want*time.Second || !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("failure %d took %v: %v", i, took, err)
			}
		}
		// The owner of an attacked account waits, elsewhere, and gets in; then all is forgotten there.
		if took, err := try(l, "192.0.2.99:9", "alice@x.test", "pencil"); took > l.guesses.o.Max || err != nil {
			t.Errorf("the owner waited %v: %v", took, err)
		}
		if took, err := try(l, "192.0.2.99:9", "alice@x.test", "chalk"); took != 0 || !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("a typing error took %v: %v", took, err)
		}
		// The owner whose password is remembered does not wait.
		for range 5 {
			_, _ = try(l, "127.0.0.1:9", "alice@x.test", "chalk")
		}
		if took, err := try(l, "192.0.2.98:9", "alice@x.test", "pencil"); took != 0 || err != nil {
			t.Errorf("the owner waited %v: %v", took, err)
		}
		// The guesser's address is still slow with other accounts, and quick again after a while.
		if took, _ := try(l, "192.0.2.1:9", "carol@x.test", "chalk"); took == 0 {
			t.Error("another name was guessed at once")
		}
		time.Sleep(l.guesses.o.Forget + time.Second)
		if took, _ := try(l, "192.0.2.1:9", "alice@x.test", "chalk"); took != 0 {
			t.Errorf("a failure long ago costs %v", took)
		}
	})
}

func TestManyAtOnceFromOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, small)
		kinds := map[fault.Kind]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 30 {
			if i == 5 {
				synctest.Wait()
			}
			wg.Go(func() {
				_, err := try(l, "[2001:db8::1]:9", fmt.Sprintf("u%d@x.test", i), "chalk")
				mu.Lock()
				kinds[fault.KindOf(err)]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if kinds[fault.TooMany] < 10 || kinds[fault.Unauthenticated] < 5 || kinds[fault.TooMany]+kinds[fault.Unauthenticated] != 30 {
			t.Errorf("got %v", kinds)
		}
		if took, err := try(l, "[2001:db8::2]:9", "alice@x.test", "chalk"); took == 0 || err == nil {
			t.Errorf("a neighbour in the /64 waited %v: %v", took, err)
		}
		if took, err := try(l, "[2001:db8:1::2]:9", "alice@x.test", "pencil"); took != 0 || err != nil {
			t.Errorf("a stranger waited %v: %v", took, err)
		}
	})
}

// guarded is open with bans over a store of their own.
func guarded(t *testing.T) (*Login, *journal) {
	t.Helper()
	l, j := open(t, small)
	db := memkv.New(memkv.Options{})
	t.Cleanup(func() { db.Close() })
	l.o.Bans = ban.New(db, ban.Options{Sink: j})
	return l, j
}

// guess fails on n accounts from one address.
func guess(l *Login, from string, n int) {
	for i := range n {
		_, _ = try(l, from, fmt.Sprintf("u%d@x.test", i), "chalk")
	}
}

// TestBan is the policy: an address is banned after failures on many accounts
// with no success, ten minutes at first, twice as long each time.
func TestBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, j := guarded(t)
		many := l.guesses.o.Accounts
		for range 3 * many {
			_, _ = try(l, "192.0.2.2:9", "alice@x.test", "chalk") // one account: slowed, not banned
		}
		guess(l, "192.0.2.3:9", many-1)
		for _, from := range []string{"192.0.2.2:9", "192.0.2.3:9"} {
			if _, err := try(l, from, "bob@x.test", "pencil"); err != nil {
				t.Errorf("%s got %v", from, err)
			}
		}
		guess(l, "127.0.0.1:9", many)
		if _, err := try(l, "127.0.0.1:9", "alice@x.test", "pencil"); err != nil {
			t.Errorf("loopback got %v", err)
		}
		for i, length := range []time.Duration{10 * time.Minute, 20 * time.Minute, 40 * time.Minute} {
			j.take()
			guess(l, "192.0.2.1:9", many)
			if got := j.take(); !strings.Contains(got, "address.banned net=192.0.2.1/32") || !strings.Contains(got, fmt.Sprintf("times=%d", i+1)) {
				t.Fatalf("ban %d: %s", i, got)
			}
			time.Sleep(length - 2*time.Second)
			if _, err := try(l, "192.0.2.1:9", "alice@x.test", "pencil"); !fault.Is(err, fault.TooMany) {
				t.Errorf("before the end of ban %d: %v", i, err)
			}
			time.Sleep(3 * time.Second)
		}
		if _, err := try(l, "192.0.2.1:9", "alice@x.test", "pencil"); err != nil {
			t.Errorf("after the bans: %v", err)
		}
	})
}

// TestNotBanned are those who are slowed only: the allowed, and an address with
// a recent success.
func TestNotBanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := guarded(t)
		net, err := ban.ParseNet("198.51.100.0/24")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.o.Bans.Allow(context.Background(), net, "the office"); err != nil {
			t.Fatal(err)
		}
		if _, err := try(l, "192.0.2.1:9", "bob@x.test", "pencil"); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"192.0.2.1:9", "198.51.100.7:9"} {
			for range 3 {
				guess(l, from, l.guesses.o.Accounts)
			}
			if _, barred := l.o.Bans.Barred(time.Now(), at(from).Addr.Addr()); barred {
				t.Errorf("%s is banned", from)
			}
			if took, err := try(l, from, "carol@x.test", "chalk"); took == 0 && err != nil && !fault.Is(err, fault.TooMany) {
				t.Errorf("%s is not slowed: %v, %v", from, took, err)
			}
		}
	})
}

// TestOwnerGetsIn has 100 addresses guess at alice's password without pause, and
// others behind the owner's own address guess at other accounts. The owner gets
// in within two minutes whenever he tries, from there and from elsewhere.
func TestOwnerGetsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := guarded(t)
		if _, err := try(l, "203.0.113.1:9", "alice@x.test", "pencil"); err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for i := range 100 {
			from, user := fmt.Sprintf("10.0.%d.%d:9", i/200, i%200), "alice@x.test"
			if i%25 == 0 {
				from, user = "203.0.113.1:9", fmt.Sprintf("u%d@x.test", i)
			}
			wg.Go(func() {
				for ctx.Err() == nil {
					_, _ = l.Password(ctx, at(from), user, "chalk")
					time.Sleep(time.Second)
				}
			})
		}
		for i := range 4 {
			time.Sleep(3 * time.Minute)
			from, begin := "203.0.113.1:9", time.Now()
			if i%2 == 1 {
				from = fmt.Sprintf("198.51.100.%d:9", i)
			}
			l.known.mu.Lock() // the password is not remembered either
			clear(l.known.young)
			l.known.mu.Unlock()
			for {
				_, err := try(l, from, "alice@x.test", "pencil")
				if err == nil {
					break
				}
				time.Sleep(5 * time.Second)
				if time.Since(begin) > 2*time.Minute {
					t.Fatalf("not in after two minutes from %s: %v", from, err)
				}
			}
			if took := time.Since(begin); took > 2*time.Minute {
				t.Errorf("from %s it took %v", from, took)
			}
		}
		end()
		wg.Wait()
	})
}

func TestGoingAwayCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, small)
		for range l.guesses.o.Free {
			_, _ = try(l, "192.0.2.1:9", "alice@x.test", "chalk")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, err := l.Password(ctx, at("192.0.2.1:9"), "alice@x.test", "chalk"); !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
		if n := l.guesses.accounts[alice].failures; n != l.guesses.o.Free+1 {
			t.Errorf("%d failures", n)
		}
	})
}

func TestGuessesAreBounded(t *testing.T) {
	g, now := newGuesses(Guesses{}), time.Now()
	for i := range maxGuessed + 100 {
		g.failed(now, mail.Address{Local: fmt.Sprint(i)}, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(g.accounts) > maxGuessed || len(g.addrs) > maxGuessed {
		t.Errorf("%d and %d", len(g.accounts), len(g.addrs))
	}
}
