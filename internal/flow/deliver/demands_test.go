package deliver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// reporting is a house that reports successes.
func reporting(t *testing.T) *house {
	h := open(t)
	h.deliver = deliver.New(deliver.Options{
		DB: h.db, Blobs: h.blobs, Mailbox: h.mailbox, Queue: h.queue, Directory: h.directory, Sink: &h.warned, Hostname: "mx.example.test",
		Answer: answer.New(answer.Options{Hostname: "mx.example.test"}),
	})
	return h
}

// waiting lists the queue.
func (h *house) waiting() string {
	h.t.Helper()
	var all []string
	for e, err := range h.queue.List(h.t.Context(), queue.Filter{}) {
		h.must(err)
		all = append(all, fmt.Sprintf("<%s> to %s notify=%d orcpt=%q", e.Message.From, e.Delivery.To, e.Delivery.Notify, e.Delivery.Original))
	}
	return strings.Join(all, "; ")
}

// TestSuccess is RFC 3461 §5.2.3 and §5.2.7: who asked hears that the message
// was delivered, or given to several; nobody else does.
func TestSuccess(t *testing.T) {
	const success, failure, never = mail.NotifySuccess, mail.NotifyFailure, mail.NotifyNever
	for _, c := range []struct {
		name    string
		from    string
		to      string
		notify  mail.Notify
		action  string // of the report to bob; "": there is none
		final   string
		waiting string
	}{
		{"asked", "bob@example.test", "alice@example.test", success, "delivered", "alice@example.test", ""},
		{"asked for failures", "bob@example.test", "alice@example.test", failure, "", "", ""},
		{"asked for nothing", "bob@example.test", "alice@example.test", 0, "", "", ""},
		{"never", "bob@example.test", "alice@example.test", never, "", "", ""},
		{"nobody to be told", "", "alice@example.test", success, "", "", ""},
		{"an alias of one", "bob@example.test", "a@example.test", success, "delivered", "alice@example.test", ""},
		{"an alias of one elsewhere", "bob@example.test", "far@example.test", success, "", "",
			`<bob@example.test> to x@far.test notify=2 orcpt="rfc822;far@example.test"`},
		{"an alias of several", "bob@example.test", "all@example.test", success | failure, "expanded", "all@example.test",
			`<bob@example.test> to x@far.test notify=4 orcpt="rfc822;all@example.test"`},
		{"an alias of several, success alone", "bob@example.test", "all@example.test", success, "expanded", "all@example.test",
			`<bob@example.test> to x@far.test notify=1 orcpt="rfc822;all@example.test"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := reporting(t)
			h.account("alice@example.test", 0)
			bob := h.account("bob@example.test", 0)
			for alias, to := range map[string][]mail.Address{
				"a": {address(t, "alice@example.test")}, "far": {address(t, "x@far.test")}, "all": {address(t, "alice@example.test"), address(t, "x@far.test")},
			} {
				h.must(h.directory.AddAlias(t.Context(), mail.Address{Local: alias, Domain: "example.test"}, to))
			}
			a := h.arrival(c.to)
			a.Envelope.From, a.Envelope.ID = mail.Address{}, "QQ314159"
			if c.from != "" {
				a.Envelope.From = address(t, c.from)
			}
			a.Envelope.To[0].Notify = c.notify
			h.send(a)
			var report string
			for _, m := range h.inbox(bob, "INBOX") {
				report += m
			}
			said := strings.Contains(report, "Action: "+c.action+"\r\n") && strings.Contains(report, "Final-Recipient: rfc822; "+c.final+"\r\n") &&
				strings.Contains(report, "Original-Envelope-Id: QQ314159\r\n")
			if c.action != "" && !said || c.action == "" && report != "" {
				t.Errorf("the report is %s", report)
			}
			if got := h.waiting(); got != c.waiting {
				t.Errorf("waiting %s", got)
			}
			es, err := history.New(h.db).ByArrival(t.Context(), a.ID)
			h.must(err)
			reported := false
			for _, e := range es {
				reported = reported || e.What == history.Reported && e.Action == c.action
			}
			if reported != (c.action != "") {
				t.Errorf("history %+v", es)
			}
		})
	}
}

// TestReportElsewhere: the report of a stranger's message waits with the same
// commit.
func TestReportElsewhere(t *testing.T) {
	h := reporting(t)
	h.account("alice@example.test", 0)
	a := h.arrival("alice@example.test")
	a.Envelope.To[0].Notify = mail.NotifySuccess
	h.send(a)
	if got := h.waiting(); got != `<> to sender@elsewhere.test notify=1 orcpt=""` {
		t.Errorf("%s", got)
	}
}

// TestReleaseLater: what is to be released later waits, for accounts here too,
// and is not resolved before (RFC 4865 §4.2).
func TestReleaseLater(t *testing.T) {
	h := reporting(t)
	alice := h.account("alice@example.test", 0)
	a := h.arrival("alice@example.test", "x@far.test")
	a.Envelope.Release = a.At.Add(time.Hour)
	h.send(a)
	if n := len(h.inbox(alice, "INBOX")); n != 0 {
		t.Errorf("%d messages are there", n)
	}
	for e, err := range h.queue.List(t.Context(), queue.Filter{}) {
		h.must(err)
		if !e.Delivery.Due.Equal(a.Envelope.Release) || !e.Message.Release.Equal(a.Envelope.Release) {
			t.Errorf("%+v", e)
		}
	}
	if got := h.waiting(); !strings.Contains(got, "to alice@example.test") || !strings.Contains(got, "to x@far.test") {
		t.Errorf("%s", got)
	}
	a = h.arrival("alice@example.test")
	a.Envelope.Release = a.At.Add(-time.Hour)
	h.send(a)
	if n := len(h.inbox(alice, "INBOX")); n != 1 {
		t.Errorf("what was to be released before: %d messages", n)
	}
}

// TestBinaryContent: an account is given lines; what waits is as it came.
func TestBinaryContent(t *testing.T) {
	h := open(t)
	alice := h.account("alice@example.test", 0)
	a := h.arrival("alice@example.test", "x@far.test")
	a.Envelope.Binary = true
	c := h.put("Subject: x\r\n\r\n\n\x00.\n")
	if _, err := h.deliver.Deliver(t.Context(), a, c); err != nil {
		t.Fatal(err)
	}
	if m := h.inbox(alice, "INBOX")[0]; !strings.HasSuffix(m, "Content-Transfer-Encoding: base64\r\nSubject: x\r\n\r\nCgAuCg==\r\n") {
		t.Errorf("%q", m)
	}
	for e, err := range h.queue.List(t.Context(), queue.Filter{}) {
		h.must(err)
		if e.Message.Blob != c.ID() || !e.Message.Binary {
			t.Errorf("%+v", e.Message)
		}
	}
}

// TestHeed: what the header asks of the way of a message counts where MAIL did not
// say (RFC 8689 §4.1, RFC 6758 §3.1, RFC 3865 §2.7).
func TestHeed(t *testing.T) {
	for _, c := range []struct {
		header string
		before mail.Envelope
		most   int8
		want   string
	}{
		{"", mail.Envelope{}, 9, "optional=false 0 false "},
		{"TLS-Required: No\r\n", mail.Envelope{}, 0, "optional=true 0 false "},
		{"TLS-Required:  no \r\n", mail.Envelope{}, 0, "optional=true 0 false "},
		{"TLS-Required: yes\r\n", mail.Envelope{}, 0, "optional=false 0 false "},
		{"TLS-Required: No\r\n", mail.Envelope{RequireTLS: true}, 0, "optional=false 0 false "},
		{"MT-Priority: 4\r\n", mail.Envelope{}, 9, "optional=false 4 true "},
		{"MT-Priority: (very) -4 (fast (or so))\r\n", mail.Envelope{}, 0, "optional=false -4 true "},
		{"MT-Priority: 4\r\n", mail.Envelope{}, 0, "optional=false 0 true "},
		{"MT-Priority: 4\r\n", mail.Envelope{Demands: mail.Demands{Priority: 2, Prioritized: true}}, 9, "optional=false 2 true "},
		{"MT-Priority: 4\r\nMT-Priority: 5\r\n", mail.Envelope{}, 9, "optional=false 0 false "},
		{"MT-Priority: fast\r\n", mail.Envelope{}, 9, "optional=false 0 false "},
		{"Solicitation: net.example:ADV,b\r\n", mail.Envelope{}, 0, "optional=false 0 false net.example:ADV,b"},
		{"Solicitation: net.example:ADV\r\n", mail.Envelope{Demands: mail.Demands{Solicit: "c"}}, 0, "optional=false 0 false c"},
		{"Solicitation: 1, 2\r\n", mail.Envelope{}, 0, "optional=false 0 false "},
	} {
		a := mail.Arrival{Envelope: c.before}
		deliver.Heed(&a, message.ParseHeader([]byte(c.header+"\r\n")), c.most)
		e := a.Envelope
		if got := fmt.Sprintf("optional=%t %d %t %s", e.TLSOptional, e.Priority, e.Prioritized, e.Solicit); got != c.want {
			t.Errorf("%q: %s, want %s", c.header, got, c.want)
		}
	}
}

// TestTrace: the trace field says which class a message is of and how urgent it is
// (RFC 3865 §2.6, RFC 6710 §4.1).
func TestTrace(t *testing.T) {
	h := open(t)
	alice := h.account("alice@example.test", 0)
	a := h.arrival("alice@example.test")
	a.Envelope.Demands = mail.Demands{Priority: -4, Prioritized: true, Solicit: "net.example:ADV"}
	h.send(a)
	want := fmt.Sprintf("with ESMTP\r\n\t(SOLICIT=net.example:ADV)\r\n\tid %s\r\n\tfor <alice@example.test>\r\n\tPRIORITY -4;", a.ID)
	if m := h.inbox(alice, "INBOX")[0]; !strings.Contains(m, want) {
		t.Errorf("%s", m)
	}
}
