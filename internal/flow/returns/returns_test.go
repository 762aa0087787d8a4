package returns_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/receive"
	"github.com/ekiden-mail/ekiden/internal/flow/returns"
	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/suppress"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// house is a server in memory with ours.test: ann has an account, away leads out.
type house struct {
	*testing.T
	db       kv.DB
	dir      *directory.Store
	hist     *history.Store
	queue    *queue.Store
	boxes    *mailbox.Store
	suppress *suppress.Store
	returns  *returns.Returns
	receive  *receive.Receiver
	submit   *submit.Submitter
	ann      mail.AccountID
}

func open(t *testing.T, set directory.Reports) *house {
	db := memkv.New(memkv.Options{Rerun: true, Seed: 1})
	blobs, err := blob.Open(blob.Options{DB: db})
	h := &house{T: t, db: db, dir: directory.New(db), hist: history.New(db), queue: queue.New(db, blobs), suppress: suppress.New(db)}
	h.must(err)
	t.Cleanup(func() { _, _ = blobs.Close(), db.Close() })
	h.boxes = mailbox.New(mailbox.Options{DB: db, Blobs: blobs})
	ctx := t.Context()
	h.must(h.dir.AddDomain(ctx, "ours.test"))
	a, err := h.dir.AddAccount(ctx, address("ann@ours.test"), directory.Credentials{}, 0)
	h.must(err)
	h.ann = a.ID
	h.must(h.dir.AddAlias(ctx, address("away@ours.test"), []mail.Address{address("ann@far.test")}))
	h.must(h.dir.UpdateDomain(ctx, "ours.test", func(d *directory.Domain) error { d.Settings.Reports = set; return nil }))
	h.returns = returns.New(returns.Options{
		DB: db, Blobs: blobs, Directory: h.dir, History: h.hist, Suppress: h.suppress, Sink: event.Discard{}, Hostname: "mx.ours.test",
	})
	d := deliver.New(deliver.Options{
		DB: db, Blobs: blobs, Mailbox: h.boxes, Queue: h.queue, Directory: h.dir, Sink: event.Discard{}, Hostname: "mx.ours.test", Paths: h.returns,
	})
	h.receive = receive.New(receive.Options{Deliver: d, Blobs: blobs, Reports: h.returns.Take})
	h.submit = submit.New(submit.Options{Deliver: d, Blobs: blobs, Directory: h.dir, Hostname: "mx.ours.test", Suppressed: h.returns.Suppressed})
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func address(s string) mail.Address {
	if s == "" {
		return mail.Address{}
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// stranger sends a message in and gives the first reply that refuses, or the last.
func (h *house) stranger(from, to, content string) (mail.ArrivalID, smtp.Reply) {
	h.Helper()
	peer := &mail.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:4321"), Ref: mail.NewArrivalID(), Helo: "peer.test", ESMTP: true}
	t, reply := h.receive.Begin(h.Context(), peer, address(from), smtp.MailOptions{})
	if t == nil {
		return peer.Ref, reply
	}
	if reply = t.Rcpt(h.Context(), address(to), smtp.RcptOptions{}); !reply.OK() {
		return peer.Ref, reply
	}
	return peer.Ref, t.Data(h.Context(), strings.NewReader(content))[0]
}

// send sends a message of ann's.
func (h *house) send(to string) (mail.ArrivalID, smtp.Reply) {
	h.Helper()
	peer := &mail.Peer{Addr: netip.MustParseAddrPort("192.0.2.9:4321"), Account: h.ann, User: address("ann@ours.test"), Ref: mail.NewArrivalID()}
	t, reply := h.submit.Begin(h.Context(), peer, address("ann@ours.test"), smtp.MailOptions{})
	if t == nil {
		return peer.Ref, reply
	}
	if reply = t.Rcpt(h.Context(), address(to), smtp.RcptOptions{}); !reply.OK() {
		return peer.Ref, reply
	}
	return peer.Ref, t.Data(h.Context(), strings.NewReader("From: ann@ours.test\r\nSubject: hi\r\n\r\nhi\r\n"))[0]
}

// waits gives the only delivery that waits of a message.
func (h *house) waits(id mail.ArrivalID) (queue.Message, queue.Delivery) {
	h.Helper()
	m, ds, err := h.queue.Load(h.Context(), id, []uint32{0})
	if err != nil || len(ds) != 1 {
		h.Fatalf("%v, %v", ds, err)
	}
	return m, ds[0]
}

// returned is what the history of a message has of reports.
func (h *house) returned(id mail.ArrivalID) (all []string) {
	h.Helper()
	entries, err := h.hist.ByArrival(h.Context(), id)
	h.must(err)
	for _, e := range entries {
		if e.What == history.Returned {
			all = append(all, fmt.Sprintf("%s %s %s %s", e.To, e.Action, e.Reason, e.Host))
		}
	}
	return all
}

func (h *house) inbox() (n uint32) {
	h.Helper()
	h.must(h.boxes.View(h.Context(), h.ann, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName("INBOX")
		n = box.Messages
		return err
	}))
	return n
}

// failure is a report as Postfix writes it. header is of the message.
func failure(of, status, words, header string) string {
	return "From: MAILER-DAEMON@far.test\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n" +
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.far.test\r\n\r\nFinal-Recipient: rfc822; " + of +
		"\r\nAction: failed\r\nStatus: " + status + "\r\nDiagnostic-Code: smtp; " + words + "\r\n" +
		"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n" + header + "\r\n--b--\r\n"
}

const plain = "From: bob@near.test\r\nSubject: hi\r\n\r\nhi\r\n"

// TestForward: what an alias sends on has a path of ours, from which reports
// find their way back to who sent it; nobody else gets anything through it.
func TestForward(t *testing.T) {
	for _, from := range []string{"bob@near.test", strings.Repeat("b", 60) + "@near.test", `"b o b"@near.test`} {
		h := open(t, directory.Reports{})
		id, reply := h.stranger(from, "away@ours.test", plain)
		if !reply.OK() {
			t.Fatal(reply)
		}
		m, d := h.waits(id)
		path := m.ReversePath()
		if d.To != address("ann@far.test") || m.From != address(from) || path.Domain != "ours.test" || path == m.From || len(path.Local) > mail.MaxLocalPart {
			t.Fatalf("%s to %s goes out as %s", m.From, d.To, path)
		}
		if _, reply := h.stranger("spammer@x.test", path.String(), plain); reply.Code != 550 || !strings.Contains(reply.String(), "only reports") {
			t.Errorf("a letter to a return path: %s", reply)
		}
		forged := path
		forged.Local = strings.Replace(path.Local, path.Local[8:12], "aaaa", 1)
		if _, reply := h.stranger("", forged.String(), plain); reply.Code != 550 {
			t.Errorf("a forged path: %s", reply)
		}
		back, reply := h.stranger("", path.String(), failure("ann@far.test", "5.1.1", "550 5.1.1 no such user", "Received: from x by mx.ours.test with ESMTP id "+id.String()+";\r\n\tnow\r\n"))
		if !reply.OK() {
			t.Fatal(reply)
		}
		m, d = h.waits(back)
		if d.To != address(from) || !m.From.IsNull() || !m.ReversePath().IsNull() {
			t.Errorf("the report goes to %s from <%s>", d.To, m.ReversePath())
		}
		if got := h.returned(id); fmt.Sprint(got) != "[ann@far.test failed unknown-user mx.far.test]" {
			t.Errorf("%s: history %v", from, got)
		}
	}
}

// TestStays: what is ours, and what nobody sends on, goes out as it came.
func TestStays(t *testing.T) {
	h := open(t, directory.Reports{})
	id, _ := h.send("bob@far.test")
	if m, _ := h.waits(id); !m.Path.IsNull() {
		t.Errorf("ann's letter goes out as %s", m.Path)
	}
	id, reply := h.stranger("", "away@ours.test", plain)
	if m, _ := h.waits(id); !reply.OK() || !m.ReversePath().IsNull() {
		t.Errorf("null becomes %s", m.ReversePath())
	}
}

// TestSigned: a domain that asks for it hears from its suppression list, and so
// does a sender who writes to somebody on it.
func TestSigned(t *testing.T) {
	h := open(t, directory.Reports{Suppress: true})
	id, reply := h.send("bob@far.test")
	m, _ := h.waits(id)
	if !reply.OK() || !strings.HasPrefix(m.Path.Local, "bounce+") || m.Path.Domain != "ours.test" || m.From != address("ann@ours.test") {
		t.Fatalf("%s, %s", m.Path, reply)
	}
	if _, reply := h.stranger("", m.Path.String(), failure("bob@far.test", "4.2.2", "452 4.2.2 full", "")); !reply.OK() || h.inbox() != 1 {
		t.Errorf("%s, %d in the inbox", reply, h.inbox())
	}
	if _, reply := h.send("bob@far.test"); !reply.OK() {
		t.Errorf("a full mailbox is no reason: %s", reply)
	}
	if _, reply := h.stranger("bob@far.test", m.Path.String(), "Auto-Submitted: auto-replied\r\n\r\nI am away.\r\n"); !reply.OK() || h.inbox() != 2 {
		t.Errorf("an automatic answer: %s, %d in the inbox", reply, h.inbox())
	}
	// The report names the address behind bob's alias.
	if _, reply := h.stranger("", m.Path.String(), failure("robert@inner.far.test", "5.1.1", "550 5.1.1 no such user", "")); !reply.OK() {
		t.Error(reply)
	}
	if got := fmt.Sprint(h.returned(id)); got != "[bob@far.test failed mailbox-full mx.far.test bob@far.test failed unknown-user mx.far.test]" {
		t.Error(got)
	}
	_, reply = h.send("Bob@far.test")
	if reply.Code != 550 || !strings.Contains(reply.String(), "suppression list of ours.test") || !strings.Contains(reply.String(), "no such user") {
		t.Errorf("%s", reply)
	}
	if e, ok, err := h.suppress.Find(t.Context(), "ours.test", address("bob@far.test"), time.Now()); err != nil || !ok || e.Reason != bounce.UnknownUser || e.Message != id {
		t.Errorf("%+v, %v, %v", e, ok, err)
	}
	h.returns.Bounced(t.Context(), id, address("ann@ours.test"), address("carl@far.test"), "550 5.1.1 unknown")
	h.returns.Bounced(t.Context(), id, address("ann@ours.test"), address("dora@far.test"), "550 5.7.1 spam")
	if all, err := h.suppress.List(t.Context(), "ours.test", suppress.Entry{}, time.Now(), 10); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestUnsigned: a report to an ordinary sender is matched by our Received field,
// and told, but nobody is suppressed for it; it must have come to the sender.
func TestUnsigned(t *testing.T) {
	h := open(t, directory.Reports{})
	id, _ := h.send("bob@far.test")
	trace := "Received: from x by elsewhere.test id 00000000000000000000000000000001\r\nReceived: from y by mx.ours.test\r\n\twith ESMTPSA id " + id.String() + "\r\n\tfor <bob@far.test>; now\r\n"
	if _, reply := h.stranger("", "ann@ours.test", failure("bob@far.test", "5.1.1", "550 5.1.1 no such user", trace)); !reply.OK() {
		t.Fatal(reply)
	}
	qmail := "Subject: failure notice\r\n\r\nHi. This is the qmail-send program at far.test.\r\nI'm afraid I wasn't able to deliver your message to the following addresses.\r\n\r\n" +
		"<bob@far.test>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n--- Below this line is a copy of the message.\r\n\r\n" + trace + "\r\nhi\r\n"
	if _, reply := h.stranger("", "ann@ours.test", qmail); !reply.OK() {
		t.Fatal(reply)
	}
	if got := h.returned(id); len(got) != 2 || got[1] != "bob@far.test failed unknown-user " {
		t.Errorf("%q", got)
	}
	if h.inbox() != 2 {
		t.Errorf("%d reports in the inbox", h.inbox())
	}
	h.must(h.dir.UpdateDomain(t.Context(), "ours.test", func(d *directory.Domain) error { d.Settings.Reports.Suppress = true; return nil }))
	if _, reply := h.stranger("", "postmaster@ours.test", failure("bob@far.test", "5.1.1", "550 5.1.1 no such user", trace)); !reply.OK() || len(h.returned(id)) != 2 {
		t.Errorf("%s; a report to somebody else counts: %v", reply, h.returned(id))
	}
	if _, reply := h.stranger("", "ann@ours.test", failure("bob@far.test", "5.1.1", "550 5.1.1 no such user", trace)); !reply.OK() || len(h.returned(id)) != 3 {
		t.Errorf("%s, %v", reply, h.returned(id))
	}
	if _, reply := h.send("bob@far.test"); !reply.OK() {
		t.Errorf("a report that anybody could have written: %s", reply)
	}
}

// TestOnly: a report that brings nothing back belongs to the only message that
// it can mean, and to none where there are two.
func TestOnly(t *testing.T) {
	h := open(t, directory.Reports{})
	bare := "Subject: Delivery failure\r\n\r\nYour message could not be delivered.\r\n\r\n<bob@far.test>: 550 5.2.1 mailbox disabled\r\n"
	sent := func() mail.ArrivalID {
		id, _ := h.send("bob@far.test")
		h.must(h.db.Update(t.Context(), []kv.Shard{kv.PartitionShard(id)}, func(tx kv.Tx) error {
			history.Write(tx, id, history.Entry{At: time.Now(), What: history.Relayed, From: address("ann@ours.test"), To: address("bob@far.test")})
			return nil
		}))
		return id
	}
	one := sent()
	h.stranger("", "postmaster@ours.test", bare)
	if got := h.returned(one); len(got) != 0 {
		t.Errorf("a report to somebody else: %v", got)
	}
	h.stranger("", "ann@ours.test", bare)
	if got := fmt.Sprint(h.returned(one)); got != "[bob@far.test failed mailbox-disabled ]" {
		t.Error(got)
	}
	two := sent()
	h.stranger("", "ann@ours.test", bare)
	if len(h.returned(one)) != 1 || len(h.returned(two)) != 0 {
		t.Errorf("%v, %v", h.returned(one), h.returned(two))
	}
}

// TestComplaint: who calls a message spam is not written to again, where the
// complaint brings the path that we signed.
func TestComplaint(t *testing.T) {
	h := open(t, directory.Reports{Suppress: true})
	id, _ := h.send("bob@far.test")
	m, _ := h.waits(id)
	arf := "From: fbl@far.test\r\nSubject: FW: hi\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n" +
		"--b\r\n\r\nThis is a complaint.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: FBL/1\r\nVersion: 1\r\n" +
		"Original-Mail-From: <" + m.Path.String() + ">\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: hi\r\n\r\nhi\r\n--b--\r\n"
	if _, reply := h.stranger("fbl@far.test", "abuse@ours.test", arf); !reply.OK() {
		t.Fatal(reply)
	}
	if got := fmt.Sprint(h.returned(id)); got != "[bob@far.test complaint complaint ]" {
		t.Error(got)
	}
	if _, reply := h.send("bob@far.test"); reply.Code != 550 || !strings.Contains(reply.String(), ": complaint") {
		t.Errorf("%s", reply)
	}
}
