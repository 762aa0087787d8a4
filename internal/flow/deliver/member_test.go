package deliver

import (
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// TestMember: one success is told of, and failures as the sender has asked
// (RFC 3461 §5.2.7.3). Who asked for nothing hears of failures.
func TestMember(t *testing.T) {
	for asked, want := range map[mail.Notify]mail.Notify{
		0: 0, mail.NotifyNever: mail.NotifyNever, mail.NotifySuccess: mail.NotifyNever, mail.NotifyFailure: mail.NotifyFailure,
		mail.NotifySuccess | mail.NotifyFailure: mail.NotifyFailure,
	} {
		if got := member(mail.Recipient{Notify: asked}).Notify; got != want {
			t.Errorf("asked %d: %d, want %d", asked, got, want)
		}
	}
}
