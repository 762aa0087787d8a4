package screen_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/flow/gather"
	"github.com/ekiden-mail/ekiden/internal/flow/screen"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/filter"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

func stranger() mail.Address { return mail.Address{Local: "s", Domain: "sender.test"} }

// TestVerdicts has each verdict carried out.
func TestVerdicts(t *testing.T) {
	later := filter.Opinion{Err: errors.New("no answer")}
	for _, c := range []struct {
		name                     string
		opinion                  filter.Opinion
		required                 bool
		reply                    string
		inbox, junk              int
		waits, story, happenings string
	}{
		{"accept", filter.Opinion{}, true, "250 2.0.0", 1, 0, "", "accepted; judged accept; delivered", "message.accepted message.delivered"},
		{"junk", filter.Opinion{Says: filter.Junk}, true, "250 2.0.0", 0, 1, "",
			"accepted; judged junk; delivered", "message.judged message.accepted message.delivered"},
		{"hold", filter.Opinion{Says: filter.Hold, Reason: "odd"}, true, "250 2.0.0", 0, 0, "held <s@sender.test> alice@example.test",
			"accepted; judged hold; held", "message.judged message.accepted"},
		{"defer", filter.Opinion{Says: filter.Defer}, true, "451 4.7.1", 0, 0, "", "judged defer", "message.judged message.refused"},
		{"reject", filter.Opinion{Says: filter.Reject, Reply: smtp.Answer(554, smtp.Enhanced{5, 7, 9}, "no")}, true, "554 5.7.9 no", 0, 0, "",
			"judged reject", "message.judged message.refused"},
		{"discard", filter.Opinion{Says: filter.Discard}, true, "250 2.0.0", 0, 0, "", "judged discard; discarded", "message.judged message.discarded"},
		{"no answer, required", later, true, "451 4.7.1", 0, 0, "", "judged defer", "filter.failed message.judged message.refused"},
		{"no answer", later, false, "250 2.0.0", 1, 0, "", "accepted; judged accept; delivered", "filter.failed message.accepted message.delivered"},
	} {
		b := openBed(t)
		var required []string
		if c.required {
			required = []string{"f"}
		}
		o := b.send(b.screener([]gather.Filter{asking("f", c.opinion)}, required...), "alice")
		if !strings.HasPrefix(o.data, c.reply) {
			t.Errorf("%s: %s", c.name, o.data)
		}
		inbox, junk := len(b.lies("alice", mailbox.RoleInbox)), len(b.lies("alice", mailbox.RoleJunk))
		if inbox != c.inbox || junk != c.junk || b.waits() != c.waits {
			t.Errorf("%s: %d in the inbox, %d junk, %q waits", c.name, inbox, junk, b.waits())
		}
		if got := b.story(stranger()); got != c.story {
			t.Errorf("%s: history %q, want %q", c.name, got, c.story)
		}
		if got := b.events.names(); got != c.happenings {
			t.Errorf("%s: events %q, want %q", c.name, got, c.happenings)
		}
	}
}

// TestBeforeTheContent has milters that refuse at MAIL and at RCPT.
func TestBeforeTheContent(t *testing.T) {
	for _, c := range []struct {
		name string
		say  map[byte][]string
		want outcome
	}{
		{"the peer", map[byte][]string{'C': {"r"}}, outcome{mail: "550 5.7.1 the message is not wanted here"}},
		{"the sender", map[byte][]string{'M': {"y553 5.1.8 who?\x00"}}, outcome{mail: "553 5.1.8 who?"}},
		{"a recipient", map[byte][]string{'R': {"y450 4.7.1 grey\x00"}}, outcome{mail: "250", rcpt: []string{"450 4.7.1 grey", "550 5.1.1", "450 4.7.1 grey"}}},
		{"accept for good", map[byte][]string{'M': {"a"}, 'R': {"r"}}, outcome{mail: "250", rcpt: []string{"250", "550 5.1.1", "250"}, data: "250"}},
		{"discard at MAIL", map[byte][]string{'M': {"d"}}, outcome{mail: "250", rcpt: []string{"250", "550 5.1.1", "250"}, data: "250"}},
		{"breaks at RCPT", map[byte][]string{'R': {"?"}}, outcome{mail: "250", rcpt: []string{"451 4.7.1", "550 5.1.1", "451 4.7.1"}}},
	} {
		b := openBed(t)
		s := b.screener([]gather.Filter{milterOf(t, "m", c.say, nil)}, "m")
		got := b.send(s, "alice", "nobody", "bob")
		same := len(got.rcpt) == len(c.want.rcpt) && strings.HasPrefix(got.mail, c.want.mail) && strings.HasPrefix(got.data, c.want.data)
		for i := range c.want.rcpt {
			same = same && strings.HasPrefix(got.rcpt[i], c.want.rcpt[i])
		}
		if !same {
			t.Errorf("%s: %+v", c.name, got)
		}
		lies := len(b.lies("alice", mailbox.RoleInbox))
		if want := c.name == "accept for good"; (lies == 1) != want {
			t.Errorf("%s: %d messages", c.name, lies)
		}
	}
	b := openBed(t)
	f := milterOf(t, "m", map[byte][]string{'O': {"?"}}, nil)
	if o := b.send(b.screener([]gather.Filter{f}, "m"), "alice"); !strings.HasPrefix(o.mail, "451 4.7.1") {
		t.Errorf("a required milter that speaks something else: %+v", o)
	}
	if o := b.send(b.screener([]gather.Filter{f}), "alice"); !strings.HasPrefix(o.data, "250") || !strings.Contains(b.events.names(), "filter.failed") {
		t.Errorf("a milter that speaks something else: %+v", o)
	}
}

