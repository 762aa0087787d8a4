package smtpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// tell sends text and gives what is answered.
func (c *client) tell(text string) string {
	_, _ = io.WriteString(c.nc, text)
	return c.hear()
}

func (r running) connect() *client {
	p := r.l.dial("192.0.2.7:1234")
	return &client{pipe: p, nc: p}
}

// last is the last line of s that is a reply.
func last(s string) string {
	s = strings.TrimSuffix(strings.TrimSuffix(s, "(closed)"), "\n")
	return s[strings.LastIndex(s, "\n")+1:]
}

const begun = "EHLO bar.example\r\nMAIL FROM:<a@bar.example>\r\nRCPT TO:<b@foo.example>\r\n"

// TestStop: the idle hear 421, a transaction in hand comes to its end.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, j := &recorder{}, &journal{}
		run := start(New(Options{Hostname: "mx", Handler: h, Sink: j, Limits: Limits{GreetDelay: -1}}))
		greeted, inEnvelope, inData, inChunk := run.connect(), run.connect(), run.connect(), run.connect()
		time.Sleep(time.Second)
		greeted.tell("EHLO bar.example\r\n")
		inEnvelope.tell(begun)
		inData.tell(begun + "DATA\r\nfirst\r\n")
		inChunk.tell(begun + "BDAT 3\r\na\r\n")

		done := make(chan error)
		go func() { done <- run.stop() }()
		synctest.Wait()
		if got := greeted.hear(); !strings.HasPrefix(got, "421 4.3.2 mx ") || !strings.HasSuffix(got, "(closed)") {
			t.Errorf("idle: %q", got)
		}
		for name, c := range map[string]*client{"envelope": inEnvelope, "data": inData, "chunk": inChunk} {
			if got := c.hear(); got != "" {
				t.Errorf("%s: %q", name, got)
			}
		}
		for _, c := range []struct {
			c    *client
			say  string
			want string
		}{
			{inEnvelope, "DATA\r\nx\r\n.\r\n", "354 Send the message; a line with a dot alone ends it\n250 2.0.0 Accepted\n421 4.3.2"},
			{inData, "second\r\n.\r\n", "250 2.0.0 Accepted\n421 4.3.2"},
			{inChunk, "BDAT 3 LAST\r\nb\r\n", "250 2.0.0 Accepted\n421 4.3.2"},
		} {
			if got := c.c.tell(c.say); !strings.HasPrefix(got, c.want) || !strings.HasSuffix(got, "(closed)") {
				t.Errorf("after %q: %q", c.say, got)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if c := run.connect(); c.hear() != "(closed)" {
			t.Error("a connection after the end")
		}
		if h.open != 0 {
			t.Errorf("%d transactions never ended", h.open)
		}
	})
}

// TestGrace: what does not come to its end in time is cut.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{within: func(ctx context.Context) { <-ctx.Done() }}
		run := start(New(Options{Hostname: "mx", Handler: h, Grace: 20 * time.Second, Limits: Limits{GreetDelay: -1}}))
		inEnvelope, inHandler := run.connect(), run.connect()
		time.Sleep(time.Second)
		inEnvelope.tell(begun)
		_, _ = io.WriteString(inHandler.nc, begun+"DATA\r\nx\r\n.\r\n")
		synctest.Wait()
		at := time.Now()
		if err := run.stop(); err != nil {
			t.Error(err)
		}
		if d := time.Since(at); d < 20*time.Second || d > 21*time.Second {
			t.Errorf("stopped after %v", d)
		}
		if h.open != 0 {
			t.Errorf("%d transactions never ended", h.open)
		}
	})
}

// TestTimeouts: half-open connections do not stay (RFC 5321 §4.5.3.2).
func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, j := &recorder{}, &journal{}
		run := start(New(Options{Hostname: "mx", Handler: h, Sink: j, TLS: testTLS(), Limits: Limits{GreetDelay: -1}}))
		for _, c := range []struct {
			say   string
			after time.Duration
			want  string
		}{
			{"", 5 * time.Minute, "421 4.4.2"},
			{"EHL", 5 * time.Minute, "421 4.4.2"},
			{begun, 5 * time.Minute, "421 4.4.2"},
			{begun + "DATA\r\nhalf", 10 * time.Minute, "421 4.4.2"},
			{begun + "BDAT 10\r\nhalf", 10 * time.Minute, "421 4.4.2"},
			{"EHLO x\r\nSTARTTLS\r\n", time.Minute, ""},
		} {
			x := run.connect()
			time.Sleep(200 * time.Millisecond) // the greeting
			x.tell(c.say)
			time.Sleep(c.after - time.Second)
			if got := x.hear(); got != "" {
				t.Errorf("%q: too early: %q", c.say, got)
			}
			time.Sleep(2 * time.Second)
			if got := x.hear(); !strings.HasPrefix(got, c.want) || !strings.HasSuffix(got, "(closed)") {
				t.Errorf("%q: %q", c.say, got)
			}
			x.pipe.Close()
		}
		// One octet now and then is no command within five minutes.
		slow := run.connect()
		time.Sleep(200 * time.Millisecond)
		slow.hear()
		for range 6 {
			_, _ = io.WriteString(slow.nc, "x")
			time.Sleep(time.Minute)
		}
		if got := slow.hear(); !strings.HasPrefix(got, "421 4.4.2") {
			t.Errorf("a slow peer: %q", got)
		}
		slow.pipe.Close()
		if err := run.stop(); err != nil {
			t.Error(err)
		}
		if h.open != 0 {
			t.Errorf("%d transactions never ended", h.open)
		}
	})
}

