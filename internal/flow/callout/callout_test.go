package callout

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// inner is the host behind us.
type inner struct {
	mu    sync.Mutex
	wg    sync.WaitGroup
	down  bool
	slow  time.Duration
	mail  string            // its answer to MAIL
	rcpt  map[string]string // its answers to RCPT; else 250
	asked []string
}

func (h *inner) dial(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		h.asked = append(h.asked, "no "+addr)
		return nil, errors.New("refused")
	}
	a, b := net.Pipe()
	h.wg.Go(func() { h.serve(b) })
	return smtpc.Open(ctx, a, o)
}

func (h *inner) serve(c net.Conn) {
	defer c.Close()
	fmt.Fprint(c, "220 inner\r\n")
	for in := bufio.NewScanner(c); in.Scan(); {
		reply := "250 Ok"
		switch verb, arg, _ := strings.Cut(in.Text(), ":"); {
		case verb == "QUIT":
			reply = "221 Bye"
		case verb == "MAIL FROM":
			h.mu.Lock()
			reply = cmp.Or(h.mail, reply)
			h.mu.Unlock()
		case verb == "RCPT TO":
			time.Sleep(h.slow)
			h.mu.Lock()
			h.asked = append(h.asked, arg)
			if r := h.rcpt[arg]; r != "" {
				reply = r
			}
			h.mu.Unlock()
		}
		fmt.Fprint(c, reply+"\r\n")
	}
}

func (h *inner) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := strings.Join(h.asked, " ")
	h.asked = nil
	return s
}

// play runs fn in virtual time.
func play(t *testing.T, relay directory.Relay, fn func(h *inner, ask func(local string) string)) {
	synctest.Test(t, func(t *testing.T) {
		h := &inner{rcpt: map[string]string{"<no@in.test>": "550 5.1.1 Nobody", "<later@in.test>": "451 4.2.0 Grey"}}
		relayed := func(context.Context, mail.Domain) (directory.Relay, error) { return relay, nil }
		c := New(Options{
			Router:  route.New(route.Options{Resolver: dnstest.New(""), Relayed: relayed}),
			Relayed: relayed, Hostname: "mx.test", Dial: h.dial,
		})
		fn(h, func(local string) string {
			if err := c.Ask(t.Context(), mail.Address{Local: local, Domain: "in.test"}); err != nil {
				return fault.KindOf(err).String()
			}
			return "ok"
		})
		h.wg.Wait()
	})
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

var one = directory.Relay{To: []string{"10.0.0.1"}}

func TestRemembered(t *testing.T) {
	play(t, one, func(h *inner, ask func(string) string) {
		for range 2 {
			want(t, "there", ask("yes"), "ok")
			want(t, "absent", ask("no"), "not found")
		}
		want(t, "asked once each", h.take(), "<yes@in.test> <no@in.test>")
		time.Sleep(keepAbsent + time.Second)
		delete(h.rcpt, "<no@in.test>") // has come meanwhile
		want(t, "there", ask("yes"), "ok")
		want(t, "no longer absent", ask("no"), "ok")
		want(t, "asked again", h.take(), "<no@in.test>")
		time.Sleep(keepThere)
		want(t, "there", ask("yes"), "ok")
		want(t, "asked again", h.take(), "<yes@in.test>")
	})
}

// TestUnsure: a host that cannot be asked makes the sender wait or not, as the
// domain has it, and is left alone for a minute.
func TestUnsure(t *testing.T) {
	for unsure, says := range map[string]string{"": "unavailable", directory.Defer: "unavailable", directory.Accept: "ok"} {
		play(t, directory.Relay{To: []string{"10.0.0.1", "10.0.0.2:2525"}, Unsure: unsure}, func(h *inner, ask func(string) string) {
			want(t, "known before", ask("yes"), "ok")
			h.take()
			h.mu.Lock()
			h.down = true
			h.mu.Unlock()
			want(t, "down", ask("other"), says)
			want(t, "still known", ask("yes"), "ok")
			want(t, "down", ask("third"), says)
			want(t, "asked", h.take(), "no 10.0.0.1:25 no 10.0.0.2:2525")
			h.mu.Lock()
			h.down = false
			h.mu.Unlock()
			time.Sleep(keepUnsure)
			want(t, "up again", ask("no"), "not found")
			want(t, "grey", ask("later"), says)
			h.take()
			want(t, "grey", ask("later"), says)
			want(t, "the others are not", ask("sixth"), "ok")
			want(t, "asked", h.take(), "<sixth@in.test>")
			h.mu.Lock()
			h.mail = "554 5.7.1 Not you" // says nothing of the recipient
			h.mu.Unlock()
			want(t, "refuses us", ask("fifth"), says)
		})
	}
}

func TestNotAsked(t *testing.T) {
	play(t, directory.Relay{To: []string{"10.0.0.1"}, Unasked: true}, func(h *inner, ask func(string) string) {
		want(t, "blind", ask("no"), "ok")
		want(t, "asked", h.take(), "")
	})
	play(t, directory.Relay{}, func(h *inner, ask func(string) string) { want(t, "no relay", ask("no"), "ok") })
}

// TestTogether: who asks the same at the same time waits for one answer; a host
// that is slow costs its time and no more.
func TestTogether(t *testing.T) {
	play(t, one, func(h *inner, ask func(string) string) {
		h.slow = time.Second
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { want(t, "together", ask("no"), "not found") })
		}
		all.Wait()
		want(t, "asked", h.take(), "<no@in.test>")
		h.slow = time.Hour
		begin := time.Now()
		want(t, "slow", ask("slow"), "unavailable")
		if d := time.Since(begin); d != maxTime {
			t.Errorf("took %s", d)
		}
		time.Sleep(time.Hour)
	})
}

func TestForget(t *testing.T) {
	c := New(Options{})
	now := time.Now()
	for i := range maxKept + 10 {
		a := mail.Address{Local: fmt.Sprint(i), Domain: "in.test"}
		c.keep(a, &question{done: make(chan struct{}), answer: answer{sure: true, said: true}}, now)
	}
	if n := len(c.known); n > maxKept || n < maxKept/2 {
		t.Errorf("%d are kept", n)
	}
	c.forget(now.Add(keepThere))
	if len(c.known) != 0 {
		t.Errorf("%d are kept", len(c.known))
	}
}
