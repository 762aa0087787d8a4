// Package mailbox keeps accounts at rest: mailboxes, messages, flags, threads,
// usage, and the log of changes that IMAP and JMAP read.
package mailbox

import (
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Limits of an account. What exceeds one is refused with fault.Invalid (names,
// keywords) or fault.TooMany (counts).
const (
	Separator          = "/"
	MaxDepth           = 20     // levels of a mailbox name
	MaxLevel           = 255    // octets of one level
	MaxBoxes           = 10_000 // mailboxes of an account
	MaxSubscriptions   = 10_000 // subscribed names whose mailbox is gone
	MaxKeyword         = 64     // octets of a keyword
	MaxKeywords        = 100    // keywords on one placement
	MaxAccountKeywords = 1_000  // different keywords in one account
	MaxPlaces          = 1_000  // placements of one message
	MaxPrefix          = 64_000 // octets of a message's prefix
)

// BoxID names a mailbox for its whole life within an account; it is never used
// again (RFC 8474 §4).
type BoxID uint64

// MessageID names a message within an account, in order of creation; it is
// never used again (RFC 8474 §5.1).
type MessageID uint64

// ThreadID names a thread within an account (RFC 8474 §5.2, RFC 8621 §3): the
// id of its first message.
type ThreadID = uint64

// UID is IMAP's unique identifier (RFC 9051 §2.3.1.1).
type UID = uint32

// ModSeq is a change number of the account (RFC 7162 §3.1): the version of its shard.
type ModSeq = uint64

// Role is a mailbox's special use (RFC 6154, RFC 8621 §2), in lower case.
type Role string

// The roles that Provision gives. The zero Role is none.
const (
	RoleNone    Role = ""
	RoleInbox   Role = "inbox"
	RoleSent    Role = "sent"
	RoleDrafts  Role = "drafts"
	RoleTrash   Role = "trash"
	RoleJunk    Role = "junk"
	RoleArchive Role = "archive"
)

// Box is a mailbox. Its counts are kept, not counted.
type Box struct {
	Account       mail.AccountID // whose it is
	ID            BoxID
	Parent        BoxID  // 0 at the top
	Name          string // all levels, "A/B", UTF-8 in NFC; "INBOX" in upper case
	Role          Role
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq // of the last change to one of its placements
	Changed       ModSeq // of the last change to name, role or subscription
	Created       ModSeq
	Messages      uint32
	Unseen        uint32
	Deleted       uint32
	Size          int64 // octets of its messages
	Subscribed    bool
}

// Placement is a message's place in a mailbox.
type Placement struct {
	Box      BoxID
	UID      UID
	Message  MessageID
	ModSeq   ModSeq // of its last change
	Created  ModSeq // when it came into the mailbox
	Flags    mail.Flags
	Keywords []string
	Size     int64     // octets of prefix and content
	Received time.Time // INTERNALDATE, in whole seconds, UTC
	Saved    time.Time // when it came into this mailbox (RFC 8514)
}

// Place is where a placement stands.
type Place struct {
	Box BoxID
	UID UID
}

// Message is what never changes about a message, and where it stands.
type Message struct {
	ID       MessageID
	Blob     mail.BlobID
	Prefix   []byte // header fields of ours, in front of the blob
	Size     int64  // octets of prefix and blob
	Received time.Time
	Created  ModSeq
	Thread   ThreadID
	Arrival  mail.ArrivalID // zero if it did not come with one
	Places   []Place
}

// NewMessage is what Add takes.
type NewMessage struct {
	Content  blob.Handle
	Prefix   []byte
	Index    *message.Index // of prefix and content together; nil gives neither view nor thread
	Received time.Time
	Flags    mail.Flags
	Keywords []string
	Arrival  mail.ArrivalID // with it, a repeated Add into the same mailbox changes nothing
	UIDL     string         // by which POP3 clients know it already; what can be none is left out

	prepared bool
	view     []byte   // what is kept of Index
	threads  []uint64 // see threadKeys
}

// Usage is what an account holds: each message once, however many placements it has.
type Usage struct{ Octets, Messages int64 }

// Room refuses with fault.OverQuota a message of size octets that would go over
// quota; a quota of 0 is none. Whoever brings a message in asks; Add does not.
func (u Usage) Room(quota, size int64) error {
	if quota > 0 && size > quota-u.Octets {
		return fault.New(fault.OverQuota, "mailbox.Room", "")
	}
	return nil
}

// States are the change numbers behind the state strings of RFC 8620 §5.1: of
// the last change to any mailbox (its counts included), message and thread.
type States struct{ Mailbox, Email, Thread ModSeq }

// FlagOp says how SetFlags combines.
type FlagOp uint8

// The operations of STORE (RFC 9051 §6.4.6): FLAGS, +FLAGS, -FLAGS.
const (
	FlagsSet FlagOp = iota
	FlagsAdd
	FlagsRemove
)

// FlagChange is a change to flags and keywords.
type FlagChange struct {
	Op       FlagOp
	Flags    mail.Flags
	Keywords []string
}
