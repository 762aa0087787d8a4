package imapd

import (
	"strconv"
	"strings"
)

// capability is a word of CAPABILITY.
type capability struct {
	word string
	when func(*session) bool   // it is shown
	more func(*session) string // what stands behind the word; nil: nothing
}

// Conditions that many capabilities have.
func everywhere(*session) bool    { return true }
func beforeLogin(c *session) bool { return !c.in }
func afterLogin(c *session) bool  { return c.in }
func canStartTLS(c *session) bool { return !c.in && c.o.TLS != nil && !c.tls && !c.deflated }
func sharing(c *session) bool     { return c.in && c.shares() }
func cannotLogin(c *session) bool { return !c.in && !c.mayLogin() }
func canLogin(c *session) bool    { return !c.in && c.mayLogin() }
func (c *session) authentications() (words []string) {
	for _, m := range c.o.Login.Mechanisms(c.attempt()) {
		words = append(words, "AUTH="+m)
	}
	return words
}

// shown are the capabilities we have, in the order in which they are told.
var shown = []capability{
	{word: "IMAP4rev2", when: everywhere},
	{word: "IMAP4rev1", when: everywhere},
	{word: "LITERAL-", when: beforeLogin},
	{word: "LITERAL+", when: afterLogin},
	{word: "ID", when: everywhere},
	{word: "ENABLE", when: everywhere},
	{word: "LANGUAGE", when: everywhere},
	{word: "SASL-IR", when: beforeLogin},
	{word: "STARTTLS", when: canStartTLS},
	{word: "LOGINDISABLED", when: cannotLogin},
	{word: "IDLE", when: afterLogin},
	{word: "NAMESPACE", when: afterLogin},
	{word: "METADATA", when: afterLogin},
	{word: "LIST-METADATA", when: afterLogin},
	{word: "QUOTA", when: afterLogin},
	{word: "QUOTASET", when: func(c *session) bool { return c.in && c.o.SetQuota != nil }},
	{word: "QUOTA=RES-STORAGE", when: afterLogin},
	{word: "QUOTA=RES-MESSAGE", when: afterLogin},
	{word: "QUOTA=RES-MAILBOX", when: afterLogin},
	{word: "QUOTA=RES-ANNOTATION-STORAGE", when: afterLogin},
	{word: "ACL", when: sharing},
	{word: "RIGHTS=texk", when: sharing},
	{word: "LIST-MYRIGHTS", when: sharing},
	{word: "CHILDREN", when: afterLogin},
	{word: "UIDPLUS", when: afterLogin},
	{word: "MOVE", when: afterLogin},
	{word: "UNSELECT", when: afterLogin},
	{word: "CONDSTORE", when: afterLogin},
	{word: "QRESYNC", when: afterLogin},
	{word: "LIST-EXTENDED", when: afterLogin},
	{word: "LIST-STATUS", when: afterLogin},
	{word: "STATUS=SIZE", when: afterLogin},
	{word: "UTF8=ACCEPT", when: afterLogin},
	{word: "UIDONLY", when: afterLogin},
	{word: "UNAUTHENTICATE", when: afterLogin},
	{word: "INPROGRESS", when: afterLogin},
	{word: "NOTIFY", when: afterLogin},
	{word: "COMPRESS=DEFLATE", when: func(c *session) bool { return c.in && !c.deflated }},
	{word: "JMAPACCESS", when: func(c *session) bool { return c.in && c.o.JMAP != "" }},
	{word: "APPENDLIMIT=", when: afterLogin, more: func(c *session) string { return decimal(c.o.Limits.Message) }},
	{word: "BINARY", when: afterLogin},
	{word: "CATENATE", when: afterLogin},
	{word: "MULTIAPPEND", when: afterLogin},
	{word: "REPLACE", when: afterLogin},
	{word: "OBJECTID", when: afterLogin},
	{word: "SAVEDATE", when: afterLogin},
	{word: "PREVIEW", when: afterLogin},
	{word: "X-GM-EXT-1", when: afterLogin},
	{word: "SPECIAL-USE", when: afterLogin},
	{word: "CREATE-SPECIAL-USE", when: afterLogin},
	{word: "ESEARCH", when: afterLogin},
	{word: "SEARCHRES", when: afterLogin},
	{word: "WITHIN", when: afterLogin},
	{word: "SEARCH=FUZZY", when: afterLogin},
	{word: "SORT", when: afterLogin},
	{word: "SORT=DISPLAY", when: afterLogin},
	{word: "ESORT", when: afterLogin},
	{word: "THREAD=ORDEREDSUBJECT", when: afterLogin},
	{word: "THREAD=REFERENCES", when: afterLogin},
	{word: "THREAD=REFS", when: afterLogin},
	{word: "CONTEXT=SEARCH", when: afterLogin},
	{word: "CONTEXT=SORT", when: afterLogin},
	{word: "PARTIAL", when: afterLogin},
	{word: "MULTISEARCH", when: afterLogin},
	{word: "MESSAGELIMIT=", when: afterLogin, more: messageLimit},
	{word: "UIDBATCHES", when: afterLogin},
	{word: "I18NLEVEL=1", when: afterLogin},
}

func messageLimit(c *session) string { return strconv.Itoa(c.o.Limits.Messages) }

// capabilities lists what the client may use now (RFC 3501 §6.1.1).
func (c *session) capabilities() string {
	var words []string
	for _, k := range shown {
		if !k.when(c) {
			continue
		}
		if k.more != nil {
			k.word += k.more(c)
		}
		words = append(words, k.word)
	}
	if canLogin(c) {
		words = append(words, c.authentications()...)
	}
	return strings.Join(words, " ")
}

// capability is CAPABILITY (RFC 3501 §6.1.1).
func (c *session) capability() (reply, error) {
	c.enc.Untagged().Raw("CAPABILITY ").Raw(c.capabilities()).CRLF()
	return ok("that is all"), nil
}
