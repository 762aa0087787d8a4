package answer

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/testkit/golden"
	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

const hello = "Received: by mx.example.test; Tue, 24 Nov 2026 07:00:00 +0000\r\nFrom: alice@example.test\r\nTo: bob@remote.test\r\n" +
	"Subject: =?utf-8?B?5pel5pys6Kqe?=\r\nMessage-ID: <m1@example.test>\r\n\r\nHello Bob\r\n"

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.FixedZone("", 9*3600))

func facts() Facts {
	return Facts{ID: mail.ArrivalID{1, 2, 3}, Now: noon, Arrived: noon.Add(-time.Hour), From: mail.Address{Local: "alice", Domain: "example.test"}, EnvelopeID: "E1"}
}

func to(action dsn.Action, status, host, diagnostic string) dsn.Recipient {
	return dsn.Recipient{Original: "rfc822;bob@remote.test", Final: mail.Address{Local: "bob", Domain: "remote.test"}, Action: action, Status: status,
		RemoteMTA: host, Diagnostic: diagnostic, LastAttempt: noon}
}

func report(t *testing.T, f Facts, original string, rcpts ...dsn.Recipient) ([]byte, mail.Envelope) {
	t.Helper()
	b, env, err := New(Options{Hostname: "mx.example.test"}).Report(f, rcpts, strings.NewReader(original), int64(len(original)))
	if err != nil {
		t.Fatal(err)
	}
	if !env.From.IsNull() || len(env.To) != 1 || env.To[0].Address != f.From || env.To[0].Notify != mail.NotifyNever {
		t.Errorf("envelope %+v", env)
	}
	if env.EightBit == isASCII(b) {
		t.Errorf("8-bit is %v", env.EightBit)
	}
	if !clean(b) {
		t.Error("the report is not clean")
	}
	return b, env
}

// shown is a report as a person checks it: its text decoded, then its octets.
func shown(t *testing.T, b []byte) string {
	t.Helper()
	ix := message.ParseBytes(b)
	p := ix.Part([]int{1})
	text, err := io.ReadAll(message.DecodeText(io.NewSectionReader(bytes.NewReader(b), p.BodyStart, p.Size()), p.Encoding, p.Charset()))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s\n\n%s\n====\n%s", message.DecodeHeader(ix.Header.Get("Subject")), text, b)
}

func TestReports(t *testing.T) {
	late := to(dsn.Delayed, "4.4.1", "", "connection refused by mail.remote.test")
	late.RetryUntil = noon.Add(96 * time.Hour)
	second := to(dsn.Delivered, "2.1.5", "mail.remote.test", "250 2.1.5 taken")
	second.Final.Local = "carol"
	utf8 := facts()
	utf8.UTF8, utf8.From.Local = true, "アリス"
	other := to(dsn.Failed, "5.1.1", "mail.remote.test", "550 5.1.1 そのような宛先はありません")
	other.Final.Local, other.Original = "ボブ", "utf-8;ボブ@remote.test"
	headers := facts()
	headers.HeadersOnly = true
	scheduled, required := facts(), facts()
	scheduled.By.At, scheduled.Release, scheduled.Requested = noon.Add(2*time.Hour), noon, "for;3600" // RFC 2852 §5, RFC 4865 §5.1.2
	required.RequireTLS = true                                                                        // RFC 8689 §5
	for _, c := range []struct {
		name     string
		f        Facts
		original string
		rcpts    []dsn.Recipient
	}{
		{"failed", facts(), hello, []dsn.Recipient{to(dsn.Failed, "5.1.1", "mail.remote.test", "550 5.1.1 <bob@remote.test>: no such user")}},
		{"delayed", facts(), hello, []dsn.Recipient{late}},
		{"delivered", facts(), hello, []dsn.Recipient{second}},
		{"relayed", facts(), hello, []dsn.Recipient{to(dsn.Relayed, "2.0.0", "mail.remote.test", "250 ok")}},
		{"expanded", facts(), hello, []dsn.Recipient{to(dsn.Expanded, "2.1.5", "", "")}},
		{"mixed", facts(), hello, []dsn.Recipient{second, to(dsn.Failed, "5.2.2", "mail.remote.test", "552 5.2.2 over quota")}},
		{"headers", headers, hello, []dsn.Recipient{to(dsn.Failed, "5.7.1", "mail.remote.test", "554 5.7.1 looks like spam")}},
		{"eightbit", facts(), hello + "caf\xe9\r\n", []dsn.Recipient{to(dsn.Failed, "5.3.4", "mail.remote.test", "552 5.3.4 too big")}},
		{"utf8", utf8, hello, []dsn.Recipient{other}},
		{"scheduled", scheduled, hello, []dsn.Recipient{late}},
		{"required", required, hello, []dsn.Recipient{to(dsn.Failed, "5.7.30", "mail.remote.test", "550 5.7.30 no REQUIRETLS")}},
		{"nothing", facts(), "", []dsn.Recipient{to(dsn.Failed, "5.4.7", "", "gave up after 5 days")}},
	} {
		b, env := report(t, c.f, c.original, c.rcpts...)
		if env.UTF8 != c.f.UTF8 {
			t.Errorf("%s: SMTPUTF8 is %v", c.name, env.UTF8)
		}
		r, err := dsn.Parse(message.ParseBytes(b), bytes.NewReader(b))
		if err != nil || len(r.Recipients) != len(c.rcpts) || r.Recipients[0].Final != c.rcpts[0].Final || r.EnvelopeID != "E1" {
			t.Errorf("%s: %+v %v", c.name, r, err)
		}
		golden.Check(t, filepath.Join("testdata", c.name+".txt"), shown(t, b))
	}
}

