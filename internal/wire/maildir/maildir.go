// Package maildir reads and writes what stands in the names and small files of
// a Maildir: flags, folders in the way of Maildir++, Dovecot's keywords and UIDs.
package maildir

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// Names of files that Dovecot keeps beside the messages.
const (
	KeywordsFile = "dovecot-keywords"
	UIDListFile  = "dovecot-uidlist"
)

// MaxKeywords is how many keywords a Maildir has letters for, a to z.
const MaxKeywords = 26

// forwarded is the keyword that the letter P stands for.
const forwarded = "$Forwarded"

// maxLine bounds a line of the small files, in octets.
const maxLine = 64 << 10

// Name is a message's file name.
type Name struct {
	Unique string // what does not change with the flags
	Info   string // the letters behind ":2,"
}

// ParseName takes a file name apart. On file systems without ":" programs write
// ";" or "!" in its place.
func ParseName(file string) Name {
	for _, sep := range []string{":2,", ";2,", "!2,"} {
		if i := strings.LastIndex(file, sep); i > 0 {
			return Name{file[:i], file[i+len(sep):]}
		}
	}
	unique, _, _ := strings.Cut(file, ":")
	return Name{Unique: unique}
}

// letters are those of the system flags, in the order they are written in.
var letters = [...]struct {
	letter byte
	flag   mail.Flags
}{{'D', mail.FlagDraft}, {'F', mail.FlagFlagged}, {'R', mail.FlagAnswered}, {'S', mail.FlagSeen}, {'T', mail.FlagDeleted}}

// Flags reads the letters; words are the keywords that a, b, … stand for.
func (n Name) Flags(words Keywords) (f mail.Flags, keywords []string) {
	for _, c := range []byte(n.Info) {
		word := ""
		switch {
		case c >= 'a' && c <= 'z':
			word = words[c-'a']
		case c == 'P':
			word = forwarded
		default:
			for _, l := range letters {
				if l.letter == c {
					f |= l.flag
				}
			}
		}
		if word != "" && !slices.ContainsFunc(keywords, func(k string) bool { return strings.EqualFold(k, word) }) {
			keywords = append(keywords, word)
		}
	}
	return f, keywords
}

// Info writes flags and keywords as letters, in their order. Words takes the
// keywords it does not have yet; those it has no room for are left.
func Info(f mail.Flags, keywords []string, words *Keywords) (info string, left []string) {
	var b []byte
	for _, l := range letters {
		if f.Has(l.flag) {
			b = append(b, l.letter)
		}
	}
	for _, k := range keywords {
		if strings.EqualFold(k, forwarded) {
			b = append(b, 'P')
		}
		if i := words.number(k); i >= 0 {
			b = append(b, 'a'+byte(i))
		} else {
			left = append(left, k)
		}
	}
	slices.Sort(b)
	return string(slices.Compact(b)), left
}

// Keywords are those that the letters a to z stand for in one folder.
type Keywords [MaxKeywords]string

func (w *Keywords) number(k string) int {
	i := slices.IndexFunc(w[:], func(s string) bool { return s == "" || strings.EqualFold(s, k) })
	if i >= 0 && w[i] == "" {
		w[i] = k
	}
	return i
}

// ReadKeywords reads a KeywordsFile: lines of a number and a keyword. What it
// does not understand it passes over.
func ReadKeywords(r io.Reader) (w Keywords, err error) {
	for line, err := range lines(r) {
		if err != nil {
			return w, err
		}
		number, word, _ := strings.Cut(line, " ")
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(w) {
			w[i] = strings.TrimSpace(word)
		}
	}
	return w, nil
}

// String is the keywords as the file holds them.
func (w Keywords) String() string {
	var b strings.Builder
	for i, k := range w {
		if k != "" {
			b.WriteString(strconv.Itoa(i) + " " + k + "\n")
		}
	}
	return b.String()
}

// UIDs are those a UIDListFile gives, by Name.Unique.
type UIDs struct {
	Validity, Next uint32
	Of             map[string]uint32
	pop            map[string]string
}

// UIDL is the unique-id by which POP3 clients know a message, by Name.Unique: the
// one the list has, or else the one Dovecot makes of UID and UIDVALIDITY where it
// is not told otherwise; "" for a message without a UID.
func (u UIDs) UIDL(unique string) string {
	if id := u.pop[unique]; id != "" {
		return id
	}
	if u.Of[unique] == 0 || u.Validity == 0 {
		return ""
	}
	return fmt.Sprintf("%08x%08x", u.Of[unique], u.Validity)
}

