package message

import (
	"strings"
	"testing"
)

func TestAppendAuthResults(t *testing.T) {
	got := string(AppendAuthResults(nil, "mx.test", []AuthResult{
		{Method: "spf", Result: "pass", Comment: "by (a) \\ rule", Props: []AuthProp{{"smtp", "mailfrom", "a@x.test"}, {"smtp", "helo", ""}}},
		{Method: "dkim", Result: "fail", Reason: "it \"says\"\r\nno", Props: []AuthProp{{"header", "d", "x.test"}, {"header", "i", "@x.test"}, {"header", "b", "ab/+cd=="}}},
		{Method: "dmarc", Result: "none", Props: []AuthProp{{"header", "from", "日本.test"}, {"smtp", "mailfrom", "a b@x.test"}, {"policy", "iprev", "2001:db8::1"}}},
	}))
	want := "Authentication-Results: mx.test;\r\n\tspf=pass (by \\(a\\) \\\\ rule) smtp.mailfrom=a@x.test;\r\n" +
		"\tdkim=fail reason=\"it \\\"says\\\"??no\" header.d=x.test header.i=@x.test\r\n\t header.b=\"ab/+cd==\";\r\n" +
		"\tdmarc=none header.from=日本.test smtp.mailfrom=\"a b@x.test\"\r\n\t policy.iprev=\"2001:db8::1\"\r\n"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := string(AppendAuthResults(nil, "mx.test", nil)); got != "Authentication-Results: mx.test; none\r\n" {
		t.Error(got)
	}
}

// TestForgedResults has fields that say to be ours in all the ways that the grammar
// knows (RFC 8601 §2.2, §5).
func TestForgedResults(t *testing.T) {
	for value, forged := range map[string]bool{
		"mx.test; spf=pass": true, "MX.Test; none": true, "mx.test.; none": true, "mx.test 1; none": true, "mx.test": true,
		`"mx.test"; none`: true, `"m\x.test"; none`: true, "(a (nested) comment)\r\n\tmx.test; none": true, "mx.test(c); none": true,
		"\r\n mx.test\r\n ;none": true, "": true, "(open; none": true, `"open; none`: true, "; none": true, "a=b; none": true,
		"other.test; spf=pass": false, "mx.test.other.test; none": false, "x.mx.test; none": false, "(mx.test) other.test; none": false,
	} {
		text := "Subject: a\r\nauthentication-results: " + value + "\r\nTo: b\r\n"
		spans := ParseHeader([]byte(text)).ForgedResults("mx.test")
		if (len(spans) == 1) != forged {
			t.Errorf("%q: %v", value, spans)
		}
		if forged && text[spans[0].Offset:spans[0].Offset+spans[0].Length] != "authentication-results: "+value+"\r\n" {
			t.Errorf("%q: span %v", value, spans)
		}
	}
}

func TestResultOf(t *testing.T) {
	for value, want := range map[string]string{
		"mx.test; spf=fail; dmarc = Pass header.from=x.test": "pass", "dmarc=fail": "fail", "mx.test": "", "mx.test; xdmarc=pass": "",
		`mx.test; spf=fail reason="; dmarc=pass"`: "", `mx.test; spf=fail (; dmarc=pass (b) ); dmarc=none`: "none", `mx.test; spf=fail reason="\"; dmarc=pass;\""`: "",
	} {
		if got := ResultOf(value, "dmarc"); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// FuzzAuthResults sees that whatever others say, what we write is one field of lines
// that are no field of their own, and that we know it again.
func FuzzAuthResults(f *testing.F) {
	f.Add("a reason", "(c", "a@x.test")
	f.Add("\r\nSubject: x", "))\\", "\"")
	f.Fuzz(func(t *testing.T, reason, comment, value string) {
		field := AppendAuthResults(nil, "mx.test", []AuthResult{{Method: "spf", Result: "pass", Comment: comment, Reason: reason, Props: []AuthProp{{"smtp", "mailfrom", value}}}})
		h := ParseHeader(field)
		if len(h.Fields()) != 1 || len(h.ForgedResults("mx.test")) != 1 || h.Fields()[0].Raw != string(field) {
			t.Errorf("%q", field)
		}
		for line := range strings.Lines(string(field)) {
			if len(line) > 998 {
				t.Errorf("a line of %d octets", len(line))
			}
		}
		AuthServID(value)
		ResultOf(value, "spf")
	})
}
