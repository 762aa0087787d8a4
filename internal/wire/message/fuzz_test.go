package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzParse(f *testing.F) {
	for _, msg := range vectorFiles(f) {
		if len(msg) < 8000 {
			f.Add(msg)
		}
	}
	f.Add(nest(5))
	f.Fuzz(func(t *testing.T, msg []byte) {
		i := ParseBytes(msg)
		checkIndex(t, msg, i)
		var s HeaderScanner
		for rest := msg; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)/3)
			_, _ = s.Write(rest[:n])
			rest = rest[n:]
		}
		// What streams by is the header that the index has, unless a line goes
		// on beyond what the index looks at.
		if got, want := s.Header(), i.Header; len(got.fields) != len(want.fields) && len(msg) < lookahead {
			t.Fatalf("%d fields streaming, %d in the index", len(got.fields), len(want.fields))
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	for _, s := range []string{"=?utf-8?Q?a=C3=A9?= =?utf-8?b?w6k=?=", "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "a =?x?", "\x1b$B%F\x1b(B", "caf\xe9", "=?utf-7?Q?+AGE-?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := DecodeHeader(s)
		if !utf8.ValidString(d) || strings.ContainsAny(d, "\r\n\x00") {
			t.Fatalf("%q gives %q", s, d)
		}
		BaseSubject(s)
		// What we write, we read.
		line := string(AppendText(nil, "Subject", d))
		h := ParseHeader([]byte(line))
		if got := DecodeHeader(h.Get("Subject")); got != strings.Trim(d, " \t") {
			t.Fatalf("%q was written as %q and read as %q", d, line, got)
		}
	})
}

func FuzzParseAddressList(f *testing.F) {
	for _, s := range []string{"A <a@b>, c@d (e)", `"x, y" <"a b"@[1.2.3.4]>`, "g: a@b, c@d;, e", "<@r1,@r2:a@b>", "a . b @ c . d", "=?utf-8?q?a?= <a@b", "a@b <c@d>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list := ParseAddressList(s)
		open := false
		for _, a := range list {
			switch {
			case a.GroupStart() && open, a.GroupEnd() && !open:
				t.Fatalf("groups of %q: %+v", s, list)
			case a.IsGroup:
				open = a.GroupStart()
			case a.Name == "" && a.Mailbox == "" && a.Host == "":
				t.Fatalf("%q has an empty address", s)
			}
		}
		if open {
			t.Fatalf("%q leaves a group open", s)
		}
		AppendAddresses(nil, "To", list)
	})
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"Mon, 2 Jan 2006 15:04:05 -0700 (MST)", "2006-01-02T15:04:05Z", "Mon Jan  2 15:04:05 2006", "2-Jan-06 1:2 EST"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := ParseDate(s)
		if !ok {
			return
		}
		again, ok := ParseDate(FormatDate(d))
		if !ok || !again.Equal(d) {
			t.Fatalf("%q is %v, written %q", s, d, FormatDate(d))
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	for _, msg := range vectorFiles(f) {
		f.Add(ParseBytes(msg).Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := Unmarshal(b)
		if err != nil {
			return
		}
		i.Envelope()
		i.Walk(func(path []int, p *Part) bool {
			if p.HeaderStart < 0 || p.End > i.Size || p.HeaderStart > p.BodyStart || p.BodyStart > p.End {
				t.Fatalf("part %v lies at %d..%d..%d of %d", path, p.HeaderStart, p.BodyStart, p.End, i.Size)
			}
			return true
		})
		if again, err := Unmarshal(i.Marshal()); err != nil || !bytes.Equal(again.Marshal(), i.Marshal()) {
			t.Fatalf("again: %v", err)
		}
	})
}

func FuzzDecodeText(f *testing.F) {
	f.Add([]byte("a=\r\nb =3D \r\n=4 \r\n"), "quoted-printable", "utf-8")
	f.Add([]byte("QUJD\r\nRA==RQ=="), "base64", "iso-2022-jp")
	f.Add([]byte("+ZeVnLIqe- Hi +2D3eDQ- +-"), "7bit", "utf-7")
	f.Add([]byte("\x93\xfa\x96\x7b"), "8bit", "cp932")
	f.Fuzz(func(t *testing.T, b []byte, encoding, charset string) {
		whole, err := io.ReadAll(DecodeText(bytes.NewReader(b), encoding, charset))
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(whole) {
			t.Fatalf("%q in %s is %q", b, charset, whole)
		}
		if len(b) > 2000 {
			return // a guess looks at what the first read gives
		}
		pieces, err := io.ReadAll(DecodeText(&oneByte{b}, encoding, charset))
		if err != nil || !bytes.Equal(whole, pieces) {
			t.Fatalf("in pieces %q, whole %q, %v", pieces, whole, err)
		}
	})
}

// oneByte gives an octet a read.
type oneByte struct{ b []byte }

func (o *oneByte) Read(p []byte) (int, error) {
	if len(o.b) == 0 {
		return 0, io.EOF
	}
	p[0] = o.b[0]
	o.b = o.b[1:]
	return 1, nil
}
