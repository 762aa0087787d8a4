package deliver_test

import (
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// TestJunkUntold: of junk no success is told, whoever asks for it.
func TestJunkUntold(t *testing.T) {
	for _, junk := range []bool{false, true} {
		h := reporting(t)
		h.account("alice@example.test", 0)
		a := h.arrival("alice@example.test")
		a.Envelope.To[0].Notify, a.Junk = mail.NotifySuccess, junk
		h.send(a)
		if told := h.waiting() != ""; told == junk {
			t.Errorf("junk %v: told %v: %s", junk, told, h.waiting())
		}
	}
}
