// Package crash kills the server under load and looks for what it promised.
package crash

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const loaders = 6

// promises are the messages whose 250 was read.
type promises struct {
	mu     sync.Mutex
	local  []string
	remote []string
}

func TestKill(t *testing.T) {
	rounds := 3
	if blackbox.Long() {
		rounds = 30
	}
	// Nothing answers at the resolver's address, so what is for others waits.
	nowhere := blackbox.FreeAddress(t) + ":5353"
	s := blackbox.Start(t, blackbox.Options{Args: []string{"--no-limits", "--resolver", nowhere, "--retry-first", "1h"}})
	var p promises
	for round := range rounds {
		load(t, s, &p, round, s.Kill)
		s.Restart()
		check(t, s, &p)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d messages in mailboxes and %d in the queue over %d kills", len(p.local), len(p.remote), rounds)
	if len(p.local) < 10*rounds {
		t.Errorf("only %d messages were promised: this shows nothing", len(p.local))
	}
}

// TestStop asks the server to end, under the same load: it finishes what it has
// in hand, within its grace time, and exits 0.
func TestStop(t *testing.T) {
	nowhere := blackbox.FreeAddress(t) + ":5353"
	s := blackbox.Start(t, blackbox.Options{Args: []string{"--no-limits", "--resolver", nowhere, "--retry-first", "1h"}})
	var p promises
	began := time.Now()
	load(t, s, &p, 0, func() {
		began = time.Now()
		s.Stop()
	})
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("it took %v to stop", d)
	}
	s.Restart()
	check(t, s, &p)
}

// load delivers for a while, then ends the server under it.
func load(t *testing.T, s *blackbox.Server, p *promises, round int, end func()) {
	t.Helper()
	var all sync.WaitGroup
	for n := range loaders {
		all.Go(func() {
			if n == 0 {
				submit(t, s, p, round)
			} else {
				deliver(s, p, fmt.Sprintf("%d.%d", round, n))
			}
		})
	}
	time.Sleep(300*time.Millisecond + rand.N(900*time.Millisecond))
	end()
	all.Wait()
}

// deliver sends until the line breaks. Some messages are too large for a row
// and lie in files of their own.
func deliver(s *blackbox.Server, p *promises, name string) {
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
		p.mu.Lock()
		p.local = append(p.local, id)
		p.mu.Unlock()
	}
}

// submit sends to another host, and to bob in the same transaction.
func submit(t *testing.T, s *blackbox.Server, p *promises, round int) {
	c, err := blackbox.DialSMTP(s.Addr("submissions"), s.TLS())
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	if err := c.Login(s.Address("alice"), blackbox.Password); err != nil {
		if !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
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
		p.mu.Lock()
		p.local, p.remote = append(p.local, id), append(p.remote, to)
		p.mu.Unlock()
	}
}

var idLine = regexp.MustCompile(`Subject: (id-\S+-end)`)

// check looks for each promise in the mailbox and the queue.
func check(t *testing.T, s *blackbox.Server, p *promises) {
	t.Helper()
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Logout()
	n, err := c.Select("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	if n > 0 {
		all, err := c.Do("FETCH 1:* (RFC822.SIZE BODY.PEEK[])")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if len(r.Literals) != 1 {
				continue
			}
			if m := idLine.FindSubmatch(r.Literals[0]); m != nil {
				seen[string(m[1])]++
			}
		}
	}
	for _, id := range p.local {
		if seen[id] != 1 {
			t.Errorf("%s was answered with 250 and is there %d times", id, seen[id])
		}
	}
	queue := s.Command("queue", "list", "--json", "--limit", "10000")
	for _, to := range p.remote {
		if !strings.Contains(queue, to) {
			t.Errorf("the mail to %s was answered with 250 and is not in the queue", to)
		}
	}
}
