package login

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// small makes tests fast.
var small = Params{Memory: 64, Time: 1, Threads: 1, Iterations: sasl.MinIterations}

// journal keeps events as text.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Emit(_ context.Context, e event.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	line := e.Name()
	for _, a := range e.Attrs() {
		line += " " + a.String()
	}
	j.lines = append(j.lines, line)
}

func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := strings.Join(j.lines, "\n")
	j.lines = nil
	return s
}

var (
	alice = mail.Address{Local: "alice", Domain: "x.test"}
	bob   = mail.Address{Local: "bob", Domain: "x.test"}
)

// open gives a Login over a directory with alice, whose password is "pencil",
// and bob, who has nothing but a hash of "pencil" from elsewhere.
func open(t *testing.T, p Params) (*Login, *journal) {
	t.Helper()
	ctx := context.Background()
	db := memkv.New(memkv.Options{})
	t.Cleanup(func() { db.Close() })
	d, j := directory.New(db), &journal{}
	l := New(Options{Directory: d, Sink: j, Params: p, Binding: true})
	c, err := Hash("pencil", small)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.AddDomain(ctx, "x.test"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddAccount(ctx, alice, c, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddAccount(ctx, bob, directory.Credentials{Argon2: c.Argon2}, 0); err != nil {
		t.Fatal(err)
	}
	return l, j
}

func at(addr string) Attempt {
	return Attempt{Door: "imap", Addr: netip.MustParseAddrPort(addr), TLS: true}
}

func TestPassword(t *testing.T) {
	l, j := open(t, small)
	ctx := context.Background()
	for _, c := range []struct{ user, pass, reason string }{
		{"alice@x.test", "pencil", ""},
		{"ALICE@X.test", "pencil", ""},
		{" alice@x.test ", "pencil", ""},
		{"alice@x.test", "pen\u00adcil", ""}, // SASLprep maps the soft hyphen to nothing
		{"alice@x.test", "Pencil", "wrong password"},
		{"alice@x.test", "", "wrong password"},
		{"alice@x.test", strings.Repeat("x", sasl.MaxPassword+1), "wrong password"},
		{"alice+x@x.test", "pencil", "unknown account"},
		{"carol@x.test", "pencil", "unknown account"},
		{"carol@x.test", "", "unknown account"},
		{"alice", "pencil", "unknown account"},
		{"", "pencil", "unknown account"},
		{strings.Repeat("ü", 1000), "pencil", "unknown account"},
	} {
		who, err := l.Password(ctx, at("127.0.0.1:9"), c.user, c.pass)
		events := j.take()
		if c.reason == "" {
			if err != nil || who.Address != alice || who.Account != 1 {
				t.Errorf("%q %q: %+v %v", c.user, c.pass, who, err)
			}
			if events != "login.accepted door=imap peer=127.0.0.1:9 user=alice@x.test mechanism=LOGIN tls=true" {
				t.Errorf("events: %s", events)
			}
			continue
		}
		if !fault.Is(err, fault.Unauthenticated) || fault.Public(err) != "authentication failed" {
			t.Errorf("%q %q: %v", c.user, c.pass, err)
		}
		if !strings.HasSuffix(events, "reason="+c.reason) || strings.Contains(events, "encil") {
			t.Errorf("events: %s", events)
		}
		l.guesses.succeeded(alice, netip.Addr{})
		l.guesses.succeeded(mail.Address{}, netip.Addr{})
		l.guesses.succeeded(mail.Address{Local: "carol", Domain: "x.test"}, netip.Addr{})
	}
}

func TestDisabledAndChanged(t *testing.T) {
	l, j := open(t, small)
	ctx := context.Background()
	who, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", "pencil")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := l.Still(ctx, who); !ok || err != nil {
		t.Error(ok, err)
	}
	c, err := l.NewCredentials("chalk")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.o.Directory.SetCredentials(ctx, who.Account, c); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", "pencil"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the old password gave %v", err)
	}
	if ok, err := l.Still(ctx, who); ok || err != nil {
		t.Error(ok, err)
	}
	if who, err = l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", "chalk"); err != nil {
		t.Error(err)
	}
	if err := l.o.Directory.UpdateAccount(ctx, alice, func(a *directory.Account) error { a.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	j.take()
	if _, err := l.Password(ctx, at("127.0.0.1:9"), "alice@x.test", "chalk"); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a disabled account gave %v", err)
	}
	if got := j.take(); !strings.HasSuffix(got, "reason=disabled account") {
		t.Error(got)
	}
	if err := exchange(t, l, at("127.0.0.1:9"), sasl.ScramClient(sasl.SHA256, false, "alice@x.test", "chalk", nil)); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a disabled account gave %v", err)
	}
	if ok, err := l.Still(ctx, who); ok || err != nil {
		t.Error(ok, err)
	}
	if err := l.o.Directory.RemoveAccount(ctx, alice); err != nil {
		t.Fatal(err)
	}
	if ok, err := l.Still(ctx, who); ok || err != nil {
		t.Error(ok, err)
	}
}

