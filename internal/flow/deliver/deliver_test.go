package deliver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// house is the rooms that deliver works with, over a store in memory.
type house struct {
	t         *testing.T
	db        kv.DB
	blobs     *blob.Store
	directory *directory.Store
	mailbox   *mailbox.Store
	queue     *queue.Store
	deliver   *deliver.Deliverer
	warned    warnings
}

// warnings keeps the steps of quotas that were reached, in percent.
type warnings []int

func (w *warnings) Emit(_ context.Context, e event.Event) {
	if q, ok := e.(event.QuotaReached); ok {
		*w = append(*w, q.Percent)
	}
}

func open(t *testing.T) *house {
	t.Helper()
	db := memkv.New(memkv.Options{Rerun: true, Seed: 1})
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = blobs.Close(), db.Close() })
	h := &house{t: t, db: db, blobs: blobs, directory: directory.New(db), queue: queue.New(db, blobs)}
	h.mailbox = mailbox.New(mailbox.Options{DB: db, Blobs: blobs})
	h.deliver = deliver.New(deliver.Options{
		DB: db, Blobs: blobs, Mailbox: h.mailbox, Queue: h.queue, Directory: h.directory, Sink: &h.warned, Hostname: "mx.example.test",
	})
	h.must(h.directory.AddDomain(t.Context(), "example.test"))
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) account(addr string, quota int64) mail.AccountID {
	h.t.Helper()
	a, err := h.directory.AddAccount(h.t.Context(), address(h.t, addr), directory.Credentials{}, quota)
	h.must(err)
	return a.ID
}

func address(t *testing.T, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h *house) arrival(to ...string) *mail.Arrival {
	a := &mail.Arrival{
		ID: mail.NewArrivalID(), At: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC),
		Peer:     mail.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:4321"), Helo: "client.test", ESMTP: true},
		Envelope: mail.Envelope{From: address(h.t, "sender@elsewhere.test")},
	}
	for _, r := range to {
		a.Envelope.To = append(a.Envelope.To, mail.Recipient{Address: address(h.t, r)})
	}
	return a
}

const letter = "From: sender@elsewhere.test\r\nSubject: hello\r\n\r\nbody\r\n"

func (h *house) put(content string) blob.Handle {
	h.t.Helper()
	b, err := h.blobs.Put(h.t.Context(), []byte(content))
	h.must(err)
	return b
}

// send delivers a letter and gives the replies' codes.
func (h *house) send(a *mail.Arrival) []int {
	h.t.Helper()
	replies, err := h.deliver.Deliver(h.t.Context(), a, h.put(letter))
	h.must(err)
	var codes []int
	for _, r := range replies {
		codes = append(codes, r.Code)
	}
	return codes
}

// inbox gives the bytes of every message in a mailbox of an account.
func (h *house) inbox(id mail.AccountID, name string) []string {
	h.t.Helper()
	var found []mailbox.Message
	h.must(h.mailbox.View(h.t.Context(), id, func(tx *mailbox.Tx) error {
		found = nil
		box, err := tx.BoxByName(name)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for p, err := range tx.Placements(box.ID, 1, 1<<32-1) {
			if err != nil {
				return err
			}
			m, err := tx.Message(p.Message)
			if err != nil {
				return err
			}
			found = append(found, m)
		}
		return nil
	}))
	var texts []string
	for _, m := range found {
		c, err := h.mailbox.OpenMessage(h.t.Context(), id, m)
		h.must(err)
		b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		h.must(err)
		h.must(c.Close())
		texts = append(texts, string(b))
	}
	return texts
}

func (h *house) queued() []string {
	h.t.Helper()
	var to []string
	for e, err := range h.queue.List(h.t.Context(), queue.Filter{}) {
		h.must(err)
		to = append(to, e.Delivery.To.String())
	}
	return to
}

