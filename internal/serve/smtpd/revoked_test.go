package smtpd

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// TestRevoked sees a session end within a minute after its password was revoked.
func TestRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogin(t)
		run := start(New(Options{Hostname: "mx", Handler: &recorder{}, Mode: Submission, Auth: l, PlaintextAuth: true}))
		c := run.connect()
		c.hear()
		tell := func(text string) string { return strings.TrimSpace(c.tell(text)) }
		if got := tell("EHLO x\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\n"); !strings.HasSuffix(got, "235 2.7.0 Welcome") {
			t.Fatal(got)
		}
		if err := l.SetAppsOnly(context.Background(), mail.Address{Local: "alice", Domain: "example.org"}, true); err != nil {
			t.Fatal(err)
		}
		if got := tell("NOOP\r\n"); got != "250 2.0.0 Ok" {
			t.Errorf("at once: %q", got)
		}
		time.Sleep(time.Minute)
		if got := tell("MAIL FROM:<alice@example.org>\r\n"); got != "421 4.7.0 mx Please log in again\n(closed)" {
			t.Errorf("a minute later: %q", got)
		}
		if err := run.stop(); err != nil {
			t.Error(err)
		}
	})
}
