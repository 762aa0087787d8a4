package smtp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

var all = Extensions{
	Size: true, EightBit: true, UTF8: true, Auth: true, DSN: true,
	Binary: true, RequireTLS: true, DeliverBy: true, FutureRelease: true, Priority: true, NoSoliciting: true,
}

// show is a command as a table can hold it.
func show(c Command, r Reply) string {
	if !r.IsZero() {
		return fmt.Sprintf("%d %s", r.Code, r.Enhanced)
	}
	switch c.Verb {
	case Mail:
		s := fmt.Sprintf("MAIL %q %q", c.Path.Local, c.Path.Domain)
		if c.Mail != (MailOptions{}) {
			s += c.Mail.String()
		}
		return s + map[bool]string{true: " !ASCII"}[c.NonASCII]
	case Rcpt:
		s := fmt.Sprintf("RCPT %q %q", c.Path.Local, c.Path.Domain)
		if c.Rcpt != (RcptOptions{}) {
			s += c.Rcpt.String()
		}
		return s + map[bool]string{true: " !ASCII"}[c.NonASCII]
	case Auth:
		return fmt.Sprintf("AUTH %s %q", c.Mechanism, c.Initial)
	case Bdat:
		return fmt.Sprintf("BDAT %d %t", c.Size, c.Last)
	}
	return fmt.Sprintf("%s %q", c.Verb, c.Arg)
}

func TestCommands(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		// RFC 5321 §4.1.1
		{"EHLO mx.example.org", `EHLO "mx.example.org"`},
		{"ehlo [192.0.2.1]  ", `EHLO "[192.0.2.1]"`},
		{"HELO a b", `HELO "a b"`},
		{"HELO", "501 5.5.4"},
		{"LHLO x", `LHLO "x"`},
		{"DATA", `DATA ""`}, {"data \t", `DATA ""`}, {"DATA now", "501 5.5.4"},
		{"RSET", `RSET ""`}, {"RSET x", "501 5.5.4"}, {"QUIT", `QUIT ""`}, {"QUIT x", "501 5.5.4"},
		{"NOOP", `NOOP ""`}, {"NOOP x y", `NOOP "x y"`}, {"HELP", `HELP ""`}, {"HELP MAIL", `HELP "MAIL"`},
		{"VRFY smith", `VRFY "smith"`}, {"VRFY", "501 5.5.4"}, {"EXPN list", `EXPN "list"`},
		{"STARTTLS", `STARTTLS ""`}, {"STARTTLS x", "501 5.5.4"},
		{"", "500 5.5.2"}, {" EHLO x", "500 5.5.2"}, {"MAILFROM:<a@b.c>", "500 5.5.2"}, {"XYZZY", "500 5.5.2"}, {"unknown", "500 5.5.2"},
		// RFC 3030 §2
		{"BDAT 86 LAST", "BDAT 86 true"}, {"BDAT 0", "BDAT 0 false"}, {"bdat 12  last", "BDAT 12 true"},
		{"BDAT", "501 5.5.4"}, {"BDAT x", "501 5.5.4"}, {"BDAT -1", "501 5.5.4"}, {"BDAT 1 2", "501 5.5.4"}, {"BDAT 1 LAST x", "501 5.5.4"},
		{"BDAT 99999999999999999999", "BDAT 9223372036854775807 false"}, {"BDAT 999999999999999999999", "501 5.5.4"}, {"BDAT +1", "501 5.5.4"},
		// RFC 4954 §4
		{"AUTH PLAIN", `AUTH PLAIN ""`}, {"auth scram-sha-256 biws", `AUTH SCRAM-SHA-256 "biws"`}, {"AUTH PLAIN =", `AUTH PLAIN "="`},
		{"AUTH", "501 5.5.4"}, {"AUTH a b c", "501 5.5.4"}, {"AUTH abcdefghijklmnopqrstuvwxyz", "501 5.5.4"},
	} {
		if got := show(ParseCommand([]byte(c.in), all)); got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}

