package smtp

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// TestDemands: the parameters that ask something of the way a message takes, as
// they are read, and written again.
func TestDemands(t *testing.T) {
	const bad, badSyntax, unknown = "501 5.5.4", "501 5.5.2", "555 5.5.4"
	long := strings.Repeat("a", 1000)
	for in, want := range map[string]string{
		"REQUIRETLS": " REQUIRETLS", "requiretls": " REQUIRETLS", "REQUIRETLS=1": bad, // RFC 8689 §2
		"BY=120;R": " BY=120;R", "BY=+120;rt": " BY=120;RT", "BY=-30;N": " BY=-30;N", "BY=0;NT": " BY=0;NT", // RFC 2852 §4
		"BY=0;R": bad, "BY=-1;R": bad, "BY": bad, "BY=1": bad, "BY=1;": bad, "BY=1;X": bad, "BY=1;T": bad, "BY=;N": bad, "BY=+-1;N": bad, "BY=1;NTT": bad,
		"BY=999999999;N": " BY=999999999;N", "BY=1000000000;N": bad, "BY=1;N BY=1;N": bad,
		"HOLDFOR=1": " HOLDFOR=1", "HOLDFOR=999999999": " HOLDFOR=999999999", "HOLDFOR=0": bad, "HOLDFOR=01": bad, "HOLDFOR=1000000000": bad, // RFC 4865 §3
		"HOLDFOR": bad, "HOLDFOR=x": bad, "HOLDFOR=-1": bad, "HOLDFOR=1 HOLDUNTIL=2030-01-01T00:00:00Z": bad, "HOLDUNTIL=2030-01-01T00:00:00Z HOLDFOR=1": bad,
		"HOLDUNTIL=2030-01-02T03:04:05Z": " HOLDUNTIL=2030-01-02T03:04:05Z", "HOLDUNTIL=2030-01-02t03:04:05z": " HOLDUNTIL=2030-01-02T03:04:05Z",
		"HOLDUNTIL=2030-01-02T03:04:05+00:00": " HOLDUNTIL=2030-01-02T03:04:05Z", "HOLDUNTIL=2030-01-02T03:04:05+09:00": bad,
		"HOLDUNTIL=2030-02-30T03:04:05Z": bad, "HOLDUNTIL=1960-01-01T00:00:00Z": bad, "HOLDUNTIL": bad,
		"MT-PRIORITY=9": " MT-PRIORITY=9", "MT-PRIORITY=-9": " MT-PRIORITY=-9", "MT-PRIORITY=0": " MT-PRIORITY=0", // RFC 6710 §7
		"MT-PRIORITY=10": badSyntax, "MT-PRIORITY=-0": badSyntax, "MT-PRIORITY=+1": badSyntax, "MT-PRIORITY": badSyntax, "MT-PRIORITY=--1": badSyntax,
		"SOLICIT=net.example:ADV,org.example:ADV:ADLT": " SOLICIT=net.example:ADV,org.example:ADV:ADLT", "SOLICIT=a": " SOLICIT=a", // RFC 3865 §2.2
		"SOLICIT=" + long: " SOLICIT=" + long, "SOLICIT=" + long + "a": bad, "SOLICIT=1a": bad, "SOLICIT=a,": bad, "SOLICIT=a,,b": bad, "SOLICIT=a;b": bad, "SOLICIT": bad,
		"BODY=BINARYMIME": " BODY=BINARYMIME", "BODY=binarymime": " BODY=BINARYMIME", // RFC 3030 §3
		"REQUIRETLS BY=1;N HOLDFOR=3 MT-PRIORITY=2 SOLICIT=x RET=FULL": " RET=FULL REQUIRETLS BY=1;N HOLDFOR=3 MT-PRIORITY=2 SOLICIT=x",
	} {
		c, r := ParseCommand([]byte("MAIL FROM:<a@b.c> "+in), all)
		got := c.Mail.String()
		if !r.IsZero() {
			got = Reply{Code: r.Code, Enhanced: r.Enhanced}.String()
		}
		if strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
		if _, r := ParseCommand([]byte("MAIL FROM:<a@b.c> "+in), Extensions{EightBit: true}); r.Code != 501 && r.Code != 555 {
			t.Errorf("%s, not announced: %s", in, r)
		}
	}
	if _, r := ParseCommand([]byte("MAIL FROM:<a@b.c> REQUIRETLS"), Extensions{TLS: true}); r.Code != 530 {
		t.Errorf("REQUIRETLS in clear: %s", r)
	}
}

