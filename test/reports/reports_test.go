// Package reports has others read the reports that Ekiden writes.
package reports

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
	"github.com/ekiden-mail/ekiden/test/blackbox"
)

const script = `
import sys, json, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
text, status, original = list(m.iter_parts())
if status.get_content_type() == "message/delivery-status":
    groups = list(status.iter_parts())
else: # a message to Python: the fields of the message, and behind them those of the recipient
    groups = [status.get_payload(0), email.message_from_string(status.get_payload(0).get_payload(), policy=email.policy.default)]
groups = [dict((k, str(v)) for k, v in g.items()) for g in groups]
json.dump({"defects": [repr(d) for p in m.walk() for d in p.defects], "type": m.get_content_type(), "report": m.get_param("report-type"),
           "auto": m["Auto-Submitted"], "subject": m["Subject"], "text": text.get_content(), "groups": groups,
           "status": status.get_content_type(), "original": original.get_content_type()}, sys.stdout)
`

type read struct {
	Defects                                             []string
	Type, Report, Auto, Subject, Text, Status, Original string
	Groups                                              []map[string]string
}

// TestPython: a reader that shares no code with us finds all that we say.
func TestPython(t *testing.T) {
	blackbox.Need(t, "python3")
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	original := "From: alice@example.test\r\nSubject: =?utf-8?B?44GK55+l44KJ44Gb?=\r\nMessage-ID: <m1@example.test>\r\n\r\nHello\r\n"
	for _, c := range []struct {
		name, language, local, status, original string
		utf8                                    bool
		action                                  dsn.Action
	}{
		{"a failure in English", "en", "bob", "message/delivery-status", "message/rfc822", false, dsn.Failed},
		{"a delay in Japanese", "ja", "bob", "message/delivery-status", "text/rfc822-headers", false, dsn.Delayed},
		{"a success with a name in Japanese", "both", "ボブ", "message/delivery-status", "text/rfc822-headers", false, dsn.Delivered},
		{"a failure under RFC 6533", "ja", "ボブ", "message/global-delivery-status", "message/global", true, dsn.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := answer.Facts{ID: mail.ArrivalID{1}, Now: now, Arrived: now.Add(-time.Hour), From: mail.Address{Local: "alice", Domain: "example.test"}, EnvelopeID: "E+1",
				UTF8: c.utf8, Prefer: answer.Preference{Account: c.language}}
			rcpt := dsn.Recipient{Original: "rfc822;Bob@else.test", Final: mail.Address{Local: c.local, Domain: "remote.test"}, Action: c.action, Status: "5.1.1",
				RemoteMTA: "mx.remote.test", Diagnostic: "550 5.1.1 no such user", LastAttempt: now, RetryUntil: now.Add(time.Hour)}
			letter, _, err := answer.New(answer.Options{Hostname: "mx.example.test"}).Report(f, []dsn.Recipient{rcpt}, strings.NewReader(original), int64(len(original)))
			if err != nil {
				t.Fatal(err)
			}
			var got read
			if err := json.Unmarshal([]byte(blackbox.Run(t, t.TempDir(), string(letter), "python3", "-c", script)), &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Defects) > 0 || got.Type != "multipart/report" || got.Report != "delivery-status" || got.Auto != "auto-replied" || got.Status != c.status || got.Original != c.original {
				t.Errorf("%+v", got)
			}
			if len(got.Groups) != 2 {
				t.Fatalf("%v", got.Groups)
			}
			for _, want := range []struct {
				group       int
				name, value string
			}{
				{0, "Reporting-MTA", "dns; mx.example.test"}, {0, "Original-Envelope-Id", "E+1"}, {0, "Arrival-Date", "Tue, 24 Nov 2026 11:00:00 +0000"},
				{1, "Original-Recipient", "rfc822; Bob@else.test"}, {1, "Action", string(c.action)}, {1, "Status", "5.1.1"}, {1, "Remote-MTA", "dns; mx.remote.test"},
				{1, "Diagnostic-Code", "smtp; 550 5.1.1 no such user"}, {1, "Last-Attempt-Date", "Tue, 24 Nov 2026 12:00:00 +0000"}, {1, "Will-Retry-Until", "Tue, 24 Nov 2026 13:00:00 +0000"},
			} {
				if v := got.Groups[want.group][want.name]; v != want.value {
					t.Errorf("%s: %q, want %q", want.name, v, want.value)
				}
			}
			if !strings.HasSuffix(got.Groups[1]["Final-Recipient"], "@remote.test") {
				t.Errorf("%q", got.Groups[1])
			}
			japanese := strings.Contains(got.Text, "メールサーバー")
			if english := strings.Contains(got.Text, "This is the mail server"); english == (c.language == "ja") || japanese == (c.language == "en") {
				t.Errorf("in %s: %s", c.language, got.Text)
			}
		})
	}
}
