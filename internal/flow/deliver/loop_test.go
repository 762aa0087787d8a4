package deliver_test

import (
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// TestLoops: what an alias sends on carries the alias' name, and is known by it
// when it comes back; what merely was in a mailbox here, or goes to a relayed
// domain, is no loop.
func TestLoops(t *testing.T) {
	h := open(t)
	h.account("alice@example.test", 0)
	h.must(h.directory.AddAlias(t.Context(), address(t, "fwd@example.test"), []mail.Address{address(t, "x@far.test")}))
	h.must(h.directory.AddAlias(t.Context(), address(t, "both@example.test"), []mail.Address{address(t, "x@far.test"), address(t, "alice@example.test")}))
	h.must(h.directory.AddDomain(t.Context(), "inner.test"))
	h.must(h.directory.UpdateDomain(t.Context(), "inner.test", func(d *directory.Domain) error { d.Settings.Relay.To = []string{"10.0.0.1"}; return nil }))
	for _, c := range []struct {
		to, delivered string
		loop          bool
	}{
		{"fwd@example.test", "Fwd@Example.test", true},
		{"fwd@example.test", "<fwd@example.test>", true},
		{"both@example.test", "both@example.test", true},
		{"fwd@example.test", "", false},
		{"fwd@example.test", "fwd@other.test", false},
		{"fwd@example.test", "rubbish", false},
		{"alice@example.test", "alice@example.test", false},
		{"any@inner.test", "any@inner.test", false},
		{"nobody@example.test", "nobody@example.test", false},
		{"fwd@example.test alice@example.test", "fwd@example.test", false}, // in company
	} {
		a := &mail.Arrival{ID: mail.NewArrivalID()}
		for to := range strings.FieldsSeq(c.to) {
			a.Envelope.To = append(a.Envelope.To, mail.Recipient{Address: address(t, to)})
		}
		header := message.ParseHeader([]byte("Delivered-To: first@there.test\r\nDelivered-To: " + c.delivered + "\r\n\r\n"))
		if r := h.deliver.Loops(t.Context(), a, header); (r.Code == 554) != c.loop {
			t.Errorf("%s, delivered to %s: %s", c.to, c.delivered, r)
		}
	}
	for to, want := range map[string]string{
		"fwd@example.test": "Delivered-To: fwd@example.test\r\n", "fwd@example.test y@far.test": "", "y@far.test": "", "any@inner.test": "",
	} {
		a := &mail.Arrival{ID: mail.NewArrivalID()}
		for one := range strings.FieldsSeq(to) {
			a.Envelope.To = append(a.Envelope.To, mail.Recipient{Address: address(t, one)})
		}
		content, err := h.blobs.Put(t.Context(), []byte("Subject: x\r\n\r\n"))
		h.must(err)
		_, err = h.deliver.Deliver(t.Context(), a, content)
		h.must(err)
		for e, err := range h.queue.List(t.Context(), queue.Filter{ID: a.ID}) {
			h.must(err)
			if prefix := string(e.Message.Prefix); strings.Contains(prefix, "Delivered-To") != (want != "") || !strings.HasPrefix(prefix, want) {
				t.Errorf("%s: %q", to, prefix)
			}
		}
	}
}