// FuzzMailOptions: what was read, and is written, reads the same again.
func FuzzMailOptions(f *testing.F) {
	f.Add("BY=-5;NT HOLDUNTIL=2030-01-02T03:04:05Z MT-PRIORITY=-3 SOLICIT=net.example:ADV REQUIRETLS")
	f.Add("SIZE=1 BODY=BINARYMIME SMTPUTF8 AUTH=<> RET=FULL ENVID=x+2B HOLDFOR=9")
	f.Fuzz(func(t *testing.T, in string) {
		c, r := ParseCommand([]byte("MAIL FROM:<a@b.c> "+in), all)
		if !r.IsZero() {
			return
		}
		again, r := ParseCommand([]byte("MAIL FROM:<a@b.c>"+c.Mail.String()), all)
		if !r.IsZero() || again.Mail != c.Mail {
			t.Fatalf("%q: %+v, then %s: %+v, %v", in, c.Mail, c.Mail, again.Mail, r)
		}
		now := time.Unix(1_800_000_000, 0)
		if d := c.Mail.Demands(now); c.Mail.By.Mode != 0 && Remaining(d.By, now) != c.Mail.By {
			t.Fatalf("%s: %+v", c.Mail, d)
		}
	})
}

func TestRemaining(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		by   mail.DeliverBy
		want string
	}{
		{mail.DeliverBy{At: now.Add(98500 * time.Millisecond), Return: true}, "98;R"},
		{mail.DeliverBy{At: now.Add(-time.Minute), Trace: true}, "-60;NT"},
		{mail.DeliverBy{At: now.Add(1 << 62)}, "999999999;N"},
	} {
		if got := Remaining(c.by, now).String(); got != c.want {
			t.Errorf("%v: %s, want %s", c.by, got, c.want)
		}
	}
	for param, want := range map[string]int64{"": 0, "240": 240, "30,x": 30, ",x": 0, "x": 0, "-1": 0, "1234567890": 0} {
		if got := MinBy(param); got != want {
			t.Errorf("DELIVERBY %s: %d", param, got)
		}
	}
}

// TestLimits is RFC 9422 §3 and §4.
func TestLimits(t *testing.T) {
	for param, want := range map[string]Limits{
		"RCPTMAX=20 MAILMAX=5": {Mails: 5, Rcpts: 20}, "rcptdomainmax=1": {Domains: 1}, "": {},
		"MAILMAX=0 RCPTMAX=5": {Rcpts: 5}, "MAILMAX=x RCPTMAX": {}, "MAILMAX=1000000": {}, "MAILMAX=999999": {Mails: 999_999}, "OTHER=1 MAILMAX=2": {Mails: 2},
		"MAILMAX=5;RCPTMAX=2": {}, "MAILMAX=5 =3": {}, "MAILMAX=5 X=\x80": {}, "MAILMAX=05": {},
	} {
		if got := ParseLimits(param); got != want {
			t.Errorf("%q: %+v", param, got)
		}
	}
	if s := (Limits{Mails: 1000, Rcpts: 1 << 30, Domains: 1}).String(); s != "MAILMAX=1000 RCPTDOMAINMAX=1" {
		t.Error(s)
	}
}

