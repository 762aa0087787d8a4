package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// The lengths of RSA keys that are accepted, in bits (RFC 8301 §3.2). The upper
// bound is for our work's sake; the RFC demands 4096.
const (
	MinRSABits = 1024
	MaxRSABits = 8192
)

// Key is a public key as it is published.
type Key struct {
	Public  crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey
	Testing bool             // t=y: the domain only tries (RFC 6376 §3.6.1)
	Strict  bool             // t=s: no subdomains in i=
	hashes  []string         // nil: any
	secure  bool
}

// Bits is the key's length.
func (k *Key) Bits() int {
	if r, ok := k.Public.(*rsa.PublicKey); ok {
		return r.N.BitLen()
	}
	return ed25519.PublicKeySize * 8
}

// Secure says whether DNSSEC vouches for the key.
func (k *Key) Secure() bool { return k.secure }

// FindKey asks for the key of a selector (RFC 6376 §3.6.2). The error is ErrKey
// for a key that cannot be used and is not likely to be, and anything else if it
// is not known.
func FindKey(ctx context.Context, r dns.Resolver, selector, domain string) (*Key, error) {
	name := dns.Normal(selector + "._domainkey." + domain)
	if !dns.IsName(name) {
		return nil, fmt.Errorf("%w: %.100q is no name", ErrKey, name)
	}
	answer, err := r.Lookup(ctx, name, dns.TypeTXT)
	switch {
	case errors.Is(err, dns.ErrNoName), errors.Is(err, dns.ErrNoData), err == nil && len(answer.Records) == 0:
		return nil, fmt.Errorf("%w: there is none at %s", ErrKey, name)
	case err != nil:
		return nil, fmt.Errorf("key at %s: %w", name, dns.Brief(err))
	}
	// Several records have no meaning: the first that can be read is taken.
	for _, rec := range answer.Records {
		var k *Key
		if k, err = ParseKey(rec.Text); err == nil {
			k.secure = answer.Secure
			return k, nil
		}
	}
	return nil, err
}

// ErrKey is that a signature's key is missing, revoked or malformed.
var ErrKey = errors.New("no usable key")

// ParseKey reads a key record (RFC 6376 §3.6.1). The error is ErrKey.
func ParseKey(text string) (*Key, error) {
	bad := func(format string, args ...any) (*Key, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{ErrKey}, args...)...)
	}
	tags, err := message.ParseTags(text)
	if err != nil {
		return bad("%w", err)
	}
	if v, ok := tags.Get("v"); ok && (v != "DKIM1" || tags[0].Name != "v") {
		return bad("it is of another version")
	}
	if s, ok := tags.Get("s"); ok && !hasWord(s, "*") && !hasWord(s, "email") {
		return bad("it is not for mail")
	}
	k := &Key{Testing: hasWord(tags.Value("t"), "y"), Strict: hasWord(tags.Value("t"), "s")}
	if h, ok := tags.Get("h"); ok {
		if !hasWord(h, "sha256") {
			return bad("it is not for SHA-256")
		}
		k.hashes = words(h)
	}
	p, ok := tags.Get("p")
	if !ok {
		return bad("its record holds none")
	}
	if p == "" {
		return bad("it was revoked")
	}
	der, err := decode64(p)
	if err != nil {
		return bad("it is not base64")
	}
	k.Public, err = parsePublic(tags, der)
	if err != nil {
		return bad("%w", err)
	}
	return k, nil
}

func parsePublic(tags message.Tags, der []byte) (crypto.PublicKey, error) {
	switch kind, ok := tags.Get("k"); {
	case kind == "ed25519":
		if len(der) != ed25519.PublicKeySize { // RFC 8463 §4
			return nil, errors.New("it is not of the size of an Ed25519 key")
		}
		return ed25519.PublicKey(der), nil
	case ok && kind != "rsa":
		return nil, fmt.Errorf("its kind %.20q is not known", kind)
	}
	var key *rsa.PublicKey
	if any, err := x509.ParsePKIXPublicKey(der); err == nil {
		key, _ = any.(*rsa.PublicKey)
	} else if key, err = x509.ParsePKCS1PublicKey(der); err != nil { // its examples are of the one form, its grammar of the other
		key = nil
	}
	if key == nil {
		return nil, errors.New("it is no RSA key")
	}
	if n := key.N.BitLen(); n < MinRSABits || n > MaxRSABits {
		return nil, fmt.Errorf("its %d bits are not between %d and %d", n, MinRSABits, MaxRSABits)
	}
	return key, nil
}

// words splits a list with colons.
func words(s string) []string {
	all := strings.Split(s, ":")
	for i := range all {
		all[i] = strings.Trim(all[i], " \t\r\n")
	}
	return all
}

func hasWord(list, word string) bool { return slices.Contains(words(list), word) }

// decode64 reads base64 that was folded anywhere.
func decode64(s string) ([]byte, error) {
	s = unspaced(s)
	if b, err := base64.StdEncoding.DecodeString(s); err == nil {
		return b, nil
	}
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}

// unspaced takes all white space out of s.
func unspaced(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, s)
}
