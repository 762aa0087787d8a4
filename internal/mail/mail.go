// Package mail holds the words of the field: domains, addresses, envelopes,
// arrivals, flags and ids. It imports nothing of ours and everything imports it.
package mail

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"
)

// AccountID names an account for its whole life. It is given by the directory
// and never used again. Zero is no account.
type AccountID uint64

// ArrivalID is 128 random bits that name one message on its way in. It makes a
// repeated commit harmless, its first byte chooses the partition, and every 250
// carries its text form.
type ArrivalID [16]byte

// NewArrivalID draws an id. The system's random source does not fail.
func NewArrivalID() ArrivalID {
	var id ArrivalID
	_, _ = rand.Read(id[:])
	return id
}

// String is the id in 32 hexadecimal digits, as `ekiden trace` takes it.
func (id ArrivalID) String() string { return hex.EncodeToString(id[:]) }

// ParseArrivalID reads what String wrote.
func ParseArrivalID(s string) (ArrivalID, error) {
	var id ArrivalID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("not an arrival id: %.40q", s)
	}
	copy(id[:], b)
	return id, nil
}

// BlobID is the SHA-256 of a blob's bytes.
type BlobID [32]byte

// String is the id in 64 hexadecimal digits.
func (id BlobID) String() string { return hex.EncodeToString(id[:]) }

// Notify is when a recipient's sender wants a report (RFC 3461 §4.1). Zero
// means nothing was asked: failures, and delays as the server sees fit.
type Notify uint8

// The conditions a sender may ask for. Never excludes the others.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Recipient is one forward-path and what its sender asked about it.
type Recipient struct {
	Address  Address
	Original string // ORCPT, as given
	Notify   Notify
	Quoted   bool // to be written as Address.Strict does
	Junk     bool // laid in the \Junk mailbox of who has this address
}

// Envelope is what SMTP says about a message, whatever its header claims.
type Envelope struct {
	From       Address
	To         []Recipient
	ID         string // ENVID
	Headers    bool   // RET=HDRS: reports need not carry the body
	UTF8       bool   // SMTPUTF8 (RFC 6531)
	EightBit   bool   // BODY=8BITMIME (RFC 6152)
	RequireTLS bool   // RFC 8689
	Quoted     bool   // From is to be written as Address.Strict does
	Demands
}

// Peer is who is at the other end of a session.
type Peer struct {
	Addr    netip.AddrPort // where it connects from
	Local   netip.AddrPort // where it connected to
	Name    string         // of Addr, where a trusted proxy said it; else ""
	Helo    string         // what it called itself
	ESMTP   bool           // it said EHLO (or LHLO), not HELO
	LMTP    bool
	TLS     bool
	TLSInfo string    // version and cipher suite, for Received and the log
	Account AccountID // who logged in; zero if nobody
	User    Address   // the address of Account
	Login   string    // the SASL mechanism by which it came in

	// Ref names the transaction, or what comes before the first, in refusals;
	// the message that comes of it is known by the same id.
	Ref ArrivalID
}

// Arrival is one message on its way in. Each room fills its part; none takes anything out.
type Arrival struct {
	ID       ArrivalID
	At       time.Time
	Peer     Peer
	Envelope Envelope
	Content  BlobID
	Size     int64  // of the content, in octets
	Prefix   []byte // header fields of ours, in front of the content
	Junk     bool   // to be laid in the \Junk mailbox
	Subject  string // of the header, decoded, as far as the history keeps it
	Ours     bool   // a user of ours wrote it, or we: it is signed
	NoClient bool   // Received does not tell where it came from
	Hold     string // why it waits in the queue for an operator; "" if it does not
	Verdict  string // what was decided when others had been asked; "" if nobody was
	Opinions string // what each of them said
}

// NewArrival begins an arrival from a peer, under the id that refused commands
// of its transaction refer to.
func NewArrival(p *Peer, now time.Time) Arrival {
	a := Arrival{ID: p.Ref, At: now, Peer: *p}
	if a.ID == (ArrivalID{}) {
		a.ID = NewArrivalID()
	}
	return a
}
