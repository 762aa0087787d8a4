package sasl

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
)

// Bounds of a SCRAM verifier.
const (
	MinIterations     = 4096    // RFC 7677 §4
	DefaultIterations = 50_000  // about 10 ms of the client's time
	MaxIterations     = 1 << 20 // what we are willing to keep and ask for
	SaltSize          = 16      // octets
	maxSalt           = 64
)

// ScramVerifier is what a server keeps of a password for SCRAM-SHA-256
// (RFC 5802 §3): it can check a proof, and cannot make one.
type ScramVerifier struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// IsZero says whether v is no verifier.
func (v ScramVerifier) IsZero() bool { return v.Iterations == 0 }

// NewScramVerifier derives the verifier of a password. The salt is the
// caller's: SaltSize random octets.
func NewScramVerifier(password string, salt []byte, iterations int) (ScramVerifier, error) {
	if len(salt) == 0 || len(salt) > maxSalt || iterations < MinIterations || iterations > MaxIterations {
		return ScramVerifier{}, fmt.Errorf("a salt of %d octets and %d iterations are out of bounds", len(salt), iterations)
	}
	salted, err := pbkdf2.Key(sha256.New, Prepare(password), salt, iterations, sha256.Size)
	if err != nil {
		return ScramVerifier{}, err
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	return ScramVerifier{Salt: salt, Iterations: iterations, StoredKey: stored[:], ServerKey: mac(salted, "Server Key")}, nil
}

// Matches says whether password is the one v was made of. It costs as much as
// making v did.
func (v ScramVerifier) Matches(password string) bool {
	w, err := NewScramVerifier(password, v.Salt, v.Iterations)
	return err == nil && hmac.Equal(v.StoredKey, w.StoredKey)
}

// Decoy makes up the verifier of a user who does not exist. For the same secret
// it is always the same, so that asking twice teaches nothing, and no password
// fits it.
func Decoy(secret []byte, user string, iterations int) ScramVerifier {
	return ScramVerifier{
		Salt:       mac(secret, "salt\x00"+user)[:SaltSize],
		Iterations: iterations,
		StoredKey:  mac(secret, "stored\x00"+user),
		ServerKey:  mac(secret, "server\x00"+user),
	}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
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

const verifierPrefix = ScramSHA256 + "$"

// String is the verifier as PostgreSQL and others write it:
// SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY, in base64.
func (v ScramVerifier) String() string {
	if v.IsZero() {
		return ""
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s%d:%s$%s:%s", verifierPrefix, v.Iterations, b64(v.Salt), b64(v.StoredKey), b64(v.ServerKey))
}

var errVerifier = errors.New("not a SCRAM-SHA-256 verifier")

// ParseScramVerifier reads what String wrote; the empty text is the zero verifier.
func ParseScramVerifier(s string) (ScramVerifier, error) {
	if s == "" {
		return ScramVerifier{}, nil
	}
	rest, ok := strings.CutPrefix(s, verifierPrefix)
	factors, keys, ok2 := strings.Cut(rest, "$")
	count, salt, ok3 := strings.Cut(factors, ":")
	stored, server, ok4 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 || !ok4 || len(s) > MaxMessage {
		return ScramVerifier{}, errVerifier
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < MinIterations || n > MaxIterations || strconv.Itoa(n) != count {
		return ScramVerifier{}, errVerifier
	}
	v := ScramVerifier{Iterations: n}
	for _, f := range []struct {
		text     string
		to       *[]byte
		min, max int
	}{{salt, &v.Salt, 1, maxSalt}, {stored, &v.StoredKey, sha256.Size, sha256.Size}, {server, &v.ServerKey, sha256.Size, sha256.Size}} {
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
