// Package mbox reads and writes files of many messages, each behind a line that
// begins with "From " (RFC 4155), in the dialects that are about: mboxo, mboxrd,
// mboxcl and mboxcl2.
package mbox

import (
	"bytes"
	"mime"
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Dialect says how a file tells a line of a message from the line that begins
// the next one.
type Dialect uint8

// The dialects. Auto looks at the first message: where it has a Content-Length
// that fits, it is mboxcl2, otherwise mboxrd.
const (
	Auto    Dialect = iota
	MboxO           // "From " in a message is written ">From "
	MboxRD          // the same, and ">From " is written ">>From ": the only one that can be undone
	MboxCL          // as mboxo, with Content-Length
	MboxCL2         // nothing is quoted: Content-Length alone says where a message ends
)

// Dialects are the names of the dialects, in their order.
func Dialects() []string { return []string{"auto", "mboxo", "mboxrd", "mboxcl", "mboxcl2"} }

// ParseDialect finds a dialect by its name.
func ParseDialect(s string) (Dialect, bool) {
	for i, name := range Dialects() {
		if name == s {
			return Dialect(i), true
		}
	}
	return Auto, false
}

// Facts are what a mailbox knows about a message besides its content.
type Facts struct {
	From     string    // the reverse-path, as the From line has it
	Date     time.Time // of the From line; zero if it has none that can be read
	Flags    mail.Flags
	Keywords []string
}

// own are the fields in which programs keep facts about a message in its
// header. They are no part of what was sent.
func own(name []byte) bool {
	switch strings.ToLower(string(bytes.TrimRight(name, " \t"))) {
	case "status", "x-status", "x-keywords", "x-uid", "x-imap", "x-imapbase", "content-length",
		"x-mozilla-status", "x-mozilla-status2", "x-mozilla-keys":
		return true
	}
	return false
}

// learn takes one field into the facts.
func (f *Facts) learn(name, value string) {
	value = strings.TrimSpace(value)
	switch strings.ToLower(strings.TrimRight(name, " \t")) {
	case "status", "x-status":
		for _, c := range value {
			f.Flags |= statusFlag(c)
		}
	case "x-keywords", "x-mozilla-keys":
		for _, w := range strings.Fields(value) {
			f.keyword(w)
		}
	case "x-mozilla-status":
		if n, err := strconv.ParseUint(value, 16, 32); err == nil {
			f.mozilla(n)
		}
	case "x-gmail-labels":
		f.gmail(value)
	}
}

func (f *Facts) keyword(w string) {
	for _, had := range f.Keywords {
		if strings.EqualFold(had, w) {
			return
		}
	}
	f.Keywords = append(f.Keywords, w)
}

func statusFlag(c rune) mail.Flags {
	switch c {
	case 'R':
		return mail.FlagSeen
	case 'A':
		return mail.FlagAnswered
	case 'F':
		return mail.FlagFlagged
	case 'D':
		return mail.FlagDeleted
	case 'T':
		return mail.FlagDraft
	}
	return 0
}

// mozilla reads Thunderbird's bits.
func (f *Facts) mozilla(n uint64) {
	for _, b := range []struct {
		bit  uint64
		flag mail.Flags
	}{{1, mail.FlagSeen}, {2, mail.FlagAnswered}, {4, mail.FlagFlagged}, {8, mail.FlagDeleted}} {
		if n&b.bit != 0 {
			f.Flags |= b.flag
		}
	}
	if n&0x1000 != 0 {
		f.keyword("$Forwarded")
	}
}

// gmail reads the labels of a takeout that say what other programs say in
// flags, in English or Japanese.
func (f *Facts) gmail(labels string) {
	if s, err := new(mime.WordDecoder).DecodeHeader(labels); err == nil {
		labels = s
	}
	f.Flags |= mail.FlagSeen
	for _, l := range strings.Split(labels, ",") {
		switch strings.ToLower(strings.TrimSpace(l)) {
		case "unread", "未読":
			f.Flags &^= mail.FlagSeen
		case "starred", "スター付き":
			f.Flags |= mail.FlagFlagged
		case "drafts", "下書き":
			f.Flags |= mail.FlagDraft
		}
	}
}

// fromDate finds the date in what stands behind "From ", by its weekday: the
// sender in front of it may hold spaces. A time without a zone is taken as UTC.
func fromDate(rest string) (from string, t time.Time, ok bool) {
	words := strings.Fields(rest)
	for i, w := range words {
		if len(w) >= 3 && isDay(w) && i+3 < len(words) {
			if t, ok = parseDate(words[i:]); ok {
				return strings.Join(words[:i], " "), t, true
			}
		}
	}
	if len(words) > 0 {
		from = words[0]
	}
	return from, time.Time{}, false
}

func isDay(w string) bool {
	w = strings.TrimSuffix(w, ",")
	for _, d := range []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"} {
		if strings.EqualFold(w, d) {
			return true
		}
	}
	return false
}

// parseDate reads "Mon Jan  2 15:04:05 2006" and what programs make of it: no
// seconds, a zone before or behind the year, the day before the month.
func parseDate(words []string) (time.Time, bool) {
	const most = 7 // words: weekday month day time zone zone year
	words = words[1:min(len(words), most)]
	var b strings.Builder
	for _, w := range words {
		if zone := strings.Trim(w, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); zone == "" {
			continue // a zone's letters: nobody knows them all
		}
		b.WriteByte(' ')
		b.WriteString(strings.TrimSuffix(w, ","))
	}
	s := strings.TrimPrefix(b.String(), " ")
	for _, layout := range []string{
		"Jan 2 15:04:05 2006", "Jan 2 15:04:05 -0700 2006", "Jan 2 15:04:05 2006 -0700", "Jan 2 15:04 2006", "Jan 2 15:04 2006 -0700",
		"2 Jan 2006 15:04:05", "2 Jan 2006 15:04:05 -0700", "Jan 2 15:04:05 06", "Jan 2 15:04 -0700 2006",
	} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1969 {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
