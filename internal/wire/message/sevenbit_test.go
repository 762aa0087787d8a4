package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func toSevenBit(t testing.TB, in string) (string, error) {
	t.Helper()
	r, size, err := SevenBit(strings.NewReader(in), int64(len(in)))
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		t.Fatalf("%q: %q of %d octets, %v", in, b, size, err)
	}
	return string(b), nil
}

// TestSevenBit: bodies that are not ASCII are encoded where they stand, and
// nothing else changes.
func TestSevenBit(t *testing.T) {
	const mime = "MIME-Version: 1.0\r\n"
	for _, c := range []struct{ in, want string }{
		{"Subject: x\r\n\r\nlines\r\n", "Subject: x\r\n\r\nlines\r\n"},
		{mime + "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nna\xc3\xafve and mostly plain \r\n.\r\n",
			"Content-Transfer-Encoding: quoted-printable\r\n" + mime + "Content-Type: text/plain\r\n\r\nna=C3=AFve and mostly plain=20\r\n.\r\n"},
		{mime + "Content-Type: text/plain; charset=utf-8\r\n\r\n日本語の文\r\n",
			"Content-Transfer-Encoding: base64\r\n" + mime + "Content-Type: text/plain; charset=utf-8\r\n\r\n5pel5pys6Kqe44Gu5paHDQo=\r\n"},
		{mime + "Content-Type: image/png\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\x89PNG\r\n",
			"Content-Transfer-Encoding: base64\r\n" + mime + "Content-Type: image/png\r\n\r\niVBORw0K\r\n"},
		// Eight bits that nobody declared (RFC 1428).
		{"Subject: x\r\n\r\nall in Latin-1: \xe4, and nothing else\r\n",
			mime + "Content-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\nSubject: x\r\n\r\nall in Latin-1: =E4, and nothing else\r\n"},
		// Only the part that needs it, and those around it say what they are now.
		{mime + "Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--x\r\n\r\nplain\r\n--x\r\nContent-Type: text/plain\r\n" +
			"Content-Transfer-Encoding: 8bit\r\n\r\nsome text and an \xe4\r\n--x\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
			mime + "Content-Transfer-Encoding: 8bit\r\nContent-Type: text/plain\r\n\r\nsome text and an \xe4\r\n--x--\r\n",
			"Content-Transfer-Encoding: 7bit\r\n" + mime + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nplain\r\n--x\r\n" +
				"Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain\r\n\r\nsome text and an =E4\r\n--x\r\n" +
				"Content-Transfer-Encoding: 7bit\r\nContent-Type: message/rfc822\r\n\r\n" +
				"Content-Transfer-Encoding: quoted-printable\r\n" + mime + "Content-Type: text/plain\r\n\r\nsome text and an =E4\r\n--x--\r\n"},
		// What is signed and ASCII does not stand in the way.
		{mime + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/signed; boundary=y\r\n\r\n--y\r\n\r\nplain\r\n--y\r\n\r\nsig\r\n--y--\r\n--x\r\n" +
			"Content-Type: text/html\r\n\r\nhere is an \xe4 <p>\r\n--x--\r\n",
			mime + "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/signed; boundary=y\r\n\r\n--y\r\n\r\nplain\r\n--y\r\n\r\nsig\r\n--y--\r\n--x\r\n" +
				"Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/html\r\n\r\nhere is an =E4 <p>\r\n--x--\r\n"},
	} {
		got, err := toSevenBit(t, c.in)
		if err != nil || got != c.want {
			t.Errorf("%q:\n%q, %v, want\n%q", c.in, got, err, c.want)
		}
	}
	for name, in := range map[string]string{
		"signed":                 mime + "Content-Type: multipart/signed; boundary=y\r\n\r\n--y\r\n\r\n\xe4\r\n--y\r\n\r\nsig\r\n--y--\r\n",
		"signed, deep":           mime + "Content-Type: multipart/signed; boundary=y\r\n\r\n--y\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n\xe4\r\n--y\r\n\r\nsig\r\n--y--\r\n",
		"a header":               "Subject: \xe4\r\n\r\ntext\r\n",
		"the header of a part":   mime + "Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nContent-Type: text/plain; name=\xe4\r\n\r\ntext\r\n--y--\r\n",
		"encoded, and yet not":   mime + "Content-Transfer-Encoding: base64\r\n\r\n\xe4\r\n",
		"an encoding of its own": mime + "Content-Transfer-Encoding: x-mine\r\n\r\n\xe4\r\n",
		"a fragment":             mime + "Content-Type: message/partial; id=a; number=1\r\n\r\n\xe4\r\n",
		"between the parts":      mime + "Content-Type: multipart/mixed; boundary=y\r\n\r\n\xe4\r\n--y\r\n\r\ntext\r\n--y--\r\n",
	} {
		if got, err := toSevenBit(t, in); !errors.Is(err, ErrNotSevenBit) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// leaves are the decoded bodies of a message, in their order.
func leaves(t testing.TB, raw string, p *Part, all *[]string) {
	t.Helper()
	switch {
	case len(p.Parts) > 0:
		for _, inner := range p.Parts {
			leaves(t, raw, inner, all)
		}
	case p.Message != nil && p.Subtype == "rfc822":
		leaves(t, raw, p.Message.Root, all)
	default:
		var b bytes.Buffer
		if _, err := b.ReadFrom(DecodeBody(strings.NewReader(raw[p.BodyStart:p.End]), p.Encoding)); err != nil {
			t.Fatal(err)
		}
		*all = append(*all, p.Type+"/"+p.Subtype+": "+b.String())
	}
}

// FuzzSevenBit: what comes out is lines of ASCII, the same the second time, and
// every part decodes to what it was.
func FuzzSevenBit(f *testing.F) {
	f.Add("na\xc3\xafve \r\n\r\n=", "text/plain", "8bit")
	f.Add("--x\r\n\r\n\xe4\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n\xe4\r\n--x--", "multipart/mixed; boundary=x", "8bit")
	f.Add("\x00\xff", "image/png", "binary")
	f.Add("\xe4", "message/rfc822", "7bit")
	f.Fuzz(func(t *testing.T, body, kind, encoding string) {
		if strings.ContainsAny(kind+encoding, "\r\n\x00") || len(kind) > 500 || len(encoding) > 50 {
			return
		}
		in := "MIME-Version: 1.0\r\nContent-Type: " + kind + "\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + body
		out, err := toSevenBit(t, in)
		if errors.Is(err, ErrNotSevenBit) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if fit, _ := isASCIILines(strings.NewReader(out), 0, int64(len(out))); !fit {
			t.Fatalf("%q became %q", in, out)
		}
		if again, err := toSevenBit(t, out); err != nil || again != out {
			t.Fatalf("%q becomes another again", out)
		}
		var before, after []string
		leaves(t, in, ParseBytes([]byte(in)).Root, &before)
		leaves(t, out, ParseBytes([]byte(out)).Root, &after)
		if a, b := strings.Join(before, "\x00|"), strings.Join(after, "\x00|"); a != b {
			t.Fatalf("%q\nbecame %q:\n%q\n%q", in, out, a, b)
		}
	})
}
