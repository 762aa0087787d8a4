package sim

import (
	"cmp"
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
	letters = 400
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
	all := append(d.w.plot(days), sent...)
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
	d.u.end(d.w)
}

// TestMain lets garbage lie longer: lives are short, and rows many.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

func replay(seed uint64) string {
	return fmt.Sprintf("EKIDEN_SIM_SEED=%d go test -count=1 -run TestTwoWeeks ./internal/sim", seed)
}

// TestTwoWeeks plays a handful of seeds; with EKIDEN_LONG hundreds; with
// EKIDEN_SIM_SEED one, again and again, as the order in which goroutines run is
// not the seed's.
func TestTwoWeeks(t *testing.T) {
	first, n := uint64(1), uint64(4)
	if s := os.Getenv("EKIDEN_SIM_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		tries, _ := strconv.Atoi(os.Getenv("EKIDEN_SIM_TRIES"))
		if err != nil {
			t.Fatal(err)
		}
		for range cmp.Or(tries, 20) {
			if !one(t, seed) {
				return
			}
		}
		return
	}
	if os.Getenv("EKIDEN_LONG") != "" {
		n = 300
	}
	for seed := first; seed < first+n; seed++ {
		one(t, seed)
	}
}

// one plays a seed and says whether all was well.
func one(t *testing.T, seed uint64) (well bool) {
	began := time.Now()
	t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := twoWeeks(t, seed)
			t.Logf("%s", b.summary())
			if well = len(b.faults) == 0; !well {
				t.Errorf("replay with: %s", replay(seed))
			}
			for _, s := range b.faults {
				t.Error(s)
			}
		})
	})
	t.Logf("seed %d took %s", seed, time.Since(began).Round(time.Millisecond))
	return well
}
