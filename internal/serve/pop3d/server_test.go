package pop3d

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
)

// say sends commands one by one and gives the last answer.
func (c *client) say(commands ...string) string {
	last := ""
	for _, l := range commands {
		_, _ = io.WriteString(c, l+"\r\n")
		last = c.answer(l)
	}
	return last
}

var comeIn = []string{"USER alice@example.test", "PASS " + password}

func TestIdle(t *testing.T) {
	h := newHouse(t)
	h.add("", "A: b\r\n\r\n")
	addr := h.open(func(o *Options) { o.Limits.Idle = 50 * time.Millisecond })
	c := dial(t, addr)
	c.answer("")
	c.say(append(comeIn, "DELE 1")...)
	if got := c.answer(""); got != "(closed)\n" {
		t.Errorf("after the idle time: %q", got)
	}
	if h.inbox() == "" {
		t.Error("a timeout removed a message: RFC 1939 §3 forbids it")
	}
}

// TestPreAuth: who does not log in is cut off, however much he says.
func TestPreAuth(t *testing.T) {
	h := newHouse(t)
	addr := h.open(func(o *Options) { o.Limits.PreAuth = 300 * time.Millisecond })
	c, in := dial(t, addr), dial(t, addr)
	c.answer("")
	in.answer("")
	in.say(comeIn...)
	begin := time.Now()
	for c.say("CAPA") != "(closed)\n" {
		time.Sleep(10 * time.Millisecond)
		if time.Since(begin) > 10*time.Second {
			t.Fatal("stayed without a login")
		}
	}
	if got := in.say("NOOP"); !strings.Contains(got, "+OK") {
		t.Errorf("who logged in: %q", got)
	}
}

// TestStop ends the server under an idle session and under one in the middle of
// a long answer.
func TestStop(t *testing.T) {
	h := newHouse(t)
	h.add("", "A: b\r\n\r\n"+strings.Repeat(strings.Repeat("x", 78)+"\r\n", 100_000))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- New(Options{PlaintextAuth: true, Login: h.login, Mailbox: h.store, Sink: h}).Serve(ctx, ln)
	}()
	idle, busy := dial(t, ln.Addr().String()), dial(t, ln.Addr().String())
	idle.answer("")
	busy.answer("")
	busy.say(comeIn...)
	_, _ = io.WriteString(busy, "RETR 1\r\n")
	first, err := busy.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(first, "+OK") {
		t.Fatal(first, err)
	}
	cancel()
	if got := idle.answer(""); got != "(closed)\n" {
		t.Errorf("the idle session heard %q", got)
	}
	rest, _ := io.ReadAll(busy.r)
	if !strings.HasSuffix(string(rest), "xx\r\n.\r\n") {
		t.Errorf("the answer in hand was cut after %d octets", len(rest))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestConnectionLimits(t *testing.T) {
	h := newHouse(t)
	addr := h.open(func(o *Options) { o.Limits.PerAddress = 2 })
	for range 2 {
		if got := dial(t, addr).answer(""); !strings.HasPrefix(got, "S: +OK") {
			t.Fatal(got)
		}
	}
	if got := dial(t, addr).answer(""); !strings.HasPrefix(got, "S: -ERR [SYS/TEMP]") {
		t.Errorf("the third connection from one address heard %q", got)
	}
}

// TestFailedRemoval wants -ERR at QUIT, and the lock free, when the store fails.
func TestFailedRemoval(t *testing.T) {
	h := newHouse(t)
	h.add("", "A: b\r\n\r\n")
	c := dial(t, h.open(func(o *Options) {
		o.remove = func(context.Context, *conn) error { return fault.New(fault.Unavailable, "test", "") }
	}))
	c.answer("")
	if got := c.say(append(comeIn, "DELE 1", "QUIT")...); got != "S: -ERR [SYS/TEMP] not all marked messages could be removed\n" {
		t.Errorf("QUIT was answered %q", got)
	}
	if err := h.locks.take(h.alice.ID, time.Now(), 0); err != nil {
		t.Error("the maildrop is still locked:", err)
	}
	h.locks.release(h.alice.ID)
}

// TestPanic wants a session that panics to end alone.
func TestPanic(t *testing.T) {
	h := newHouse(t)
	told := make(sink, 10)
	addr := h.open(func(o *Options) { o.Login, o.Sink = nil, told })
	c := dial(t, addr)
	c.answer("")
	if got := c.say("USER x", "PASS y"); got != "(closed)\n" {
		t.Errorf("heard %q", got)
	}
	if e, ok := (<-told).(event.Failed); !ok || !strings.Contains(e.Err.Error(), "panic") {
		t.Errorf("the operator heard %v", e)
	}
	if got := dial(t, addr).answer(""); !strings.HasPrefix(got, "S: +OK") {
		t.Error("the server is gone too")
	}
}

type sink chan event.Event

func (s sink) Emit(_ context.Context, e event.Event) {
	select {
	case s <- e:
	default:
	}
}

// TestManyMessages reads rows in pages, and answers from them.
func TestManyMessages(t *testing.T) {
	h := newHouse(t)
	for i := range 30 {
		h.add("", fmt.Sprintf("A: %d\r\n\r\n", i))
	}
	c := dial(t, h.open(func(o *Options) { o.page = 7 }))
	c.answer("")
	got := c.say(append(comeIn, "UIDL")...)
	if lines := strings.Split(strings.TrimSpace(got), "\n"); len(lines) != 32 || !strings.HasSuffix(lines[30], ".30") {
		t.Errorf("UIDL gave %q", got)
	}
}

// BenchmarkRETR reads a message of 10 MB over loopback.
func BenchmarkRETR(b *testing.B) {
	h := newHouse(b)
	size := int64(0)
	h.add("", "A: b\r\n\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n.\r\n", 140_000))
	c := dial(b, h.open(nil))
	_ = c.SetDeadline(time.Now().Add(time.Hour))
	c.answer("")
	c.say(comeIn...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		_, _ = io.WriteString(c, "RETR 1\r\n")
		size = 0
		for {
			l, err := c.r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			size += int64(len(l))
			if len(l) == 3 && string(l) == ".\r\n" {
				break
			}
		}
	}
	runtime.ReadMemStats(&after)
	b.SetBytes(size)
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N), "alloc-B/op")
}

