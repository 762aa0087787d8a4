// Package dnssec says whether signatures of the domain name system hold, and makes
// them: sets of records, keys and their digests, proofs that something is not there,
// and the trust anchors that all begins with.
package dnssec

import (
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// What one question may cost. Whoever signs a zone chooses how much work its
// validation is (KeyTrap, CVE-2023-50387; NSEC3 encloser, CVE-2023-50868).
const (
	MaxSignatures = 64  // signatures tried for a question, over the whole chain
	MaxHashes     = 256 // names hashed for NSEC3 for a question
	MaxIterations = 50  // of NSEC3; above, the zone counts as unsigned (RFC 9276 §3.2)

	maxTries   = 8  // signatures of one set that are tried
	maxSameTag = 2  // keys of the same tag that are tried with one signature
	maxKeys    = 64 // keys of a zone that are looked at
	maxDS      = 16 // digests of a zone that are looked at
	maxDenials = 32 // NSEC or NSEC3 records of one answer that are looked at
)

// Work counts what the validation for one question has cost. The zero Work has
// spent nothing. It may be used by one goroutine at a time.
type Work struct {
	Signatures int // tried so far
	Hashes     int // of names, so far
}

// Code is an Extended DNS Error (RFC 8914 §4).
type Code uint16

// The codes that tell why something does not hold.
const (
	UnsupportedAlgorithm  Code = 1
	UnsupportedDigest     Code = 2
	CodeBogus             Code = 6
	SignatureExpired      Code = 7
	SignatureNotYetValid  Code = 8
	KeyMissing            Code = 9
	SignatureMissing      Code = 10
	NoZoneKey             Code = 11
	DenialMissing         Code = 12
	UnsupportedIterations Code = 27
)

// Bogus is the error of what does not hold.
type Bogus struct {
	Code Code
	Why  string
}

// Error gives the reason.
func (b *Bogus) Error() string { return "dnssec: " + b.Why }

func bogus(c Code, format string, args ...any) error { return &Bogus{c, fmt.Sprintf(format, args...)} }

// ErrUnsupported says that a zone is signed only by what we do not know: it counts
// as unsigned (RFC 4035 §5.2, RFC 6840 §5.2).
var ErrUnsupported = errors.New("dnssec: no algorithm or digest that is known")

// Supported says whether signatures of an algorithm can be checked (RFC 8624 §3.1): RSA
// (RFC 5702), ECDSA (RFC 6605) and Ed25519 (RFC 8080), but not Ed448. What is broken
// counts as unknown.
func Supported(algorithm uint8) bool {
	switch algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return true
	}
	return false
}

func supportedDigest(digest uint8) bool {
	return digest == dns.SHA1 || digest == dns.SHA256 || digest == dns.SHA384
}