// ReadUIDs reads a UIDListFile of version 1 or 3. What it does not understand
// it passes over.
func ReadUIDs(r io.Reader) (UIDs, error) {
	u := UIDs{Of: map[string]uint32{}, pop: map[string]string{}}
	version := 0
	for line, err := range lines(r) {
		if err != nil {
			return u, err
		}
		words := strings.Fields(line)
		switch {
		case version == 0:
			if version = 1; len(words) > 0 && words[0] == "3" {
				version = 3
			}
			u.heading(version, words)
		case version == 3:
			number, name, ok := strings.Cut(line, ":")
			uid, rest, _ := strings.Cut(number, " ")
			u.add(uid, name, ok)
			for _, w := range strings.Fields(rest) {
				if w[0] == 'P' && ok {
					u.pop[ParseName(name).Unique] = w[1:]
				}
			}
		case len(words) > 1:
			u.add(words[0], words[1], true)
		}
	}
	return u, nil
}

func (u *UIDs) heading(version int, words []string) {
	number := func(s string) uint32 {
		n, _ := strconv.ParseUint(s, 10, 32)
		return uint32(n)
	}
	if version == 1 && len(words) >= 3 {
		u.Validity, u.Next = number(words[1]), number(words[2])
	}
	for _, w := range words {
		if version == 3 && w[0] == 'V' {
			u.Validity = number(w[1:])
		} else if version == 3 && w[0] == 'N' {
			u.Next = number(w[1:])
		}
	}
}

func (u *UIDs) add(uid, name string, ok bool) {
	if n, err := strconv.ParseUint(uid, 10, 32); err == nil && ok && n > 0 && name != "" {
		u.Of[ParseName(name).Unique] = uint32(n)
	}
}

// Order sorts file names of a folder as they came: by UID, and those without
// one behind, by the time and the numbers in their names.
func (u UIDs) Order(files []string) {
	slices.SortFunc(files, func(a, b string) int {
		na, nb := ParseName(a), ParseName(b)
		ua, ub := u.Of[na.Unique], u.Of[nb.Unique]
		if (ua == 0) != (ub == 0) {
			return cmp.Compare(ub, ua) // 0 comes last
		}
		return cmp.Or(cmp.Compare(ua, ub), na.Time().Compare(nb.Time()), naturally(na.Unique, nb.Unique), cmp.Compare(a, b))
	})
}

// Time is the moment in front of a name, or the zero time.
func (n Name) Time() time.Time {
	digits, _, _ := strings.Cut(n.Unique, ".")
	s, err := strconv.ParseInt(digits, 10, 40)
	if err != nil || s <= 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// naturally compares with numbers by their value: M9 comes before M10.
func naturally(a, b string) int {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 {
			na, nb := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if c := cmp.Or(cmp.Compare(len(na), len(nb)), cmp.Compare(na, nb)); c != 0 {
				return c
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// FolderName gives the name, with "/" between its levels, of a Maildir++
// directory: ".A.B". Levels are in modified UTF-7 (RFC 3501 §5.1.3), or in UTF-8
// where a program was told so. ok is false for what is no such name.
func FolderName(dir string) (name string, ok bool) {
	if len(dir) < 2 || dir[0] != '.' {
		return "", false
	}
	var levels []string
	for _, l := range strings.Split(dir[1:], ".") {
		if l == "" {
			return "", false
		}
		levels = append(levels, Level(l))
	}
	return strings.Join(levels, "/"), true
}

// Level decodes one level of a folder's name. A "/" in it cannot be kept.
func Level(s string) string {
	if utf8.ValidString(s) {
		if d, err := imap.DecodeMailbox(s); err == nil {
			s = d
		}
	}
	for _, e := range escapes {
		s = strings.ReplaceAll(s, e.escaped, e.char)
	}
	return strings.ReplaceAll(s, "/", "_")
}

// escapes write what Maildir++ has no way for: a dot in a level. The sign of
// escaping is escaped only where it would be taken for one.
var escapes = [...]struct{ escaped, char string }{{"%2E", "."}, {"%25", "%"}}

// Folder is the directory of a folder, from its name's levels.
func Folder(name string) string {
	var b strings.Builder
	for _, l := range strings.Split(name, "/") {
		for i := len(escapes) - 1; i >= 0; i-- {
			e := escapes[i]
			if e.char == "%" {
				l = strings.ReplaceAll(strings.ReplaceAll(l, "%25", "%2525"), "%2E", "%252E")
				continue
			}
			l = strings.ReplaceAll(l, e.char, e.escaped)
		}
		b.WriteString("." + imap.EncodeMailbox(l))
	}
	return b.String()
}

// lines gives a file's lines; those that are too long are cut.
func lines(r io.Reader) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		b := bufio.NewReaderSize(r, maxLine)
		for {
			text, more, err := b.ReadLine()
			line := string(text)
			for more && err == nil {
				_, more, err = b.ReadLine()
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield("", err)
				return
			}
			if line != "" && !yield(line, nil) {
				return
			}
		}
	}
}
