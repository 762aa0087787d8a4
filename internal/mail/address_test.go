package mail

import (
	"slices"
	"strings"
	"testing"
)

func TestParseDomain(t *testing.T) {
	cases := []struct{ in, want string }{
		{"Example.COM", "example.com"},
		{"example.com.", "example.com"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"日本語.jp", "xn--wgv71a119e.jp"},
		{"xn--wgv71a119e.jp", "xn--wgv71a119e.jp"},
		{"my_host.example", "my_host.example"},
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[ipv6:2001:DB8::1]", "[IPv6:2001:db8::1]"},
		{"", ""}, {".", ""}, {"a..b", ""}, {".a", ""}, {"a b", ""}, {"a@b", ""}, {"[192.0.2.1", ""}, {"[192.0.2]", ""},
		{"[IPv6:192.0.2.1]", ""}, {"[2001:db8::1]", ""}, {"[IPv6:fe80::1%eth0]", ""},
		{strings.Repeat("a", 64) + ".test", ""}, {strings.Repeat("a.", 130) + "test", ""}, {"a\x00b.test", ""},
	}
	for _, c := range cases {
		got, err := ParseDomain(c.in)
		if (err != nil) != (c.want == "") || err == nil && string(got) != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	cases := []struct {
		in, local, domain string
	}{
		{"alice@example.test", "alice", "example.test"},
		{"Alice.B+c@Example.Test", "Alice.B+c", "example.test"},
		{`"a b"@example.test`, "a b", "example.test"},
		{`"a\"\\@b"@example.test`, `a"\@b`, "example.test"},
		{"利用者@例え.jp", "利用者", "xn--r8jz45g.jp"},
		{"", "", ""}, {"alice", "", ""}, {"@example.test", "", ""}, {"alice@", "", ""},
		// As the telephone companies of Japan had them.
		{"a..b@docomo.example", "a..b", "docomo.example"}, {"a.@docomo.example", "a.", "docomo.example"},
		{".a@docomo.example", ".a", "docomo.example"}, {`"a..b."@docomo.example`, "a..b.", "docomo.example"},
		{"a b@example.test", "", ""}, {`"a@example.test`, "", ""}, {`"a"b@example.test`, "", ""},
		{"a@b@c", "", ""}, {"<a@b.test>", "", ""}, {"a\x80@b.test", "", ""}, {"\"a\r\nb\"@example.test", "", ""},
		{strings.Repeat("a", MaxLocalPart+1) + "@b.test", "", ""},
	}
	for _, c := range cases {
		got, err := ParseAddress(c.in)
		if (err != nil) != (c.domain == "") || got != (Address{c.local, Domain(c.domain)}) {
			t.Errorf("%q: got %+v, %v", c.in, got, err)
		}
	}
}

func TestAddressString(t *testing.T) {
	for want, a := range map[string]Address{
		"":                       {},
		"postmaster":             {Local: "postmaster"},
		"a.b@example.test":       {"a.b", "example.test"},
		"a..b@example.test":      {"a..b", "example.test"},
		"a.@example.test":        {"a.", "example.test"},
		`"a b"@example.test`:     {"a b", "example.test"},
		`"a\"b\\c"@example.test`: {`a"b\c`, "example.test"},
		`""@example.test`:        {"", "example.test"},
		"利用者@xn--r8jz45g.jp":     {"利用者", "xn--r8jz45g.jp"},
	} {
		if got := a.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if (Address{Local: "a"}).IsNull() || !(Address{}).IsNull() {
		t.Error("only the zero address is null")
	}
	if (Address{"利", "a.test"}).IsASCII() || !(Address{"a", "a.test"}).IsASCII() {
		t.Error("IsASCII")
	}
}

// TestOddDots: with and without quotes is one address, written as it was or by
// the letter.
func TestOddDots(t *testing.T) {
	for in, strict := range map[string]string{
		"a..b@docomo.example": `"a..b"@docomo.example`, "a.@docomo.example": `"a."@docomo.example`, ".a@docomo.example": `".a"@docomo.example`,
		"a.b@docomo.example": "a.b@docomo.example", `"a b..c"@docomo.example`: `"a b..c"@docomo.example`,
	} {
		a, err := ParseAddress(in)
		if err != nil || a.String() != in || a.Strict() != strict || a.OddDots() != (in != strict) {
			t.Errorf("%s: %s, %s, %v, %v", in, a, a.Strict(), a.OddDots(), err)
		}
		if b, err := ParseAddress(strict); err != nil || b != a {
			t.Errorf("%s is %+v, %v", strict, b, err)
		}
	}
}

func TestFlagNames(t *testing.T) {
	f := FlagSeen | FlagDraft
	if got := f.Names(); !slices.Equal(got, []string{`\Seen`, `\Draft`}) {
		t.Errorf("got %v", got)
	}
	if !f.Has(FlagSeen) || f.Has(FlagSeen|FlagDeleted) {
		t.Error("Has")
	}
}

func TestArrivalID(t *testing.T) {
	id := NewArrivalID()
	got, err := ParseArrivalID(id.String())
	if err != nil || got != id || id == NewArrivalID() {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "12", strings.Repeat("g", 32), id.String() + "00"} {
		if _, err := ParseArrivalID(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"a@b.test", `"a\"b"@b.test`, "利用者@例え.jp", "a@[IPv6:::1]", `""@b`, "a@b..c", `"\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		again, err := ParseAddress(a.String())
		if err != nil || again != a {
			t.Errorf("%q gave %+v, which prints as %q and reads as %+v, %v", s, a, a.String(), again, err)
		}
		if strings.ContainsAny(a.String(), "\r\n\x00<>") && !strings.HasPrefix(a.String(), `"`) {
			t.Errorf("%q could break a line", a)
		}
	})
}
