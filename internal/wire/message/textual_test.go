package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func toText(t testing.TB, in string) string {
	t.Helper()
	r, size, err := Textual(strings.NewReader(in), int64(len(in)))
	if err != nil {
		t.Fatalf("%q: %v", in, err)
	}
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		t.Fatalf("%q: %q of %d octets, %v", in, b, size, err)
	}
	return string(b)
}

// TestTextual: bodies that are no lines become base64 where they stand.
func TestTextual(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Subject: x\r\n\r\nlines\r\n", "Subject: x\r\n\r\nlines\r\n"},
		{"Subject: x\r\n\r\n\x00\x01", "Content-Transfer-Encoding: base64\r\nSubject: x\r\n\r\nAAE=\r\n"},
		{"Content-Transfer-Encoding: binary\r\nSubject: x\r\n\r\na\nb", "Content-Transfer-Encoding: base64\r\nSubject: x\r\n\r\nYQpi\r\n"},
		{"\r\n\n", "Content-Transfer-Encoding: base64\r\n\r\nCg==\r\n"},
		{"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: binary\r\n\r\npreamble\r\n--x\r\n\r\ntext\r\n" +
			"--x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <1>\r\n\r\n\x89PNG\n\r\x00\r\n--x--\r\nepilogue\r\n",
			"Content-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\n\r\ntext\r\n" +
				"--x\r\nContent-Transfer-Encoding: base64\r\nContent-Type: image/png\r\nContent-ID: <1>\r\n\r\niVBORwoNAA==\r\n--x--\r\nepilogue\r\n"},
		{"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\nSubject: inner\r\n\r\n\x00",
			"Content-Transfer-Encoding: 8bit\r\nContent-Type: message/rfc822\r\n\r\nContent-Transfer-Encoding: base64\r\nSubject: inner\r\n\r\nAA==\r\n"},
		// What stands between the bodies is no lines: all of it goes as one.
		{"Content-Type: multipart/mixed; boundary=x\r\nSubject: y\r\n\r\n\x00\r\n--x\r\n\r\ntext\r\n--x--\r\n",
			"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\nSubject: y\r\n\r\nAA0KLS14DQoNCnRleHQNCi0teC0tDQo=\r\n"},
	} {
		if got := toText(t, c.in); got != c.want {
			t.Errorf("%q:\n%q, want\n%q", c.in, got, c.want)
		}
	}
	long := "A: b\r\n\r\n" + strings.Repeat("\x00", 1000)
	for line := range strings.SplitSeq(toText(t, long), "\r\n") {
		if len(line) > 76 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

// FuzzTextual: what comes out is lines, and the same the second time; the body of
// a message that is one part is kept.
func FuzzTextual(f *testing.F) {
	f.Add("a\x00b", "multipart/mixed; boundary=x")
	f.Add("--x\r\n\r\n\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n\r\r\n--x--", "multipart/mixed; boundary=x")
	f.Fuzz(func(t *testing.T, body, kind string) {
		if strings.ContainsAny(kind, "\r\n\x00") || len(kind) > 500 {
			return
		}
		in := "Content-Type: " + kind + "\r\n\r\n" + body
		out := toText(t, in)
		if fit, _ := isLines(strings.NewReader(out), 0, int64(len(out))); !fit {
			t.Fatalf("%q became %q", in, out)
		}
		if toText(t, out) != out {
			t.Fatalf("%q becomes another again", out)
		}
		ix := ParseBytes([]byte(out))
		if ix.Root.Encoding != "base64" || len(ix.Root.Parts) > 0 || out == in {
			return
		}
		var got bytes.Buffer
		_, _ = got.ReadFrom(DecodeBody(strings.NewReader(out[ix.Root.BodyStart:]), "base64"))
		if got.String() != body {
			t.Fatalf("%q came out as %q", body, got.String())
		}
	})
}
