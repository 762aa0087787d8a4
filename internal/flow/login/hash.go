package login

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Params is how much work a password costs.
type Params struct {
	Memory     uint32 // of argon2id, in KiB
	Time       uint32 // passes over it
	Threads    uint8
	Iterations int // of SCRAM
	// SCRAM are the hashes that verifiers are made for; nil means SHA-256 and
	// SHA-512, and none at all that SCRAM is not offered.
	SCRAM []sasl.Hash
}

// The parameters that OWASP's password storage cheat sheet names for argon2id.
const (
	DefaultMemory  = 19 << 10 // KiB
	DefaultTime    = 2
	DefaultThreads = 1
)

// DefaultParams are what a server uses that was told nothing else.
func DefaultParams() Params {
	return Params{
		Memory: DefaultMemory, Time: DefaultTime, Threads: DefaultThreads, Iterations: sasl.DefaultIterations,
		SCRAM: []sasl.Hash{sasl.SHA256, sasl.SHA512},
	}
}

// orDefault fills in what is zero.
func (p Params) orDefault() Params {
	d := DefaultParams()
	if p.Memory == 0 {
		p.Memory = d.Memory
	}
	if p.Time == 0 {
		p.Time = d.Time
	}
	if p.Threads == 0 {
		p.Threads = d.Threads
	}
	if p.Iterations == 0 {
		p.Iterations = d.Iterations
	}
	if p.SCRAM == nil {
		p.SCRAM = d.SCRAM
	}
	return p
}

// Bounds of the hashes that we check. Above them a hash from elsewhere would
// cost more than a login may.
const (
	maxMemory = 256 << 10 // KiB
	maxTime   = 32
	maxCost   = 2 << 20 // memory times passes, in KiB
	saltSize  = 16
	sumSize   = 32
	minSalt   = 8
	maxSalt   = 64
	minSum    = 16
	maxSum    = 64
)

// phc is an argon2id hash.
type phc struct {
	Params
	salt, sum []byte
}

var errPHC = errors.New("not an argon2id hash in PHC form ($argon2id$v=19$m=…,t=…,p=…$salt$hash)")

// ParsePHC says whether s is an argon2id hash in PHC form that we can check.
func ParsePHC(s string) error {
	_, err := parsePHC(s)
	return err
}

func parsePHC(s string) (phc, error) {
	parts := strings.Split(s, "$")
	if len(s) > 512 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, errPHC
	}
	var h phc
	var threads uint32
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 || !number(costs[0], "m=", &h.Memory) || !number(costs[1], "t=", &h.Time) || !number(costs[2], "p=", &threads) {
		return phc{}, errPHC
	}
	if threads < 1 || threads > 64 || h.Time < 1 || h.Time > maxTime || h.Memory < 8*threads || h.Memory > maxMemory ||
		uint64(h.Memory)*uint64(h.Time) > maxCost {
		return phc{}, fmt.Errorf("an argon2id hash with m=%d,t=%d,p=%d is out of bounds", h.Memory, h.Time, threads)
	}
	h.Threads = uint8(threads)
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.sum, err2 = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || strings.ContainsAny(s, "\r\n") ||
		len(h.salt) < minSalt || len(h.salt) > maxSalt || len(h.sum) < minSum || len(h.sum) > maxSum {
		return phc{}, errPHC
	}
	return h, nil
}

// number reads a decimal number without leading zeros behind a prefix.
func number(s, prefix string, n *uint32) bool {
	digits, ok := strings.CutPrefix(s, prefix)
	v, err := strconv.ParseUint(digits, 10, 32)
	*n = uint32(v)
	return ok && err == nil && strconv.FormatUint(v, 10) == digits
}

func (h phc) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.Memory, h.Time, h.Threads, b64(h.salt), b64(h.sum))
}

// fits hashes a password and compares.
func (h phc) fits(password string) bool {
	sum := argon2.IDKey([]byte(password), h.salt, h.Time, h.Memory, h.Threads, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// cheaper says whether h costs a guesser less than p would.
func (h phc) cheaper(p Params) bool {
	return uint64(h.Memory)*uint64(h.Time) < uint64(p.Memory)*uint64(p.Time)
}

// Hash makes credentials of a password: an argon2id hash and SCRAM verifiers,
// all of its SASLprep form (RFC 4013). fault.Invalid if it is empty, longer than
// sasl.MaxPassword, or holds a NUL, which PLAIN could not carry.
func Hash(password string, p Params) (directory.Credentials, error) {
	return hashLike(password, p, directory.Secrets{})
}

// hashLike is Hash for an account that has secrets already.
func hashLike(password string, p Params, s directory.Secrets) (directory.Credentials, error) {
	const op = "login.Hash"
	if password == "" || len(password) > sasl.MaxPassword || strings.ContainsRune(password, 0) {
		return directory.Credentials{}, fault.Newf(fault.Invalid, op, "a password has 1 to %d octets, none of them NUL", sasl.MaxPassword)
	}
	p = p.orDefault()
	h := phc{Params: p, salt: make([]byte, saltSize)}
	_, _ = rand.Read(h.salt)
	h.sum = argon2.IDKey([]byte(sasl.Prepare(password)), h.salt, p.Time, p.Memory, p.Threads, sumSize)
	if err := ParsePHC(h.String()); err != nil { // parameters that no login would accept
		return directory.Credentials{}, fault.Wrap(op, err)
	}
	c := directory.Credentials{Argon2: h.String()}
	for _, f := range p.SCRAM {
		salt, iterations := factors(f, p, s)
		v, err := sasl.NewScramVerifier(f, password, salt, iterations)
		if err != nil {
			return directory.Credentials{}, fault.Wrap(op, err)
		}
		c.SetSCRAM(v)
	}
	return c, nil
}

// factors gives the salt and the iterations of a new verifier. Where there are
// app passwords all of an account's verifiers share them: SCRAM tells them
// before it knows which password is meant.
func factors(h sasl.Hash, p Params, s directory.Secrets) (salt []byte, iterations int) {
	for _, a := range s.Apps {
		if v := a.SCRAM(h); !v.IsZero() {
			return v.Salt, v.Iterations
		}
	}
	salt = make([]byte, sasl.SaltSize)
	_, _ = rand.Read(salt)
	return salt, p.Iterations
}

// sameFactors says whether what was made for the secrets a goes with b too.
func sameFactors(a, b directory.Secrets) bool {
	if len(a.Apps) != len(b.Apps) {
		return false
	}
	for _, h := range []sasl.Hash{sasl.SHA1, sasl.SHA256, sasl.SHA512} {
		if a.SCRAM(h).String() != b.SCRAM(h).String() {
			return false
		}
	}
	return true
}

// outdated says whether a main password is not kept as p wants it.
func (p Params) outdated(s directory.Secrets) bool {
	if hash, err := parsePHC(s.Argon2); err != nil || hash.cheaper(p) {
		return true
	}
	for _, h := range []sasl.Hash{sasl.SHA1, sasl.SHA256, sasl.SHA512} {
		v := s.SCRAM(h)
		if v.IsZero() == slices.Contains(p.SCRAM, h) {
			return true // one is missing, or must not be kept
		}
		if _, wanted := factors(h, p, s); !v.IsZero() && v.Iterations < wanted {
			return true
		}
	}
	return false
}
