package relay

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
)

// TestTrickle sees that mail that comes now and then goes over one connection,
// which is let go when nothing comes for long, and when it has grown old.
func TestTrickle(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		idle  time.Duration
		conns int
	}{
		{4 * time.Second, 0, 1},
		{10 * time.Second, 0, 1}, // asked whether it is there
		{16 * time.Second, 0, 12},
		{4 * time.Second, -1, 12},
		{time.Minute, 2 * time.Minute, 3}, // maxAge
	} {
		play(t, func(b *bed) {
			h := b.net.add("192.0.2.1:25", &host{})
			b.o.Idle = c.idle
			stop := b.run()
			for n := range 12 {
				b.send(n, fmt.Sprint(n), "alice@home.test", "b@y.test")
				time.Sleep(c.every)
			}
			synctest.Wait()
			if len(h.received) != 12 || h.conns != c.conns {
				b.Errorf("%v, every %v: %d taken over %d connections, want %d", c.idle, c.every, len(h.received), h.conns, c.conns)
			}
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			if h.open != 0 || strings.Count(strings.Join(h.command, "\n"), "QUIT") != h.conns {
				b.Errorf("%v, every %v: %d are open still: %q", c.idle, c.every, h.open, h.command)
			}
			stop()
		})
	}
}

// TestIdleThatBroke sees that a connection that a server has closed, or over
// which it says nothing any more, costs no attempt.
func TestIdleThatBroke(t *testing.T) {
	for _, c := range []struct {
		name string
		rest time.Duration // between the two messages
		hang time.Duration // of the host's first answer then
		took time.Duration // at most
	}{
		{"closed", time.Second, -1, 0},
		{"closed long ago", 8 * time.Second, -1, 0},
		{"silent", 8 * time.Second, time.Hour, noopWithin},
	} {
		play(t, func(b *bed) {
			h := b.net.add("192.0.2.1:25", &host{})
			stop := b.run()
			b.send(1, "a", "alice@home.test", "b@y.test")
			synctest.Wait()
			h.set(func(h *host) { h.hang = c.hang })
			time.Sleep(c.rest)
			b.events.take()
			b.send(2, "b", "alice@home.test", "b@y.test")
			time.Sleep(c.took)
			synctest.Wait()
			b.want(c.name, b.events.take(), fmt.Sprintf("%v b@y.test delivered: mx1.y.test 250 2.0.0 taken", c.rest+c.took))
			if h.conns != 2 {
				b.Errorf("%s: %d connections", c.name, h.conns)
			}
			stop()
		})
	}
}

// TestIdleIsBounded sees that what was open for a rush is let go soon, but for a
// few, and that no more than a number in all is kept.
func TestIdleIsBounded(t *testing.T) {
	play(t, func(b *bed) {
		h := b.net.add("192.0.2.1:25", &host{pause: time.Second})
		stop := b.run()
		for n := range 40 {
			b.send(n, fmt.Sprint(n), "alice@home.test", "b@y.test")
		}
		time.Sleep(5*time.Second + keepMany + idleTick)
		synctest.Wait()
		if h.most != 8 || h.open != keepFew || len(h.received) != 40 {
			b.Errorf("%d taken, %d connections at once, %d open", len(h.received), h.most, h.open)
		}
		stop()
		if h.open != 0 {
			b.Errorf("%d open after the end", h.open)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		var p idle
		p.keep = time.Minute
		h := n.add("a:25", &host{})
		for i := range maxIdle + 10 {
			conn, err := n.dial(t.Context(), "a:25", smtpc.Options{Hostname: "me.test"})
			if err != nil {
				t.Fatal(err)
			}
			p.put(trunk{domain: "x.test", hop: mail.Domain(fmt.Sprint(i))}, &line{conn: conn, born: time.Now()})
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		any := func(*line) bool { return true }
		old, fresh := p.take(t.Context(), trunk{domain: "x.test", hop: "9"}, any), p.take(t.Context(), trunk{domain: "x.test", hop: "10"}, any)
		if h.open != maxIdle || old.conn != nil || fresh.conn == nil {
			t.Errorf("%d are open; %v, %v", h.open, old.conn, fresh.conn)
		}
		fresh.quit()
		p.close()
		if n.wg.Wait(); h.open != 0 {
			t.Errorf("%d are open after the end", h.open)
		}
	})
}