func FuzzLimits(f *testing.F) {
	f.Add("RCPTMAX=20 MAILMAX=5 RCPTDOMAINMAX=1")
	f.Fuzz(func(t *testing.T, param string) {
		if l := ParseLimits(param); ParseLimits(l.String()) != l {
			t.Fatalf("%q: %+v", param, l)
		}
		MinBy(param)
	})
}

func TestUnsolicited(t *testing.T) {
	no := []string{"net.example:ADV", "org.example:X"}
	for list, want := range map[string]string{
		"": "", "com.example:ADV": "", "NET.example:adv": "NET.example:adv", "a,org.example:X,net.example:ADV": "org.example:X,net.example:ADV", "net.example:ADV:ADLT": "",
	} {
		if got := Unsolicited(list, no); got != want {
			t.Errorf("%q: %q", list, got)
		}
	}
}

// readBinary takes content in chunks of n octets as BODY=BINARYMIME.
func readBinary(content string, n, step, room int, limit int64) (string, error) {
	c := NewChunkReader(line.NewReader(chop{strings.NewReader(content), step}), limit)
	c.Binary = true
	var got strings.Builder
	for left := len(content); ; {
		size := min(n, left)
		left -= size
		c.Begin(int64(size), left == 0)
		for {
			p := make([]byte, room)
			k, err := c.Read(p)
			got.Write(p[:k])
			if err == ErrNextChunk {
				break
			}
			if err != nil {
				return got.String(), err
			}
		}
	}
}

// TestBinary: the header keeps the rules of text, and behind it every octet is
// kept (RFC 3030 §3).
func TestBinary(t *testing.T) {
	const head = "Subject: x\r\nA: b\r\n\r\n"
	body := "\n.\n\r.\r\x00\xff" + strings.Repeat("long", MaxTextLine)
	for _, c := range []struct {
		in, want string
		err      error
	}{
		{head + body, head + body, io.EOF}, {head, head, io.EOF}, {"\r\n\n", "\r\n\n", io.EOF}, {"A: b", "A: b\r\n", io.EOF},
		{"A: b\n\r\n", "", ErrBare}, {"A: b\rC: d\r\n\r\n", "", ErrBare}, {"A: \x00\r\n\r\n", "", ErrBare}, {"A: b\r", "", ErrBare},
	} {
		for _, n := range []int{1, 2, 3, 7, 1 << 20} {
			for _, step := range []int{1, 5, 1 << 20} {
				got, err := readBinary(c.in, n, step, 1+n%5, 0)
				if !errors.Is(err, c.err) || err == io.EOF && got != c.want {
					t.Fatalf("%.40q in chunks of %d: %.60q, %v", c.in, n, got, err)
				}
			}
		}
	}
	if _, err := readBinary(head+body, 100, 100, 100, 50); err != ErrTooLarge {
		t.Errorf("too large: %v", err)
	}
}

func FuzzBinary(f *testing.F) {
	f.Add("A: b\r\n\r\n\n\x00", uint16(3), uint16(2), uint16(9))
	f.Fuzz(func(t *testing.T, content string, n, step, room uint16) {
		got, err := readBinary(content, int(n)+1, int(step)+1, int(room)+1, 0)
		whole, wholeErr := readBinary(content, 1<<20, 1<<20, 1<<20, 0)
		if err != wholeErr || err == io.EOF && got != whole {
			t.Fatalf("%q: %q, %v, and in pieces %q, %v", content, whole, wholeErr, got, err)
		}
		if i := strings.Index(content, "\r\n\r\n"); err == io.EOF && i >= 0 && got != content {
			t.Fatalf("%q became %q", content, got)
		}
	})
}

// TestContentFault: what content is refused for is told word for word.
func TestContentFault(t *testing.T) {
	if r := Fault(fmt.Errorf("copying: %w", ErrBare)); r.String() != ErrBare.Reply.String() {
		t.Error(r)
	}
}
