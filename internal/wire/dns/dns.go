// Package dns is the words of the domain name system as mail needs them:
// names, record types, records and the resolver's contract.
package dns

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Type is a record type (RFC 1035 §3.2.2).
type Type uint16

// The record types that mail asks for.
const (
	TypeA     Type = 1
	TypeNS    Type = 2
	TypeCNAME Type = 5
	TypeSOA   Type = 6
	TypePTR   Type = 12
	TypeMX    Type = 15
	TypeTXT   Type = 16
	TypeAAAA  Type = 28
	TypeSRV   Type = 33
	TypeDS    Type = 43
	TypeTLSA  Type = 52
	TypeCAA   Type = 257
)

// Errors of Resolver, besides the context's. ErrNoName and ErrNoData are
// answers; the others mean that it is not known.
var (
	ErrNoName = errors.New("dns: no such name")
	ErrNoData = errors.New("dns: no records of that type")
	ErrServer = errors.New("dns: server failure")
	ErrBogus  = errors.New("dns: signatures do not hold")
)

// Absent says whether an error of Resolver is that there is nothing, which is an
// answer.
func Absent(err error) bool { return errors.Is(err, ErrNoName) || errors.Is(err, ErrNoData) }

// Record is one record of an answer. Which fields count depends on the type.
type Record struct {
	Type   Type
	TTL    time.Duration
	Addr   netip.Addr // A, AAAA
	Target string     // MX, CNAME, PTR, NS, SRV: lower case, without the final dot; "" is the root
	Pref   uint16     // MX preference, SRV priority
	Weight uint16     // SRV
	Port   uint16     // SRV
	Text   string     // TXT, its strings joined (RFC 7208 §3.3)
	Data   []byte     // TLSA and others: RDATA as it came
}

// Answer holds the records of one set, aliases followed. Secure is true only if
// a chain of signatures was followed to a trust anchor.
type Answer struct {
	Name    string // the name at the end of the aliases
	Records []Record
	Secure  bool
	Expires time.Time
}

// Resolver asks the domain name system. name is in A-labels, with or without
// the final dot.
type Resolver interface {
	Lookup(ctx context.Context, name string, t Type) (Answer, error)
}