func TestNoReport(t *testing.T) {
	a := New(Options{Hostname: "mx.example.test"})
	f := facts()
	f.From = mail.Address{}
	if _, _, err := a.Report(f, []dsn.Recipient{to(dsn.Failed, "5.0.0", "", "")}, nil, 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("to a null reverse-path: %v", err)
	}
	if _, _, err := a.Report(facts(), nil, nil, 0); !fault.Is(err, fault.Invalid) {
		t.Errorf("of nobody: %v", err)
	}
}

// TestEnclosed checks what of the original goes along.
func TestEnclosed(t *testing.T) {
	failed := to(dsn.Failed, "5.1.1", "", "no such user here")
	long := hello + strings.Repeat("0123456789\r\n", maxWhole/12)
	for _, c := range []struct {
		name, original, subtype string
	}{
		{"small", hello, "rfc822"}, {"large", long, "rfc822-headers"}, {"bare LF", hello + "a\nb\r\n", "rfc822-headers"},
		{"long line", hello + strings.Repeat("x", 999) + "\r\n", "rfc822-headers"}, {"NUL", hello + "\x00\r\n", "rfc822-headers"},
	} {
		b, _ := report(t, facts(), c.original, failed)
		p := message.ParseBytes(b).Part([]int{3})
		if p == nil || p.Subtype != c.subtype {
			t.Errorf("%s: %+v", c.name, p)
			continue
		}
		if want := hello[:strings.Index(hello, "\r\n\r\n")+2]; !strings.HasPrefix(string(b[p.BodyStart:p.End]), want) {
			t.Errorf("%s: %q", c.name, b[p.BodyStart:p.End])
		}
	}
	manyFields := strings.Repeat("X-Long: "+strings.Repeat("y", 900)+"\r\n", 200) + "\r\n"
	b, _ := report(t, facts(), manyFields, failed)
	if len(b) > 2*maxHeader {
		t.Errorf("%d octets for a long header", len(b))
	}
	// The same facts give the same octets; another time, another name.
	again, _ := report(t, facts(), manyFields, failed)
	f := facts()
	f.Now = f.Now.Add(time.Second)
	later, _ := report(t, f, manyFields, failed)
	id := func(b []byte) string { return message.ParseBytes(b).Header.Get("Message-ID") }
	if !bytes.Equal(b, again) || id(b) == id(later) {
		t.Error("the name does not follow the facts")
	}
}

func TestWhy(t *testing.T) {
	for _, c := range []struct {
		status, host, said string
		want               reason
	}{
		{"5.1.1", "h", "550 5.1.1 x", unknownUser}, {"5.0.0", "h", "550 user unknown", unknownUser}, {"", "h", "550 No such user", unknownUser},
		{"4.2.2", "h", "452 4.2.2 full", mailboxFull}, {"5.0.0", "h", "552 mailbox full", mailboxFull},
		{"5.1.2", "", "no such domain", noHost}, {"5.1.10", "", "null MX", noMail}, {"4.4.1", "", "connection refused", noLine},
		{"4.4.3", "", "", noDNS}, {"5.4.7", "", "", tooLong}, {"5.7.1", "h", "554 5.7.1 rejected as SPAM", asSpam}, {"5.7.1", "h", "550 5.7.1 SPF fail", notProven},
		{"5.7.26", "h", "550", notProven}, {"5.7.1", "h", "550 5.7.1 relaying denied", notAllowed}, {"5.3.4", "h", "552", tooLarge},
		{"4.7.5", "", "certificate", noTLS}, {"5.7.1", "h", "530 must issue a STARTTLS command first", noTLS}, {"5.4.6", "", "", looping},
		{"4.3.0", "h", "451 4.3.0 later", busy}, {"5.0.0", "h", "554 no", refused}, {"5.3.0", "", "", ours}, {"5.0.0", "h", "554 kettles", refused},
	} {
		if got := why(to(dsn.Failed, c.status, c.host, c.said)); got != c.want {
			t.Errorf("%s %q: %q", c.status, c.said, got.english)
		}
	}
}
