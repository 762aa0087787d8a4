package sasl

import (
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
)

// Hash is the hash function of a SCRAM mechanism.
type Hash string

// The hash functions. SHA-1 is for clients that know nothing else.
const (
	SHA1   Hash = "SHA-1"   // RFC 5802
	SHA256 Hash = "SHA-256" // RFC 7677
	SHA512 Hash = "SHA-512" // draft-melnikov-scram-sha-512
)

// Mechanism is the name of the mechanism with h, in its -PLUS form or without.
func (h Hash) Mechanism(plus bool) string {
	if plus {
		return "SCRAM-" + string(h) + "-PLUS"
	}
	return "SCRAM-" + string(h)
}

// ParseScram takes a mechanism's name apart; false if it is none of SCRAM's.
func ParseScram(mechanism string) (h Hash, plus, ok bool) {
	name, plus := strings.CutSuffix(mechanism, "-PLUS")
	rest, ok := strings.CutPrefix(name, "SCRAM-")
	h = Hash(rest)
	return h, plus, ok && h.crypto() != 0
}

func (h Hash) crypto() crypto.Hash {
	switch h {
	case SHA1:
		return crypto.SHA1
	case SHA256:
		return crypto.SHA256
	case SHA512:
		return crypto.SHA512
	}
	return 0
}

func (h Hash) library() scram.HashGeneratorFcn {
	switch h {
	case SHA1:
		return scram.SHA1
	case SHA512:
		return scram.SHA512
	}
	return scram.SHA256
}

// Bounds of a SCRAM verifier.
const (
	MinIterations     = 4096    // RFC 7677 §4
	DefaultIterations = 50_000  // about 10 ms of the client's time
	MaxIterations     = 1 << 20 // what we are willing to keep and ask for
	SaltSize          = 16      // octets
	maxSalt           = 64
)

// ScramVerifier is what a server keeps of a password for SCRAM (RFC 5802 §3):
// it can check a proof, and cannot make one.
type ScramVerifier struct {
	Hash       Hash
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// IsZero says whether v is no verifier.
func (v ScramVerifier) IsZero() bool { return v.Iterations == 0 }

// NewScramVerifier derives the verifier of a password. The salt is the
// caller's: SaltSize random octets.
func NewScramVerifier(h Hash, password string, salt []byte, iterations int) (ScramVerifier, error) {
	if len(salt) == 0 || len(salt) > maxSalt || iterations < MinIterations || iterations > MaxIterations || h.crypto() == 0 {
		return ScramVerifier{}, fmt.Errorf("%q, a salt of %d octets and %d iterations are out of bounds", string(h), len(salt), iterations)
	}
	f := h.crypto()
	salted, err := pbkdf2.Key(f.New, Prepare(password), salt, iterations, f.Size())
	if err != nil {
		return ScramVerifier{}, err
	}
	stored := f.New()
	stored.Write(h.mac(salted, "Client Key"))
	return ScramVerifier{
		Hash: h, Salt: salt, Iterations: iterations, StoredKey: stored.Sum(nil), ServerKey: h.mac(salted, "Server Key"),
	}, nil
}

// Matches says whether password is the one v was made of. It costs as much as
// making v did.
func (v ScramVerifier) Matches(password string) bool {
	w, err := NewScramVerifier(v.Hash, password, v.Salt, v.Iterations)
	return err == nil && hmac.Equal(v.StoredKey, w.StoredKey)
}

// Decoy makes up the verifier of a user who does not exist. For the same secret
// it is always the same, so that asking twice teaches nothing, and no password
// fits it.
func Decoy(h Hash, secret []byte, user string, iterations int) ScramVerifier {
	if h != SHA256 {
		user = string(h) + "\x00" + user
	}
	return ScramVerifier{
		Hash: h, Salt: SHA256.mac(secret, "salt\x00"+user)[:SaltSize], Iterations: iterations,
		StoredKey: h.mac(secret, "stored\x00"+user), ServerKey: h.mac(secret, "server\x00"+user),
	}
}

func (h Hash) mac(key []byte, text string) []byte {
	m := hmac.New(h.crypto().New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// Prepare brings a password into the form both sides compute with: SASLprep
// (RFC 4013), or as it is where SASLprep refuses it, as for code points younger
// than Unicode 3.2.
func Prepare(password string) string {
	p, err := stringprep.SASLprep.Prepare(password)
	if err != nil || p == "" {
		return password
	}
	return p
}

// String is the verifier as PostgreSQL and others write it:
// SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY, in base64.
func (v ScramVerifier) String() string {
	if v.IsZero() {
		return ""
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", v.Hash.Mechanism(false), v.Iterations, b64(v.Salt), b64(v.StoredKey), b64(v.ServerKey))
}

var errVerifier = errors.New("not a SCRAM verifier")

// ParseScramVerifier reads what String wrote; the empty text is the zero verifier.
func ParseScramVerifier(s string) (ScramVerifier, error) {
	if s == "" {
		return ScramVerifier{}, nil
	}
	mechanism, rest, _ := strings.Cut(s, "$")
	h, plus, ok := ParseScram(mechanism)
	factors, keys, ok2 := strings.Cut(rest, "$")
	count, salt, ok3 := strings.Cut(factors, ":")
	stored, server, ok4 := strings.Cut(keys, ":")
	if !ok || plus || !ok2 || !ok3 || !ok4 || len(s) > MaxMessage {
		return ScramVerifier{}, errVerifier
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < MinIterations || n > MaxIterations || strconv.Itoa(n) != count {
		return ScramVerifier{}, errVerifier
	}
	v, size := ScramVerifier{Hash: h, Iterations: n}, h.crypto().Size()
	for _, f := range []struct {
		text     string
		to       *[]byte
		min, max int
	}{{salt, &v.Salt, 1, maxSalt}, {stored, &v.StoredKey, size, size}, {server, &v.ServerKey, size, size}} {
		b, err := base64.StdEncoding.Strict().DecodeString(f.text)
		if err != nil || len(b) < f.min || len(b) > f.max || strings.ContainsAny(f.text, "\r\n") {
			return ScramVerifier{}, errVerifier
		}
		*f.to = b
	}
	return v, nil
}

// MarshalText is String.
func (v ScramVerifier) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is ParseScramVerifier.
func (v *ScramVerifier) UnmarshalText(b []byte) error {
	w, err := ParseScramVerifier(string(b))
	if err != nil {
		return err
	}
	*v = w
	return nil
}
