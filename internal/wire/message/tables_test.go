package message

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/testkit/golden"
)

func TestParseAddressList(t *testing.T) {
	group := func(name string) Addr { return Addr{Mailbox: name, IsGroup: true} }
	for _, c := range []struct {
		in   string
		want []Addr
	}{
		// RFC 5322 appendix A
		{`John Doe <jdoe@machine.example>`, []Addr{{Name: "John Doe", Mailbox: "jdoe", Host: "machine.example"}}},
		{`"Joe Q. Public" <john.q.public@example.com>`, []Addr{{Name: "Joe Q. Public", Mailbox: "john.q.public", Host: "example.com"}}},
		{`Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>`, []Addr{
			{Name: "Mary Smith", Mailbox: "mary", Host: "x.test"}, {Mailbox: "jdoe", Host: "example.org"}, {Name: "Who?", Mailbox: "one", Host: "y.test"}}},
		{`<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>`, []Addr{
			{Mailbox: "boss", Host: "nil.test"}, {Name: `Giant; "Big" Box`, Mailbox: "sysservices", Host: "example.net"}}},
		{`A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;`, []Addr{group("A Group"),
			{Name: "Ed Jones", Mailbox: "c", Host: "a.test"}, {Mailbox: "joe", Host: "where.test"}, {Name: "John", Mailbox: "jdoe", Host: "one.test"}, group("")}},
		{`Undisclosed recipients:;`, []Addr{group("Undisclosed recipients"), group("")}},
		{`Pete(A nice \) chap) <pete(his account)@silly.test(his host)>`, []Addr{{Name: "Pete", Mailbox: "pete", Host: "silly.test"}}},
		{`A Group(Some people):Chris Jones <c@(Chris's host.)public.example>, joe@example.org, John <jdoe@one.test> (my dear friend); (the end of the group)`, []Addr{group("A Group"),
			{Name: "Chris Jones", Mailbox: "c", Host: "public.example"}, {Mailbox: "joe", Host: "example.org"}, {Name: "John", Mailbox: "jdoe", Host: "one.test"}, group("")}},
		{`Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example`, []Addr{
			{Name: "Mary Smith", Route: "@node.test", Mailbox: "mary", Host: "example.net"}, {Mailbox: "jdoe", Host: "test.example"}}},
		{`Joe Q. Public <john . q . public@example . com>`, []Addr{{Name: "Joe Q. Public", Mailbox: "john.q.public", Host: "example.com"}}},
		// what is met besides
		{`a@b (A B)`, []Addr{{Name: "A B", Mailbox: "a", Host: "b"}}},
		{`a@b <a@b>`, []Addr{{Name: "a@b", Mailbox: "a", Host: "b"}}},
		{`a@b c@d`, []Addr{{Mailbox: "a", Host: "b"}, {Mailbox: "c", Host: "d"}}},
		{`postmaster, "x y"@[127.0.0.1]`, []Addr{{Mailbox: "postmaster"}, {Mailbox: "x y", Host: "[127.0.0.1]"}}},
		{`=?utf-8?q?J=C3=A9?= <a@b`, []Addr{{Name: "=?utf-8?q?J=C3=A9?=", Mailbox: "a", Host: "b"}}},
		{"caf\xe9 <a@b>, 日本 <用户@例え.テスト>", []Addr{{Name: "caf\xe9", Mailbox: "a", Host: "b"}, {Name: "日本", Mailbox: "用户", Host: "例え.テスト"}}},
		{`Empty <>, MAILER-DAEMON <>`, []Addr{{Name: "Empty"}, {Name: "MAILER-DAEMON"}}},
		{`<>,,;:`, nil},
		{`a@b@c`, []Addr{{Mailbox: "a@b", Host: "c"}}},
		{`John Smith john@x.test`, []Addr{{Name: "John Smith", Mailbox: "john", Host: "x.test"}}},
	} {
		if got := ParseAddressList(c.in); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q gives\n%+v, not\n%+v", c.in, got, c.want)
		}
	}
}

