package submit_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/sending"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// try submits a message from an address and gives the first reply that refuses
// anything, else the last.
func (h *house) try(t *testing.T, p *mail.Peer, from string, to ...string) string {
	t.Helper()
	tx, r := h.submit.Begin(t.Context(), p, address(from), smtp.MailOptions{})
	if tx == nil {
		return "MAIL " + r.String()
	}
	for _, a := range to {
		if r := tx.Rcpt(t.Context(), address(a), smtp.RcptOptions{}); !r.OK() {
			tx.Abort()
			return "RCPT " + r.String()
		}
	}
	r = tx.Data(t.Context(), strings.NewReader("From: "+from+"\r\n\r\nhi\r\n"))[0]
	if r.OK() {
		return "ok"
	}
	return "DATA " + r.String()
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestGrantedSenders(t *testing.T) {
	h := open(t)
	want(t, "another's", h.try(t, &h.alice, "bob@example.test", "x@far.test"), "MAIL 550 5.7.1 alice@example.test may not send as <bob@example.test>")
	if err := h.dir.AddGrant(t.Context(), address("alice@example.test"), address("bob@example.test")); err != nil {
		t.Fatal(err)
	}
	if err := h.dir.AddGrant(t.Context(), address("alice@example.test"), mail.Address{Domain: "lists.test"}); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"bob@example.test", "Bob+x@example.test", "any@lists.test", "alice@example.test", "sales@example.test"} {
		want(t, from, h.try(t, &h.alice, from, "x@far.test"), "ok")
	}
	want(t, "no more than that", h.try(t, &h.alice, "x@sub.lists.test", "x@far.test"), "MAIL 550 5.7.1 alice@example.test may not send as <x@sub.lists.test>")
}

func TestSenderField(t *testing.T) {
	for sender, code := range map[string]int{
		"Sender: alice+x@example.test\r\n": 250, "Sender: bob@example.test\r\n": 550, "Sender: nonsense\r\n": 550, "Sender: \r\n": 250,
	} {
		r, _ := open(t).send(t, "alice@example.test", "From: alice@example.test\r\n"+sender+"\r\nhi\r\n")
		if r.Code != code {
			t.Errorf("%q: %s", sender, r)
		}
	}
}