// exchange runs a SASL client against l.
func exchange(t *testing.T, l *Login, a Attempt, c sasl.Client) error {
	t.Helper()
	mechanism, response, err := c.Start()
	if err != nil {
		return err
	}
	s, err := l.Start(context.Background(), a, strings.ToLower(mechanism))
	if err != nil {
		return err
	}
	for range 5 {
		challenge, done, err := s.Next(response)
		if err != nil {
			return err
		}
		if done {
			if s.Who().Address.IsNull() || s.Who().Account == 0 || s.Who().Stamp == 0 {
				t.Errorf("%+v came in", s.Who())
			}
			return c.Finish()
		}
		if response, err = c.Next(challenge); err != nil {
			return err
		}
	}
	return fmt.Errorf("no end")
}

func scram256(user, pass string) sasl.Client {
	return sasl.ScramClient(sasl.SHA256, false, user, pass, nil)
}

func TestMechanisms(t *testing.T) {
	l, j := open(t, small)
	if _, err := l.Start(context.Background(), at("127.0.0.1:9"), "CRAM-MD5"); !fault.Is(err, fault.Unsupported) {
		t.Error(err)
	}
	makers := map[string]func(u, p string) sasl.Client{
		sasl.Plain: sasl.PlainClient, sasl.Login: sasl.LoginClient, sasl.ScramSHA256: scram256,
		"SCRAM-SHA-512": func(u, p string) sasl.Client { return sasl.ScramClient(sasl.SHA512, false, u, p, nil) },
	}
	if got := fmt.Sprint(l.Mechanisms(at("127.0.0.1:9"))); got != "[SCRAM-SHA-512 SCRAM-SHA-256 PLAIN LOGIN]" {
		t.Error(got)
	}
	for _, m := range l.Mechanisms(Attempt{}) {
		make := makers[m]
		if err := exchange(t, l, at("127.0.0.1:9"), make("alice@x.test", "pencil")); err != nil {
			t.Errorf("%s: %v", m, err)
		}
		if got := j.take(); !strings.Contains(got, "login.accepted") || !strings.Contains(got, "mechanism="+m) {
			t.Errorf("%s: %s", m, got)
		}
		for _, user := range []string{"alice@x.test", "carol@x.test", "nobody"} {
			if err := exchange(t, l, at("127.0.0.1:9"), make(user, "chalk")); !fault.Is(err, fault.Unauthenticated) || fault.Public(err) != "authentication failed" {
				t.Errorf("%s: %v", m, err)
			}
			if got := j.take(); !strings.Contains(got, "login.failed") || !strings.Contains(got, "user="+user) {
				t.Errorf("%s: %s", m, got)
			}
			l.guesses.succeeded(parseUser(user), netip.Addr{})
		}
	}
	s, err := l.Start(context.Background(), at("127.0.0.1:9"), "PLAIN")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Next([]byte("bob@x.test\x00alice@x.test\x00pencil")); !fault.Is(err, fault.Unauthenticated) {
		t.Error("alice came in as bob:", err)
	}
	s, _ = l.Start(context.Background(), at("127.0.0.1:9"), "PLAIN")
	if _, _, err := s.Next([]byte("rubbish")); !fault.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
	if got := j.take(); !strings.HasSuffix(got, "reason=malformed response") {
		t.Error(got)
	}
}

