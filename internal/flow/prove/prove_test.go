package prove

import (
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/trust/dnsbl"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

var (
	now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	key = sync.OnceValue(func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k })
)

const head = "From: Alice <alice@example.com>\r\nTo: bob@here.test\r\nSubject: hello\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n"

// signed is a message of example.com with a body of some size.
func signed(t testing.TB, size int) string {
	t.Helper()
	body := strings.Repeat(strings.Repeat("word ", 14)+"end\r\n", size/75+1)
	var b dkim.Body
	sum := b.Want(dkim.Relaxed, -1)
	_, _ = io.WriteString(&b, body)
	b.Close()
	fields, err := dkim.Sign(message.ParseHeader([]byte(head)), sum.Sum(), []dkim.Signer{{Domain: "example.com", Selector: "r", Key: key()}}, now)
	if err != nil {
		t.Fatal(err)
	}
	return string(fields) + head + "\r\n" + body
}

func zone(t testing.TB) string {
	record, err := dkim.Record(key().Public())
	if err != nil {
		t.Fatal(err)
	}
	return `
		1.2.0.192.in-addr.arpa   PTR mx.example.com
		mx.example.com           A   192.0.2.1
		mx.example.com           TXT v=spf1 a -all
		example.com              TXT v=spf1 mx -all
		example.com              MX  10 mx.example.com
		r._domainkey.example.com TXT ` + record + `
		_dmarc.example.com       TXT v=DMARC1; p=reject
		9.2.0.192.bad.test       A   127.0.0.2
		example.com.dom.test     A   127.0.0.3`
}

var lists = []dnsbl.List{{Zone: "bad.test", Score: 4}, {Zone: "dom.test", Domains: true, Score: 1}}

// find finds out about a message that comes in pieces.
func find(t testing.TB, p *Prover, peer Peer, text string, step int) *judge.Sender {
	g := p.Begin(t.Context(), peer, now)
	defer g.Close()
	for at := 0; at < len(text); at += step {
		_, _ = io.WriteString(g, text[at:min(len(text), at+step)])
	}
	return g.End(t.Context(), now)
}

func field(s *judge.Sender) string {
	return strings.ReplaceAll(string(message.AppendAuthResults(nil, "mx.here.test", s.Results())), "\r\n", "\n")
}

// TestHonest and TestForged have the two messages that docs/trust.md tells of.
func TestHonest(t *testing.T) {
	p := New(Options{Resolver: dnstest.New(zone(t)), Lists: lists, Hostname: "mx.here.test"})
	peer := Peer{IP: netip.MustParseAddr("192.0.2.1"), Helo: "mx.example.com", From: "alice@example.com"}
	for _, step := range []int{1 << 20, 7} {
		s := find(t, p, peer, signed(t, 4096), step)
		want := "Authentication-Results: mx.here.test;\n\tspf=pass (mx) smtp.mailfrom=alice@example.com;\n\tdkim=pass (2048-bit key) header.d=example.com header.s=r header.a=rsa-sha256\n" +
			"\t header.b=" + quote(s.DKIM[0].Short) + ";\n\tdmarc=pass (by SPF and DKIM) header.from=example.com policy.dmarc=reject;\n" +
			"\tarc=none smtp.remote-ip=192.0.2.1;\n\tiprev=pass (mx.example.com) policy.iprev=192.0.2.1\n"
		if got := field(s); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		if s.Helo.Code != "pass" || s.HeloSPF.Code != "pass" || len(s.Listed) != 1 || s.Listed[0].Zone != "dom.test" || s.From != 1 {
			t.Errorf("%+v", s)
		}
	}
}

func quote(s string) string {
	if strings.ContainsAny(s, "/=") {
		return `"` + s + `"`
	}
	return s
}

func TestForged(t *testing.T) {
	p := New(Options{Resolver: dnstest.New(zone(t)), Lists: lists, Hostname: "mx.here.test"})
	peer := Peer{IP: netip.MustParseAddr("192.0.2.9"), Helo: "evil", From: "alice@example.com"}
	s := find(t, p, peer, strings.Replace(signed(t, 100), "word", "Word", 1), 100)
	for _, want := range []string{
		"spf=fail (-all) smtp.mailfrom=alice@example.com", `dkim=fail reason="the body was changed"`, "dmarc=fail header.from=example.com policy.dmarc=reject",
		`iprev=permerror reason="the address has no name"`,
	} {
		if !strings.Contains(field(s), want) {
			t.Errorf("%s\nwithout %s", field(s), want)
		}
	}
	if len(s.Listed) != 2 || s.Helo.Code != "permerror" {
		t.Errorf("%+v", s)
	}
}

// TestShapes has messages that are not as they should be.
func TestShapes(t *testing.T) {
	p := New(Options{Resolver: dnstest.New(zone(t))})
	for text, want := range map[string]string{
		"":                                    `dmarc=permerror reason="the message has no author's domain"`,
		"no header at all":                    `dmarc=permerror reason="the message has no author's domain"`,
		"From: a@example.com\r\nbody at once": "dmarc=fail header.from=example.com",
		"From: a@other.test, b@example.com\r\n\r\n":         "dmarc=fail header.from=example.com",
		"From: a@other.test\r\nFrom: b@example.com\r\n\r\n": "dmarc=fail header.from=example.com",
		"From: a@example.com":                               "dmarc=fail header.from=example.com",
	} {
		for _, step := range []int{1, 1000} {
			if got := field(find(t, p, Peer{}, text, step)); !strings.Contains(got, want) {
				t.Errorf("%q: %s", text, got)
			}
		}
	}
}

// TestBounds has a DNS that never answers, and one that is asked too much.
func TestBounds(t *testing.T) {
	peer := Peer{IP: netip.MustParseAddr("192.0.2.1"), Helo: "mx.example.com", From: "alice@example.com"}
	slow := strings.NewReplacer("TXT v=spf1 mx -all", "TIMEOUT", "_dmarc.example.com       TXT v=DMARC1; p=reject", "_dmarc.example.com TIMEOUT").Replace(zone(t))
	p := New(Options{Resolver: dnstest.New(slow), Budget: 30 * time.Millisecond})
	start := time.Now()
	s := find(t, p, peer, signed(t, 100), 1000)
	if s.SPF.Code != "temperror" || s.DMARC.Code != "temperror" || s.DKIM[0].Code != "pass" || time.Since(start) > 10*time.Second {
		t.Errorf("%+v after %v", s, time.Since(start))
	}
	r := dnstest.New(zone(t))
	s = find(t, New(Options{Resolver: r, Questions: 3}), peer, signed(t, 100), 1000)
	if n := len(r.Asked()); n != 3 || s.DMARC.Code != "temperror" {
		t.Errorf("%d questions, DMARC %+v", n, s.DMARC)
	}
}
