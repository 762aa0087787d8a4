package dsn

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/testkit/golden"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

const vectors = "../../../test/vectors/mime"

var realReports = []string{
	"mimekit/messages/bounce.txt", "mimekit/messages/delivery-status.txt", "mimekit/messages/delivery-status2.txt",
	"mimekit/messages/delivery-status-multiple-blank-lines.txt", "mimekit/messages/delivery-status-no-blank-line.txt",
	"python-test-email/msg_16.txt", "python-test-email/msg_43.txt",
}

func read(t testing.TB, name string) []byte {
	b, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(b []byte) (*Report, error) { return Parse(message.ParseBytes(b), bytes.NewReader(b)) }

func dump(r *Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "envelope-id %q mta %q arrival %v message-id %q\n", r.EnvelopeID, r.ReportingMTA, r.Arrival, r.MessageID)
	for _, x := range r.Recipients {
		fmt.Fprintf(&b, "%q %q %q %s %s %q %q %v %v\n", x.Original, x.Final, x.FinalText, x.Action, x.Status, x.RemoteMTA, x.Diagnostic, x.LastAttempt, x.RetryUntil)
	}
	return b.String()
}

func TestRealReports(t *testing.T) {
	for _, name := range realReports {
		r, err := parse(read(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden.Check(t, filepath.Join("testdata", filepath.Base(name)), dump(r))
	}
	if _, err := parse(read(t, "python-test-email/msg_01.txt")); !fault.Is(err, fault.NotFound) {
		t.Errorf("a plain message gives %v", err)
	}
}

func sample(utf8 bool) Letter {
	at := time.Date(2026, 11, 24, 8, 10, 25, 0, time.UTC)
	return Letter{
		From: message.Mailbox("Mail Delivery System", mail.Address{Local: "postmaster", Domain: "mx.example.test"}),
		To:   message.Mailbox("", mail.Address{Local: "alice", Domain: "example.test"}),
		Date: at, Subject: "Mail could not be delivered", MessageID: "r1@mx.example.test", References: "m1@example.test",
		Boundary: "=_b", Text: "Sorry.\n", UTF8: utf8,
		Report: Report{EnvelopeID: "QQ+314 15", ReportingMTA: "mx.example.test", Arrival: at.Add(-time.Hour), MessageID: "m1@example.test", Recipients: []Recipient{
			{Original: "rfc822;Bob+x@remote.test", Final: mail.Address{Local: "bob", Domain: "remote.test"}, Action: Failed, Status: "5.1.1",
				RemoteMTA: "mail.remote.test", Diagnostic: "550 5.1.1 no such user; really " + strings.Repeat("long ", 30) + "line", LastAttempt: at},
			{Final: mail.Address{Local: "用户 \\+", Domain: "xn--fsqu00a.test"}, Action: Delayed, Status: "4.4.1", RetryUntil: at.Add(24 * time.Hour)},
		}},
		Original: Original{Content: []byte("Message-ID: <m1@example.test>\r\nSubject: hi\r\n\r\nbody\r\n")},
	}
}

func TestWrite(t *testing.T) {
	for _, wide := range []bool{false, true} {
		l := sample(wide)
		var b bytes.Buffer
		if err := Write(&b, l); err != nil {
			t.Fatal(err)
		}
		r, err := parse(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := dump(r), dump(&l.Report); got != want {
			t.Errorf("read\n%s, written\n%s", got, want)
		}
		if !wide && !isASCII(b.String()) {
			t.Error("not 7-bit")
		}
		golden.Check(t, fmt.Sprintf("testdata/written-%v.txt", wide), b.String())
	}
}

func TestEmbed(t *testing.T) {
	for _, s := range []string{"user", "用户@x", `a\b+c=d`, "\x01", ""} {
		if got := unembed(embed(s)); got != s && s != "\x01" || !isASCII(embed(s)) {
			t.Errorf("%q is %q is %q", s, embed(s), got)
		}
	}
	for _, s := range []string{`\x{`, `\x{}`, `\x{110000}`, `\x{d800}`, `\x{zz}a`, `\x{41`} {
		if got := unembed(s); got != s {
			t.Errorf("%q gives %q", s, got)
		}
	}
}

func TestStatus(t *testing.T) {
	for in, want := range map[string]string{
		"5.1.1": "5.1.1", "4.4.7 (delayed)": "4.4.7", "5.1": "", "5..1": "", "": "", "500": "", "5.1.": "", "5.7.509": "5.7.509", "5.1.1.1": "",
	} {
		if got := status(in); got != want {
			t.Errorf("%q gives %q, not %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range realReports {
		m := message.ParseBytes(read(f, name))
		m.Walk(func(_ []int, p *message.Part) bool {
			if p.Subtype == "delivery-status" {
				f.Add(read(f, name)[p.BodyStart:p.End])
			}
			return true
		})
	}
	f.Add((&Report{}).append(nil, false))
	f.Add(func() []byte { r := sample(true).Report; return r.append(nil, true) }())
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Report
		r.parse(b, true)
		// What has no address we can read is not written, so compare the rest.
		kept := r.Recipients[:0]
		for _, rcpt := range r.Recipients {
			if rcpt.FinalText == "" && rcpt.Action != "" {
				kept = append(kept, rcpt)
			}
		}
		r.Recipients = kept
		once := r.append(nil, true)
		var again Report
		again.parse(once, false)
		twice := again.append(nil, true)
		var third Report
		third.parse(twice, false)
		if !reflect.DeepEqual(again, third) {
			t.Fatalf("%q\n%+v\nis not\n%+v", twice, third, again)
		}
	})
}

// TestTextExplains: what a host said is found in the text for people where the
// fields do not have it, as OpenSMTPD writes.
func TestTextExplains(t *testing.T) {
	const report = "Content-Type: multipart/report; boundary=b; report-type=delivery-status\r\n\r\n" +
		"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n    Hi!\r\n\r\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\r\n\r\n" +
		"    An error has occurred while attempting to deliver a message for\r\n    the following list of recipients:\r\n\r\n%s\r\n    Below is a copy of the original message:\r\n\r\n" +
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.o.test\r\n%s\r\n--b--\r\n"
	const one, two = "\r\nFinal-Recipient: rfc822; lost@o.test\r\nAction: failed\r\nStatus: 5.0.0\r\n", "\r\nFinal-Recipient: rfc822; b@o.test\r\nAction: failed\r\nStatus: 5.0.0\r\n"
	for _, c := range []struct{ text, fields, want string }{
		{"missing@a.test: 550 5.1.1 no such recipient here\r\n", one, "550 5.1.1 no such recipient here"},
		{"lost@o.test: 552 5.2.2 full\r\nb@o.test: 550 5.1.1 unknown\r\n", one + two, "552 5.2.2 full|550 5.1.1 unknown"},
		{"missing@a.test: 550 5.1.1 no such recipient here\r\n", one + two, "|"},
		{"lost@o.test: something is wrong\r\n", one, ""},
		{"lost@o.test: 550 5.1.1 no\r\n", strings.TrimSuffix(one, "\r\n") + "\r\nDiagnostic-Code: smtp; 554 5.7.1 blocked\r\n", "554 5.7.1 blocked"},
	} {
		text := fmt.Sprintf(report, c.text, c.fields)
		r, err := parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, to := range r.Recipients {
			said = append(said, to.Diagnostic)
		}
		if got := strings.Join(said, "|"); got != c.want {
			t.Errorf("%q with %q: %q, want %q", c.text, c.fields, got, c.want)
		}
	}
}
