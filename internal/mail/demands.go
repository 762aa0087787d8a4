package mail

import "time"

// DeliverBy is by when a message is to be delivered (RFC 2852 §4). The zero
// value asks for nothing.
type DeliverBy struct {
	At     time.Time // the deliver-by-time
	Return bool      // after it the message is given up; else its sender is told that it is late
	Trace  bool      // the sender is told of each relay
}

// IsZero says whether nothing is asked for.
func (b DeliverBy) IsZero() bool { return b.At.IsZero() }

// Passed says whether the deliver-by-time has come.
func (b DeliverBy) Passed(now time.Time) bool { return !b.IsZero() && !now.Before(b.At) }

// Demands are what a sender asks of the way that a message takes, beyond that
// it arrives. The zero value asks for nothing.
type Demands struct {
	Binary      bool      // BODY=BINARYMIME (RFC 3030 §3): no lines, and any octet
	Full        bool      // RET=FULL was said (RFC 3461 §4.3)
	TLSOptional bool      // TLS-Required: No (RFC 8689 §3)
	By          DeliverBy // RFC 2852
	Release     time.Time // not before it (RFC 4865); zero: at once
	Requested   string    // how Release was asked for: "for;SECONDS" or "until;DATE" (RFC 4865 §5.1.2)
	Priority    int8      // from -9 to 9, higher is sooner (RFC 6710 §5)
	Prioritized bool      // Priority was said, by MAIL or in the header
	Solicit     string    // solicitation class keywords with commas between (RFC 3865 §2.2)
}

// Lowest and highest Priority.
const (
	MinPriority = -9
	MaxPriority = 9
)