func TestScramDecoyStays(t *testing.T) {
	l, _ := open(t, small)
	salt := func(user string) string {
		s, err := l.Start(context.Background(), at("127.0.0.1:9"), sasl.ScramSHA256)
		if err != nil {
			t.Fatal(err)
		}
		challenge, _, err := s.Next([]byte("n,,n=" + user + ",r=x"))
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(challenge), ",")
		return after
	}
	if a, b := salt("carol@x.test"), salt("CAROL@x.test"); a != b {
		t.Errorf("%q then %q", a, b)
	}
	if a, b := salt("carol@x.test"), salt("dave@x.test"); a == b {
		t.Error("all unknown names have one salt")
	}
	if a, b := salt("carol@x.test"), salt("alice@x.test"); len(a) != len(b) {
		t.Errorf("%q and %q tell who exists", a, b)
	}
}

// keepUp does what Run would have done by now.
func keepUp(l *Login) {
	for {
		select {
		case r := <-l.raises:
			l.keep(context.Background(), r)
		default:
			return
		}
	}
}

func TestRaise(t *testing.T) {
	dear := small
	dear.Memory = 128
	l, j := open(t, dear)
	ctx := context.Background()
	for _, who := range []mail.Address{alice, bob} {
		before, _, err := l.o.Directory.Credentials(ctx, who)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Password(ctx, at("127.0.0.1:9"), who.String(), "chalk"); err == nil {
			t.Fatal("came in")
		}
		if _, c, _ := l.o.Directory.Credentials(ctx, who); !strings.Contains(c.Argon2, "m=64,") {
			t.Errorf("a failed login changed the hash to %s", c.Argon2)
		}
		if _, err := l.Password(ctx, at("127.0.0.1:9"), who.String(), "pencil"); err != nil {
			t.Fatal(err)
		}
		keepUp(l)
		after, c, err := l.o.Directory.Credentials(ctx, who)
		if err != nil || !strings.Contains(c.Argon2, "m=128,") || !c.SCRAM256.Matches("pencil") {
			t.Errorf("the hash is %s: %v", c.Argon2, err)
		}
		if after.Changed != before.Changed {
			t.Error("raising a hash ended the sessions")
		}
		if err := exchange(t, l, at("127.0.0.1:9"), scram256(who.String(), "pencil")); err != nil {
			t.Error(err)
		}
		if strings.Contains(j.take(), "internal.failed") {
			t.Error("raising failed")
		}
		if _, err := l.Password(ctx, at("127.0.0.1:9"), who.String(), "pencil"); err != nil {
			t.Error(err)
		}
		keepUp(l)
		if _, again, _ := l.o.Directory.Credentials(ctx, who); again.Argon2 != c.Argon2 {
			t.Error("the hash was raised twice")
		}
	}
}

// TestNobodyIsTurnedAwayUnhashed sees that every failure costs a hash: with the
// gate held shut none comes to its end.
func TestNobodyIsTurnedAwayUnhashed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, small)
		if err := l.o.Directory.UpdateAccount(context.Background(), bob, func(a *directory.Account) error { a.Disabled = true; return nil }); err != nil {
			t.Fatal(err)
		}
		for range MaxHashing {
			l.gate.free <- struct{}{}
		}
		for _, user := range []string{"alice@x.test", "bob@x.test", "carol@x.test", "x@elsewhere.test", "rubbish", ""} {
			for _, pass := range []string{"chalk", "", strings.Repeat("x", 2000)} {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if _, err := l.Password(ctx, at("127.0.0.1:9"), user, pass); !fault.Is(err, fault.Unavailable) {
					t.Errorf("%q: %v", user, err)
				}
				cancel()
			}
		}
	})
}

func TestNoLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, small)
		l.o.NoLimits = true
		for range 10 {
			if took, err := try(l, "192.0.2.1:9", "alice@x.test", "chalk"); took != 0 || !fault.Is(err, fault.Unauthenticated) {
				t.Error(took, err)
			}
		}
	})
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		inside, most := 0, 0
		var mu sync.Mutex
		for range MaxHashing + MaxWaiting {
			wg.Go(func() {
				if err := g.do(context.Background(), turn{}, func() {
					mu.Lock()
					inside++
					most = max(most, inside)
					mu.Unlock()
					<-stop
					mu.Lock()
					inside--
					mu.Unlock()
				}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := g.do(context.Background(), turn{}, func() { t.Error("came in") }); !fault.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
		close(stop)
		wg.Wait()
		if most != MaxHashing {
			t.Errorf("%d at a time", most)
		}
	})
}

// TestGateByName sees that nobody's passwords fill the line for all.
func TestGateByName(t *testing.T) {
	for _, c := range []struct {
		name  string
		turn  func(i int) turn
		room  int
		other turn
	}{
		{"one account", func(i int) turn { return turn{alice, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})} }, MaxWaitingAccount, turn{bob, netip.MustParseAddr("192.0.2.1")}},
		{"one address", func(i int) turn {
			return turn{mail.Address{Local: fmt.Sprint(i), Domain: "x.test"}, netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i))}
		}, MaxWaitingAddress, turn{alice, netip.MustParseAddr("2001:db8:1::1")}},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var refused atomic.Int64
			wait := func(who turn) {
				wg.Go(func() {
					if err := g.do(context.Background(), who, func() { <-stop }); fault.Is(err, fault.Unavailable) {
						refused.Add(1)
					} else if err != nil {
						t.Error(err)
					}
				})
			}
			for range MaxHashing { // these are hashed and do not wait
				wait(turn{})
			}
			synctest.Wait()
			for i := range c.room + 3 {
				wait(c.turn(i))
			}
			wait(c.other)
			synctest.Wait()
			if refused.Load() != 3 {
				t.Errorf("%s: %d were refused", c.name, refused.Load())
			}
			close(stop)
			wg.Wait()
			if len(g.accounts)+len(g.addresses)+g.waiting != 0 {
				t.Errorf("%s: %v %v %d are left", c.name, g.accounts, g.addresses, g.waiting)
			}
		})
	}
}

func BenchmarkRememberedPassword(b *testing.B) {
	db := memkv.New(memkv.Options{})
	defer db.Close()
	ctx, d := context.Background(), directory.New(db)
	l := New(Options{Directory: d, Params: small})
	c, err := l.NewCredentials("pencil")
	if err != nil {
		b.Fatal(err)
	}
	if err := d.AddDomain(ctx, "x.test"); err != nil {
		b.Fatal(err)
	}
	if _, err := d.AddAccount(ctx, alice, c, 0); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := l.Password(ctx, Attempt{Door: "imap"}, "alice@x.test", "pencil"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRun raises what waits, and ends when it is told to.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dear := small
		dear.Memory = 128
		l, _ := open(t, dear)
		ctx, end := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		for _, who := range []mail.Address{alice, bob} {
			if _, err := l.Password(ctx, at("127.0.0.1:9"), who.String(), "pencil"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		for _, who := range []mail.Address{alice, bob} {
			if _, c, _ := l.o.Directory.Credentials(ctx, who); !strings.Contains(c.Argon2, "m=128,") {
				t.Errorf("%s: the hash is %s", who, c.Argon2)
			}
		}
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
