package mtasts

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

func TestRecordID(t *testing.T) {
	for _, c := range []struct {
		texts []string
		want  string // "" for none
	}{
		{[]string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
		{[]string{"v=STSv1;id=a1"}, "a1"},
		{[]string{"v=STSv1; later=x; id=a1;"}, "a1"},
		{[]string{"something else", "v=STSv1; id=a1;"}, "a1"},
		{nil, ""},
		{[]string{"v=STSv1; id=a;", "v=STSv1; id=b;"}, ""}, // RFC 8461 §3.1
		{[]string{"v=STSv1"}, ""},
		{[]string{"v=STSv1;"}, ""},
		{[]string{"v=STSv1; id=;"}, ""},
		{[]string{"v=STSv1; id=a-b;"}, ""},
		{[]string{"v=STSv1; id=" + strings.Repeat("a", 33)}, ""},
		{[]string{"v=STSv2; id=a;"}, ""},
		{[]string{" v=STSv1; id=a;"}, ""},
	} {
		got, ok := RecordID(c.texts)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%q: %q, %v", c.texts, got, ok)
		}
	}
}

func TestParse(t *testing.T) {
	p, err := Parse([]byte("version: STSv1\r\nmode: enforce\r\nmx: Mail.Example.com\r\nmx: *.例え.jp\r\nlater: x\r\nmode: none\r\nmax_age: 604800\r\n"))
	if err != nil || p.Mode != Enforce || p.MaxAge != 7*24*time.Hour || !slices.Equal(p.MX, []string{"mail.example.com", "*.xn--r8jz45g.jp"}) {
		t.Errorf("%+v, %v", p, err)
	}
	if again, err := Parse([]byte(p.String())); err != nil || again.String() != p.String() {
		t.Errorf("%+v, %v", again, err)
	}
	for _, good := range []string{
		"version: STSv1\nmode: none\nmax_age: 0",
		"version:STSv1\nmode:testing\nmx:a.test\nmax_age:99999999\n\n",
	} {
		if _, err := Parse([]byte(good)); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "<html>", "mode: enforce\nversion: STSv1\nmx: a.test\nmax_age: 1\n", "version: STSv2\nmode: none\nmax_age: 1\n",
		"version: STSv1\nmode: enforce\nmax_age: 1\n", "version: STSv1\nmode: strict\nmx: a.test\nmax_age: 1\n",
		"version: STSv1\nmode: enforce\nmx: a.test\n", "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n",
		"version: STSv1\nmode: enforce\nmx: a.*.test\nmax_age: 1\n", "version: STSv1\nmode: enforce\nmx: [192.0.2.1]\nmax_age: 1\n",
		"version: STSv1\nmode: none\nmax_age: 1\n" + strings.Repeat("x: y\n", MaxPolicy/5),
		"version: STSv1\nmode: enforce\nmax_age: 1\n" + strings.Repeat("mx: a.test\n", maxMX+1),
	} {
		if p, err := Parse([]byte(bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.60q: %+v, %v", bad, p, err)
		}
	}
}

func TestAllows(t *testing.T) {
	p := Policy{MX: []string{"mail.example.com", "*.example.net"}}
	for host, want := range map[string]bool{
		"mail.example.com": true, "MAIL.example.com.": true, "a.example.net": true,
		"a.b.example.net": false, "example.net": false, "other.example.com": false, "": false, "net": false,
	} {
		if p.Allows(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("version: STSv1\nmode: enforce\nmx: *.a.test\nmax_age: 86400\n"))
	f.Add([]byte("version: STSv1\r\nmode: none\r\nmax_age: 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse([]byte(p.String())); err != nil || again.String() != p.String() {
			t.Errorf("%q printed and read again: %v", p, err)
		}
		_, _ = RecordID([]string{string(text)})
	})
}
