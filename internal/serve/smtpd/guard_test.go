package smtpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// talk is a client that reads what it is told.
type talk struct {
	nc net.Conn
	in *bufio.Reader
}

// say sends lines and wants a reply with a code to each that is not empty.
func (c talk) say(text string, codes ...string) error {
	if text != "" {
		if _, err := io.WriteString(c.nc, text); err != nil {
			return err
		}
	}
	for _, code := range codes {
		for {
			l, err := c.in.ReadString('\n')
			if err != nil {
				return err
			}
			if !strings.HasPrefix(l, code) {
				return errors.New(strings.TrimSpace(l))
			}
			if len(l) > 3 && l[3] == ' ' {
				break
			}
		}
	}
	return nil
}

// deliver brings one message, as a mail server does.
func deliver(l *memListener, from string) error {
	nc := l.dial(from)
	defer nc.Close()
	nc.SetReadDeadline(time.Now().Add(time.Minute))
	c := talk{nc, bufio.NewReader(nc)}
	return errors.Join(c.say("", "220"), c.say("EHLO good.example\r\n", "250"),
		c.say("MAIL FROM:<a@good.example>\r\nRCPT TO:<b@foo.example>\r\nDATA\r\n", "250", "250", "354"),
		c.say("Subject: x\r\n\r\nx\r\n.\r\n", "250"), c.say("QUIT\r\n", "221"))
}

// slowly are ways to hold a connection: what is said after EHLO, and what then
// comes now and again.
func slowly() []struct {
	first, then string
	every       time.Duration
} {
	envelope := "MAIL FROM:<a@bar.example>\r\nRCPT TO:<b@foo.example>\r\n"
	return []struct {
		first, then string
		every       time.Duration
	}{
		{"", "", time.Hour},                 // silence
		{"", "E", 4 * time.Minute},          // a command that does not end
		{"", "NOOP\r\n", 290 * time.Second}, // commands that bring nothing
		{"", "RSET\r\n", 11 * time.Second},  // more of them
		{envelope, "", time.Hour},           // an envelope and silence
		{envelope + "DATA\r\n", "x", 9 * time.Minute},
		{envelope + "DATA\r\n", "x", 9 * time.Second},
		{envelope + "DATA\r\n", strings.Repeat("x", 4600) + "\r\n", 9 * time.Second}, // at the rate
		{envelope, "BDAT 1\r\nx", 4 * time.Minute},
		{envelope + "BDAT 1000000\r\n", "x", 4 * time.Minute},
		{"STARTTLS\r\n", "", time.Hour}, // half a handshake
	}
}

// dawdle holds a connection until it is cut off. It waits for the greeting and
// for the reply to EHLO, so as not to be an early talker.
func dawdle(c *pipeEnd, first, then string, every time.Duration) {
	time.Sleep(time.Second)
	_, err := io.WriteString(c, "EHLO x\r\n")
	time.Sleep(time.Second)
	if err == nil {
		_, err = io.WriteString(c, first)
	}
	for err == nil {
		time.Sleep(every)
		_, err = io.WriteString(c, then)
	}
}

// hold comes again and again and stays as long as it is let, in the i-th way. It
// notes how long the longest stay was.
func hold(ctx context.Context, l *memListener, i int, longest *atomic.Int64) {
	way := slowly()[i%len(slowly())]
	from := fmt.Sprintf("10.%d.%d.1:4000", i/250, i%250)
	for ctx.Err() == nil {
		c, begin := l.dial(from), time.Now()
		stop := context.AfterFunc(ctx, func() { c.Close() })
		var talks sync.WaitGroup
		talks.Go(func() { dawdle(c, way.first, way.then, min(way.every, 10*time.Minute)) })
		io.Copy(io.Discard, c)
		if stay := time.Since(begin); ctx.Err() == nil && int64(stay) > longest.Load() {
			longest.Store(int64(stay))
		}
		c.Close()
		stop()
		talks.Wait()
		time.Sleep(45 * time.Second)
	}
}

// TestSlowClients: for 24 hours eighty slow clients from as many networks try to
// hold all of thirty places. A mail server that comes each ten minutes gets in
// within a minute, and no slow client keeps its place for long.
func TestSlowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		run := start(New(Options{Hostname: "mx", Handler: h, TLS: testTLS(), Limits: Limits{Connections: 30}}))
		ctx, end := context.WithCancel(context.Background())
		var slow sync.WaitGroup
		var longest atomic.Int64
		for i := range 80 {
			slow.Go(func() { hold(ctx, run.l, i, &longest) })
		}
		var worst time.Duration
		delivered := 0
		for begin := time.Now(); time.Since(begin) < 24*time.Hour; time.Sleep(10 * time.Minute) {
			came := time.Now()
			for time.Since(came) < 5*time.Minute {
				err := deliver(run.l, "192.0.2.1:25")
				if err == nil {
					delivered++
					break
				}
				time.Sleep(10 * time.Second)
			}
			worst = max(worst, time.Since(came))
		}
		if delivered < 24*6-6 || worst > time.Minute {
			t.Errorf("%d messages were taken; the longest wait was %v", delivered, worst)
		}
		if d := time.Duration(longest.Load()); d > 2*time.Hour+15*time.Minute {
			t.Errorf("a slow client stayed for %v", d)
		}
		t.Logf("%d messages, longest wait %v, longest stay of a slow client %v", delivered, worst, time.Duration(longest.Load()))
		end()
		slow.Wait()
		if err := run.stop(); err != nil {
			t.Error(err)
		}
		if h.open != 0 {
			t.Errorf("%d transactions never ended", h.open)
		}
	})
}

