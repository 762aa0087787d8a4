package sim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// sizes of one seed's life.
const (
	days    = 14
	letters = 300
	drain   = 7 * day // all are well then
)

// dice is a source that several goroutines throw.
type dice struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

func (d *dice) one(in int) bool { d.mu.Lock(); defer d.mu.Unlock(); return d.rnd.IntN(in) == 0 }

// director lets one seed's two weeks happen.
type director struct {
	t        testing.TB
	rnd      *rand.Rand
	w        *world
	b        *book
	db       *memkv.DB
	u        *us
	accounts []directory.Account
	begin    time.Time
}

// twoWeeks plays one seed in virtual time and gives what was found wrong.
func twoWeeks(t testing.TB, seed uint64) *book {
	b := newBook()
	w := newWorld(seed, b)
	b.w, b.lossy = w, seed%3 == 0
	d := &director{t: t, rnd: rand.New(rand.NewPCG(seed, 3)), w: w, b: b}
	throw := &dice{rnd: rand.New(rand.NewPCG(seed, 4))}
	armed := false
	d.db = memkv.New(memkv.Options{Rerun: true, Seed: seed, Window: func() {
		if armed && b.lossy && throw.one(200) {
			d.db.Crash()
		}
	}})
	d.accounts = found(t, d.db)
	armed = true
	d.begin = time.Now()
	d.u = born(t, w, d.db, d.rnd)
	d.play(d.script())
	d.finish()
	return b
}

// script puts all that happens in order.
func (d *director) script() []change {
	sent, of := d.w.plans(days, letters, d.accounts)
	for i := range sent {
		l := of[i]
		sent[i].what = "sends"
		sent[i].do = func() { d.send(l) }
	}
	all := append(append(d.w.plot(days), sent...), d.sieges()...)
	for at := 6 * time.Hour; at < days*day; at += 12 * time.Hour {
		all = append(all, change{at, "looks", func() { d.u.check(d.b) }})
	}
	for range d.rnd.IntN(8) {
		all = append(all, change{time.Duration(d.rnd.Int64N(int64(days * day))), "dies soon", func() { d.u.db.left.Store(1 + d.rnd.Int64N(30)) }})
	}
	for range d.rnd.IntN(3) {
		all = append(all, change{time.Duration(d.rnd.Int64N(int64(days * day))), "restarts", d.again})
	}
	if d.rnd.IntN(4) == 0 {
		at := time.Duration(d.rnd.Int64N(int64((days - 1) * day)))
		all = append(all, change{at, "port 25 is blocked", func() { d.w.block(true) }}, change{at + 10*time.Hour, "port 25 is open", func() { d.w.block(false) }})
	}
	slices.SortStableFunc(all, func(a, b change) int { return int(a.at - b.at) })
	return all
}

// play lets things happen at their times, and restarts what dies between.
func (d *director) play(all []change) {
	for _, c := range all {
		d.waitUntil(d.begin.Add(c.at))
		d.b.talk("%s", c.what)
		c.do()
	}
}

func (d *director) waitUntil(at time.Time) {
	for time.Now().Before(at) {
		select {
		case <-time.After(time.Until(at)):
		case <-d.u.killed:
			d.b.counts.kills++
			d.again()
		}
	}
}

// again ends our process, however it is, and starts it after a while.
func (d *director) again() {
	d.u.end(d.w)
	time.Sleep(time.Duration(d.rnd.Int64N(int64(20 * time.Minute))))
	d.u = born(d.t, d.w, d.db, d.rnd)
	d.u.check(d.b)
}

// send sends a letter; where nobody is there, a little later.
func (d *director) send(l *letter) {
	select {
	case <-d.u.killed:
		d.b.counts.kills++
		d.again()
	default:
	}
	d.u.send(d.b, l, d.accounts)
}

// finish lets everything come to its end, and looks.
func (d *director) finish() {
	d.waitUntil(time.Now().Add(drain))
	d.u.check(d.b)
	d.u.nothingLeft(d.b)
	d.u.mailboxes(d.b, d.accounts)
	d.b.reports()
	d.b.promptly()
	d.b.fair()
	d.u.end(d.w)
}

// TestMain lets garbage lie longer, for lives are short and rows many, and leaves out
// what is costly in handshakes and nothing to us.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	_ = os.Setenv("GODEBUG", "tlsmlkem=0")
	os.Exit(m.Run())
}

func replay(seed uint64) string {
	return fmt.Sprintf("EKIDEN_SIM_SEED=%d go test -count=1 -run TestTwoWeeks ./internal/sim", seed)
}

// TestTwoWeeks plays a handful of seeds; with EKIDEN_LONG thirty; with
// EKIDEN_SIM_SEED one, again and again, as the order in which goroutines run is
// not the seed's.
func TestTwoWeeks(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
		if err != nil {
			return otherwise
		}
		return n
	}
	if seed := number("EKIDEN_SIM_SEED", 0); seed > 0 {
		for range number("EKIDEN_SIM_TRIES", 20) {
			if t.Run("", func(t *testing.T) { one(t, seed) }); t.Failed() {
				return
			}
		}
		return
	}
	if n := number("EKIDEN_SIM_SEEDS", 0); n > 0 { // TestMutants asks
		for seed := uint64(1); seed <= n && !t.Failed(); seed++ {
			t.Run("", func(t *testing.T) { one(t, seed) })
		}
		return
	}
	seeds := uint64(3)
	if os.Getenv("EKIDEN_LONG") != "" {
		seeds = 30
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { t.Parallel(); one(t, seed) })
	}
}

// one plays a seed.
func one(t *testing.T, seed uint64) {
	began := time.Now()
	var b *book
	synctest.Test(t, func(t *testing.T) { b = twoWeeks(t, seed) })
	t.Logf("%s: %s", time.Since(began).Round(time.Millisecond), b.summary())
	if len(b.faults) > 0 {
		t.Errorf("seed %d; replay with: %s", seed, replay(seed))
	}
	for _, s := range b.faults {
		t.Error(s)
	}
}
