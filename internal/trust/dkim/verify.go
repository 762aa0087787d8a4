package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Code is the result for one signature (RFC 8601 §2.7.1).
type Code string

// The results.
const (
	None      Code = "none"
	Pass      Code = "pass"
	Fail      Code = "fail"
	Policy    Code = "policy" // it holds, and is not accepted
	Neutral   Code = "neutral"
	TempError Code = "temperror"
	PermError Code = "permerror"
)

// MaxSignatures is how many signatures of a message are looked at: each costs a
// question and work that its sender does not pay for.
const MaxSignatures = 10

// Result is what was found about one signature.
type Result struct {
	Code      Code
	Domain    string
	Selector  string
	Identity  string // i=, "" if there is none
	Algorithm string
	Short     string // the beginning of b=
	Bits      int    // of the key; 0 if there is none
	Testing   bool   // the domain only tries
	Secure    bool   // DNSSEC vouches for the key
	Problem   string // why it does not pass
}

// Verifier checks the signatures of one message (RFC 6376 §6).
type Verifier struct {
	fields Fields
	all    []candidate
	over   int // signatures beyond MaxSignatures
}

type candidate struct {
	sig  *Signature
	err  error
	body *BodyHash
}

// NewVerifier reads the signatures of a header, from the top, and says to body
// what it wants.
func NewVerifier(h message.Header, body *Body) *Verifier {
	v := &Verifier{}
	for _, f := range h.Fields() {
		if !strings.EqualFold(f.Name, "DKIM-Signature") {
			continue
		}
		if len(v.all) == MaxSignatures {
			v.over++
			continue
		}
		c := candidate{}
		if c.sig, c.err = ParseSignature(f.Raw, Mail); c.err == nil {
			c.body = body.Want(c.sig.Body, c.sig.Limit)
		}
		v.all = append(v.all, c)
	}
	if len(v.all) > 0 {
		v.fields = NewFields(h)
	}
	return v
}

// Len is how many signatures there are to verify.
func (v *Verifier) Len() int { return len(v.all) }

// Over is how many more there are, which nobody looks at.
func (v *Verifier) Over() int { return v.over }

// Domain is the domain that made signature i; "" if it cannot be read.
func (v *Verifier) Domain(i int) string { return v.all[i].sig.Domain }

// Verify checks signature i. The body must have been closed. Several may be
// verified at once.
func (v *Verifier) Verify(ctx context.Context, i int, r dns.Resolver, now time.Time) Result {
	c := v.all[i]
	s := c.sig
	res := Result{Domain: s.Domain, Selector: s.Selector, Identity: s.Identity, Algorithm: s.Algorithm, Short: s.Short()}
	end := func(code Code, format string, args ...any) Result {
		res.Code, res.Problem = code, fmt.Sprintf(format, args...)
		return res
	}
	if c.err != nil {
		return end(Neutral, "%v", c.err)
	}
	if s.Expires >= 0 && now.Unix() > s.Expires {
		return end(Fail, "it expired on %s", time.Unix(s.Expires, 0).UTC().Format(time.DateOnly))
	}
	// The hash of the body comes first: a message that was changed costs no question.
	if !bytes.Equal(s.bodyHash, c.body.Sum()) {
		return end(Fail, "the body was changed")
	}
	if s.Limit > c.body.Size() { // RFC 6376 §3.5
		return end(PermError, "more octets are signed than the body has")
	}
	domain, err := toASCII(s.Domain)
	if err != nil {
		return end(Neutral, "the domain is malformed")
	}
	selector, err := toASCII(s.Selector)
	if err != nil {
		return end(Neutral, "the selector is malformed")
	}
	key, err := FindKey(ctx, r, selector, domain)
	switch {
	case errors.Is(err, ErrKey):
		return end(PermError, "%v", err)
	case err != nil:
		return end(TempError, "%v", err)
	}
	res.Bits, res.Testing, res.Secure = key.Bits(), key.Testing, key.Secure()
	if key.Strict && s.Identity != "" && !strings.EqualFold(s.Identity[strings.LastIndexByte(s.Identity, '@')+1:], s.Domain) {
		return end(PermError, "the key is not for subdomains")
	}
	if err := key.Verify(s, s.Data(v.fields)); errors.Is(err, ErrKey) {
		return end(PermError, "%v", err)
	} else if err != nil {
		return end(Fail, "%v", err)
	}
	if s.Limit >= 0 && s.Limit < c.body.Size() { // RFC 6376 §8.2
		return end(Policy, "only the first %d of %d octets of the body are signed", s.Limit, c.body.Size())
	}
	res.Code = Pass
	return res
}

// toASCII is a name that may hold U-labels (RFC 8616 §4) as A-labels.
func toASCII(name string) (string, error) {
	for i := 0; i < len(name); i++ {
		if name[i] >= 0x80 {
			return idna.Lookup.ToASCII(name)
		}
	}
	return name, nil
}

// errSignature is that a signature is not over what it came with.
var errSignature = errors.New("a signed field was changed, or the signature is of another key")

// Verify checks the value of s over data. ErrKey if the key is of another kind.
func (k *Key) Verify(s *Signature, data []byte) error {
	if k.hashes != nil && !slices.Contains(k.hashes, "sha256") {
		return fmt.Errorf("%w: it is not for SHA-256", ErrKey)
	}
	sum := sha256.Sum256(data)
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		if s.Algorithm != RSASHA256 {
			return fmt.Errorf("%w: it is an RSA key", ErrKey)
		}
		if rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], s.value) != nil {
			return errSignature
		}
	case ed25519.PublicKey:
		if s.Algorithm != Ed25519SHA256 {
			return fmt.Errorf("%w: it is an Ed25519 key", ErrKey)
		}
		if !ed25519.Verify(public, sum[:], s.value) {
			return errSignature
		}
	}
	return nil
}

// HoldsBody says whether h is the hash of the body that the signature names.
func (s *Signature) HoldsBody(h *BodyHash) bool {
	return bytes.Equal(s.bodyHash, h.Sum()) && s.Limit <= h.Size()
}
