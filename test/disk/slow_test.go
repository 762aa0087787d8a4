package disk

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// delay is what each sync of the slow disk takes longer.
const delay = 200 * time.Millisecond

// slow starts a server on a disk whose syncs are slow.
func slow(t *testing.T) *blackbox.Server {
	t.Helper()
	under := []string{"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=fsync,fdatasync",
		"-e", "inject=fsync,fdatasync:delay_enter=200000"}
	if out, err := blackbox.Try(t, t.TempDir(), "", under[0], append(under[1:], "true")...); err != nil {
		blackbox.Missing(t, "strace that may delay ("+out+")")
	}
	s := blackbox.Start(t, blackbox.Options{Args: []string{"--no-limits", "--no-checks"}})
	s.Stop() // what is done once is done
	s.Under = under
	s.Restart()
	return s
}

// TestSlowDisk delivers from several sides while every sync takes long: no answer
// comes before its sync, many share one, those who read are not held up by more
// than one, and what was answered survives a kill.
func TestSlowDisk(t *testing.T) {
	s := slow(t)
	var p promises
	var mu sync.Mutex
	shortest := time.Hour
	var wg sync.WaitGroup
	const sides, each = 8, 5
	began := time.Now()
	for w := range sides {
		wg.Go(func() {
			c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Quit()
			for i := range each {
				at := time.Now()
				if err := p.send(s, c, 1+600*((w+i)%3/2)); err != nil {
					t.Errorf("side %d: %v", w, err)
					return
				}
				mu.Lock()
				shortest = min(shortest, time.Since(at))
				mu.Unlock()
			}
		})
	}
	wg.Go(func() { useSlow(t, s) })
	wg.Wait()
	took := time.Since(began)
	if shortest < delay {
		t.Errorf("a message was answered after %v, before its sync had ended", shortest)
	}
	if took > sides*each*delay/2 {
		t.Errorf("%d messages took %v: they do not share syncs", sides*each, took)
	}
	t.Logf("%d messages in %v, the fastest in %v", len(p.all), took, shortest)
	p.check(t, s, nil)

	// The kill comes while messages wait for their sync.
	for range sides {
		wg.Go(func() {
			if c, err := blackbox.DialSMTP(s.Addr("smtp"), nil); err == nil {
				for p.send(s, c, 1) == nil {
				}
				_ = c.Close()
			}
		})
	}
	time.Sleep(3 * delay)
	s.Kill()
	wg.Wait()
	s.Under = nil
	s.Restart()
	p.check(t, s, nil)
	s.NoPanics()
}

// useSlow is a user's session on the slow disk.
func useSlow(t *testing.T, s *blackbox.Server) {
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("alice"), blackbox.Password)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Logout()
	if err := c.Append("INBOX", "", []byte("Subject: appended\r\n\r\nhello\r\n")); err != nil {
		t.Error(err)
	}
	if _, err := c.Select("INBOX"); err != nil {
		t.Error(err)
	}
	for _, command := range []string{"UID STORE 1 +FLAGS (\\Flagged)", "UID COPY 1 Archive", "NOOP"} {
		if _, err := c.Do(command); err != nil {
			t.Error(err)
		}
	}
	// A read waits for no sync but one that is under way for what it reads; the rest
	// is for a busy machine.
	for range 5 {
		at := time.Now()
		all, err := c.Do("UID FETCH 1 (FLAGS BODY.PEEK[])")
		if took := time.Since(at); err != nil || took > 5*delay {
			t.Errorf("FETCH took %v, %v", took, err)
		} else if len(all) == 0 || !strings.Contains(all[0].Text, `\Flagged`) {
			t.Errorf("FETCH says %v", all)
		}
	}
}
