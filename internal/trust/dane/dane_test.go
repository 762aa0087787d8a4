package dane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

var then = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// issue makes a certificate, by itself if there is no authority.
func issue(t *testing.T, cn string, names []string, ca bool, by *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, DNSNames: names,
		NotBefore: then.Add(-time.Hour), NotAfter: then.Add(time.Hour), BasicConstraintsValid: true, IsCA: ca,
	}
	if by == nil {
		by, key = tmpl, own
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by, &own.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, own
}

// record makes the record that names c.
func record(u Usage, s Selector, m Matching, c *x509.Certificate) Record {
	of := c.Raw
	if s == SPKI {
		of = c.RawSubjectPublicKeyInfo
	}
	switch m {
	case SHA256:
		sum := sha256.Sum256(of)
		of = sum[:]
	case SHA512:
		sum := sha512.Sum512(of)
		of = sum[:]
	}
	return Record{u, s, m, of}
}

func TestVerify(t *testing.T) {
	root, rootKey := issue(t, "root", nil, true, nil, nil)
	middle, middleKey := issue(t, "middle", nil, true, root, rootKey)
	leaf, _ := issue(t, "", []string{"mx.example.test"}, false, middle, middleKey)
	bare, _ := issue(t, "mx.example.test", nil, false, middle, middleKey)
	wild, _ := issue(t, "*.example.test", nil, false, middle, middleKey)
	alone, _ := issue(t, "whatever", nil, false, nil, nil)
	other, _ := issue(t, "other", nil, true, nil, nil)
	chain := func(c ...*x509.Certificate) []*x509.Certificate { return c }
	names := []string{"mx.example.test", "example.test"}
	broken := record(DANEEE, SPKI, SHA256, other)
	for _, c := range []struct {
		name    string
		records []Record
		chain   []*x509.Certificate
		names   []string
		now     time.Time
		wrong   string // "" means that it holds
	}{
		{"3 1 1", []Record{record(DANEEE, SPKI, SHA256, alone)}, chain(alone), names, then, ""},
		{"3 1 2", []Record{record(DANEEE, SPKI, SHA512, alone)}, chain(alone), names, then, ""},
		{"3 0 0", []Record{record(DANEEE, Cert, Full, alone)}, chain(alone), names, then, ""},
		{"3 1 1 has no dates", []Record{record(DANEEE, SPKI, SHA256, alone)}, chain(alone), nil, then.AddDate(9, 0, 0), ""},
		{"3 1 1 of another", []Record{broken}, chain(alone), names, then, "no TLSA record"},
		{"3 1 1 is of the leaf only", []Record{record(DANEEE, SPKI, SHA256, middle)}, chain(leaf, middle), names, then, "no TLSA record"},
		{"one of two during a roll-over", []Record{broken, record(DANEEE, SPKI, SHA256, alone)}, chain(alone), names, then, ""},
		{"2 0 1 of the root", []Record{record(DANETA, Cert, SHA256, root)}, chain(leaf, middle, root), names, then, ""},
		{"2 1 1 of the middle", []Record{record(DANETA, SPKI, SHA256, middle)}, chain(leaf, middle), names, then, ""},
		{"2 0 0 not in the chain", []Record{record(DANETA, Cert, Full, root)}, chain(leaf, middle), names, then, ""},
		{"2 0 1 not in the chain", []Record{record(DANETA, Cert, SHA256, root)}, chain(leaf, middle), names, then, "no TLSA record"},
		{"2 0 1 out of its time", []Record{record(DANETA, Cert, SHA256, root)}, chain(leaf, middle, root), names, then.AddDate(1, 0, 0), "expired"},
		{"2 0 1 for another host", []Record{record(DANETA, Cert, SHA256, root)}, chain(leaf, middle, root), []string{"evil.test"}, then, "for none of evil.test"},
		{"2 0 1 by another authority", []Record{record(DANETA, Cert, SHA256, other)}, chain(leaf, middle, other), names, then, "unknown authority"},
		{"2 0 1, common name alone", []Record{record(DANETA, Cert, SHA256, middle)}, chain(bare, middle), names, then, ""},
		{"2 0 1, common name with a star", []Record{record(DANETA, Cert, SHA256, middle)}, chain(wild, middle), names, then, ""},
		{"nothing sent", []Record{record(DANEEE, SPKI, SHA256, alone)}, nil, names, then, "no certificate"},
		{"the stronger digest decides", []Record{record(DANEEE, SPKI, SHA256, alone), record(DANEEE, SPKI, SHA512, other)}, chain(alone), names, then, "no TLSA record"},
	} {
		err := NewSet(c.records).Verify(c.chain, c.names, c.now)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
		}
	}
}

func TestUsable(t *testing.T) {
	sum := make([]byte, 32)
	for _, c := range []struct {
		r    Record
		want bool
	}{
		{Record{DANEEE, SPKI, SHA256, sum}, true},
		{Record{DANETA, Cert, SHA256, sum}, true},
		{Record{PKIXEE, SPKI, SHA256, sum}, false}, // RFC 7672 §3.1.3
		{Record{PKIXTA, SPKI, SHA256, sum}, false},
		{Record{4, SPKI, SHA256, sum}, false},
		{Record{DANEEE, 2, SHA256, sum}, false},
		{Record{DANEEE, SPKI, 3, sum}, false},
		{Record{DANEEE, SPKI, SHA256, sum[:31]}, false},
		{Record{DANEEE, SPKI, SHA512, sum}, false},
		{Record{DANEEE, SPKI, Full, nil}, false},
	} {
		if got := NewSet([]Record{c.r}).Usable(); got != c.want {
			t.Errorf("%s: %v", c.r, got)
		}
	}
	many := make([]Record, 3*maxRecords)
	for i := range many {
		many[i] = Record{DANEEE, SPKI, SHA256, sum}
	}
	if n := len(NewSet(many).records); n != maxRecords {
		t.Errorf("%d records are kept", n)
	}
}

func TestParse(t *testing.T) {
	r, err := Parse([]byte{3, 1, 1, 0xab, 0xcd})
	if err != nil || r.String() != "3 1 1 abcd" {
		t.Errorf("%v, %v", r, err)
	}
	for _, bad := range [][]byte{nil, {3, 1, 1}, make([]byte, maxData+1)} {
		if _, err := Parse(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d octets: %v", len(bad), err)
		}
	}
}

// FuzzVerify puts any record before a chain: it may only say no, and not fall.
func FuzzVerify(f *testing.F) {
	f.Add([]byte{3, 1, 1, 1}, []byte{0x30})
	f.Add([]byte{2, 0, 0, 0x30, 0x03, 1, 2, 3}, []byte{0x30, 0x82})
	f.Fuzz(func(t *testing.T, rdata, der []byte) {
		r, err := Parse(rdata)
		if err != nil {
			return
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			c = &x509.Certificate{Raw: der, RawSubjectPublicKeyInfo: der}
		}
		s := NewSet([]Record{r})
		if s.Verify([]*x509.Certificate{c}, []string{"a.test"}, then) == nil && !s.records[0].matches(c) && r.Usage == DANEEE {
			t.Error("vouched for what it does not name")
		}
	})
}