// TestChanges has what milters change seen by those behind them, and delivered.
func TestChanges(t *testing.T) {
	b := openBed(t)
	var mu sync.Mutex
	var heard []string
	first := milterOf(t, "first", map[byte][]string{'E': {
		"hX-First\x001\x00", "m\x00\x00\x00\x01X-Old\x00\x00", "bnew body\r\n", "-<alice@example.test>\x00", "+<bob@example.test>\x00", "e<new@sender.test>\x00", "c",
	}}, nil)
	second := milterOf(t, "second", nil, func(code byte, data string) {
		mu.Lock()
		defer mu.Unlock()
		if code == 'L' || code == 'B' {
			heard = append(heard, strings.ReplaceAll(data, "\x00", "|"))
		}
	})
	third := asking("third", filter.Opinion{Edits: []filter.Edit{{Change: filter.AddField, Name: "X-Third", Value: " 3"}}})
	if o := b.send(b.screener([]gather.Filter{first, second, third}), "alice"); !strings.HasPrefix(o.data, "250") {
		t.Fatal(o)
	}
	if want := []string{"X-First|1|", "Subject|hello|", "new body\r\n"}; !slices.Equal(heard, want) {
		t.Errorf("the second milter heard %q", heard)
	}
	if got := b.lies("alice", mailbox.RoleInbox); len(got) != 0 {
		t.Errorf("alice has %q", got)
	}
	want := "X-First: 1\r\nX-Third: 3\r\nSubject: hello\r\n\r\nnew body\r\n"
	if got := b.lies("bob", mailbox.RoleInbox); len(got) != 1 || got[0] != want {
		t.Errorf("bob has %q", got)
	}
	if got := b.story(mail.Address{Local: "new", Domain: "sender.test"}); got != "accepted; judged accept; delivered" {
		t.Errorf("history %q", got)
	}

	b = openBed(t)
	nobody := milterOf(t, "nobody", map[byte][]string{'E': {"-<alice@example.test>\x00", "c"}}, nil)
	if o := b.send(b.screener([]gather.Filter{nobody}), "alice"); !strings.HasPrefix(o.data, "250") || b.events.names() != "message.discarded" {
		t.Errorf("no recipient is left: %+v %s", o, b.events.names())
	}
}

// TestSubmission has our users' mail asked about, local and to elsewhere.
func TestSubmission(t *testing.T) {
	b := openBed(t)
	sign := milterOf(t, "sign", map[byte][]string{'E': {"i\x00\x00\x00\x00DKIM-Signature\x00v=1\x00", "c"}}, nil)
	s := b.screener([]gather.Filter{sign})
	if reply := b.submit(s, address("bob")); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if got := b.lies("bob", mailbox.RoleInbox); len(got) != 1 || !strings.HasPrefix(got[0], "DKIM-Signature: v=1\r\nFrom: alice@example.test\r\nDate: ") {
		t.Errorf("bob has %q", got)
	}
	if reply := b.submit(s, mail.Address{Local: "x", Domain: "other.test"}); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	for e, err := range b.queue.List(t.Context(), queue.Filter{}) {
		if err != nil || !strings.Contains(string(e.Message.Prefix), "\r\nDKIM-Signature: v=1\r\n") {
			t.Errorf("%q %v", e.Message.Prefix, err)
		}
	}
	if b.waits() != "waiting <alice@example.test> x@other.test" {
		t.Errorf("%q waits", b.waits())
	}
	if reply := b.submit(b.screener([]gather.Filter{asking("av", filter.Opinion{Says: filter.Reject})}), address("bob")); !strings.HasPrefix(reply, "550 5.7.1") {
		t.Errorf("a virus: %s", reply)
	}
}

// TestReleased has a held message released by an operator.
func TestReleased(t *testing.T) {
	b := openBed(t)
	b.send(b.screener([]gather.Filter{asking("f", filter.Opinion{Says: filter.Hold})}), "alice", "bob")
	if n, err := b.queue.Release(t.Context(), queue.Filter{}); n != 2 || err != nil {
		t.Errorf("%d released, %v", n, err)
	}
	if b.waits() != "waiting <s@sender.test> alice@example.test; waiting <s@sender.test> bob@example.test" {
		t.Errorf("%q waits", b.waits())
	}
}

// TestNobodyIsAsked has it cost nothing to ask nobody.
func TestNobodyIsAsked(t *testing.T) {
	b := openBed(t)
	var none *screen.Screener
	a := &mail.Arrival{}
	inbound := gather.New(gather.Options{Filters: []gather.Filter{{Name: "f", Asker: says{}, Inbound: true}}})
	for name, s := range map[string]*screen.Screener{
		"no screener": none, "no filter": b.screener(nil), "none for submissions": screen.New(screen.Options{Gather: inbound}),
	} {
		n := testing.AllocsPerRun(100, func() {
			c, reply := s.Begin(t.Context(), a, true)
			if c != nil || !reply.IsZero() {
				t.Error(reply)
			}
			c.Rcpt(t.Context(), mail.Recipient{})
			c.Close()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
