package mailbox

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Rights are what somebody may do to a mailbox (RFC 4314 §2.1).
type Rights uint16

// The rights, each with its letter.
const (
	RightLookup     Rights = 1 << iota // l: see it in lists
	RightRead                          // r: its messages
	RightSeen                          // s: keep \Seen of one's own
	RightWrite                         // w: all flags but \Seen and \Deleted
	RightInsert                        // i: add messages
	RightPost                          // p: write to its address; kept, and asked by nobody yet
	RightCreate                        // k: make mailboxes within it
	RightDelete                        // x: delete and rename it
	RightDeleteMail                    // t: set \Deleted
	RightExpunge                       // e
	RightAdminister                    // a: change who has rights
)

// AllRights is what the owner has, for ever.
const AllRights = RightAdminister<<1 - 1

// rightLetters are the letters of the rights, from the lowest bit.
const rightLetters = "lrswipkxtea"

// visible are the rights of which one is enough to know that a mailbox is there
// (RFC 4314 §4, MYRIGHTS).
const visible = RightLookup | RightRead | RightInsert | RightCreate | RightDelete | RightAdminister

// Has says whether all of need are there.
func (r Rights) Has(need Rights) bool { return r&need == need }

// String gives the letters, with the obsolete c and d of RFC 4314 §2.1.1 behind
// what they stand for: c for k and x, d for t and e.
func (r Rights) String() string {
	var b strings.Builder
	for i := range len(rightLetters) {
		if r&(1<<i) != 0 {
			b.WriteByte(rightLetters[i])
		}
	}
	if r&(RightCreate|RightDelete) != 0 {
		b.WriteByte('c')
	}
	if r&(RightDeleteMail|RightExpunge) != 0 {
		b.WriteByte('d')
	}
	return b.String()
}

// ParseRights reads letters; c and d give all that they stand for. A letter that
// is no right is fault.Invalid (RFC 4314 §3.1).
func ParseRights(s string) (Rights, error) {
	var r Rights
	for i := range len(s) {
		switch at := strings.IndexByte(rightLetters, s[i]); {
		case at >= 0:
			r |= 1 << at
		case s[i] == 'c':
			r |= RightCreate | RightDelete
		case s[i] == 'd':
			r |= RightDeleteMail | RightExpunge
		default:
			return 0, fault.Newf(fault.Invalid, "mailbox.ParseRights", "%.1q is no right; there are %s", s[i:], rightLetters)
		}
	}
	return r, nil
}
