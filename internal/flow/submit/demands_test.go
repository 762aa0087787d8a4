package submit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// TestDemands: what a user demands at MAIL and in the header is kept with the
// message, under the id that refusals of its transaction refer to.
func TestDemands(t *testing.T) {
	const letter = "From: alice@example.test\r\nDate: x\r\nMessage-ID: <a@b>\r\nTLS-Required: No\r\nMT-Priority: 7\r\n\r\nhi\r\n"
	for _, c := range []struct {
		name string
		most int8
		o    smtp.MailOptions
		mail string // the answer to MAIL
		want func(queue.Entry) bool
	}{
		{"nothing", 9, smtp.MailOptions{}, "250 2.1.0 sender ok", func(e queue.Entry) bool {
			return e.Message.Priority == 7 && e.Message.TLSOptional && e.Message.Release.IsZero()
		}},
		{"a priority", 9, smtp.MailOptions{Prioritized: true, Priority: 5}, "250 2.1.0 sender ok", func(e queue.Entry) bool { return e.Message.Priority == 5 }},
		{"too much of it", 3, smtp.MailOptions{Prioritized: true, Priority: 5}, "250 2.3.6 3 is the priority that the message is given", func(e queue.Entry) bool {
			return e.Message.Priority == 3 && e.Delivery.Priority == 3
		}},
		{"too much of it in the header", 0, smtp.MailOptions{}, "250 2.1.0 sender ok", func(e queue.Entry) bool { return e.Message.Priority == 0 && e.Message.Prioritized }},
		{"less", 0, smtp.MailOptions{Prioritized: true, Priority: -5}, "250 2.1.0 sender ok", func(e queue.Entry) bool { return e.Message.Priority == -5 }},
		{"TLS", 0, smtp.MailOptions{RequireTLS: true}, "250 2.1.0 sender ok", func(e queue.Entry) bool { return e.Message.RequireTLS && !e.Message.TLSOptional }},
		{"a hold", 0, smtp.MailOptions{HoldFor: time.Hour}, "250 2.1.0 sender ok", func(e queue.Entry) bool {
			return e.Message.Release.Sub(e.Message.At) == time.Hour && e.Delivery.Due.Equal(e.Message.Release) && e.Message.Requested == "for;3600"
		}},
		{"a time", 0, smtp.MailOptions{By: smtp.By{Mode: 'R', Seconds: 120}}, "250 2.1.0 sender ok", func(e queue.Entry) bool {
			return e.Message.By.Return && e.Message.By.At.Sub(e.Message.At) == 2*time.Minute
		}},
		{"reports", 0, smtp.MailOptions{EnvelopeID: "x", HeadersOnly: true}, "250 2.1.0 sender ok", func(e queue.Entry) bool {
			return e.Message.EnvID == "x" && e.Message.HeadersOnly && e.Delivery.Notify == mail.NotifySuccess && e.Delivery.Original == "rfc822;y@other.test"
		}},
	} {
		h := openWith(t, submit.Options{Priority: c.most})
		h.alice.Ref = mail.ArrivalID{9, 9}
		tx, reply := h.submit.Begin(t.Context(), &h.alice, address("alice@example.test"), c.o)
		if reply.String() != c.mail {
			t.Fatalf("%s: %s", c.name, reply)
		}
		if r := tx.Rcpt(t.Context(), address("x@other.test"), smtp.RcptOptions{Notify: mail.NotifySuccess, Original: "rfc822;y@other.test"}); !r.OK() {
			t.Fatal(r)
		}
		if r := tx.Data(t.Context(), strings.NewReader(letter)); !r[0].OK() || !strings.Contains(r[0].String(), h.alice.Ref.String()) {
			t.Fatalf("%s: %s", c.name, r)
		}
		found := false
		for e, err := range h.queue.List(t.Context(), queue.Filter{ID: h.alice.Ref}) {
			found = true
			if err != nil || !c.want(e) {
				t.Errorf("%s: %+v, %v", c.name, e, err)
			}
		}
		if !found {
			t.Errorf("%s: nothing waits", c.name)
		}
	}
}
