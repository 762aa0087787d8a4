package report

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
)

// arrive takes a message in.
func (b *bed) arrive(r *Reporter, text string) {
	b.Helper()
	h, err := b.o.Blobs.Put(b.Context(), []byte(text))
	b.must(err)
	b.must(b.o.DB.Update(b.Context(), []kv.Shard{kv.OthersShard()}, func(tx kv.Tx) error {
		blob.Refer(tx, h, blob.Owner{Kind: 'h'})
		return nil
	}))
	r.Take(b.Context(), &mail.Arrival{ID: mail.NewArrivalID(), At: time.Now(), Content: h.ID(), Size: h.Size()})
}

// TestTake: what our own letter says is read as it was meant, once, and only
// about domains of ours.
func TestTake(t *testing.T) {
	b := newBed(t)
	b.o.Sink = failing{t}
	b.o.IsLocal = func(_ context.Context, d mail.Domain) (bool, error) { return d == "a.test", nil }
	r := New(b.o)
	rep := tlsrpt.Report{Organization: "mx.other.test", ID: "1", From: start(20000), Until: start(20001)}
	for _, d := range []mail.Domain{"a.test", "b.test"} {
		s := tlsrpt.Summary{Policy: tlsrpt.Policy{Type: tlsrpt.STS, Domain: d}, Successful: 3}
		s.Add(tlsrpt.Failure{Result: tlsrpt.Expired, Host: "mx." + string(d)}, 2)
		rep.Policies = append(rep.Policies, s)
	}
	text, err := rep.Marshal()
	b.must(err)
	letter, err := r.letter(letterKey{20000, "a.test"}, mail.Address{Local: "tls", Domain: "a.test"}, "1", pack(text), time.Now())
	b.must(err)
	for range 2 {
		b.arrive(r, string(letter))
	}
	b.arrive(r, "Content-Type: application/tlsrpt+json\r\n\r\n"+strings.Replace(string(text), `"report-id":"1"`, `"report-id":"2"`, 1))
	for _, bad := range []string{"Subject: hi\r\n\r\nhi\r\n", "Content-Type: application/tlsrpt+gzip\r\n\r\nno", "Content-Type: application/tlsrpt+json\r\n\r\n{}"} {
		b.arrive(r, bad)
	}
	all, err := r.List(t.Context(), "", time.Now().Add(-time.Hour))
	if err != nil || len(all) != 2 || all[0].Policy.Domain != "a.test" || all[0].Failed != 2 || all[0].Failures[0].Result != tlsrpt.Expired || all[0].Organization != "mx.other.test" {
		t.Errorf("%+v, %v", all, err)
	}
	if none, _ := r.List(t.Context(), "b.test", time.Time{}); len(none) != 0 {
		t.Errorf("%+v", none)
	}
	for i := range 2 * maxTaken {
		b.arrive(r, "Content-Type: application/tlsrpt+json\r\n\r\n"+strings.Replace(string(text), `"report-id":"1"`, fmt.Sprintf(`"report-id":"x%d"`, i), 1))
	}
	if all, _ := r.List(t.Context(), "a.test", time.Time{}); len(all) != maxTaken {
		t.Errorf("%d are kept", len(all))
	}
	b.must(r.prune(t.Context(), time.Now().Add(keepTaken+48*time.Hour)))
	if all, _ := r.List(t.Context(), "", time.Time{}); len(all) != 0 {
		t.Errorf("%d are left", len(all))
	}
}

// failing fails the test at each failure that is told.
type failing struct{ *testing.T }

// Emit takes an event.
func (f failing) Emit(_ context.Context, e event.Event) {
	if e, ok := e.(event.Failed); ok {
		f.Error(e.Err)
	}
}
