package login

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// reference is what the reference implementation's command line gives:
// echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestReferenceHash(t *testing.T) {
	h, err := parsePHC(reference)
	if err != nil || h.String() != reference {
		t.Fatal(h, err)
	}
	if !h.fits("password") || h.fits("passwort") {
		t.Error("the reference's hash does not fit its password alone")
	}
}

func TestParsePHC(t *testing.T) {
	for _, c := range []struct {
		old, new string
		ok       bool
	}{
		{"m=65536", "m=8", true},
		{"m=65536", "m=7", false},
		{"m=65536", "m=0065536", false},
		{"m=65536", "m=1048576", false},
		{"m=65536,t=2", "m=262144,t=9", false},
		{"t=2", "t=0", false},
		{"t=2", "t=33", false},
		{"p=1", "p=0", false},
		{"p=1", "p=4", true},
		{"p=1", "p=255", false},
		{"p=1", "p=1,keyid=a", false},
		{"m=65536,t=2,p=1", "t=2,m=65536,p=1", false},
		{"v=19", "v=16", false},
		{"argon2id", "argon2i", false},
		{"c29tZXNhbHQ", "c29tZQ", false},
		{"c29tZXNhbHQ", "c29tZXNhbHQ=", false},
		{"c29tZXNhbHQ", "c29tZ\nXNhbHQ", false},
		{"CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "CTFh", false},
		{"$argon2id", "argon2id", false},
		{"$argon2id", "{ARGON2ID}$argon2id", false},
		{"$CTF", "$$CTF", false},
	} {
		s := strings.Replace(reference, c.old, c.new, 1)
		if err := ParsePHC(s); (err == nil) != c.ok {
			t.Errorf("%s: %v", s, err)
		}
	}
	if ParsePHC("") == nil || ParsePHC(strings.Repeat("$", 1000)) == nil {
		t.Error("rubbish was taken")
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(reference)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := parsePHC(s); err == nil && h.String() != s {
			t.Errorf("%q became %q", s, h.String())
		}
	})
}

func TestHash(t *testing.T) {
	c, err := Hash("pass\u00a0word", small) // SASLprep: the no-break space is a space
	if err != nil {
		t.Fatal(err)
	}
	h, err := parsePHC(c.Argon2)
	if err != nil || !h.fits("pass word") || !c.SCRAM256.Matches("pass word") {
		t.Error(c, err)
	}
	for _, bad := range []string{"", "a\x00b", strings.Repeat("x", 2000)} {
		if _, err := Hash(bad, small); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
	if c, err := Hash("\U0001f511", small); err != nil { // SASLprep refuses it: it is used as it is
		t.Error(c, err)
	}
	if p := DefaultParams(); !reflect.DeepEqual((Params{}).orDefault(), p) || ParsePHC(phc{p, make([]byte, saltSize), make([]byte, sumSize)}.String()) != nil {
		t.Error("the default parameters are not accepted")
	}
	if _, err := Hash("x", Params{Memory: 4}); err == nil {
		t.Error("a hash was made that no login accepts")
	}
}

func TestMemory(t *testing.T) {
	m, a := newMemory(), directory.Account{ID: 1, Changed: 5}
	hour := known{until: time.Now().Add(time.Hour)}
	has := func(a directory.Account, kind, secret string) bool {
		_, ok := m.has(m.tag(kind, a, secret))
		return ok
	}
	m.add(m.tag("p", a, "x"), hour)
	m.add(m.tag("p", a, "old"), known{until: time.Now().Add(-time.Second)})
	b := a
	b.Changed++
	if !has(a, "p", "x") || has(a, "p", "y") || has(a, "t", "x") || has(b, "p", "x") || has(directory.Account{ID: 2, Changed: 5}, "p", "x") || has(a, "p", "old") {
		t.Error("the memory is wrong")
	}
	for i := range 2*maxKnown - 1 {
		m.add(m.tag("p", directory.Account{ID: 9, Changed: uint64(i)}, "z"), hour)
		if i%1000 == 0 && !has(a, "p", "x") {
			t.Fatal("what is used was forgotten")
		}
	}
	if len(m.young) > maxKnown || len(m.old) > maxKnown {
		t.Error("the memory grows")
	}
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		if _, err := Hash("pencil", DefaultParams()); err != nil {
			b.Fatal(err)
		}
	}
}
