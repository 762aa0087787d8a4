package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// UseOptions say how accounts are used.
type UseOptions struct {
	Protocols  *string `placeholder:"LIST" help:"Protocols that may be used, with commas: imap, pop3, smtp, managesieve, jmap, dav; all, or default for what the level above says."`
	ClearInbox *string `placeholder:"DAYS" help:"After how many days messages in INBOX are deleted; never, or default for what the level above says."`
	ClearJunk  *string `placeholder:"DAYS" help:"The same of the Junk mailbox."`
	ClearTrash *string `placeholder:"DAYS" help:"The same of the Trash mailbox."`
	POP3Seen   *string `name:"pop3-seen" enum:"yes,no,default" placeholder:"yes|no|default" help:"Whether what was fetched by POP3 is seen in other programs."`
}

// use gives the options in the API's words; nil if there are none.
func (o UseOptions) use() (map[string]any, error) {
	in := map[string]any{}
	if o.Protocols != nil {
		list := []string{}
		for _, p := range strings.Split(*o.Protocols, ",") {
			if p = strings.TrimSpace(p); p != "" && p != "default" {
				list = append(list, p)
			}
		}
		in["protocols"] = list
	}
	for name, given := range map[string]*string{"clear_inbox": o.ClearInbox, "clear_junk": o.ClearJunk, "clear_trash": o.ClearTrash} {
		if given == nil {
			continue
		}
		days, err := parseDays(*given)
		if err != nil {
			return nil, err
		}
		in[name] = days
	}
	if o.POP3Seen != nil {
		in["pop3_seen"] = *o.POP3Seen
	}
	if len(in) == 0 {
		return nil, nil
	}
	return in, nil
}

// parseDays reads a number over 0, default (0) or never (-1).
func parseDays(s string) (int, error) {
	switch s {
	case "default":
		return 0, nil
	case "never":
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, usageError{fmt.Errorf("%q is not a number of days, default or never", s)}
	}
	return n, nil
}

// showUse writes what is not as the level above says.
func showUse(w io.Writer, u apid.Use) {
	if len(u.Protocols) > 0 {
		row(w, "protocols", strings.Join(u.Protocols, ", "))
	}
	for _, d := range []struct {
		what string
		days int
	}{{"INBOX", u.Inbox}, {"Junk", u.Junk}, {"Trash", u.Trash}} {
		switch {
		case d.days > 0:
			row(w, d.what+" is emptied after", fmt.Sprintf("%d days", d.days))
		case d.days < 0:
			row(w, d.what+" is emptied", "never")
		}
	}
	if u.POPSeen != "" {
		row(w, "fetched by POP3 is seen", u.POPSeen)
	}
}
