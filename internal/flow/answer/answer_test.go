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
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
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

// TestWhy: each reason has words in both languages, and what is known of a host
// comes behind them.
func TestWhy(t *testing.T) {
	for r, s := range sentences() {
		if s[englishLang] == "" || s[japanese] == "" || strings.Count(s[englishLang], "%s") != strings.Count(s[japanese], "%s") {
			t.Errorf("%s: %q", r, s)
		}
	}
	for _, r := range bounce.All() {
		if _, ok := sentences()[r]; !ok && r != bounce.Complaint && r != bounce.Accepted {
			t.Errorf("%s has no sentence", r)
		}
	}
	for _, c := range []struct {
		status, host, domain, said string
		want                       []string // parts of the English sentences
	}{
		{"5.1.1", "mx.x.test", "x.test", "550 5.1.1 no", []string{"no such address at"}},
		{"5.7.26", "gmail-smtp-in.l.google.com", "gmail.com", "550 5.7.26 unauthenticated", []string{"could not verify", "answer/81126"}},
		{"5.7.1", "mx.x.test", "x.test", "554 5.7.1 blocked using zen.spamhaus.org", []string{"list of senders", "check.spamhaus.org"}},
		{"5.7.606", "x-com.mail.protection.outlook.com", "x.test", "550 5.7.606 Access denied, banned sending IP", []string{"list of senders", "sender.office.com"}},
		{"4.7.0", "mta5.am0.yahoodns.net", "yahoo.com", "421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume", []string{"too much mail from here", "senders.yahooinc.com"}},
		{"5.0.0", "mfsmax.docomo.ne.jp", "docomo.ne.jp", "550 Unknown user taro@docomo.ne.jp", []string{"no such address", "ask the recipient to permit"}},
		{"5.0.0", "lsean.ezweb.ne.jp", "ezweb.ne.jp", "550 <taro@ezweb.ne.jp>: User unknown", []string{"no such address", "ask the recipient to permit"}},
		{"5.1.1", "mx.notdocomo.ne.jp", "notdocomo.ne.jp", "550 5.1.1 unknown", []string{"no such address"}},
		{"5.4.7", "", "x.test", "451 4.4.1 mx.x.test: connection refused", []string{"as long as we keep trying", "could not be reached"}},
		{"5.4.7", "", "x.test", "gave up", []string{"as long as we keep trying"}}, {"5.3.0", "", "x.test", "", []string{"could not be delivered here"}},
		{"5.0.0", "h.test", "x.test", "554 kettles", []string{"refused the message"}},
	} {
		r := to(dsn.Failed, c.status, c.host, c.said)
		r.Final.Domain = mail.Domain(c.domain)
		got := why(r)
		ok := len(got) == len(c.want)
		for i := 0; ok && i < len(got); i++ {
			ok = strings.Contains(got[i][englishLang], c.want[i])
		}
		if !ok {
			t.Errorf("%q: %q", c.said, got)
		}
	}
}

// TestLanguages: the sender's wish, then the message, then the domain, then both.
func TestLanguages(t *testing.T) {
	for _, c := range []struct {
		account, domain, header, want string
	}{
		{"", "", "Subject: hi", "en ja"}, {"ja", "en", "Content-Language: en", "ja"}, {"both", "en", "Content-Language: en", "en ja"},
		{"", "en", "Content-Language: ja-JP, en", "ja"}, {"", "ja", "Content-Language: en-GB", "en"}, {"", "en", "Subject: hi", "en"}, {"", "ja", "Subject: hi", "ja"},
		{"", "en", "Content-Type: text/plain; charset=ISO-2022-JP", "ja"}, {"", "en", "Subject: =?Shift_JIS?B?gqA=?=", "ja"},
		{"", "en", "Subject: =?utf-8?B?44GK55+l44KJ44Gb?=", "ja"}, {"", "en", "Subject: =?utf-8?B?5pel5pys?=", "en"}, {"", "en", "Content-Language: fr", "en"},
	} {
		h := message.ParseHeader([]byte(c.header + "\r\n\r\n"))
		var got []string
		for _, l := range (Preference{Account: c.account, Domain: c.domain}).languages(h, []byte(c.header)) {
			got = append(got, [...]string{"en", "ja"}[l])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestOneLanguage shows a failure at a Japanese carrier in each language alone.
func TestOneLanguage(t *testing.T) {
	r := to(dsn.Failed, "5.0.0", "mfsmax.docomo.ne.jp", "550 Unknown user taro@docomo.ne.jp")
	r.Final = mail.Address{Local: "taro", Domain: "docomo.ne.jp"}
	late := to(dsn.Delayed, "4.2.2", "mail.remote.test", "452 4.2.2 mailbox full")
	late.RetryUntil = noon.Add(96 * time.Hour)
	for _, lang := range []string{"en", "ja"} {
		f := facts()
		f.Prefer.Account = lang
		for name, rcpt := range map[string]dsn.Recipient{"carrier": r, "late": late} {
			b, _ := report(t, f, hello, rcpt)
			golden.Check(t, filepath.Join("testdata", name+"-"+lang+".txt"), shown(t, b))
		}
	}
}
