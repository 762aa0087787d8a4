package returnpath

import (
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

var (
	noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	old1 = []byte("an old key of thirty-two octets.")
	new1 = []byte("the newest of our keys, 32 octet")
)

func address(t testing.TB, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestThereAndBack: what is signed is read by every key that is known, in
// whatever case it comes back.
func TestThereAndBack(t *testing.T) {
	for _, from := range []string{"a@x.test", "Ann.B=c+d@some-Sub.example.co.jp", "a..b.@docomo.example", "x@xn--r8jz45g.jp"} {
		a, ok := Forward(Keys{old1}, noon, address(t, from), "ours.test")
		if !ok || a.Domain != "ours.test" || !strings.HasPrefix(a.Local, "SRS0=") || !Looks(a) {
			t.Fatalf("%s: %s, %v", from, a, ok)
		}
		got, err := Read(Keys{new1, old1}, noon.Add(20*24*time.Hour), a)
		if err != nil || got.To != address(t, from) {
			t.Errorf("%s came back as %s, %v", a, got.To, err)
		}
		for _, changed := range []string{strings.ToLower(a.Local), strings.ToUpper(a.Local)} {
			got, err := Read(Keys{old1}, noon, mail.Address{Local: changed, Domain: a.Domain})
			if err != nil || !strings.EqualFold(got.To.Local, address(t, from).Local) {
				t.Errorf("%s: %s, %v", changed, got.To, err)
			}
		}
	}
	id := mail.ArrivalID{1, 2, 3}
	a, ok := Token(Keys{new1}, noon, id, "ours.test")
	if !ok || len(a.Local) > mail.MaxLocalPart || !Looks(a) {
		t.Fatalf("%s", a)
	}
	if p, err := Read(Keys{new1}, noon, mail.Address{Local: strings.ToUpper(a.Local), Domain: a.Domain}); err != nil || p.ID != id {
		t.Errorf("%v, %v", p, err)
	}
	if a, ok := Forward(Keys{new1}, noon, mail.Address{}, "ours.test"); !ok || !a.IsNull() {
		t.Error("the null reverse-path stays")
	}
}

// TestTwice: a path that others rewrote leads back to the first of them, however
// often it is sent on.
func TestTwice(t *testing.T) {
	first := "SRS0=HHH=TT=origin.test=ann@first.test"
	second, ok := Forward(Keys{old1}, noon, address(t, first), "second.test")
	if !ok || !strings.HasPrefix(second.Local, "SRS1=") || !strings.HasSuffix(second.Local, "=first.test==HHH=TT=origin.test=ann") {
		t.Fatalf("%s, %v", second, ok)
	}
	third, ok := Forward(Keys{new1}, noon, second, "third.test")
	if !ok || !strings.HasPrefix(third.Local, "SRS1=") || !strings.HasSuffix(third.Local, "=first.test==HHH=TT=origin.test=ann") {
		t.Fatalf("%s, %v", third, ok)
	}
	for _, c := range []struct {
		key []byte
		a   mail.Address
	}{{old1, second}, {new1, third}} {
		if p, err := Read(Keys{c.key}, noon, c.a); err != nil || p.To != address(t, first) {
			t.Errorf("%s: %s, %v", c.a, p.To, err)
		}
	}
	if a, ok := Forward(Keys{old1}, noon, address(t, "SRS0+HH=T=o.test=a@f.test"), "s.test"); !ok {
		t.Error("another separator")
	} else if p, err := Read(Keys{old1}, noon, a); err != nil || p.To.Local != "SRS0+HH=T=o.test=a" {
		t.Errorf("%s: %v, %v", a, p, err)
	}
}

// TestNoRoom: what does not fit is for a token.
func TestNoRoom(t *testing.T) {
	for _, from := range []string{strings.Repeat("a", 50) + "@x.test", `"a b"@x.test`, "利用者@x.test", "a@[192.0.2.1]", "SRS0=HHH=TT=a-long-name.example=someone.there@another.long.name.example"} {
		if a, ok := Forward(Keys{old1}, noon, address(t, from), "ours.test"); ok {
			t.Errorf("%s became %s", from, a)
		}
	}
	if _, ok := Token(nil, noon, mail.ArrivalID{}, "x"); ok {
		t.Error("a token without a key")
	}
}

// TestForged: no octet can be changed, nor the domain, nor is a path good forever.
func TestForged(t *testing.T) {
	srs, _ := Forward(Keys{old1}, noon, address(t, "a@x.test"), "ours.test")
	again, _ := Forward(Keys{old1}, noon, address(t, "SRS0=HHH=TT=o.test=a@f.test"), "ours.test")
	token, _ := Token(Keys{old1}, noon, mail.ArrivalID{9}, "ours.test")
	for _, a := range []mail.Address{srs, again, token} {
		for i := 5; i < len(a.Local); i++ {
			b := []byte(a.Local)
			if b[i] = 'q'; a.Local[i] == 'q' {
				b[i] = 'r'
			}
			if p, err := Read(Keys{old1}, noon, mail.Address{Local: string(b), Domain: a.Domain}); err == nil {
				t.Errorf("%s for %s gives %v", b, a.Local, p)
			}
		}
		for what, err := range map[string]error{
			"another key":    second(Read(Keys{new1}, noon, a)),
			"no key":         second(Read(nil, noon, a)),
			"another domain": second(Read(Keys{old1}, noon, mail.Address{Local: a.Local, Domain: "theirs.test"})),
		} {
			if !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %s: %v", a, what, err)
			}
		}
	}
	for _, a := range []mail.Address{srs, token} {
		if _, err := Read(Keys{old1}, noon.Add(MaxAge+24*time.Hour), a); !fault.Is(err, fault.Denied) {
			t.Errorf("%s is good for too long: %v", a, err)
		}
		if _, err := Read(Keys{old1}, noon.Add(-24*time.Hour), a); err != nil {
			t.Errorf("a clock that is a day behind: %v", err)
		}
		if _, err := Read(Keys{old1}, noon.Add(-72*time.Hour), a); !fault.Is(err, fault.Denied) {
			t.Errorf("%s is good before it was made: %v", a, err)
		}
	}
	if _, err := Read(Keys{old1}, noon, address(t, "bounce+news@ours.test")); !fault.Is(err, fault.NotFound) || Looks(address(t, "srs0@x.test")) {
		t.Errorf("an address that is none of ours: %v", err)
	}
}

func second[A, B any](_ A, b B) B { return b }

// FuzzRead: nothing breaks it, and what is not signed is not read.
func FuzzRead(f *testing.F) {
	a, _ := Forward(Keys{old1}, noon, mail.Address{Local: "a", Domain: "x.test"}, "ours.test")
	b, _ := Token(Keys{old1}, noon, mail.ArrivalID{9}, "ours.test")
	for _, s := range []string{a.Local, b.Local, "SRS0=", "SRS1=a=b==c", "SRS1=aPb==", "bounce+", "srs0-x=y"} {
		f.Add(s, "x.test")
	}
	f.Fuzz(func(t *testing.T, local, domain string) {
		at := mail.Address{Local: local, Domain: "ours.test"}
		if p, err := Read(Keys{new1}, noon, at); err == nil {
			t.Errorf("%q was read as %v", local, p)
		}
		_, _ = Read(Keys{old1}, noon, at)
		d, err := mail.ParseDomain(domain)
		if err != nil || local == "" {
			return
		}
		from := mail.Address{Local: local, Domain: d}
		if path, ok := Forward(Keys{new1}, noon, from, "ours.test"); ok {
			if len(path.Local) > mail.MaxLocalPart {
				t.Fatalf("%s is too long", path)
			}
			p, err := Read(Keys{new1}, noon, path)
			again := strings.HasPrefix(path.Local, "SRS1=")
			if err != nil || p.To != from && !again {
				t.Errorf("%s became %s and came back as %s, %v", from, path, p.To, err)
			}
		}
	})
}
