package sendmail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

func TestParseArgs(t *testing.T) {
	for in, want := range map[string]string{
		"root":                             `{0   [root] false false 0 false  }`,
		"-t":                               `{0   [] true false 0 false  }`,
		"-t -i":                            `{0   [] true true 0 false  }`,
		"-ti a@x.test":                     `{0   [a@x.test] true true 0 false  }`,
		"-oi -f b@x.test a@x.test":         `{0 b@x.test  [a@x.test] false true 0 false  }`,
		"-fb@x.test -- -odd@x.test":        `{0 b@x.test  [-odd@x.test] false false 0 false  }`,
		"-f <> a":                          `{0 <>  [a] false false 0 false  }`,
		"-r b@x.test -Fcron a":             `{0 b@x.test cron [a] false false 0 false  }`,
		"-FCronDaemon -i -odi -oem root":   `{0  CronDaemon [root] false true 0 false  }`, // as cron calls it
		"-N success,delay -R hdrs -V id a": `{0   [a] false false 10 true id }`,
		"-Nnever -Rfull a":                 `{0   [a] false false 1 false  }`,
		"-bm -v -B 8BITMIME -h 3 -L tag -X /log -O x=y -p smtp:h -G -U a": `{0   [h smtp:h a] false false 0 false  }`,
		"-C /etc/x -t": `{0   [] true false 0 false  /etc/x}`,
		"-bp":          `{1   [] false false 0 false  }`,
		"-q":           `{1   [] false false 0 false  }`,
		"-q30m":        `{1   [] false false 0 false  }`,
		"-bi":          `{2   [] false false 0 false  }`,
		"":             "error", "-i": "error", "-f": "error", "-bs": "error", "-bd": "error", "-k a": "error", "-N soon a": "error",
		"-N never,delay a": "error", "-R some a": "error", "a\x00b": "error", "-f a\nb c": "error", "--to=a": "error",
	} {
		c, err := ParseArgs(strings.Split(in, " "))
		if in == "" {
			c, err = ParseArgs(nil)
		}
		got := fmt.Sprint(c)
		if err != nil {
			got = "error"
		}
		if strings.Contains(in, "-p smtp:h") {
			want = `{0   [smtp:h a] false false 0 false  }`
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", in, got, err, want)
		}
	}
	if c, err := ParseArgs([]string{"-f", "", "a"}); c.From != "<>" || err != nil {
		t.Error(c, err)
	}
}

func FuzzParseArgs(f *testing.F) {
	f.Add("-t -i -f a@b")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseArgs(strings.Split(s, " "))
		if err == nil && strings.ContainsAny(c.From+c.Name+c.EnvelopeID+strings.Join(c.To, ""), "\r\n\x00") {
			t.Errorf("%q gave %+v", s, c)
		}
	})
}

func TestRecipients(t *testing.T) {
	for in, want := range map[string]string{
		"To: a@x.test, B <b@y.test>\nCc: c@x.test\nBcc: d@x.test\n\nTo: no@body.test\n": "a@x.test b@y.test c@x.test d@x.test",
		"To: root\n":                             "root",
		"to: a@x.test\nTO: a@x.test,\n b@x.test": "a@x.test b@x.test",
		"To: undisclosed-recipients:;\nBcc: friends: a@x.test, b@x.test;\n": "a@x.test b@x.test",
		"To: a@x.test\nResent-To: b@x.test\nResent-Bcc: c@x.test\n":         "b@x.test c@x.test",
		"To: a..b.@docomo.example, \"c..d\"@docomo.example\n":               "a..b.@docomo.example c..d@docomo.example",
		"To: \"a b\"@x.test\n":                               `"a b"@x.test`,
		"To: =?utf-8?q?x?= <a@例え.test>\n":                    "a@例え.test",
		"To: \"a\x01b\"@x.test\n":                            "error",
		"To: Alice Liddell\n":                                "error",
		"Subject: none\n":                                    "",
		"To: " + strings.Repeat("a@x.test, ", 20_000) + "\n": "error",
	} {
		got, err := Recipients([]byte(strings.ReplaceAll(in, "\n", "\r\n")))
		text := strings.Join(got, " ")
		if err != nil {
			text = "error"
		}
		if text != want {
			t.Errorf("%.60q: %.80s (%v), want %s", in, text, err, want)
		}
	}
}

// FuzzRecipients: what a header names can be read as an address, or is refused.
func FuzzRecipients(f *testing.F) {
	f.Add([]byte("To: a@b.test, \"c d\" <e@f.test>\r\nBcc: g: h;\r\n\r\n"))
	f.Add([]byte("Resent-To: \"\\\"\"@x\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := Recipients(b)
		if err != nil {
			return
		}
		for _, s := range all {
			if s == "" || strings.ContainsAny(s, "\r\n\x00") {
				t.Errorf("%q names %q", b, s)
			}
			if a, err := mail.ParseAddress(s); err == nil && a.Local == "" {
				t.Errorf("%q names %q", b, s)
			}
		}
	})
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 20_000)
	for _, c := range []struct {
		in   string
		dot  bool
		want string
		err  error
	}{
		{"a\nb\n", false, "a\r\nb\r\n", nil},
		{"a\r\nb\r\n", false, "a\r\nb\r\n", nil},
		{"a\r\nb\nc", false, "a\r\nb\r\nc\r\n", nil},
		{"", false, "", nil},
		{"\n\n", false, "\r\n\r\n", nil},
		{"a\n.\nb\n", true, "a\r\n", nil},
		{"a\n.\nb\n", false, "a\r\n.\r\nb\r\n", nil},
		{"a\r\n.\r\nb\n", true, "a\r\n", nil},
		{".", true, "", nil},
		{"..\n.a\n", true, "..\r\n.a\r\n", nil},
		{"a\rb\n", false, "", smtp.ErrBare},
		{"a\n\x00\n", false, "a\r\n", smtp.ErrBare},
		{"a\r\r\n", false, "", smtp.ErrBare},
		{"a\n" + long + "\n", false, "a\r\n", smtp.ErrLongLine},
		{strings.Repeat("a\n", 600), false, strings.Repeat("a\r\n", 333), smtp.ErrTooLarge},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			got, err := io.ReadAll(NewLines(r, 1000, c.dot))
			if string(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%.40q: %.40q, %v", c.in, got, err)
			}
		}
	}
	if _, err := io.ReadAll(NewLines(iotest.ErrReader(io.ErrUnexpectedEOF), 0, false)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("a broken reader is taken for the end", err)
	}
}

// FuzzLines: what comes out is as SMTP has it, and stays so when it is read again.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\r\n.\nb"), true)
	f.Add([]byte("\r\r\n\n\x00"), false)
	f.Fuzz(func(t *testing.T, b []byte, dot bool) {
		out, err := io.ReadAll(NewLines(bytes.NewReader(b), 0, dot))
		bare := bytes.ReplaceAll(out, []byte("\r\n"), nil)
		if bytes.ContainsAny(bare, "\r\n\x00") {
			t.Fatalf("%q gave %q", b, out)
		}
		if again, bad := io.ReadAll(NewLines(bytes.NewReader(out), 0, false)); err == nil && (bad != nil || !bytes.Equal(again, out)) {
			t.Errorf("%q gave %q, and that %q, %v", b, out, again, bad)
		}
	})
}
