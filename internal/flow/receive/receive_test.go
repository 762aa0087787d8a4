package receive_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/receive"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// open gives a receiver with alice, and a count of what lies in her account.
func open(t *testing.T) (*receive.Receiver, func() uint32) {
	t.Helper()
	db := memkv.New(memkv.Options{})
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = blobs.Close(), db.Close() })
	dir := directory.New(db)
	if err := dir.AddDomain(t.Context(), "example.test"); err != nil {
		t.Fatal(err)
	}
	alice, err := dir.AddAccount(t.Context(), mail.Address{Local: "alice", Domain: "example.test"}, directory.Credentials{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	boxes := mailbox.New(mailbox.Options{DB: db, Blobs: blobs})
	if err := boxes.Update(t.Context(), alice.ID, alice.ID, func(tx *mailbox.Tx) error { return tx.Provision() }); err != nil {
		t.Fatal(err)
	}
	d := deliver.New(deliver.Options{
		DB: db, Blobs: blobs, Mailbox: boxes, Queue: queue.New(db, blobs), Directory: dir, Sink: event.Discard{}, Hostname: "mx.example.test",
	})
	count := func() (n uint32) {
		err := boxes.View(t.Context(), alice.ID, func(tx *mailbox.Tx) error {
			box, err := tx.BoxByName("INBOX")
			n = box.Messages
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return receive.New(receive.Options{Deliver: d, Blobs: blobs, NoSoliciting: []string{"net.example:ADV"}}), count
}

func begin(t *testing.T, r *receive.Receiver) *receive.Transaction {
	t.Helper()
	tx, reply := r.Begin(t.Context(), &mail.Peer{}, mail.Address{}, smtp.MailOptions{})
	if tx == nil {
		t.Fatal(reply)
	}
	return tx
}

func TestRcpt(t *testing.T) {
	r, _ := open(t)
	for to, want := range map[mail.Address]string{
		{Local: "alice", Domain: "example.test"}:    "250 2.1.5",
		{Local: "nobody", Domain: "example.test"}:   "550 5.1.1",
		{Local: "alice", Domain: "other.test"}:      "550 5.7.1",
		{Local: "Postmaster"}:                       "250 2.1.5",
		{Local: "abuse", Domain: "example.test"}:    "250 2.1.5",
		{Local: "alice+x", Domain: "example.test"}:  "250 2.1.5",
		{Local: "postmaster", Domain: "other.test"}: "550 5.7.1",
	} {
		if got := begin(t, r).Rcpt(t.Context(), to, smtp.RcptOptions{}); !strings.HasPrefix(got.String(), want) {
			t.Errorf("<%s>: %s, want %s", to, got, want)
		}
	}
}

func TestData(t *testing.T) {
	loop := strings.Repeat("Received: from a by b; date\r\n", receive.MaxReceived+1)
	broken := errors.New("the connection broke")
	cases := []struct {
		name    string
		content io.Reader
		code    int
		kept    uint32
	}{
		{"a letter", strings.NewReader("Subject: x\r\n\r\nhi\r\n"), 250, 1},
		{"nothing at all", strings.NewReader(""), 250, 1},
		{"a loop", strings.NewReader(loop + "\r\nhi\r\n"), 554, 0},
		{"half a letter", io.MultiReader(strings.NewReader("Subject: x\r\n"), failing{broken}), 451, 0},
	}
	for _, c := range cases {
		r, count := open(t)
		tx := begin(t, r)
		tx.Rcpt(t.Context(), mail.Address{Local: "alice", Domain: "example.test"}, smtp.RcptOptions{})
		replies := tx.Data(t.Context(), c.content)
		if len(replies) != 1 || replies[0].Code != c.code {
			t.Errorf("%s: %v", c.name, replies)
		}
		if n := count(); n != c.kept {
			t.Errorf("%s: %d kept", c.name, n)
		}
	}
}

// TestStrangersDemands: a stranger cannot make its mail urgent, and what a server
// in front says counts (RFC 6710 §4.1); solicitation of a class that is not wanted
// is refused by its header too (RFC 3865 §2.3).
func TestStrangersDemands(t *testing.T) {
	r, count := open(t)
	for _, c := range []struct {
		lmtp bool
		want string
	}{{false, "250 2.3.6 0 is the priority that the message is given"}, {true, "250 2.1.0 sender ok"}} {
		_, reply := r.Begin(t.Context(), &mail.Peer{LMTP: c.lmtp}, mail.Address{}, smtp.MailOptions{Prioritized: true, Priority: 4})
		if reply.String() != c.want {
			t.Errorf("LMTP %t: %s", c.lmtp, reply)
		}
	}
	for header, code := range map[string]int{"Solicitation: com.example:NEWS": 250, "Solicitation: com.example:NEWS,Net.example:adv": 550} {
		before := count()
		tx := begin(t, r)
		tx.Rcpt(t.Context(), mail.Address{Local: "alice", Domain: "example.test"}, smtp.RcptOptions{})
		replies := tx.Data(t.Context(), strings.NewReader(header+"\r\n\r\nhi\r\n"))
		if replies[0].Code != code || count() != before+map[int]uint32{250: 1}[code] {
			t.Errorf("%s: %s", header, replies[0])
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
