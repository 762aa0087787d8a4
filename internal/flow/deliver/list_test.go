package deliver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// sentOn lists what is queued as "id from > to", in order.
func (h *house) sentOn(ids map[mail.ArrivalID]string) []string {
	h.t.Helper()
	var all []string
	for e, err := range h.queue.List(h.t.Context(), queue.Filter{}) {
		h.must(err)
		m := e.Message
		all = append(all, fmt.Sprintf("%s %s > %s%s notify=%d %s", ids[m.ID], m.From, e.Delivery.To, m.EnvID, e.Delivery.Notify, e.Delivery.Original))
	}
	slices.Sort(all)
	return all
}

// TestList expands mailing lists: what goes to the members has an id and a
// reverse-path of its own, and each gets it once, however often it is named.
func TestList(t *testing.T) {
	h := open(t)
	alice, boss := h.account("alice@example.test", 0), h.account("boss@example.test", 0)
	list := func(name, owner string, members ...string) {
		t.Helper()
		var all []mail.Address
		for _, m := range members {
			all = append(all, address(t, m))
		}
		h.must(h.directory.AddList(t.Context(), address(t, name), all, address(t, owner)))
	}
	list("devs@example.test", "boss@example.test", "alice@example.test", "x@far.test", "y@far.test", "ops@example.test")
	// Lists within lists, in a circle, with members that are in both.
	list("ops@example.test", "ops-owner@other.test", "y@far.test", "z@far.test", "devs@example.test")
	a := h.arrival("devs+tag@example.test", "x@far.test", "boss@example.test")
	a.Envelope.ID, a.Envelope.Headers = "envid", true
	for i := range a.Envelope.To {
		a.Envelope.To[i].Notify, a.Envelope.To[i].Original = mail.NotifyFailure, "rfc822;asked@for.test"
	}
	if got := h.send(a); fmt.Sprint(got) != "[250 250 250]" {
		t.Fatal(got)
	}
	ids := map[mail.ArrivalID]string{a.ID: "first"}
	entries, err := history.New(h.db).ByArrival(t.Context(), a.ID)
	h.must(err)
	for _, e := range entries {
		if e.What == history.Expanded {
			ids[e.Report] = e.To.Local
		}
	}
	got := h.sentOn(ids)
	want := []string{
		"devs boss@example.test > x@far.test notify=0 ",
		"devs boss@example.test > y@far.test notify=0 ",
		"ops ops-owner@other.test > z@far.test notify=0 ",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("queued %q\nwant %q", got, want)
	}
	copies := h.inbox(alice, "INBOX")
	if len(copies) != 1 || !strings.HasPrefix(copies[0], "Return-Path: <boss@example.test>\r\nDelivered-To: devs@example.test\r\n") {
		t.Errorf("alice has %q", copies)
	}
	if own := h.inbox(boss, "INBOX"); len(own) != 1 || !strings.HasPrefix(own[0], "Return-Path: <sender@elsewhere.test>\r\n") {
		t.Errorf("the owner has %q", own)
	}
	// It is known again if it comes back.
	for e, err := range h.queue.List(t.Context(), queue.Filter{To: address(t, "z@far.test")}) {
		h.must(err)
		if !strings.HasPrefix(string(e.Message.Prefix), "Delivered-To: ops@example.test\r\n") || !strings.Contains(string(e.Message.Prefix), e.Message.ID.String()) {
			t.Errorf("prefix %q", e.Message.Prefix)
		}
	}
	if r := h.deliver.Loops(t.Context(), h.arrival("ops@example.test"), message.ParseHeader([]byte("Delivered-To: ops@example.test\r\n\r\n"))); r.Enhanced != (smtp.Enhanced{5, 4, 6}) {
		t.Errorf("a circle is answered %s", r)
	}
	// A report to a list stays one.
	h.must(drop(h))
	null := h.arrival("ops@example.test")
	null.Envelope.From = mail.Address{}
	h.send(null)
	for e, err := range h.queue.List(t.Context(), queue.Filter{}) {
		h.must(err)
		if !e.Message.From.IsNull() {
			t.Errorf("a report is sent on as <%s>", e.Message.From)
		}
	}
}

func drop(h *house) error {
	_, err := h.queue.Drop(h.t.Context(), queue.Filter{})
	return err
}

// TestLargeLists has two lists of which one commit has room for one: the other waits
// as a whole.
func TestLargeLists(t *testing.T) {
	h := open(t)
	for _, name := range []string{"one", "two"} {
		var all []mail.Address
		for i := range 700 {
			all = append(all, address(t, fmt.Sprintf("%s%d@far.test", name, i)))
		}
		h.must(h.directory.AddList(t.Context(), address(t, name+"@example.test"), all, address(t, "owner@other.test")))
	}
	if got := h.send(h.arrival("one@example.test", "two@example.test")); fmt.Sprint(got) != "[250 250]" {
		t.Fatal(got)
	}
	far, here := 0, 0
	for _, to := range h.queued() {
		if strings.HasSuffix(to, "@far.test") {
			far++
		} else {
			here++
		}
	}
	if far != 700 || here != 1 {
		t.Errorf("%d members and %d lists wait", far, here)
	}
	if ok, err := h.directory.Here(t.Context(), address(t, "two@example.test")); err != nil || !ok {
		t.Errorf("a list is laid down here: %v, %v", ok, err)
	}
}
