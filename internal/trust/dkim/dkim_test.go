package dkim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

var pair = sync.OnceValue(func() []Signer {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, e, _ := ed25519.GenerateKey(rand.Reader)
	return []Signer{{"x.test", "r1", r}, {"x.test", "e1", e}}
})

// published is the zone with the keys of signers.
func published(t *testing.T, all []Signer) keys {
	t.Helper()
	zone := keys{}
	for _, s := range all {
		text, err := Record(s.Key.Public())
		if err != nil {
			t.Fatal(err)
		}
		zone[s.Selector+"._domainkey."+s.Domain] = text
	}
	return zone
}

var now = time.Unix(1_800_000_000, 0)

// signed is a message with the fields of Sign in front.
func signed(t *testing.T, head, text string, by []Signer) string {
	t.Helper()
	var body Body
	sum := body.Want(Relaxed, -1)
	_, _ = body.Write([]byte(text))
	body.Close()
	fields, err := Sign(message.ParseHeader([]byte(head)), sum.Sum(), by, now)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(fields)) {
		if len(line) > 80 || !strings.HasSuffix(line, "\r\n") {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
	}
	return string(fields) + head + "\r\n" + text
}

const head = "From: A <a@x.test>\r\nTo: b@y.test\r\nSubject: hello\r\n  world\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@x.test>\r\n"

// TestSign signs with both keys and has both verified, unharmed and not.
func TestSign(t *testing.T) {
	by := pair()
	zone := published(t, by)
	whole := signed(t, head, "Hello  there,\r\n \r\nA\t \r\n\r\n\r\n", by)
	for _, c := range []struct{ name, old, new, want string }{
		{"as it was", "", "", ""},
		{"space at line ends", "A\t \r\n", "A\r\n", ""},
		{"empty lines at the end", "\r\n\r\n\r\n", "\r\n", ""},
		{"space between words", "Hello  there", "Hello\tthere", ""},
		{"a field is unfolded", "hello\r\n  world", "hello world", ""},
		{"a field of the carrier", "From: A", "Received: by z.test; now\r\nFrom: A", ""},
		{"a list's field", "From: A", "List-Id: <l.test>\r\nFrom: A", ""},
		{"a word is changed", "Hello", "Hallo", "the body was changed"},
		{"a line is added", "Hello", "Hi\r\nHello", "the body was changed"},
		{"the subject is changed", "hello", "hallo", errSignature.Error()},
		{"a second From", "\r\nSubject:", "\r\nFrom: e@v.il\r\nSubject:", errSignature.Error()},
		{"a Cc is added", "\r\nSubject:", "\r\nCc: c@v.il\r\nSubject:", errSignature.Error()},
		{"a type is added", "\r\nSubject:", "\r\nContent-Type: text/html\r\nSubject:", errSignature.Error()},
	} {
		all := verify(t, strings.Replace(whole, c.old, c.new, 1), zone, now)
		if len(all) != 2 || all[0].Algorithm != RSASHA256 || all[1].Algorithm != Ed25519SHA256 {
			t.Fatalf("%s: %+v", c.name, all)
		}
		for _, r := range all {
			if bits := map[string]int{RSASHA256: 2048, Ed25519SHA256: 256}[r.Algorithm]; r.Code == Pass && r.Bits != bits {
				t.Errorf("%s: %d bits", c.name, r.Bits)
			}
			if r.Problem != c.want || (r.Code == Pass) != (c.want == "") {
				t.Errorf("%s: %s: %s %q", c.name, r.Algorithm, r.Code, r.Problem)
			}
		}
	}
}