func TestBounds(t *testing.T) {
	h := openWith(t, submit.Options{Bounds: sending.Bounds{Messages: 2}})
	want(t, "1", h.try(t, &h.alice, "alice@example.test", "x@far.test"), "ok")
	want(t, "2", h.try(t, &h.alice, "alice@example.test", "x@far.test"), "ok")
	want(t, "3", h.try(t, &h.alice, "alice@example.test", "x@far.test"),
		"MAIL 450 4.7.1 alice@example.test may send at most 2 messages within 24 hours; please try again in 24 hours")
	// What is said for the domain goes before what is said for all, and what is
	// said for the account before both.
	set := func(fn func(*directory.Settings)) {
		err := h.dir.UpdateDomain(t.Context(), "example.test", func(d *directory.Domain) error { fn(&d.Settings); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	set(func(s *directory.Settings) { s.Sending = directory.Sending{Messages: -1, New: 1} })
	want(t, "known", h.try(t, &h.alice, "alice@example.test", "X@far.test", "x@FAR.test"), "ok")
	want(t, "one is new already", h.try(t, &h.alice, "alice@example.test", "x@far.test", "y@far.test"),
		"RCPT 450 4.7.1 alice@example.test may send at most 1 new recipients within 24 hours; please try again in 24 hours")
	err := h.dir.UpdateAccount(t.Context(), address("alice@example.test"), func(a *directory.Account) error {
		a.Sending = directory.Sending{New: 3, Recipients: 7}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "two more", h.try(t, &h.alice, "alice@example.test", "y@far.test", "z@far.test"), "ok")
	want(t, "six sent", h.try(t, &h.alice, "alice@example.test", "y@far.test", "z@far.test"),
		"RCPT 450 4.7.1 alice@example.test may send at most 7 recipients within 24 hours; please try again in 24 hours")
	want(t, "seven", h.try(t, &h.alice, "alice@example.test", "y@far.test"), "ok")
}

// recorder keeps the events about accounts.
type recorder struct {
	mu  sync.Mutex
	all []string
}

func (r *recorder) Emit(_ context.Context, e event.Event) {
	if h, ok := e.(event.AccountHeld); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, fmt.Sprintf("%s: %s", h.Address, h.Reason))
	}
}

// states lists what waits.
func (h *house) states(t *testing.T) string {
	t.Helper()
	n := map[queue.State]int{}
	for e, err := range h.queue.List(t.Context(), queue.Filter{Account: h.alice.Account}) {
		if err != nil {
			t.Fatal(err)
		}
		n[e.Delivery.State]++
	}
	return fmt.Sprintf("%d waiting, %d held", n[queue.Waiting], n[queue.Held])
}

// TestStolenAccount: when much of what an account sends is refused, what it
// sends from then on is accepted and held, mail for our own users too.
func TestStolenAccount(t *testing.T) {
	told := &recorder{}
	h := openWith(t, submit.Options{Sink: told})
	for i := range 60 {
		want(t, "before", h.try(t, &h.alice, "alice@example.test", fmt.Sprintf("u%d@far.test", i)), "ok")
		if i < 49 {
			if err := h.submit.Refused(t.Context(), h.alice.Account, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	want(t, "events", fmt.Sprint(told.all), "[]")
	want(t, "queue", h.states(t), "60 waiting, 0 held")
	for range 3 { // it is told once
		if err := h.submit.Refused(t.Context(), h.alice.Account, 1); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "events", fmt.Sprint(told.all), "[alice@example.test: 50 of 60 recipients in 24 hours were refused]")
	want(t, "after", h.try(t, &h.alice, "alice@example.test", "last@far.test", "bob@example.test"), "ok")
	want(t, "queue", h.states(t), "60 waiting, 2 held")
	acct, err := h.dir.Account(t.Context(), address("alice@example.test"))
	if err != nil || acct.Held.IsZero() || acct.HeldFor == "" {
		t.Errorf("%+v, %v", acct, err)
	}
}

// TestNotWatched: with the watch off nothing is held.
func TestNotWatched(t *testing.T) {
	h := openWith(t, submit.Options{NoWatch: true})
	want(t, "before", h.try(t, &h.alice, "alice@example.test", "u@far.test"), "ok")
	if err := h.submit.Refused(t.Context(), h.alice.Account, 1000); err != nil {
		t.Fatal(err)
	}
	want(t, "after", h.try(t, &h.alice, "alice@example.test", "u@far.test"), "ok")
	want(t, "queue", h.states(t), "2 waiting, 0 held")
}

// TestListed: mail without a login is taken from listed networks only, from
// listed senders, and not too much of it. Loopback is not listed by itself.
func TestListed(t *testing.T) {
	h := openWith(t, submit.Options{Networks: []submit.Network{
		{Prefix: netip.MustParsePrefix("192.168.7.0/24"), Senders: submit.Senders{{Domain: "example.test"}, address("scan@printer.test")}, Messages: 3, Recipients: 4},
	}})
	from := func(a string) *mail.Peer { return &mail.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(a), 4711)} }
	for _, a := range []string{"127.0.0.1", "::1", "192.168.8.1", "::ffff:127.0.0.1"} {
		want(t, a, h.try(t, from(a), "alice@example.test", "x@far.test"), "MAIL 530 5.7.0 authentication required")
		if h.submit.Listed(netip.MustParseAddr(a)) {
			t.Errorf("%s is listed", a)
		}
	}
	printer := from("::ffff:192.168.7.9")
	want(t, "ours", h.try(t, printer, "printer@example.test", "x@far.test"), "ok")
	want(t, "listed", h.try(t, printer, "Scan@printer.test", "bob@example.test"), "ok")
	want(t, "not listed", h.try(t, printer, "x@printer.test", "x@far.test"), "MAIL 550 5.7.1 192.168.7.9 may not send as <x@printer.test>")
	want(t, "messages", h.try(t, printer, "scan@printer.test", "x@far.test"), "MAIL 450 4.7.1 too many messages from 192.168.7.9; please try again in 1200 seconds")
	want(t, "another", h.try(t, from("192.168.7.10"), "scan@printer.test", "a@far.test", "b@far.test", "c@far.test", "d@far.test", "e@far.test"),
		"RCPT 450 4.7.1 too many recipients from 192.168.7.10; please try again in 900 seconds")
	tx, _ := h.submit.Begin(t.Context(), from("192.168.7.11"), address("scan@printer.test"), smtp.MailOptions{})
	if r := tx.Rcpt(t.Context(), address("x@far.test"), smtp.RcptOptions{}); !r.OK() {
		t.Fatal(r)
	}
	if r := tx.Data(t.Context(), strings.NewReader("From: boss@other.test\r\n\r\nhi\r\n")); r[0].Code != 550 {
		t.Error(r)
	}
}

// TestHideClient: Received tells the client's address or not, as is set.
func TestHideClient(t *testing.T) {
	for _, server := range []bool{true, false} {
		for _, domain := range []bool{true, false} {
			h := openWith(t, submit.Options{HideClient: server})
			h.alice.Addr = netip.MustParseAddrPort("192.0.2.99:4711")
			err := h.dir.UpdateDomain(t.Context(), "example.test", func(d *directory.Domain) error { d.Settings.HideClient = domain; return nil })
			if err != nil {
				t.Fatal(err)
			}
			_, out := h.send(t, "alice@example.test", "From: alice@example.test\r\n\r\nhi\r\n")
			if hidden := !strings.Contains(out, "192.0.2.99") && !strings.Contains(out, "laptop"); hidden != (server || domain) || !strings.HasPrefix(out, "Received: ") {
				t.Errorf("%v, %v: %q", server, domain, out)
			}
		}
	}
}

// TestOddDots: addresses as telephone companies gave them out are written to,
// and written in fields, as RFC 5322 has them.
func TestOddDots(t *testing.T) {
	h := open(t)
	if _, err := h.dir.AddAccount(t.Context(), address("a..b.@example.test"), directory.Credentials{}, 0); err != nil {
		t.Fatal(err)
	}
	odd, err := h.dir.Account(t.Context(), address(`"A..b."@example.test`))
	if err != nil {
		t.Fatal(err)
	}
	peer := mail.Peer{Account: odd.ID, User: odd.Address}
	want(t, "plain", h.try(t, &peer, "a..b.@example.test", "c..d@docomo.example", "e.@docomo.example"), "ok")
	for _, from := range []string{"a..b.@example.test", `"a..b."@example.test`, `Odd <a..b.@example.test>`} {
		tx, r := h.submit.Begin(t.Context(), &peer, odd.Address, smtp.MailOptions{})
		if tx == nil {
			t.Fatal(r)
		}
		_ = tx.Rcpt(t.Context(), address("x@far.test"), smtp.RcptOptions{})
		if r := tx.Data(t.Context(), strings.NewReader("From: "+from+"\r\n\r\nhi\r\n")); !r[0].OK() {
			t.Errorf("%s: %s", from, r[0])
		}
	}
	h.alice = peer
	h.send(t, "a..b.@example.test", "Subject: no from\r\n\r\nhi\r\n")
	added := 0
	for e := range h.queue.List(t.Context(), queue.Filter{}) {
		added += strings.Count(string(e.Message.Prefix), "\r\nFrom: \"a..b.\"@example.test\r\n")
	}
	if added != 1 {
		t.Errorf("From was added %d times", added)
	}
}

// TestWaiting refuses an account whose mail has piled up, for the time being, and
// no other.
func TestWaiting(t *testing.T) {
	var h *house
	counted := 0
	count := func(ctx context.Context, id mail.AccountID) (queue.Waits, error) {
		counted++
		return h.queue.Waits(ctx, id)
	}
	for what, w := range map[string]*submit.Waits{"20 deliveries waiting": submit.NewWaits(count, 20, 0), "octets waiting": submit.NewWaits(count, 0, 1500)} {
		h = openWith(t, submit.Options{Waits: w})
		later := smtp.MailOptions{HoldFor: time.Hour}
		for range 40 {
			tx, r := h.submit.Begin(t.Context(), &h.alice, address("alice@example.test"), later)
			if tx == nil {
				want(t, "refused", fmt.Sprint(r.Code, r.Enhanced, strings.Contains(r.String(), what)), "452 4.3.1 true")
				break
			}
			if r := tx.Rcpt(t.Context(), address("x@far.test"), smtp.RcptOptions{}); !r.OK() {
				t.Fatal(r)
			}
			if r := tx.Data(t.Context(), strings.NewReader("From: alice@example.test\r\n\r\n"+strings.Repeat("x", 60)+"\r\n"))[0]; !r.OK() {
				t.Fatal(r)
			}
		}
		if got := h.try(t, &h.alice, "alice@example.test", "x@far.test"); !strings.Contains(got, "please try again when some of them have left") {
			t.Errorf("%s: %s", what, got)
		}
		bob := h.alice
		bob.Account, bob.User = 2, address("bob@example.test")
		want(t, "another account", h.try(t, &bob, "bob@example.test", "x@far.test"), "ok")
		before := counted
		want(t, "and again", h.try(t, &bob, "bob@example.test", "x@far.test"), "ok")
		if counted != before {
			t.Error("an account that has nothing waiting is counted for each message")
		}
		if _, err := h.queue.Drop(t.Context(), queue.Filter{From: address("alice@example.test")}); err != nil {
			t.Fatal(err)
		}
		want(t, "when it has gone", h.try(t, &h.alice, "alice@example.test", "x@far.test"), "ok")
	}
}
