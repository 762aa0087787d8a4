package imapd_test

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/serve/imapd"
)

// heard is what came when all is at rest.
func heard(c *client) string {
	synctest.Wait()
	s, _ := c.take()
	return s
}

func ask(c *client, command string) string {
	_, _ = io.WriteString(c.conn, command+"\r\n")
	return heard(c)
}

// TestCrowd: those who do not log in cannot hold all places, and who has logged
// in keeps his.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *imapd.Options) { o.Limits.Connections, o.Limits.PreAuth = 10, time.Hour })
		defer w.close()
		owner := w.connect()
		if got := ask(owner, "a LOGIN alice@example.test secret"); !strings.Contains(got, "a OK") {
			t.Fatalf("%q", got)
		}
		var silent []*client
		for range 9 {
			silent = append(silent, w.connect())
			time.Sleep(time.Millisecond)
		}
		if got := heard(w.connect()); !strings.Contains(got, "* BYE [LIMIT] Too many connections;") {
			t.Errorf("at once: %q", got)
		}
		time.Sleep(15 * time.Second)
		_ = w.connect() // there is no place yet, but somebody is asked to leave
		time.Sleep(time.Second)
		if got := heard(w.connect()); !strings.Contains(got, "* OK ") {
			t.Errorf("later: %q", got)
		}
		if got := heard(silent[0]); !strings.Contains(got, "* BYE too long without a login") {
			t.Errorf("the first silent one: %q", got)
		}
		if got := ask(owner, "b NOOP"); !strings.Contains(got, "b OK") {
			t.Errorf("the owner: %q", got)
		}
	})
}
