package dsn

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/testkit/golden"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

func guessed(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/guess/*.eml")
	if err != nil || len(names) < 10 {
		t.Fatalf("%v, %v", names, err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".eml")] = b
	}
	return all
}

// TestGuess: reports for people, in the words of many programs.
func TestGuess(t *testing.T) {
	for name, b := range guessed(t) {
		r, err := Guess(message.ParseBytes(b), bytes.NewReader(b))
		if name == "vacation" || name == "talk" {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s is taken for a report: %+v, %v", name, r, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var out strings.Builder
		for _, x := range r.Recipients {
			fmt.Fprintf(&out, "%s %s %q %s\n  %s\n", x.Final, x.Action, x.Status, bounce.Classify(x.Status, x.Diagnostic), x.Diagnostic)
		}
		fmt.Fprintf(&out, "message-id %q, %d fields\n", r.MessageID, len(r.Returned.Fields()))
		golden.Check(t, "testdata/guess/"+name+".golden", out.String())
	}
}

const complained = "From: <abuse@provider.test>\r\nTo: <abuse@example.test>\r\nSubject: FW: hi\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n" +
	"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n" +
	"Original-Mail-From: <alice@example.test>\r\nOriginal-Rcpt-To: <bob@remote.test>\r\nArrival-Date: Tue, 24 Nov 2026 11:00:00 +0900\r\nSource-IP: 192.0.2.1\r\n" +
	"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: alice@example.test\r\nMessage-ID: <m1@example.test>\r\n\r\nSpam!\r\n--b--\r\n"

// TestComplaint reads the example of RFC 5965 appendix B, with names of ours.
func TestComplaint(t *testing.T) {
	read := func(s string) (*Complaint, error) {
		return ParseComplaint(message.ParseBytes([]byte(s)), strings.NewReader(s))
	}
	c, err := read(complained)
	if err != nil || c.Type != "abuse" || !c.IsComplaint() || c.MailFrom.String() != "alice@example.test" || len(c.Recipients) != 1 ||
		c.Recipients[0].String() != "bob@remote.test" || c.SourceIP != "192.0.2.1" || c.Arrival.IsZero() || c.Returned.Get("Message-ID") != "<m1@example.test>" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := read(strings.Replace(complained, ": abuse", ": not-spam", 1)); err != nil || c.IsComplaint() {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := read(strings.Replace(complained, "Feedback-Type: abuse\r\n", "", 1)); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if _, err := read("Subject: hi\r\n\r\nhi\r\n"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

// FuzzReports: no message breaks the readers, and what they find is bounded.
func FuzzReports(f *testing.F) {
	for _, b := range guessed(f) {
		f.Add(b)
	}
	f.Add([]byte(complained))
	f.Add(bytes.Repeat([]byte("<a@b.test>: could not be delivered\n"), 300))
	f.Fuzz(func(t *testing.T, b []byte) {
		ix := message.ParseBytes(b)
		if r, err := Guess(ix, bytes.NewReader(b)); err == nil {
			if len(r.Recipients) == 0 || len(r.Recipients) > maxGuessed {
				t.Errorf("%d recipients", len(r.Recipients))
			}
			for _, x := range r.Recipients {
				if x.Final.IsNull() || x.Action == "" || len(x.Diagnostic) > maxSaid {
					t.Errorf("%+v", x)
				}
				_ = r.append(nil, true)
			}
		}
		if c, err := ParseComplaint(ix, bytes.NewReader(b)); err == nil && (c.Type == "" || len(c.Recipients) > maxComplainers) {
			t.Errorf("%+v", c)
		}
		_, _ = Parse(ix, bytes.NewReader(b))
	})
}
