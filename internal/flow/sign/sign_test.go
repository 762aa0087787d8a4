package sign_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/sign"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// bed is a signer with the domain example.test.
type bed struct {
	t     testing.TB
	blobs *blob.Store
	dir   *directory.Store
	*sign.Signer
}

func open(t testing.TB) *bed {
	t.Helper()
	db := memkv.New(memkv.Options{})
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = blobs.Close(), db.Close() })
	b := &bed{t: t, blobs: blobs, dir: directory.New(db)}
	b.Signer = sign.New(sign.Options{Blobs: blobs, Directory: b.dir})
	if err := b.dir.AddDomain(t.Context(), "example.test"); err != nil {
		t.Fatal(err)
	}
	if err := b.Ensure(t.Context(), "example.test"); err != nil {
		t.Fatal(err)
	}
	return b
}

// Lookup answers from the keys of example.test that are published.
func (b *bed) Lookup(ctx context.Context, name string, _ dns.Type) (dns.Answer, error) {
	keys, err := b.dir.Keys(ctx, "example.test")
	for _, k := range keys {
		if name == k.Selector+"._domainkey.example.test" {
			return dns.Answer{Records: []dns.Record{{Text: k.Record}}}, err
		}
	}
	return dns.Answer{}, dns.ErrNoName
}

const text = "From: Alice <alice@example.test>\r\nTo: bob@elsewhere.test\r\nSubject: hello\r\n\r\nHi.\r\n"

func (b *bed) put(text string) blob.Handle {
	h, err := b.blobs.Put(b.t.Context(), []byte(text))
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// verify gives the results of a message, as "algorithm domain result".
func (b *bed) verify(whole string) string {
	b.t.Helper()
	block, rest, _, err := message.SplitHeader(strings.NewReader(whole))
	if err != nil {
		b.t.Fatal(err)
	}
	var body dkim.Body
	v := dkim.NewVerifier(message.ParseHeader(block), &body)
	_, _ = io.Copy(&body, rest)
	body.Close()
	var all []string
	for i := range v.Len() {
		r := v.Verify(b.t.Context(), i, b, time.Now())
		all = append(all, r.Algorithm+" "+r.Domain+" "+string(r.Code))
	}
	return strings.Join(all, ", ")
}

// TestSign signs for those who are ours, and for nobody else.
func TestSign(t *testing.T) {
	b := open(t)
	const both = "rsa-sha256 example.test pass, ed25519-sha256 example.test pass"
	for _, c := range []struct{ name, from, content, prefix, want string }{
		{"a user", "alice@example.test", text, "", both},
		{"with fields in front", "alice@example.test", "Subject: hello\r\n\r\nHi.\r\n", "From: alice@example.test\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n", both},
		{"the null reverse-path", "", text, "", both},
		{"a host below the domain", "", strings.Replace(text, "@example.test", "@mx.example.test", 1), "", both},
		{"only the reverse-path is ours", "alice@example.test", strings.Replace(text, "@example.test", "@other.test", 1), "", both},
		{"nobody of ours", "x@other.test", strings.Replace(text, "@example.test", "@other.test", 1), "", ""},
		{"an empty body", "alice@example.test", "From: alice@example.test\r\n\r\n", "", both},
		{"no body", "alice@example.test", "From: alice@example.test\r\n", "", both},
		{"a long one", "alice@example.test", text + strings.Repeat("A line.  \r\n", 20_000), "", both},
	} {
		a := &mail.Arrival{At: time.Now()}
		if c.from != "" {
			a.Envelope.From, _ = mail.ParseAddress(c.from)
		}
		fields, err := b.Sign(t.Context(), a, []byte(c.prefix), b.put(c.content))
		if err != nil {
			t.Fatal(err)
		}
		if got := b.verify(string(fields) + c.prefix + c.content); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	fields, err := b.SignFor(t.Context(), "example.test", time.Now(), nil, b.put("From: x@other.test\r\n\r\nHi.\r\n"))
	if got := b.verify(string(fields) + "From: x@other.test\r\n\r\nHi.\r\n"); got != both || err != nil {
		t.Errorf("passed on: %s, %v", got, err)
	}
	var nobody *sign.Signer
	if fields, err := nobody.Sign(t.Context(), &mail.Arrival{}, nil, blob.Handle{}); fields != nil || err != nil {
		t.Errorf("nobody: %s, %v", fields, err)
	}
}

// TestRotate changes keys while mail is on its way: what an old key has signed still
// holds, until it is taken away.
func TestRotate(t *testing.T) {
	b := open(t)
	ctx, r := t.Context(), directory.DefaultRotation()
	signed := func() string {
		fields, err := b.Sign(ctx, &mail.Arrival{At: time.Now()}, nil, b.put(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(fields) + text
	}
	states := func(now time.Time, force bool) string {
		keys, err := b.Rotate(ctx, "example.test", r, now, force)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, k := range keys {
			all = append(all, k.Kind+" "+string(k.State))
		}
		return strings.Join(all, ", ")
	}
	const both = "rsa-sha256 example.test pass, ed25519-sha256 example.test pass"
	old, now := signed(), time.Now().Add(time.Minute)
	if got := states(now, false); got != "rsa active, ed25519 active" {
		t.Errorf("nothing is due: %s", got)
	}
	if got := states(now, true); got != "rsa active, rsa published, ed25519 active, ed25519 published" {
		t.Errorf("begun: %s", got)
	}
	if s := signed(); strings.Contains(s, "-2;") || b.verify(s) != both {
		t.Errorf("the new keys sign at once: %s", s)
	}
	if got := states(now.Add(time.Minute), true); got != "rsa retired, rsa active, ed25519 retired, ed25519 active" {
		t.Errorf("carried out: %s", got)
	}
	if s := signed(); b.verify(s) != both || b.verify(old) != both || bytes.Equal([]byte(s[:200]), []byte(old[:200])) {
		t.Errorf("%s; of the old: %s", b.verify(s), b.verify(old))
	}
	if got := states(now.Add(r.Keep+time.Hour), false); got != "rsa active, ed25519 active" {
		t.Errorf("at the end: %s", got)
	}
	if got := b.verify(old); got != "rsa-sha256 example.test permerror, ed25519-sha256 example.test permerror" {
		t.Errorf("of the old: %s", got)
	}
}

// BenchmarkSign is a message of 4 KiB.
func BenchmarkSign(bench *testing.B) {
	b := open(bench)
	h := b.put(text + strings.Repeat("A line of a letter.\r\n", 200))
	a := &mail.Arrival{At: time.Now()}
	bench.ReportAllocs()
	for bench.Loop() {
		if _, err := b.Sign(bench.Context(), a, nil, h); err != nil {
			bench.Fatal(err)
		}
	}
}
