package imap

import (
	"net/url"
	"strconv"
	"strings"
)

// URL names a message or a part of one (RFC 5092 §5), as CATENATE does.
type URL struct {
	User, Host  string // empty where the URL is relative
	Mailbox     string // empty: the selected one
	UIDValidity uint32 // 0: any
	UID         uint32
	Section     *Section // nil: all of it
	Partial     *Partial // Count 0: to the end
}

// ParseURL reads an absolute IMAP URL, or a relative one that begins with "/" or
// names a message of the selected mailbox.
func ParseURL(s string) (u URL, err error) {
	bad := badf("not the URL of a message")
	if len(s) > MaxLine {
		return u, bad
	}
	if rest, ok := cutPrefixFold(s, "imap://"); ok {
		server, path, found := strings.Cut(rest, "/")
		user, host, named := strings.Cut(server, "@")
		if !named {
			user, host = "", server
		}
		user, _, _ = cutFold(user, ";AUTH=")
		if u.User, err = url.PathUnescape(user); err != nil || !found || host == "" {
			return u, bad
		}
		u.Host, s = host, path
	}
	s = strings.TrimPrefix(s, "/")
	box, message, found := cutFold(s, "/;UID=")
	if !found {
		if message, found = cutPrefixFold(s, ";UID="); !found {
			return u, bad
		}
		box = ""
	}
	box, validity, valid := cutFold(box, ";UIDVALIDITY=")
	if u.Mailbox, err = url.PathUnescape(box); err != nil || valid && !number(validity, &u.UIDValidity) {
		return u, bad
	}
	if strings.EqualFold(u.Mailbox, "INBOX") {
		u.Mailbox = "INBOX"
	}
	message, partial, some := cutFold(message, "/;PARTIAL=")
	message, section, part := cutFold(message, "/;SECTION=")
	if !number(message, &u.UID) || some && !u.partial(partial) || part && !u.section(section) {
		return u, bad
	}
	return u, nil
}

func (u *URL) partial(s string) bool {
	var p Partial
	from, count, some := strings.Cut(s, ".")
	n, err := strconv.ParseUint(from, 10, 32)
	p.Offset = uint32(n)
	u.Partial = &p
	return err == nil && (!some || number(count, &p.Count))
}

func (u *URL) section(s string) bool {
	text, err := url.PathUnescape(s)
	if err != nil || text == "" {
		return false
	}
	p := &parser{b: []byte("[" + text + "]")}
	u.Section = p.section()
	return p.err == nil && p.end()
}

// number reads what is not zero.
func number(s string, n *uint32) bool {
	v, err := strconv.ParseUint(s, 10, 32)
	*n = uint32(v)
	return err == nil && v > 0
}

// cutFold is strings.Cut without regard to case.
func cutFold(s, sep string) (before, after string, found bool) {
	for i := 0; i+len(sep) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

func cutPrefixFold(s, prefix string) (after string, found bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}
