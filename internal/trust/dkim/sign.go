package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Signer is a private key and where its public half is published.
type Signer struct {
	Domain   string // A-labels
	Selector string
	Key      crypto.Signer // *rsa.PrivateKey or ed25519.PrivateKey
}

// Algorithm is the name of what the signer does (RFC 6376 §3.3, RFC 8463 §3).
func (s Signer) Algorithm() string {
	if _, ok := s.Key.(ed25519.PrivateKey); ok {
		return Ed25519SHA256
	}
	return RSASHA256
}

// once are the fields that are listed once more than they are there, so that none
// can be added (RFC 6376 §8.15); several are fields that lists and forwarders may
// add to, of which those that are there are signed (§5.4.1).
var (
	once = [...]string{
		"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
	}
	several = [...]string{
		"Sender", "Content-Disposition", "Content-ID", "Content-Description", "Resent-Date", "Resent-From", "Resent-Sender",
		"Resent-To", "Resent-Cc", "Resent-Message-ID", "List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe",
		"List-Post", "List-Owner", "List-Archive", "Autocrypt", "Feedback-ID", "Auto-Submitted", "Require-TLS", "TLS-Required", "TLS-Report-Domain", "TLS-Report-Submitter",
	}
)

// Signed lists the fields to be signed of a header, as h= has them.
func Signed(all Fields) []string {
	var names []string
	add := func(name string, n int) {
		for range n {
			names = append(names, name)
		}
	}
	for _, name := range once {
		add(name, len(all[strings.ToLower(name)])+1)
	}
	for _, name := range several {
		add(name, len(all[strings.ToLower(name)]))
	}
	return names[:min(len(names), maxSigned)]
}

// Sign gives a DKIM-Signature field for each key, relaxed in header and body, in
// the order of the keys. body is the relaxed hash of the whole body.
func Sign(h message.Header, body []byte, keys []Signer, now time.Time) ([]byte, error) {
	all := NewFields(h)
	names := Signed(all)
	lower := make([]string, len(names))
	for i, n := range names {
		lower[i] = strings.ToLower(n)
	}
	signed := all.AppendSigned(nil, lower, Relaxed)
	var fields []byte
	for _, k := range keys {
		f, err := k.sign(slices.Clip(signed), names, body, now)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f...)
	}
	return fields, nil
}

// sign makes one field over the canonical fields.
func (s Signer) sign(signed []byte, names []string, body []byte, now time.Time) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed; d=%s;\r\n\ts=%s; t=%d;\r\n\t", s.Algorithm(), s.Domain, s.Selector, now.Unix())
	fmt.Fprintf(&b, "%s;\r\n\tbh=%s;\r\n\tb=", FoldNames("h=", names), base64.StdEncoding.EncodeToString(body))
	value, err := s.Value((&Signature{Field: b.String(), Head: Relaxed}).appendSelf(signed))
	if err != nil {
		return nil, err
	}
	for room := lineRoom - len("b="); len(value) > room; room = lineRoom {
		b.WriteString(value[:room] + "\r\n\t")
		value = value[room:]
	}
	b.WriteString(value + "\r\n")
	return []byte(b.String()), nil
}

// Value is the value of the tag b over data.
func (s Signer) Value(data []byte) (string, error) {
	sum := sha256.Sum256(data)
	var value []byte
	var err error
	switch key := s.Key.(type) {
	case *rsa.PrivateKey:
		value, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	case ed25519.PrivateKey: // RFC 8463 §3: over the hash
		value, err = key.Sign(nil, sum[:], crypto.Hash(0))
	default:
		err = fmt.Errorf("dkim: no signatures are made with a %T", s.Key)
	}
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(value), nil
}

// lineRoom is how much of a list or of base64 stands in a line, in octets (RFC
// 5322 §2.1.1).
const lineRoom = 72

// FoldNames lists names with colons behind begin, folded.
func FoldNames(begin string, names []string) string {
	var b strings.Builder
	b.WriteString(begin)
	room := lineRoom - len(begin)
	for i, n := range names {
		if i > 0 {
			b.WriteByte(':')
			room--
		}
		if room < len(n)+1 {
			b.WriteString("\r\n\t ")
			room = lineRoom
		}
		b.WriteString(n)
		room -= len(n)
	}
	return b.String()
}

// Record is what is published for a key (RFC 6376 §3.6.1, RFC 8463 §4).
func Record(public crypto.PublicKey) (string, error) {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key), nil
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key)
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), err
	}
	return "", fmt.Errorf("dkim: no record for a %T", public)
}