// TestStays: alone, each slow client is cut off by a limit of its own.
func TestStays(t *testing.T) {
	most := []time.Duration{
		5 * time.Minute, 5 * time.Minute, 30 * time.Minute, 100 * 11 * time.Second, 5 * time.Minute,
		10 * time.Minute, 10 * time.Minute, 2 * time.Hour, 30 * time.Minute, 10 * time.Minute, time.Minute,
	}
	for i, way := range slowly() {
		synctest.Test(t, func(t *testing.T) {
			run := start(New(Options{Hostname: "mx", Handler: &recorder{}, TLS: testTLS()}))
			c := run.l.dial("192.0.2.1:1")
			begin := time.Now()
			var talks sync.WaitGroup
			talks.Go(func() { dawdle(c, way.first, way.then, way.every) })
			io.Copy(io.Discard, c)
			if stay := time.Since(begin); stay > most[i]+15*time.Second || stay < most[i]*4/5 {
				t.Errorf("%q then %.20q each %v: stayed %v", way.first, way.then, way.every, stay)
			}
			c.Close()
			talks.Wait()
			if err := run.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTarpit: answers to a guesser of recipients become slower, and stop.
func TestTarpit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := start(New(Options{Hostname: "mx", Handler: &recorder{}, Limits: Limits{Tarpit: 2, Refused: 10}}))
		nc := run.l.dial("127.0.0.1:1")
		c := talk{nc, bufio.NewReader(nc)}
		if err := c.say("EHLO x\r\nMAIL FROM:<a@x.example>\r\n", "220", "250", "250"); err != nil {
			t.Fatal(err)
		}
		for i, want := range []time.Duration{0, 0, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000} {
			begin := time.Now()
			if err := c.say("RCPT TO:<unknown@foo.example>\r\n", "550"); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took != want*time.Millisecond {
				t.Errorf("answer %d took %v", i, took)
			}
		}
		if err := c.say("RCPT TO:<unknown@foo.example>\r\n", "421 4.7.0 mx Too many recipients"); err != nil {
			t.Error(err)
		}
		nc.Close()
		if err := run.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestRateOfContent: what comes at the least rate is taken, however large it is,
// and a pause that is no longer than Data is no harm.
func TestRateOfContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := start(New(Options{Hostname: "mx", Handler: &recorder{}}))
		nc := run.l.dial("192.0.2.1:1")
		nc.SetReadDeadline(time.Now().Add(3 * time.Hour))
		c := talk{nc, bufio.NewReader(nc)}
		if err := errors.Join(c.say("", "220"), c.say("EHLO x\r\n", "250"),
			c.say("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@foo.example>\r\nDATA\r\n", "250", "250", "354")); err != nil {
			t.Fatal(err)
		}
		for i := range 600 {
			_, _ = io.WriteString(nc, strings.Repeat("x", 498)+"\r\n"+strings.Repeat("y", 498)+"\r\n")
			time.Sleep(2 * time.Second)
			if i == 300 {
				time.Sleep(9 * time.Minute)
			}
		}
		if err := c.say(".\r\nQUIT\r\n", "250", "221"); err != nil {
			t.Error(err)
		}
		nc.Close()
		if err := run.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestPatience: each message gives a session its time again, and each content
// may lag behind anew.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := start(New(Options{Hostname: "mx", Handler: &recorder{}}))
		nc := run.l.dial("192.0.2.1:1")
		c := talk{nc, bufio.NewReader(nc)}
		err := errors.Join(c.say("", "220"), c.say("EHLO x\r\n", "250"))
		for range 6 {
			for range 4 {
				time.Sleep(4 * time.Minute)
				err = errors.Join(err, c.say("NOOP\r\n", "250"))
			}
			err = errors.Join(err, c.say("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@foo.example>\r\nDATA\r\n", "250", "250", "354"))
			time.Sleep(9 * time.Minute)
			err = errors.Join(err, c.say("x\r\n.\r\n", "250"))
		}
		if err != nil {
			t.Error(err)
		}
		nc.Close()
		if err := run.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestFull: all places taken in one moment by silent clients come free when
// somebody asks for one.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := start(New(Options{Hostname: "mx", Handler: &recorder{}, Limits: Limits{Connections: 10}}))
		var silent []*pipeEnd
		for i := range 10 {
			silent = append(silent, run.l.dial(fmt.Sprintf("10.0.%d.1:1", i)))
		}
		if err := deliver(run.l, "192.0.2.1:25"); err == nil || !strings.Contains(err.Error(), "421 4.7.0 mx Too many connections") {
			t.Errorf("at once: %v", err)
		}
		time.Sleep(15 * time.Second)
		_ = deliver(run.l, "192.0.2.1:25") // there is no place yet, but somebody is asked to leave
		time.Sleep(time.Second)
		if err := deliver(run.l, "192.0.2.1:25"); err != nil {
			t.Errorf("later: %v", err)
		}
		told := 0
		for _, c := range silent {
			if got := (&client{c, c}).hear(); strings.Contains(got, "421 4.3.2 mx Others wait for your place; please come back later") {
				told++
			}
			c.Close()
		}
		if told == 0 {
			t.Error("nobody was asked to leave")
		}
		if err := run.stop(); err != nil {
			t.Error(err)
		}
	})
}
