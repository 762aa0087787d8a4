// Package crash kills the server under load and looks for what it promised.
package crash

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const loaders = 5

// perHop is how many deliveries the server has under way to one host. That many
// may be told again after a kill: the host's answer was on its way.
const perHop = 8

// mails is what became of the messages sent so far in a round.
type mails struct {
	mu     sync.Mutex
	size   map[string]int    // of the content, in octets, by id; its 250 was read
	asked  map[string]string // what the user asked for last and did not hear
	flag   map[string]bool   // \Flagged was answered
	moved  map[string]bool   // the move to Archive was answered
	remote []string          // recipients elsewhere whose 250 was read, in all rounds
	buried map[string]bool   // expunged in an earlier round
	next   map[string]int    // UIDNEXT by mailbox, as last told
}

func newMails() *mails {
	p := &mails{buried: map[string]bool{}, next: map[string]int{}}
	p.reset()
	return p
}

// reset begins a round.
func (p *mails) reset() {
	p.size, p.asked = map[string]int{}, map[string]string{}
	p.flag, p.moved = map[string]bool{}, map[string]bool{}
}

func (p *mails) note(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
}

// start runs a server whose mail for others goes to a sink.
func start(t *testing.T) (*blackbox.Server, *blackbox.Sink) {
	bind := blackbox.FreeAddress(t)
	sink := blackbox.StartSink(t, fmt.Sprintf("%s:%d", bind, blackbox.FreePort(t, bind)), "", "")
	s := blackbox.Start(t, blackbox.Options{Args: []string{"--no-limits", "--smart-host", sink.Addr, "--retry-first", "1s"}})
	return s, sink
}

// TestKill kills 3 times, with EKIDEN_LONG 50 times.
func TestKill(t *testing.T) {
	rounds := 3
	if blackbox.Long() {
		rounds = 50
	}
	s, sink := start(t)
	p := newMails()
	total, flags, moves := 0, 0, 0
	for round := range rounds {
		load(t, s, p, round, s.Kill)
		s.Restart()
		check(t, s, p)
		checkSink(t, sink, p, (round+1)*perHop)
		if t.Failed() {
			return
		}
		total, flags, moves = total+len(p.size), flags+len(p.flag), moves+len(p.moved)
		bury(t, s, p)
	}
	t.Logf("%d kills: %d messages into mailboxes, %d relayed, %d flagged, %d moved", rounds, total, len(p.remote), flags, moves)
	if total < 20*rounds || len(p.remote) < 3*rounds || flags < 2*rounds || moves < rounds {
		t.Error("that is too little to show anything")
	}
}

// TestStop asks the server to end, under the same load: it finishes what it has
// in hand, within its grace time, and exits 0.
func TestStop(t *testing.T) {
	s, sink := start(t)
	p := newMails()
	began := time.Now()
	load(t, s, p, 0, func() {
		began = time.Now()
		s.Stop()
	})
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("it took %v to stop", d)
	}
	s.Restart()
	check(t, s, p)
	checkSink(t, sink, p, perHop)
}

// load works for a while, then ends the server under it.
func load(t *testing.T, s *blackbox.Server, p *mails, round int, end func()) {
	t.Helper()
	var all sync.WaitGroup
	for n := range loaders {
		all.Go(func() { deliver(s, p, fmt.Sprintf("%d.%d", round, n)) })
	}
	all.Go(func() { submit(t, s, p, round) })
	all.Go(func() { use(t, s, p) })
	time.Sleep(400*time.Millisecond + rand.N(800*time.Millisecond))
	end()
	all.Wait()
}

// deliver sends until the line breaks. Some messages are too large for a row
// and lie in files of their own.
func deliver(s *blackbox.Server, p *mails, name string) {
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	for i := 0; ; i++ {
		id := fmt.Sprintf("id-%s.%d-end", name, i)
		m := fmt.Sprintf("From: loader@crash.example\r\nSubject: %s\r\n\r\n%s", id, strings.Repeat("Some text to fill the message.\r\n", 1<<(i%12)))
		if c.Mail("loader@crash.example", []string{s.Address("bob")}, []byte(m)) != nil {
			return
		}
		p.note(func() { p.size[id] = len(m) })
	}
}

// submit sends to another host, and to bob in the same transaction.
func submit(t *testing.T, s *blackbox.Server, p *mails, round int) {
	c, err := blackbox.DialSMTP(s.Addr("submissions"), s.TLS())
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	if err := c.Login(s.Address("alice"), blackbox.Password); err != nil {
		if !broken(err) {
			t.Error(err)
		}
		return
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("id-%d.s.%d-end", round, i)
		to := fmt.Sprintf("to-%d-%d@far.example", round, i)
		m := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: %s\r\n\r\nHello.\r\n", s.Address("alice"), to, id)
		if c.Mail(s.Address("alice"), []string{to, s.Address("bob")}, []byte(m)) != nil {
			return
		}
		p.note(func() { p.size[id], p.remote = len(m), append(p.remote, to) })
	}
}

// broken says that the line broke, as it does in a kill.
func broken(err error) bool {
	for _, s := range []string{"EOF", "reset", "broken pipe", "refused", "BYE", "421"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}