// TestSignatures has what may be wrong with a signature or its key.
func TestSignatures(t *testing.T) {
	by := pair()[1:]
	good := signed(t, head, "Hi.\r\n", by)
	zone := published(t, by)
	key := zone["e1._domainkey.x.test"]
	for _, c := range []struct {
		name, old, new, record string
		want                   Code
		problem                string
	}{
		{"as it was", "", "", key, Pass, ""},
		{"SHA-1", "a=ed25519-sha256", "a=rsa-sha1", key, Neutral, `the algorithm "rsa-sha1" is not accepted`},
		{"no version", "v=1; ", "", key, Neutral, `the version "" is not known`},
		{"a tag twice", "v=1;", "v=1; v=1;", key, Neutral, "the tag v is there twice"},
		{"From is not signed", "h=From:From:", "h=", key, Neutral, "the From field is not signed"},
		{"another's identity", "v=1;", "v=1; i=a@y.test;", key, Neutral, "the identity is not of the domain"},
		{"expired", "v=1;", "v=1; x=1799999999; q=dns/txt;", key, Neutral, "it expires before it was made"},
		{"expired long ago", "t=1800000000;", "t=1500000000; x=1600000000;", key, Fail, "it expired on 2020-09-13"},
		{"no algorithm for the key", "a=ed25519-sha256", "a=rsa-sha256", key, PermError, "no usable key: it is an Ed25519 key"},
		{"more than there is", "v=1;", "v=1; l=1000;", key, PermError, "more octets are signed than the body has"},
		{"only a part", "v=1;", "v=1; l=0;", key, Fail, "the body was changed"},
		{"a revoked key", "", "", "v=DKIM1; k=ed25519; p=", PermError, "no usable key: it was revoked"},
		{"a key of another kind", "", "", "v=DKIM1; k=ed448; p=AAAA", PermError, `no usable key: its kind "ed448" is not known`},
		{"a version not in front", "", "", "k=ed25519; v=DKIM1; p=AAAA", PermError, "no usable key: it is of another version"},
		{"a key for another use", "", "", key + "; s=tlsrpt", PermError, "no usable key: it is not for mail"},
		{"a key for SHA-1", "", "", key + "; h=sha1", PermError, "no usable key: it is not for SHA-256"},
		{"a small RSA key", "", "", smallKey(t), PermError, "no usable key: its 768 bits are not between 1024 and 8192"},
	} {
		zone["e1._domainkey.x.test"] = c.record
		all := verify(t, strings.Replace(good, c.old, c.new, 1), zone, now)
		if len(all) != 1 || all[0].Code != c.want || all[0].Problem != c.problem {
			t.Errorf("%s: %+v", c.name, all)
		}
	}
}

// smallKey is the record of a key with 768 bits, which must not be accepted (RFC
// 8301 §3.2). Its modulus is no product of primes, but nobody gets to see that.
func smallKey(t *testing.T) string {
	t.Helper()
	n := *pair()[0].Key.(*rsa.PrivateKey).N
	n.Rsh(&n, 2048-768)
	text, err := Record(&rsa.PublicKey{N: &n, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestFailingDNS says that it is not known.
func TestFailingDNS(t *testing.T) {
	whole := signed(t, head, "Hi.\r\n", pair()[1:])
	for _, zone := range []string{"e1._domainkey.x.test SERVFAIL", "e1._domainkey.x.test BOGUS"} {
		if r := verify(t, whole, dnstest.New(zone), now); r[0].Code != TempError {
			t.Errorf("%s: %+v", zone, r)
		}
	}
}

// TestPartial signs a part of the body: it holds, and is not accepted if more was
// added (RFC 6376 §8.2).
func TestPartial(t *testing.T) {
	s := pair()[1]
	zone := published(t, pair())
	var body Body
	sum := body.Want(Relaxed, 5)
	_, _ = body.Write([]byte("Hi.\r\n"))
	body.Close()
	fields := NewFields(message.ParseHeader([]byte(head)))
	data := fields.AppendSigned(nil, []string{"from"}, Relaxed)
	field, err := s.sign(data, []string{"From"}, sum.Sum(), now)
	if err != nil {
		t.Fatal(err)
	}
	limited := strings.Replace(string(field), "v=1;", "v=1; l=5;", 1)
	value := regexp.MustCompile(`b=[A-Za-z0-9+/=\r\n\t]*\r\n$`)
	limited = value.ReplaceAllString(limited, "b=")
	digest := sha256.Sum256((&Signature{Field: limited, Head: Relaxed}).appendSelf(data))
	limited += base64.StdEncoding.EncodeToString(ed25519.Sign(s.Key.(ed25519.PrivateKey), digest[:])) + "\r\n"
	for text, want := range map[string]Code{"Hi.\r\n": Pass, "Hi.\r\nBuy.\r\n": Policy, "Ha.\r\n": Fail} {
		if r := verify(t, limited+head+"\r\n"+text, zone, now); r[0].Code != want {
			t.Errorf("%q: %+v", text, r)
		}
	}
}

// TestMany has more signatures than are looked at.
func TestMany(t *testing.T) {
	by := pair()[1:]
	whole := signed(t, head, "Hi.\r\n", by)
	field := whole[:strings.Index(whole, head)]
	var body Body
	v := NewVerifier(message.ParseHeader([]byte(strings.Repeat(field, MaxSignatures+5)+head)), &body)
	if v.Len() != MaxSignatures || v.Over() != 5 || len(body.canons[Relaxed].hashes) != 1 {
		t.Errorf("%d signatures, %d over, %d hashes", v.Len(), v.Over(), len(body.canons[Relaxed].hashes))
	}
}

// slowBody is the canonical body by the words of RFC 6376 §3.4.3 and §3.4.4.
func slowBody(body string, c Canon) string {
	if body == "" && c == Relaxed {
		return ""
	}
	if c == Relaxed {
		lines := strings.Split(body, "\r\n")
		for i, l := range lines {
			l = regexp.MustCompile("[ \t]+").ReplaceAllString(l, " ")
			if i < len(lines)-1 {
				l = strings.TrimSuffix(l, " ")
			} else if strings.Trim(l, " ") == "" {
				l = ""
			} else {
				l = strings.TrimSuffix(l, " ") // the line end is added
			}
			lines[i] = l
		}
		body = strings.Join(lines, "\r\n")
	}
	for strings.HasSuffix(body, "\r\n") {
		body = body[:len(body)-2]
	}
	if body == "" && c == Relaxed {
		return ""
	}
	return body + "\r\n"
}

// FuzzBody compares the streaming canonicalization with the slow one, in pieces
// of any size.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "\r\n", " \r\n\r\n", "a\r\n\r\n\r\n", "a \t b \r\n\r\n c", "a\rb\nc\r\r\n", "a\r", " a", "a "} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, step uint8) {
		for _, c := range []Canon{Simple, Relaxed} {
			var b Body
			whole, part := b.Want(c, -1), b.Want(c, 4)
			for at := 0; at < len(text); at += int(step) + 1 {
				_, _ = b.Write([]byte(text[at:min(len(text), at+int(step)+1)]))
			}
			b.Close()
			want := slowBody(text, c)
			sum, short := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(want[:min(4, len(want))]))
			if !bytes.Equal(whole.Sum(), sum[:]) || !bytes.Equal(part.Sum(), short[:]) || whole.Size() != int64(len(want)) {
				t.Errorf("%s %q: %d octets, want %q", c, text, whole.Size(), want)
			}
		}
	})
}