func TestDeliverLocal(t *testing.T) {
	h := open(t)
	alice := h.account("alice@example.test", 0)
	a := h.arrival("alice@example.test")
	if got := h.send(a); got[0] != 250 {
		t.Fatal(got)
	}
	want := "Return-Path: <sender@elsewhere.test>\r\nDelivered-To: alice@example.test\r\n" +
		"Received: from client.test ([192.0.2.7])\r\n\tby mx.example.test with ESMTP id " + a.ID.String() +
		"\r\n\tfor <alice@example.test>;\r\n\tWed, 01 Jul 2026 12:00:00 +0000\r\n" + letter
	got := h.inbox(alice, "INBOX")
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestDeliverOnceAnAccount(t *testing.T) {
	h := open(t)
	alice := h.account("alice@example.test", 0)
	h.must(h.directory.AddAlias(t.Context(), address(t, "team@example.test"), []mail.Address{
		address(t, "alice@example.test"), address(t, "ally@other.test"),
	}))
	codes := h.send(h.arrival("alice@example.test", "alice+shop@example.test", "team@example.test", "nobody@example.test"))
	if fmt.Sprint(codes) != "[250 250 250 250]" {
		t.Errorf("replies %v", codes)
	}
	if got := h.inbox(alice, "INBOX"); len(got) != 1 {
		t.Errorf("%d copies", len(got))
	}
	// The one that went away waits, so that its sender is told.
	if got := h.queued(); fmt.Sprint(got) != "[ally@other.test nobody@example.test]" {
		t.Errorf("queued %v", got)
	}
}

func TestDeliverLMTP(t *testing.T) {
	h := open(t)
	h.account("alice@example.test", 0)
	a := h.arrival("nobody@example.test", "alice@example.test")
	a.Peer.LMTP = true
	if codes := h.send(a); fmt.Sprint(codes) != "[550 250]" {
		t.Errorf("replies %v", codes)
	}
}

func TestNobodyLeft(t *testing.T) {
	h := open(t)
	if codes := h.send(h.arrival("nobody@example.test")); fmt.Sprint(codes) != "[550]" {
		t.Errorf("replies %v", codes)
	}
	if got := h.queued(); len(got) != 0 {
		t.Errorf("queued %v", got)
	}
}

// TestCommitTwice repeats a commit, as a caller does that cannot know whether
// the first one held.
func TestCommitTwice(t *testing.T) {
	h := open(t)
	alice := h.account("alice@example.test", 0)
	p, err := h.deliver.Prepare(t.Context(), h.arrival("alice@example.test"), h.put(letter))
	h.must(err)
	for range 2 {
		h.must(h.db.Update(t.Context(), p.Shards(), p.Commit))
	}
	if got := h.inbox(alice, "INBOX"); len(got) != 1 {
		t.Errorf("%d copies", len(got))
	}
}

func TestDeliverJunk(t *testing.T) {
	h := open(t)
	alice := h.account("alice@example.test", 0)
	a := h.arrival("alice@example.test")
	a.Junk = true
	h.send(a)
	if in, junk := h.inbox(alice, "INBOX"), h.inbox(alice, "Junk"); len(in) != 0 || len(junk) != 1 {
		t.Errorf("%d in the inbox, %d in Junk", len(in), len(junk))
	}
}

// TestLongList has more accounts behind one address than a commit takes: the
// rest wait in the queue, each once.
func TestLongList(t *testing.T) {
	h := open(t)
	var members []mail.Address
	var ids []mail.AccountID
	for i := range deliver.MaxAccounts + 5 {
		name := fmt.Sprintf("user%d@example.test", i)
		ids = append(ids, h.account(name, 0))
		members = append(members, address(t, name))
	}
	h.must(h.directory.AddAlias(t.Context(), address(t, "all@example.test"), members))
	if got := h.send(h.arrival("all@example.test")); got[0] != 250 {
		t.Fatal(got)
	}
	laid := 0
	for _, id := range ids {
		laid += len(h.inbox(id, "INBOX"))
	}
	if queued := len(h.queued()); laid != deliver.MaxAccounts || queued != 5 {
		t.Errorf("%d laid down, %d queued", laid, queued)
	}
}

func TestAccepts(t *testing.T) {
	h := open(t)
	h.account("alice@example.test", int64(len(letter)))
	h.account("bob@example.test", 0)
	for addr, want := range map[string]fault.Kind{"nobody@example.test": fault.NotFound, "x@other.test": fault.Denied} {
		if err := h.deliver.Accepts(t.Context(), address(t, addr)); !fault.Is(err, want) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	h.must(h.deliver.Accepts(t.Context(), address(t, "alice@example.test")))
	h.send(h.arrival("alice@example.test"))
	if err := h.deliver.Accepts(t.Context(), address(t, "alice@example.test")); !fault.Is(err, fault.OverQuota) {
		t.Errorf("a full mailbox: %v", err)
	}
	h.must(h.deliver.Accepts(t.Context(), address(t, "bob@example.test")))
	h.must(h.deliver.Accepts(t.Context(), mail.Address{Local: "postmaster"}))
}

// A message that brings an account near its quota is told of, once a step.
func TestQuotaReached(t *testing.T) {
	h := open(t)
	h.account("alice@example.test", 0)
	h.must(h.directory.UpdateAccount(t.Context(), address(t, "alice@example.test"), func(a *directory.Account) error { a.MaxMessages = 10; return nil }))
	for range 10 {
		h.must(h.deliver.Accepts(t.Context(), address(t, "alice@example.test")))
		h.send(h.arrival("alice@example.test"))
	}
	if !slices.Equal(h.warned, warnings{80, 90, 100}) {
		t.Errorf("warned at %v", h.warned)
	}
	if err := h.deliver.Accepts(t.Context(), address(t, "alice@example.test")); !fault.Is(err, fault.OverQuota) {
		t.Errorf("a full mailbox: %v", err)
	}
}

func TestHistoryIsWritten(t *testing.T) {
	h := open(t)
	h.account("alice@example.test", 0)
	a := h.arrival("alice@example.test", "x@other.test")
	h.must(h.directory.AddAlias(t.Context(), address(t, "x@example.test"), []mail.Address{address(t, "x@other.test")}))
	h.send(a)
	entries, err := history.New(h.db).ByArrival(context.Background(), a.ID)
	h.must(err)
	var what []string
	for _, e := range entries {
		what = append(what, e.What)
	}
	if strings.Join(what, " ") != "accepted delivered queued" {
		t.Errorf("history %v", what)
	}
}

// TestLargeContent has a body that lies in a segment, not in a row.
func TestLargeContent(t *testing.T) {
	h := open(t)
	alice := h.account("alice@example.test", 0)
	content := letter + strings.Repeat("0123456789 and more\r\n", 100_000)
	_, err := h.deliver.Deliver(t.Context(), h.arrival("alice@example.test"), h.put(content))
	h.must(err)
	got := h.inbox(alice, "INBOX")
	if len(got) != 1 || !bytes.HasSuffix([]byte(got[0]), []byte(content)) {
		t.Error("the body came out differently")
	}
}