// TestCrowd: those who do not log in cannot hold all places, and who has logged
// in keeps his.
func TestCrowd(t *testing.T) {
	h := newHouse(t)
	addr := h.open(func(o *Options) {
		o.Limits.Connections, o.Limits.PreAuth = 10, time.Hour
		o.Now = func() time.Time { return time.Now().Add(time.Duration(h.later.Load())) }
	})
	owner := dial(t, addr)
	owner.answer("")
	owner.say(comeIn...)
	var silent []*client
	for range 9 {
		c := dial(t, addr)
		c.answer("")
		silent = append(silent, c)
	}
	if got := dial(t, addr).answer(""); !strings.HasPrefix(got, "S: -ERR [SYS/TEMP]") {
		t.Errorf("at once: %q", got)
	}
	h.later.Store(int64(15 * time.Second))
	dial(t, addr).answer("") // there is no place yet, but somebody is asked to leave
	if got := silent[0].answer(""); got != "(closed)\n" {
		t.Errorf("the first silent one: %q", got)
	}
	for got := ""; !strings.HasPrefix(got, "S: +OK"); got = dial(t, addr).answer("") { // until his place is free
		time.Sleep(time.Millisecond)
	}
	if got := owner.say("NOOP"); !strings.HasPrefix(got, "S: +OK") {
		t.Errorf("the owner: %q", got)
	}
}

// BenchmarkFetch reads small messages one after the other over loopback.
func BenchmarkFetch(b *testing.B) {
	h := newHouse(b)
	const n = 1000
	for i := range n {
		h.add("Received: by us\r\n", fmt.Sprintf("A: %d\r\n\r\n", i)+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 60))
	}
	c := dial(b, h.open(nil))
	_ = c.SetDeadline(time.Now().Add(time.Hour))
	c.answer("")
	c.say(comeIn...)
	for i := 0; b.Loop(); i++ {
		_, _ = fmt.Fprintf(c, "RETR %d\r\n", i%n+1)
		for {
			l, err := c.r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if len(l) == 3 && string(l) == ".\r\n" {
				break
			}
		}
	}
}
