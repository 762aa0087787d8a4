package submit_test

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/sending"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

type house struct {
	submit *submit.Submitter
	dir    *directory.Store
	queue  *queue.Store
	blobs  *blob.Store
	alice  mail.Peer
}

func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// open makes a house with alice, her alias, and bob.
func open(t *testing.T) *house { return openWith(t, submit.Options{}) }

// openWith makes it with options of submit besides.
func openWith(t *testing.T, o submit.Options) *house {
	t.Helper()
	db := memkv.New(memkv.Options{})
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = blobs.Close(), db.Close() })
	dir, q := directory.New(db), queue.New(db, blobs)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(dir.AddDomain(t.Context(), "example.test"))
	alice, err := dir.AddAccount(t.Context(), address("alice@example.test"), directory.Credentials{}, 0)
	must(err)
	_, err = dir.AddAccount(t.Context(), address("bob@example.test"), directory.Credentials{}, 0)
	must(err)
	must(dir.AddAlias(t.Context(), address("sales@example.test"), []mail.Address{alice.Address}))
	d := deliver.New(deliver.Options{
		DB: db, Blobs: blobs, Mailbox: mailbox.New(mailbox.Options{DB: db, Blobs: blobs}), Queue: q, Directory: dir,
		Sink: event.Discard{}, Hostname: "mx.example.test",
	})
	o.Deliver, o.Blobs, o.Directory, o.Hostname, o.Book = d, blobs, dir, "mx.example.test", sending.New(db)
	return &house{
		submit: submit.New(o), dir: dir,
		queue: q, blobs: blobs, alice: mail.Peer{Account: alice.ID, User: alice.Address, Helo: "laptop", ESMTP: true},
	}
}

// send submits content as alice to x@other.test and gives the reply and what
// waits in the queue.
func (h *house) send(t *testing.T, from, content string) (smtp.Reply, string) {
	t.Helper()
	tx, reply := h.submit.Begin(t.Context(), &h.alice, address(from), smtp.MailOptions{})
	if tx == nil {
		return reply, ""
	}
	if r := tx.Rcpt(t.Context(), address("x@other.test"), smtp.RcptOptions{}); !r.OK() {
		return r, ""
	}
	// One octet a read is the worst a connection can do.
	replies := tx.Data(t.Context(), iotest.OneByteReader(strings.NewReader(content)))
	for e, err := range h.queue.List(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		r, err := h.blobs.Open(t.Context(), e.Message.Blob)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return replies[0], string(e.Message.Prefix) + string(b)
	}
	return replies[0], ""
}

func TestWhoMaySendAs(t *testing.T) {
	whole := func(from string) string { return "From: " + from + "\r\nDate: x\r\n\r\nhi\r\n" }
	cases := []struct {
		envelope, header string
		code             int
	}{
		{"alice@example.test", "alice@example.test", 250},
		{"alice@example.test", "Alice <ALICE@Example.TEST>", 250},
		{"alice+list@example.test", "sales@example.test", 250},
		{"bob@example.test", "alice@example.test", 550},
		{"alice@example.test", "bob@example.test", 550},
		{"alice@example.test", "alice@example.test, bob@example.test", 550},
		{"alice@example.test", "x@other.test", 550},
		{"alice@example.test", "nonsense", 550},
	}
	for _, c := range cases {
		if r, _ := open(t).send(t, c.envelope, whole(c.header)); r.Code != c.code {
			t.Errorf("%s as %s: %s", c.envelope, c.header, r)
		}
	}
	for _, header := range []string{"From: \r\n", "From: undisclosed:;\r\n"} {
		if r, _ := open(t).send(t, "alice@example.test", header+"\r\nhi\r\n"); r.Code != 550 {
			t.Errorf("%q: %s", header, r)
		}
	}
}

// TestNoFrom is for scripts that know no better.
func TestNoFrom(t *testing.T) {
	r, out := open(t).send(t, "alice+cron@example.test", "Subject: done\r\n\r\nhi\r\n")
	if !r.OK() || !strings.Contains(out, "\r\nFrom: alice+cron@example.test\r\n") {
		t.Errorf("%s, %q", r, out)
	}
}

func TestStrangersMayNotSubmit(t *testing.T) {
	h := open(t)
	h.alice.Account = 0
	if r, _ := h.send(t, "alice@example.test", ""); r.Code != 530 {
		t.Errorf("got %s", r)
	}
}

func TestRepair(t *testing.T) {
	const in = "Subject: a\r\nBcc: secret@other.test,\r\n more@other.test\r\nFrom: alice@example.test\r\nbcc: x@y.test\r\n\r\nBcc: stays in the body\r\n"
	r, out := open(t).send(t, "alice@example.test", in)
	if !r.OK() {
		t.Fatal(r)
	}
	head, body, _ := strings.Cut(out, "\r\n\r\n")
	if body != "Bcc: stays in the body\r\n" {
		t.Errorf("body %q", body)
	}
	if strings.Contains(strings.ToLower(head), "bcc") || strings.Contains(head, "more@") {
		t.Errorf("blind copies are seen: %q", head)
	}
	for _, f := range []string{"Received: ", "Date: ", "Message-ID: <"} {
		if strings.Count("\r\n"+head, "\r\n"+f) != 1 {
			t.Errorf("want one %q in %q", f, head)
		}
	}
}

func TestNothingToRepair(t *testing.T) {
	const in = "From: alice@example.test\r\nDate: Wed, 01 Jul 2026 12:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n\r\nhi\r\n"
	_, out := open(t).send(t, "alice@example.test", in)
	if !strings.HasPrefix(out, "Received: ") || !strings.HasSuffix(out, "\r\n"+in) || strings.Count(out, "Date:") != 1 {
		t.Errorf("got %q", out)
	}
}

func TestHeaderTooLong(t *testing.T) {
	r, out := open(t).send(t, "alice@example.test", "From: alice@example.test\r\n"+strings.Repeat("X-A: "+strings.Repeat("b", 900)+"\r\n", 1200)+"\r\n")
	if r.Code != 552 || out != "" {
		t.Errorf("got %s, %d octets kept", r, len(out))
	}
}