// FuzzSignature sees that no field and no key record breaks anything, and that
// what Unsigned gives does not change when it is done twice.
func FuzzSignature(f *testing.F) {
	f.Add("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed; d=x.test; s=s; h=from:to; bh=AA==; b=BBBB;\r\n\tl=3\r\n", "v=DKIM1; k=rsa; p=AAAA")
	f.Add("DKIM-Signature : b = A A ;a=b\r\n", "p=")
	f.Fuzz(func(t *testing.T, field, record string) {
		_, _ = ParseKey(record)
		for _, kind := range []Kind{Mail, ARCMail, ARCSeal} {
			s, err := ParseSignature(field, kind)
			if err == nil {
				s.Data(Fields{"from": {"From: a\r\n"}})
			}
			_ = s.Short()
		}
		if once := Unsigned(field); Unsigned(once) != once {
			t.Errorf("%q, then %q", once, Unsigned(once))
		}
		AppendField(nil, field, Relaxed)
	})
}

// BenchmarkVerify is a message of 4 KiB with one RSA signature.
func BenchmarkVerify(b *testing.B) {
	body := strings.Repeat(strings.Repeat("word ", 14)+"end\r\n", 55)
	var h Body
	sum := h.Want(Relaxed, -1)
	_, _ = h.Write([]byte(body))
	h.Close()
	fields, err := Sign(message.ParseHeader([]byte(head)), sum.Sum(), pair()[:1], now)
	if err != nil {
		b.Fatal(err)
	}
	record, _ := Record(pair()[0].Key.Public())
	zone := keys{"r1._domainkey.x.test": record}
	header := message.ParseHeader(append(fields, head...))
	for b.Loop() {
		var h Body
		v := NewVerifier(header, &h)
		_, _ = h.Write([]byte(body))
		h.Close()
		if r := v.Verify(b.Context(), 0, zone, now); r.Code != Pass {
			b.Fatal(r)
		}
	}
}

// BenchmarkSign makes both signatures.
func BenchmarkSign(b *testing.B) {
	header := message.ParseHeader([]byte(head))
	by := pair()
	sum := make([]byte, sha256.Size)
	for b.Loop() {
		if _, err := Sign(header, sum, by, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBody canonicalizes a megabyte of text.
func BenchmarkBody(b *testing.B) {
	text := bytes.Repeat([]byte(strings.Repeat("word ", 14)+"end\r\n"), 1<<20/75)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var h Body
		h.Want(Relaxed, -1)
		_, _ = h.Write(text)
		h.Close()
	}
}