func TestPaths(t *testing.T) {
	long := strings.Repeat("l", 255)
	for _, c := range []struct{ in, want string }{
		{"<smith@bar.com>", `"smith" "bar.com"`},
		{"<Smith@BAR.com>", `"Smith" "bar.com"`}, // only the domain loses its case
		{" <a@b.example>", `"a" "b.example"`},
		{"\t <a@b.example>", `"a" "b.example"`},
		{"a@b.example", `"a" "b.example"`}, // tolerated
		{"<a+b=c!#$%&'*/?^_`{|}~-@b.example>", `"a+b=c!#$%&'*/?^_` + "`" + `{|}~-" "b.example"`},
		{`<"a b"@b.example>`, `"a b" "b.example"`},
		{`<"a\"\\\@"@b.example>`, `"a\"\\@" "b.example"`},
		{`<"a>b"@b.example>`, `"a>b" "b.example"`},
		{"<a..b.@docomo.example>", `"a..b." "docomo.example"`}, // Japanese telephones
		{"<@x.example,@y.example:a@b.example>", `"a" "b.example"`},
		{"<@[IPv6:2001:db8::1]:a@b.example>", `"a" "b.example"`},
		{"<a@[192.0.2.1]>", `"a" "[192.0.2.1]"`},
		{"<a@[IPv6:2001:DB8::1]>", `"a" "[IPv6:2001:db8::1]"`},
		{"<" + long + "@b.example>", `"` + long + `" "b.example"`},
		{"<用户@例え.jp>", `"用户" "xn--r8jz45g.jp" !ASCII`},
		{"<a@例え.jp>", `"a" "xn--r8jz45g.jp" !ASCII`},
		{"<a@xn--r8jz45g.jp>", `"a" "xn--r8jz45g.jp"`},
		{"<a_b@under_score.example>", `"a_b" "under_score.example"`},
		{"", "bad"}, {"<", "bad"}, {">", "bad"}, {"<a", "bad"}, {"<a@", "bad"}, {"<a@>", "bad"}, {"<@b.example>", "bad"}, {"<a@b.example", "bad"},
		{"<a b@c.example>", "bad"}, {"<a@b@c.example>", "bad"}, {"<a@b..example>", "bad"}, {"<a@.example>", "bad"}, {"<a@b.example.>", "bad"},
		{"<a@-b.example>x", "bad"}, {"<a@b.example>x", "bad"}, {"<<a@b.example>>", "bad"}, {"<a@b.example>>", "bad"}, {`<"a@b.example>`, "bad"},
		{`<"a"b@c.example>`, "bad"}, {"<a@[192.0.2]>", "bad"}, {"<a@[192.0.2.1>", "bad"}, {"<a@[x:y]>", "bad"}, {`<""@b.example>`, "bad"},
		{"<" + long + "l@b.example>", "bad"}, {"<\xff@b.example>", "bad"}, {"<a@\xff.example>", "bad"}, {"<a@" + strings.Repeat("b.", 128) + "c>", "bad"},
		{"<@:a@b.example>", "bad"}, {"<@x.example a@b.example>", "bad"}, {"<@x.example,y.example:a@b.example>", "bad"}, {"<a\tb@c.example>", "bad"},
		{"<a@b c.example>", "bad"}, {"<\"a\x01\"@b.example>", "bad"}, {"<a(comment)@b.example>", "bad"}, {"Smith <a@b.example>", "bad"},
		{"<abuse>", "bad"}, {`<a\@b.example>`, "bad"},
	} {
		for _, verb := range []string{"MAIL FROM:", "RCPT TO:"} {
			want := verb[:5] + c.want
			if c.want == "bad" {
				want = map[string]string{"MAIL FROM:": "501 5.1.7", "RCPT TO:": "501 5.1.3"}[verb]
			}
			if got := show(ParseCommand([]byte(verb+c.in), all)); got != want {
				t.Errorf("%q: %s, want %s", verb+c.in, got, want)
			}
		}
	}
	for in, want := range map[string]bool{"<a..b@docomo.example>": false, `<"a..b"@docomo.example>`: true, `<"a.b"@docomo.example>`: false, `<"a b"@x.example>`: false} {
		m, _ := ParseCommand([]byte("MAIL FROM:"+in), all)
		r, _ := ParseCommand([]byte("RCPT TO:"+in+` NOTIFY=NEVER`), all)
		if m.Mail.Quoted != want || r.Rcpt.Quoted != want {
			t.Errorf("%s: %v, %v", in, m.Mail.Quoted, r.Rcpt.Quoted)
		}
	}
	for in, want := range map[string]string{
		"MAIL FROM:<>": `MAIL "" ""`, "mail from: <>": `MAIL "" ""`, "RCPT TO:<>": "501 5.1.3", // RFC 5321 §4.1.1.3
		"RCPT TO:<postmaster>": `RCPT "postmaster" ""`, "rcpt to:<PostMaster>": `RCPT "PostMaster" ""`, "MAIL FROM:<postmaster>": "501 5.1.7",
		"MAIL FROM <a@b.c>": "501 5.5.4", "MAIL": "501 5.5.4", "RCPT FROM:<a@b.c>": "501 5.5.4", "MAIL   FROM:<a@b.c>": `MAIL "a" "b.c"`,
		"MAIL FROM:<>x": "501 5.1.7",
	} {
		if got := show(ParseCommand([]byte(in), all)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestParameters(t *testing.T) {
	ok := func(o MailOptions) string {
		return show(Command{Verb: Mail, Path: mail.Address{Local: "a", Domain: "b.c"}, Mail: o}, Reply{})
	}
	to := func(o RcptOptions) string {
		return show(Command{Verb: Rcpt, Path: mail.Address{Local: "a", Domain: "b.c"}, Rcpt: o}, Reply{})
	}
	for _, c := range []struct{ in, want string }{
		{"M SIZE=1000", ok(MailOptions{Size: 1000})}, // RFC 1870
		{"M size=0", ok(MailOptions{})},
		{"M SIZE=99999999999999999999", ok(MailOptions{Size: 1<<63 - 1})},
		{"M SIZE", "501 5.5.4"}, {"M SIZE=", "501 5.5.4"}, {"M SIZE=x", "501 5.5.4"}, {"M SIZE=-1", "501 5.5.4"}, {"M SIZE=1 SIZE=1", "501 5.5.4"},
		{"M BODY=8BITMIME", ok(MailOptions{EightBit: true})}, {"M body=7bit", ok(MailOptions{})}, // RFC 6152
		{"M BODY=BINARYMIME", ok(MailOptions{Binary: true})}, {"M BODY=16BIT", "501 5.5.4"}, {"M BODY", "501 5.5.4"},
		{"M SMTPUTF8", ok(MailOptions{UTF8: true})}, {"M SMTPUTF8=1", "501 5.5.4"}, // RFC 6531
		{"M AUTH=<>", ok(MailOptions{Auth: "<>"})}, {"M AUTH=e+3Dmc2@example.com", ok(MailOptions{Auth: "e=mc2@example.com"})}, // RFC 4954 §5
		{"M AUTH", "501 5.5.4"}, {"M AUTH=+4", "501 5.5.4"},
		{"M RET=HDRS ENVID=a+2Bb", ok(MailOptions{HeadersOnly: true, EnvelopeID: "a+b"})}, {"M RET=FULL", ok(MailOptions{Full: true})}, // RFC 3461
		{"M ENVID=a+07", "501 5.5.4"}, {"M ENVID=a RET=FULL RET=HDRS", "501 5.5.4"},
		{"M RET=x", "501 5.5.4"}, {"M ENVID", "501 5.5.4"}, {"M ENVID=" + strings.Repeat("e", 101), "501 5.5.4"},
		{"M  SMTPUTF8   SIZE=5 ", ok(MailOptions{UTF8: true, Size: 5})},
		{"M X", "555 5.5.4"}, {"M X=1", "555 5.5.4"}, {"M NOTIFY=NEVER", "555 5.5.4"}, {"M =1", "501 5.5.4"}, {"M -X", "501 5.5.4"}, {"M X=a=b", "501 5.5.4"},
		{"M X\x01", "501 5.5.4"}, {"M X=\x7f", "501 5.5.4"},
		{"R NOTIFY=NEVER", to(RcptOptions{Notify: mail.NotifyNever})},
		{"R notify=success,Delay,FAILURE", to(RcptOptions{Notify: mail.NotifySuccess | mail.NotifyDelay | mail.NotifyFailure})},
		{"R NOTIFY=NEVER,DELAY", "501 5.5.4"}, {"R NOTIFY=", "501 5.5.4"}, {"R NOTIFY=x", "501 5.5.4"}, {"R NOTIFY=DELAY,", "501 5.5.4"},
		{"R ORCPT=rfc822;a+2Bb@c.d", to(RcptOptions{Original: "rfc822;a+b@c.d"})},
		{`R ORCPT=utf-8;\x{7528}@c.d`, to(RcptOptions{Original: `utf-8;\x{7528}@c.d`})},
		{"R ORCPT=rfc822", "501 5.5.4"}, {"R ORCPT=;a", "501 5.5.4"}, {"R ORCPT=rfc822;", "501 5.5.4"}, {"R ORCPT=rfc822;a+0D+0A", "501 5.5.4"},
		{"R ORCPT=rfc822;" + strings.Repeat("x", 500), "501 5.5.4"}, {"R SIZE=1", "555 5.5.4"},
	} {
		in := strings.Replace(strings.Replace(c.in, "M ", "MAIL FROM:<a@b.c> ", 1), "R ", "RCPT TO:<a@b.c> ", 1)
		if got := show(ParseCommand([]byte(in), all)); got != c.want {
			t.Errorf("%q: %s, want %s", in, got, c.want)
		}
		// What was not announced is not known (RFC 5321 §4.1.1.11).
		if got := show(ParseCommand([]byte(in), Extensions{})); got != "555 5.5.4" && got != "501 5.5.4" {
			t.Errorf("%q without extensions: %s", in, got)
		}
	}
}

// FuzzCommand: no panic, and a path that was read, written as SMTP writes it, is
// read the same again.
func FuzzCommand(f *testing.F) {
	f.Add(`MAIL FROM:<"a\"b"@b.example> SIZE=1 BODY=8BITMIME SMTPUTF8 AUTH=<> RET=HDRS ENVID=x`)
	f.Add("RCPT TO:<@a.example,@[IPv6:::1]:用户@例え.jp> NOTIFY=DELAY ORCPT=rfc822;a@b.c")
	f.Add("BDAT 99999999999999999999 LAST")
	f.Add("AUTH PLAIN =")
	f.Fuzz(func(t *testing.T, in string) {
		c, r := ParseCommand([]byte(in), all)
		if !r.IsZero() || c.Verb != Mail && c.Verb != Rcpt {
			return
		}
		again, r := ParseCommand([]byte(c.Verb.String()+map[Verb]string{Mail: " FROM:<", Rcpt: " TO:<"}[c.Verb]+c.Path.String()+">"), all)
		if !r.IsZero() || again.Path != c.Path {
			t.Fatalf("%q: %+v became %+v: %v", in, c.Path, again.Path, r)
		}
	})
}