func TestDecodeHeader(t *testing.T) {
	for _, c := range [][2]string{
		// RFC 2047 §8
		{"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"},
		{"=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"},
		{"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=", "If you can read this you understand the example."},
		{"(=?ISO-8859-1?Q?a?=)", "(a)"}, {"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
		{"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"}, {"(=?ISO-8859-1?Q?a_b?=)", "(a b)"},
		{"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"},
		// a character cut in two
		{"=?utf-8?B?5pel5pw=?= =?utf-8?B?rOiqng==?=", "日本語"},
		{"=?UTF-8?Q?=E6=97?= =?utf-8?q?=A5?=", "日"},
		{"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?= x", "日本 x"},
		{"=?cp932?B?k/qWew==?=", "日本"}, {"=?x-sjis?Q?=93=FA=96=7B?=", "日本"},
		{"=?cp50221?B?GyRCLSEbKEI=?=", "①"}, {"=?windows-31j?B?h0A=?=", "①"},
		{"=?gb2312?B?1tC5+g==?=", "中国"}, {"=?ks_c_5601-1987?B?x9GxuQ==?=", "한국"}, {"=?big5?B?pKSw6g==?=", "中國"},
		{"=?utf-7?Q?Hi_+ZeVnLIqe-!?=", "Hi 日本語!"},
		{"=?utf-8*ja?Q?=E6=97=A5?=", "日"},
		{"=?nobody-knows?Q?caf=E9?=", "café"},
		{"Re:=?utf-8?Q?=C3=A9?=x", "Re:éx"},
		{"=?utf-8?Q?a b?=", "a b"},
		{"=?utf-8?X?a?= =?utf-8?Q", "=?utf-8?X?a?= =?utf-8?Q"},
		{"=?utf-8?Q?a=0D=0ABcc:_x?=", "a  Bcc: x"},
		{"raw caf\xe9", "raw café"}, {"raw café", "raw café"}, {"\x1b$BF|K\\\x1b(B raw", "日本 raw"},
		{"plain", "plain"}, {"", ""},
	} {
		if got := DecodeHeader(c[0]); got != c[1] {
			t.Errorf("%q gives %q, not %q", c[0], got, c[1])
		}
	}
}

func TestParseDate(t *testing.T) {
	for _, c := range [][2]string{
		{"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
		{"Thu, 13 Feb 1969 23:32 -0330 (Newfoundland Time)", "1969-02-13T23:32:00-03:30"},
		{"21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06Z"},
		{"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", ""},
		{"Mon, 2 Jan 06 15:04:05 EST", "2006-01-02T15:04:05-05:00"},
		{"Mon Jan  2 15:04:05 2006", "2006-01-02T15:04:05Z"},
		{"2026-11-24T08:10:25+09:00", "2026-11-24T08:10:25+09:00"},
		{"24-Nov-2026 08:10:25 +0900", "2026-11-24T08:10:25+09:00"},
		{"1-Oct-2026", "2026-10-01T00:00:00Z"},
		{"Tue, 29 Feb 2028 24:00:00 +0000", ""}, {"30 Feb 2026 00:00 +0000", ""},
		{"Sat, 31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59Z"},
		{"火, 24 11 2026", ""}, {"", ""}, {"yesterday", ""}, {"1 Jan 2026 10:00 +9900", "2026-01-01T10:00:00Z"},
		{"1 Jan 126 10:00", "2026-01-01T10:00:00Z"}, {"Thu,1 January 2026 10:00 jst", "2026-01-01T10:00:00+09:00"},
		{"--0", ""},
	} {
		got := ""
		if d, ok := ParseDate(c[0]); ok {
			got = d.Format(time.RFC3339)
		}
		if got != c[1] {
			t.Errorf("%q gives %q, not %q", c[0], got, c[1])
		}
	}
}

func TestBaseSubject(t *testing.T) {
	for _, c := range []struct {
		in, want string
		reply    bool
	}{
		{"Re: test", "test", true}, {"re [2]: test", "test", true}, {"FW: Fwd: RE: test (fwd)", "test", true},
		{"[list] Re: test", "test", true}, {"[list] test", "test", false}, {"[list]", "[list]", false},
		{"[Fwd: [list] Re: test]", "test", true}, {"[a][b] test", "test", false}, {"test  with\tspace ", "test with space", false},
		{"=?utf-8?Q?Re:_=E6=97=A5?=", "日", true}, {"Reply", "Reply", false}, {"Re:", "", true}, {"", "", false}, {"[fwd:]", "", true},
	} {
		got, reply := baseSubject(c.in)
		if got != c.want || reply != c.reply {
			t.Errorf("%q gives %q %v, not %q %v", c.in, got, reply, c.want, c.reply)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	got := MessageIDs("your message of today <a@b> <c\r\n @d>, <e <f@g> <> <h")
	if want := []string{"a@b", "c@d", "f@g"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestDecodeText(t *testing.T) {
	for _, c := range [][4]string{
		{"quoted-printable", "iso-8859-1", "caf=E9 =\r\nau lait  \r\n= \r\nx=3dy=4 =zz =", "café au lait\r\nx=y=4 =zz "},
		{"base64", "utf-8", "5pel\r\n!5pys", "日本"}, {"BASE64", "", "QQ==QUI=QUJD", "AABABC"},
		{"base64", "shift_jis", "k/qWew==", "日本"}, {"7bit", "iso-2022-jp", "\x1b$BF|K\\\x1b(B.", "日本."},
		{"", "", "\x1b$BF|K\\\x1b(B.", "日本."}, {"8bit", "us-ascii", "caf\xe9", "café"}, {"8bit", "unknown-8bit", "caf\xc3\xa9", "café"},
		{"8bit", "utf-8", "\xef\xbb\xbfa\xff", "a\uFFFD"}, {"7bit", "utf-7", "+2D3eDQ-+-+AGE", "😍+a"}, {"x-uuencode", "us-ascii", "begin", "begin"},
		{"8bit", "utf-16", "\xfe\xff\x65\xe5", "日"}, {"8bit", "hz-gb-2312", "~{VP9z~}", "中国"},
	} {
		got, err := io.ReadAll(DecodeText(strings.NewReader(c[2]), c[0], c[1]))
		if err != nil || string(got) != c[3] {
			t.Errorf("%q in %s, %s gives %q, not %q (%v)", c[2], c[0], c[1], got, c[3], err)
		}
	}
}

// TestSections cuts the sections of RFC 3501 §6.4.5's example.
func TestSections(t *testing.T) {
	msg := vectorFiles(t)["rfc2060.txt"]
	i := ParseBytes(msg)
	for _, path := range [][]int{{1}, {2}, {3, 1}, {3, 2}, {4, 1}, {4, 2, 1}, {4, 2, 2, 1}, {4, 2, 2, 2}} {
		s, ok := i.Section(path, PieceBody)
		number := strings.Trim(strings.ReplaceAll(fmt.Sprint(path), " ", "."), "[]")
		if got := string(msg[s.Offset : s.Offset+s.Length]); !ok || got != "This part specifier should be: "+number+"\r\n" {
			t.Errorf("%s is %q", number, got)
		}
	}
	for _, c := range []struct {
		path       []int
		what       Piece
		begin, end string
	}{
		{nil, PieceHeader, "From: me@", "\"x\"\r\n\r\n"}, {nil, PieceText, "--x\r\n", "--x--\r\n"}, {nil, PieceBody, "From: me@", "--x--\r\n"},
		{[]int{3}, PieceHeader, "From:", "\r\n\r\n"}, {[]int{3}, PieceText, "--3.x", "--3.x--"}, {[]int{3}, PieceMIME, "Content-Type: MESSAGE/RFC822", "\r\n\r\n"},
		{[]int{4, 2}, PieceHeader, "From:", "\r\n\r\n"}, {[]int{4, 2, 2, 1}, PieceMIME, "Content-Type: TEXT/PLAIN", "\r\n\r\n"},
	} {
		s, ok := i.Section(c.path, c.what)
		got := string(msg[s.Offset : s.Offset+s.Length])
		if !ok || !strings.HasPrefix(got, c.begin) || !strings.HasSuffix(got, c.end) {
			t.Errorf("%v piece %d is %q", c.path, c.what, got)
		}
	}
	for _, path := range [][]int{{0}, {5}, {1, 1}, {3, 3}, {4, 2, 2, 1, 1}, {-1}} {
		if _, ok := i.Section(path, PieceBody); ok {
			t.Errorf("there is a %v", path)
		}
	}
	if _, ok := i.Section([]int{1}, PieceHeader); ok {
		t.Error("1.HEADER is there")
	}
	plain := ParseBytes([]byte("Subject: x\r\n\r\nbody\r\n"))
	if s, ok := plain.Section([]int{1}, PieceBody); !ok || s != (Span{14, 6}) {
		t.Errorf("1 of a plain message is %v", s)
	}
}

func TestParams(t *testing.T) {
	p := &Part{}
	p.setType(`application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2="isn't it!";` +
		` name="=?utf-8?Q?=E6=97=A5?=.txt"; path="C:\dir\a.txt"; url*=utf-8''%e6%97%a5; a = b (c); long=foo bar.pdf`)
	for _, c := range [][2]string{
		{"title", "This is even more ***fun*** isn't it!"}, {"name", "日.txt"}, {"path", `C:\dir\a.txt`}, {"url", "日"}, {"a", "b"}, {"long", "foo bar.pdf"}, {"none", ""},
	} {
		if got := p.Param(c[0]); got != c[1] {
			t.Errorf("%s is %q, not %q", c[0], got, c[1])
		}
	}
	for _, name := range []string{"plain.txt", `with "quotes" and \.txt`, "日本語のとても長い名前のファイルです.pdf", strings.Repeat("long-", 30) + ".txt", ""} {
		var q Part
		q.setType(FormatParams("application/pdf", Param{"name", name}))
		if got := q.Param("name"); got != name || q.Subtype != "pdf" {
			t.Errorf("%q came back as %q from %q", name, got, FormatParams("application/pdf", Param{"name", name}))
		}
	}
}

func TestCompose(t *testing.T) {
	var b bytes.Buffer
	c := NewComposer(&b)
	c.Date("Date", time.Date(2026, 11, 24, 8, 10, 25, 0, time.UTC))
	c.Addresses("From", Mailbox("Müller, Jürgen", mail.Address{Local: "a b", Domain: "example.org"}))
	c.Addresses("To", Addr{Mailbox: "g", IsGroup: true}, Addr{Mailbox: "x", Host: "y"}, Addr{Mailbox: "z", Host: "y"}, Addr{IsGroup: true}, Addr{Name: "J. Doe", Mailbox: "j", Host: "doe"})
	subject := "これは日本語のとても長い件名です。折り返しても文字が途中で切れてはいけません and then some English to fold"
	c.Text("Subject", subject)
	c.Multipart("mixed", "bb", Param{"x", "ü"})
	c.Part()
	c.TextBody("plain", "Grüße\nund =\n.\nmehr \n"+strings.Repeat("x", 200))
	c.Part()
	c.Field("Content-Type", "application/pdf")
	c.Body(bytes.NewReader(bytes.Repeat([]byte{0, 255}, 100)), "base64")
	c.Close()
	if c.Err() != nil {
		t.Fatal(c.Err())
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 80 || !isASCII(line) || !strings.HasSuffix(line, "\r\n") {
			t.Errorf("line %q", line)
		}
	}
	i := ParseBytes(b.Bytes())
	e := i.Envelope()
	if got := DecodeHeader(e.Subject); got != subject {
		t.Errorf("subject %q", got)
	}
	if len(e.From) != 1 || DecodeHeader(e.From[0].Name) != "Müller, Jürgen" || e.From[0].Mailbox != "a b" || len(e.To) != 5 || e.To[4].Name != "J. Doe" {
		t.Errorf("from %+v to %+v", e.From, e.To)
	}
	p := i.Part([]int{1})
	text, _ := io.ReadAll(DecodeText(io.NewSectionReader(bytes.NewReader(b.Bytes()), p.BodyStart, p.Size()), p.Encoding, p.Charset()))
	if want := "Grüße\r\nund =\r\n.\r\nmehr \r\n" + strings.Repeat("x", 200); string(text) != want {
		t.Errorf("text %q", text)
	}
	golden.Check(t, "testdata/composed.txt", b.String())
}

func TestEdit(t *testing.T) {
	msg := []byte("From x Mon\r\nBcc: a@b,\r\n\tc@d\r\nSubject: s\r\nbcc : e@f\r\n\r\nBcc: body\r\n")
	i := ParseBytes(msg)
	r, n := Without(bytes.NewReader(msg), i.Size, i.Header.Spans("Bcc"))
	got, err := io.ReadAll(r)
	if want := "From x Mon\r\nSubject: s\r\n\r\nBcc: body\r\n"; err != nil || string(got) != want || n != int64(len(want)) {
		t.Errorf("%q, %d", got, n)
	}
	if l := i.Header.Lacks(); l != (Lacks{true, true, true}) {
		t.Errorf("%+v", l)
	}
}

func TestHeaderScanner(t *testing.T) {
	msg := []byte("Received: a\r\n b\r\nReceived: c\r\nSubject: x\r\n\r\nbody: y\r\n")
	for n := 1; n < len(msg); n++ {
		var s HeaderScanner
		for at := 0; at < len(msg); at += n {
			_, _ = s.Write(msg[at:min(at+n, len(msg))])
		}
		if h := s.Header(); !s.Done() || s.TooLong() || s.Size() != 44 || h.Count("received") != 2 || h.Get("Subject") != "x" || h.Has("body") {
			t.Fatalf("in pieces of %d: size %d, %+v", n, s.Size(), h)
		}
	}
	s := HeaderScanner{Max: 20}
	if _, _ = s.Write(msg); !s.Done() || !s.TooLong() {
		t.Error("the bound does not hold")
	}
}

// TestForgottenLine begins the body where the empty line was forgotten (RFC 7103
// §7.1).
func TestForgottenLine(t *testing.T) {
	msg := []byte("Subject: x\r\nTo: a@b.example\r\nDear reader,\r\nhello: this is no field\r\n")
	i := ParseBytes(msg)
	if got := string(msg[i.Root.BodyStart:]); !strings.HasPrefix(got, "Dear reader,") || len(i.Header.Fields()) != 2 {
		t.Errorf("%d fields, the body is %q", len(i.Header.Fields()), got)
	}
}

func TestOddAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"a@b.example": "", "Anna <a@b.example>, c@d.example": "", "": "",
		"<user-from (comment)@ (comment) domain.org>": "user-from@domain.org",
		`"Zoe" <z@b.example> (Z)`:                     "",
		"a @ b.example, Zoe <z . z@b.example>, c@d":   "a@b.example\nz.z@b.example",
		`"john doe"@b.example`:                        "john doe@b.example",
	} {
		if got := OddAddresses(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