// TestEarlyTalker: strangers are watched before they are greeted; our own
// machine is not.
func TestEarlyTalker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := start(New(Options{Hostname: "mx", Handler: &recorder{}}))
		patient := run.connect()
		synctest.Wait()
		if got := patient.hear(); got != "" {
			t.Errorf("greeted at once: %q", got)
		}
		time.Sleep(150 * time.Millisecond)
		if got := patient.hear(); got != "220 mx ESMTP Ekiden\n" {
			t.Errorf("not greeted: %q", got)
		}
		early := run.connect()
		if got := early.tell("EHLO spam.example\r\n"); got != "554 5.5.1 You spoke before you were greeted\n(closed)" {
			t.Errorf("early talker: %q", got)
		}
		gone := run.connect()
		gone.pipe.Close()
		near := run.l.dial("127.0.0.1:1234")
		if got := (&client{near, near}).tell("NOOP\r\n"); got != "220 mx ESMTP Ekiden\n250 2.0.0 Ok\n" {
			t.Errorf("loopback: %q", got)
		}
		for _, c := range []*client{patient, early, {near, near}} {
			c.pipe.Close()
		}
		if err := run.stop(); err != nil {
			t.Error(err)
		}
	})
}

type badListener struct{ *memListener }

func (badListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }

type lameListener struct {
	*memListener
	lame *int
}

func (l lameListener) Accept() (net.Conn, error) {
	if *l.lame > 0 {
		*l.lame--
		return nil, errors.New("too many open files")
	}
	return l.memListener.Accept()
}

// TestListener: one that is gone ends Serve, one that fails for a while does not.
func TestListener(t *testing.T) {
	s := New(Options{Hostname: "mx", Handler: &recorder{}, NoLimits: true})
	if err := s.Serve(context.Background(), badListener{newListener()}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a closed listener: %v", err)
	}
	n := 3
	l, done := newListener(), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- s.Serve(ctx, lameListener{l, &n}) }()
	p := l.dial("192.0.2.1:1")
	if got := (&client{p, p}).tell("QUIT\r\n"); last(got) != "221 2.0.0 mx Goodbye" {
		t.Errorf("%q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// overTCP runs a server on loopback.
func overTCP(t testing.TB, o Options) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(o).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// TestLastWords: a peer that goes on sending hears why it was cut off, and does
// not find its connection reset.
func TestLastWords(t *testing.T) {
	addr := overTCP(t, Options{Hostname: "mx", Handler: &recorder{}})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, strings.Repeat("NONSENSE\r\n", 20_000)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(got), "421 4.7.0 mx Too many errors; goodbye\r\n") {
		t.Errorf("%v, %q", err, got)
	}
}

// TestManyCommands: 10,000 transactions in one packet cost no more memory than
// one.
func TestManyCommands(t *testing.T) {
	addr := overTCP(t, Options{Hostname: "mx", Handler: discard{}, NoLimits: true})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 10_000
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, "EHLO x\r\n"+strings.Repeat("MAIL FROM:<a@b.example>\r\nRCPT TO:<b@b.example>\r\nRSET\r\n", n)+"QUIT\r\n")
		sent <- err
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	replies := 0
	for s := bufio.NewScanner(c); s.Scan(); {
		if strings.HasPrefix(s.Text(), "250 ") {
			replies++
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err := <-sent; err != nil || replies != 3*n+1 {
		t.Errorf("%d replies, %v", replies, err)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d octets more are held", grown)
	}
}

// TestFault is the table of house.md §9, word for word.
func TestFault(t *testing.T) {
	want := map[fault.Kind]string{
		fault.Internal:        "451 4.3.0; AUTH 454 4.7.0",
		fault.Unavailable:     "451 4.3.2; AUTH 454 4.7.0",
		fault.Corrupt:         "451 4.3.0; AUTH 454 4.7.0",
		fault.Invalid:         "501 5.5.4; AUTH 501 5.5.4",
		fault.Unsupported:     "504 5.5.4; AUTH 504 5.5.4",
		fault.NotFound:        "550 5.1.1; AUTH 550 5.1.1",
		fault.Expunged:        "451 4.3.0; AUTH 454 4.7.0",
		fault.Exists:          "451 4.3.0; AUTH 454 4.7.0",
		fault.Unauthenticated: "535 5.7.8; AUTH 535 5.7.8",
		fault.Denied:          "550 5.7.1; AUTH 550 5.7.1",
		fault.Conflict:        "451 4.3.0; AUTH 454 4.7.0",
		fault.OverQuota:       "452 4.2.2; AUTH 454 4.7.0",
		fault.TooLarge:        "552 5.3.4; AUTH 552 5.3.4",
		fault.TooMany:         "450 4.7.0; AUTH 454 4.7.0",
		fault.CrossShard:      "451 4.3.0; AUTH 454 4.7.0",
	}
	for _, k := range fault.Kinds() {
		err := fmt.Errorf("wrapped: %w", fault.New(k, "x.Do", "50% of it"))
		r, a := smtp.Fault(err), authReply(err)
		if got := fmt.Sprintf("%d %s; AUTH %d %s", r.Code, r.Enhanced, a.Code, a.Enhanced); got != want[k] {
			t.Errorf("%s: %s, want %s", k, got, want[k])
		}
		if r.Text[0] != "50% of it" {
			t.Errorf("%s: %q", k, r.Text)
		}
	}
	if r := smtp.Fault(errors.New("secret")); strings.Contains(r.String(), "secret") || r.Code != 451 {
		t.Errorf("an error of nobody's: %s", r)
	}
}
