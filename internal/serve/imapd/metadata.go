package imapd

import (
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// getMetadata is GETMETADATA (RFC 5464 §4.2).
func (c *session) getMetadata(cmd *imap.GetMetadataCommand) (reply, error) {
	entries, err := entryNames(cmd.Entries, cmd.Depth != 0)
	if err != nil {
		return reply{}, err
	}
	all, err := c.annotations(cmd.Mailbox, entries, cmd.Depth)
	if err != nil {
		return reply{}, err
	}
	var told []imap.Entry
	long := 0
	for _, a := range all {
		if cmd.MaxSize != nil && len(a.Value) > int(*cmd.MaxSize) {
			long = max(long, len(a.Value))
			continue
		}
		told = append(told, imap.Entry{Name: a.Entry, Value: a.Value})
	}
	if len(told) > 0 {
		c.enc.Untagged().Raw("METADATA ").Mailbox(cmd.Mailbox).SP().Entries(told).CRLF()
	}
	if long > 0 {
		return reply{"OK", "METADATA LONGENTRIES " + strconv.Itoa(long), "GETMETADATA done"}, nil
	}
	return ok("GETMETADATA done"), nil
}

// entryNames checks names. With a depth one may be of a single component: all of
// one's own, or all that are shared.
func entryNames(names []string, deep bool) ([]string, error) {
	out := make([]string, len(names))
	for i, name := range names {
		scope := strings.ToLower(name)
		if deep && (scope == "/private" || scope == "/shared" || strings.HasSuffix(scope, "/vendor")) {
			out[i] = scope
			continue
		}
		var err error
		if out[i], err = mailbox.EntryName(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// annotations are those of a mailbox, or of the server for the empty name.
func (c *session) annotations(name string, entries []string, depth int) (all []mailbox.Annotation, err error) {
	if name == "" {
		err = c.read(func(tx *mailbox.Tx) (err error) {
			all, err = tx.Annotations(0, entries, depth)
			return err
		})
		return append(all, c.serverAnnotations(entries, depth)...), err
	}
	box, err := c.open(name, mailbox.RightLookup)
	if err != nil {
		return nil, err
	}
	err = c.readIn(box.Account, func(tx *mailbox.Tx) (err error) {
		all, err = tx.Annotations(box.ID, entries, depth)
		return err
	})
	return all, err
}

// serverAnnotations are the shared ones of the server, which nobody sets (RFC
// 5464 §6.2.1).
func (c *session) serverAnnotations(entries []string, depth int) (all []mailbox.Annotation) {
	for _, a := range []mailbox.Annotation{
		{Entry: "/shared/admin", Value: []byte("mailto:postmaster@" + string(c.who.Address.Domain))},
		{Entry: "/shared/comment", Value: []byte(c.o.Hostname + " Ekiden")},
	} {
		for _, e := range entries {
			if mailbox.Below(e, a.Entry, depth) {
				all = append(all, a)
				break
			}
		}
	}
	return all
}

// setMetadata is SETMETADATA (RFC 5464 §4.3).
func (c *session) setMetadata(cmd *imap.SetMetadataCommand) (reply, error) {
	changes := make([]mailbox.Annotation, len(cmd.Entries))
	for i, e := range cmd.Entries {
		name, err := mailbox.EntryName(e.Name)
		if err != nil {
			return reply{}, err
		}
		if cmd.Mailbox == "" && strings.HasPrefix(name, "/shared/") {
			return reply{}, denied("what the server says of itself is for its operator to change")
		}
		changes[i] = mailbox.Annotation{Entry: name, Value: e.Value}
	}
	box := mailbox.Box{Account: c.account()}
	if cmd.Mailbox != "" {
		var err error
		if box, err = c.open(cmd.Mailbox, mailbox.RightLookup); err != nil {
			return reply{}, err
		}
	}
	quota, err := c.quotaOf(box.Account)
	if err != nil {
		return reply{}, err
	}
	err = c.updateIn(box.Account, func(tx *mailbox.Tx) error { return tx.Annotate(box.ID, changes, quota) })
	switch {
	case fault.Is(err, fault.TooLarge):
		return reply{"NO", "METADATA MAXSIZE " + strconv.Itoa(mailbox.MaxAnnotation), fault.Public(err)}, nil
	case fault.Is(err, fault.TooMany):
		return reply{"NO", "METADATA TOOMANY", fault.Public(err)}, nil
	case err != nil:
		return reply{}, err
	}
	return ok("SETMETADATA done"), nil
}

// tellMetadata writes what LIST was asked for of a mailbox's annotations: NIL
// where there is none (RFC 9590 §3).
func (c *session) tellMetadata(e *entry, names []string) error {
	entries, err := entryNames(names, false)
	if err != nil {
		return err
	}
	all, err := c.annotations(e.name, entries, 0)
	if fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) {
		return nil
	} else if err != nil {
		return err
	}
	told := make([]imap.Entry, len(names))
	for i := range entries {
		told[i].Name = names[i]
		for _, a := range all {
			if a.Entry == entries[i] {
				told[i].Value = a.Value
			}
		}
	}
	c.enc.Untagged().Raw("METADATA ").Mailbox(e.name).SP().Entries(told).CRLF()
	return nil
}
