package pop3d

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// TestRevoked sees a session end within a minute after its password was revoked,
// and remove nothing.
func TestRevoked(t *testing.T) {
	h := newHouse(t)
	h.add("", "A: b\r\n\r\n")
	var later atomic.Int64
	addr := h.open(func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) } })
	c := dial(t, addr)
	c.answer("")
	c.say(append(comeIn, "DELE 1")...)
	if err := h.login.SetAppsOnly(context.Background(), mail.Address{Local: "alice", Domain: "example.test"}, true); err != nil {
		t.Fatal(err)
	}
	if got := c.say("NOOP"); !strings.HasPrefix(got, "S: +OK") {
		t.Errorf("at once: %q", got)
	}
	later.Store(int64(61 * time.Second))
	if got := c.say("QUIT"); !strings.HasPrefix(got, "S: -ERR [AUTH] please log in again") {
		t.Errorf("a minute later: %q", got)
	}
	if h.inbox() == "" {
		t.Error("a revoked session removed a message")
	}
}
