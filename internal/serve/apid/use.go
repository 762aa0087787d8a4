package apid

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// Use says by which protocols an account is used, and what becomes of what lies
// in it.
type Use struct {
	Protocols []string `json:"protocols,omitempty" doc:"by which its owner may come in: imap, pop3, smtp, managesieve, jmap, dav, or all alone; none: what the level above says"`
	Inbox     int      `json:"clear_inbox,omitempty" doc:"days after which messages in INBOX are deleted; 0: what the level above says; negative: never"`
	Junk      int      `json:"clear_junk,omitempty" doc:"the same of the Junk mailbox"`
	Trash     int      `json:"clear_trash,omitempty" doc:"the same of the Trash mailbox"`
	POPSeen   string   `json:"pop3_seen,omitempty" enum:"yes,no" doc:"whether what was fetched by POP3 is seen"`
}

func useBody(u directory.Use) Use {
	out := Use{Inbox: u.Inbox, Junk: u.Junk, Trash: u.Trash, POPSeen: u.POPSeen}
	if u.Protocols != "" {
		out.Protocols = strings.Split(u.Protocols, ",")
	}
	return out
}

// changedUse are those that a request names.
type changedUse struct {
	Protocols *[]string `json:"protocols,omitempty" maxItems:"20" doc:"empty: what the level above says"`
	Inbox     *int      `json:"clear_inbox,omitempty" maximum:"36500"`
	Junk      *int      `json:"clear_junk,omitempty" maximum:"36500"`
	Trash     *int      `json:"clear_trash,omitempty" maximum:"36500"`
	POPSeen   *string   `json:"pop3_seen,omitempty" enum:"yes,no,default" doc:"default: what the level above says"`
}

func (c *changedUse) apply(u *directory.Use) {
	if c == nil {
		return
	}
	if c.Protocols != nil {
		u.Protocols = strings.Join(*c.Protocols, ",")
	}
	assign(&u.Inbox, c.Inbox)
	assign(&u.Junk, c.Junk)
	assign(&u.Trash, c.Trash)
	assign(&u.POPSeen, c.POPSeen)
	if u.POPSeen == "default" {
		u.POPSeen = ""
	}
}
