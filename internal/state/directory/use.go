package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Use says by which protocols an account is used, and what becomes of what lies
// in it. What is zero is as the level above says: account, domain, server.
type Use struct {
	// Protocols are those by which its owner may come in, with commas between them:
	// of Protocols, or AllProtocols alone.
	Protocols string `json:"proto,omitempty"`
	// Inbox, Junk and Trash are after how many days a message there is deleted. A
	// negative number means never.
	Inbox int `json:"inbox,omitempty"`
	Junk  int `json:"junk,omitempty"`
	Trash int `json:"trash,omitempty"`
	// POPSeen says whether what was fetched by POP3 is seen: Yes or No.
	POPSeen string `json:"popseen,omitempty"`
}

// Words of a Use.
const (
	AllProtocols = "all"
	Yes          = "yes"
	No           = "no"
)

// MaxClearDays is the longest time after which messages are deleted.
const MaxClearDays = 36_500

// Protocols are those that an account, or an app password, may be for.
func Protocols() []string { return []string{"imap", "pop3", "smtp", "managesieve", "jmap", "dav"} }

// Over gives u with what it leaves open taken from above.
func (u Use) Over(above Use) Use {
	if u.Protocols == "" {
		u.Protocols = above.Protocols
	}
	for _, d := range []struct {
		own *int
		up  int
	}{{&u.Inbox, above.Inbox}, {&u.Junk, above.Junk}, {&u.Trash, above.Trash}} {
		if *d.own == 0 {
			*d.own = d.up
		}
	}
	if u.POPSeen == "" {
		u.POPSeen = above.POPSeen
	}
	return u
}

// Allows says whether an account may be used by a protocol.
func (u Use) Allows(protocol string) bool {
	return u.Protocols == "" || u.Protocols == AllProtocols || slices.Contains(strings.Split(u.Protocols, ","), protocol)
}

func (u Use) check(op string) error {
	for _, p := range strings.Split(u.Protocols, ",") {
		if u.Protocols == "" || u.Protocols == AllProtocols {
			break
		}
		if !slices.Contains(Protocols(), p) {
			return fault.Newf(fault.Invalid, op, "%.20q is none of %s (or %s alone)", p, strings.Join(Protocols(), ", "), AllProtocols)
		}
	}
	for _, days := range []int{u.Inbox, u.Junk, u.Trash} {
		if days > MaxClearDays {
			return fault.Newf(fault.Invalid, op, "messages are deleted after at most %d days", MaxClearDays)
		}
	}
	if u.POPSeen != "" && u.POPSeen != Yes && u.POPSeen != No {
		return fault.Newf(fault.Invalid, op, "%.20q is neither yes nor no", u.POPSeen)
	}
	return nil
}

// Use is what an account and its domain say of its use. fault.NotFound.
func (s *Store) Use(ctx context.Context, id mail.AccountID) (Use, error) {
	a, d, err := s.Sender(ctx, id)
	return a.Use.Over(d.Use), fault.Wrap("directory.Use", err)
}
