package report

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// bed is a reporter whose mail lands in a queue and whose posts in a list.
type bed struct {
	*testing.T
	o      Options
	dns    *dnstest.Resolver
	queue  *queue.Store
	posted []string
	fail   error
}

func newBed(t *testing.T) *bed {
	db := memkv.New(memkv.Options{Rerun: true})
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{T: t, queue: queue.New(db, blobs), dns: dnstest.New(`
_smtp._tls.a.test TXT v=TLSRPTv1; rua=mailto:tls@a.test
_smtp._tls.b.test TXT v=TLSRPTv1; rua=https://b.test/v1
`)}
	b.o = Options{
		DB: db, Blobs: blobs, Resolver: b.dns, Hostname: "mx.me.test",
		Deliver: deliver.New(deliver.Options{
			DB: db, Blobs: blobs, Mailbox: mailbox.New(mailbox.Options{DB: db, Blobs: blobs}), Queue: b.queue, Directory: directory.New(db), Sink: event.Discard{}, Hostname: "mx.me.test",
		}),
		Post: func(_ context.Context, url, media string, body []byte) error {
			b.posted = append(b.posted, url+" "+media+" "+unpack(t, body))
			return b.fail
		},
	}
	return b
}

func unpack(t *testing.T, b []byte) string {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (b *bed) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// waiting gives the letters in the queue.
func (b *bed) waiting() (all []string) {
	b.Helper()
	for e, err := range b.queue.List(b.Context(), queue.Filter{}) {
		b.must(err)
		c, err := b.o.Blobs.Open(b.Context(), e.Message.Blob)
		b.must(err)
		text, err := io.ReadAll(c)
		b.must(err)
		b.must(c.Close())
		all = append(all, fmt.Sprintf("<%s> %s %v\r\n%s", e.Message.From, e.Delivery.To, e.Message.TLSOptional, text))
	}
	return all
}

func (b *bed) rows() (n int) {
	b.must(b.o.DB.View(b.Context(), kv.OthersShard(), func(r kv.Reader) error {
		n = 0
		for range r.Scan(kv.Prefix(prefix())) {
			n++
		}
		return nil
	}))
	return n
}

func session(d mail.Domain, result tlsrpt.Result) tlsrpt.Session {
	return tlsrpt.Session{Policy: tlsrpt.Policy{Type: tlsrpt.STS, Domain: d, Text: []string{"version: STSv1"}}, Failure: tlsrpt.Failure{Result: result, Host: "mx." + string(d)}}
}

// TestReport: what happened on a day, before a restart and after it, is told the
// next day, once, to those who want to know.
func TestReport(t *testing.T) {
	b := newBed(t)
	today := start(20000).Add(12 * time.Hour)
	for range 2 {
		r := New(b.o)
		r.observe(session("a.test", ""), today)
		r.observe(session("a.test", tlsrpt.Expired), today)
		r.observe(session("b.test", tlsrpt.NoSTARTTLS), today)
		r.observe(session("c.test", tlsrpt.NoSTARTTLS), today)
		b.must(r.Flush(t.Context()))
		r.observe(session("c.test", ""), today) // known to want none
		if len(r.pending) != 0 {
			t.Errorf("%d summaries wait", len(r.pending))
		}
	}
	if n := b.rows(); n != 2 {
		t.Errorf("%d rows", n)
	}
	r := New(b.o)
	b.must(r.Send(t.Context(), today))
	if len(b.posted) != 0 || len(b.waiting()) != 0 {
		t.Error("sent on the same day")
	}
	for _, d := range []mail.Domain{"a.test", "b.test"} {
		due := r.due(letterKey{20000, d})
		if due.Before(start(20001)) || !due.Before(start(20001).Add(spread)) {
			t.Errorf("%s: due at %v", d, due)
		}
	}
	b.must(r.Send(t.Context(), start(20001)))
	if len(b.posted) != 0 || len(b.waiting()) != 0 {
		t.Error("all sent at midnight")
	}
	b.fail = errors.New("503")
	tomorrow := start(20001).Add(spread)
	b.must(r.Send(t.Context(), tomorrow))
	letters := b.waiting()
	if len(letters) != 1 || len(b.posted) != 1 || b.rows() != 1 {
		t.Fatalf("%d letters, %d posts, %d rows", len(letters), len(b.posted), b.rows())
	}
	for _, want := range []string{
		"<> tls@a.test true\r\n", "\nTLS-Report-Domain: a.test\r\n", "\nTLS-Report-Submitter: mx.me.test\r\n", "multipart/report; report-type=tlsrpt",
		"Report Domain: a.test Submitter: mx.me.test", "application/tlsrpt+gzip", "mx.me.test!a.test!1728000000!1728086399.json.gz", "TLS-Required: No",
	} {
		if !strings.Contains(letters[0], want) {
			t.Errorf("no %q in\n%s", want, letters[0])
		}
	}
	body := letters[0][strings.LastIndex(letters[0], "base64\r\n\r\n")+10:]
	body, _, _ = strings.Cut(body, "\r\n--")
	packed, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", ""))
	b.must(err)
	rep, err := tlsrpt.Parse([]byte(unpack(t, packed)))
	if err != nil || rep.Policies[0].Successful != 2 || rep.Policies[0].Failed != 2 || rep.Policies[0].Failures[0].Sessions != 2 || rep.Organization != "mx.me.test" {
		t.Errorf("%+v, %v", rep, err)
	}
	b.must(r.Send(t.Context(), tomorrow.Add(time.Minute)))
	if len(b.posted) != 1 {
		t.Error("tried again at once")
	}
	b.fail = nil
	b.must(r.Send(t.Context(), tomorrow.Add(2*time.Hour)))
	if len(b.posted) != 2 || b.rows() != 0 || len(b.waiting()) != 1 || !strings.HasPrefix(b.posted[1], "https://b.test/v1 application/tlsrpt+gzip {") {
		t.Errorf("%d rows, %q", b.rows(), b.posted)
	}
}

// TestGiveUp: a report that nobody takes is not kept for ever.
func TestGiveUp(t *testing.T) {
	b := newBed(t)
	b.fail = errors.New("503")
	r := New(b.o)
	r.observe(session("b.test", ""), start(20000))
	b.must(r.Flush(t.Context()))
	b.must(r.Send(t.Context(), start(20001).Add(spread)))
	b.must(r.Send(t.Context(), start(20001).Add(giveUpAfter+spread)))
	if n := b.rows(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// TestLarge: a policy of any size fits a row.
func TestLarge(t *testing.T) {
	s := tlsrpt.Summary{Policy: tlsrpt.Policy{Domain: "a.test", Text: []string{strings.Repeat("x", 100_000)}}}
	for i := range 100 {
		s.Add(tlsrpt.Failure{Result: tlsrpt.Validation, Reason: strings.Repeat("y", 1000) + fmt.Sprint(i)}, 1)
	}
	b, err := encode(s)
	if err != nil || len(b) > kv.MaxValue {
		t.Errorf("%d octets, %v", len(b), err)
	}
	if again, err := decode(b); err != nil || again.Failed != 100 {
		t.Errorf("%+v, %v", again, err)
	}
}
