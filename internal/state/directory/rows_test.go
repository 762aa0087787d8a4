package directory

import (
	"bytes"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "alice": "alice", "ALICE": "alice", "Jürgen": "jürgen", "JU\u0308RGEN": "jürgen",
		"ΣΊΣΥΦΟΣ": "σίσυφοσ", "Ａｌｉｃｅ": "alice", "用户": "用户", "ｱﾘｽ": "アリス", "か\u3099": "が", "a b": "a b", "Ω ": "ω ", "☺A": "☺a",
	} {
		if got, _ := foldLocal(in); got != want {
			t.Errorf("%q folds to %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]bool{"用户": true, "a b": true, "☺": false, "a\u200b": false, "Ω a": false, "אa": false, "\u2126": true} {
		if _, allowed := foldLocal(in); allowed != want {
			t.Errorf("%q: %v", in, allowed)
		}
	}
}

func FuzzFold(f *testing.F) {
	f.Add("Jürgen")
	f.Add("İ\u0307K\u212a")
	f.Fuzz(func(t *testing.T, s string) {
		once, _ := foldLocal(s)
		if twice, _ := foldLocal(once); twice != once {
			t.Errorf("%q folds to %q and then to %q", s, once, twice)
		}
	})
}

func TestTornRows(t *testing.T) {
	for _, b := range [][]byte{nil, {}, {2, '{', '}'}, {1}, {1, '['}, []byte("{}")} {
		if _, err := decodeDomain("x", b); err == nil {
			t.Errorf("%q was read as a domain", b)
		}
		if _, err := decodeAccount(1, b); err == nil {
			t.Errorf("%q was read as an account", b)
		}
		if _, err := decodeName(b); err == nil {
			t.Errorf("%q was read as a name", b)
		}
		if _, err := decodeCred(b); err == nil {
			t.Errorf("%q was read as credentials", b)
		}
	}
}

func FuzzRows(f *testing.F) {
	f.Add(Domain{Added: time.Unix(1, 0), Postmaster: mail.Address{Local: "a", Domain: "b"}}.encode())
	f.Add(Account{Address: mail.Address{Local: "a", Domain: "b"}, Quota: 5, MaxMessages: 6, Disabled: true, Changed: 7}.encode())
	f.Add(name{account: 5}.encode())
	f.Add(name{targets: []mail.Address{{Local: "a", Domain: "b"}}}.encode())
	f.Add(Credentials{Argon2: "x"}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := decodeDomain("x", b); err == nil {
			again, err := decodeDomain("x", d.encode())
			if err != nil || !again.Added.Equal(d.Added) || again.Postmaster != d.Postmaster {
				t.Errorf("%+v became %+v: %v", d, again, err)
			}
		}
		if a, err := decodeAccount(3, b); err == nil {
			if again, err := decodeAccount(3, a.encode()); err != nil || again != a {
				t.Errorf("%+v became %+v: %v", a, again, err)
			}
		}
		if n, err := decodeName(b); err == nil {
			if again, err := decodeName(n.encode()); err != nil || !bytes.Equal(again.encode(), n.encode()) {
				t.Errorf("%+v became %+v: %v", n, again, err)
			}
		}
		if c, err := decodeCred(b); err == nil {
			if again, err := decodeCred(c.encode()); err != nil || !bytes.Equal(again.encode(), c.encode()) {
				t.Errorf("%+v became %+v: %v", c, again, err)
			}
		}
	})
}
