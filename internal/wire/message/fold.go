package message

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// foldAt is the length lines should not exceed (RFC 5322 §2.1.1).
const foldAt = 78

// folder writes the words of one field and breaks the line before a word that
// would make it too long. It never breaks before the first word.
type folder struct {
	b     []byte
	col   int
	begun bool
}

func newFolder(b []byte, name string) *folder {
	return &folder{b: append(append(b, name...), ':'), col: len(name) + 1}
}

// word writes white space and a word.
func (f *folder) word(space, w string) {
	if f.begun && space != "" && f.col+len(space)+len(w) > foldAt {
		f.b, f.col = append(f.b, '\r', '\n'), 0
	}
	f.b = append(append(f.b, space...), w...)
	f.col += len(space) + len(w)
	f.begun = true
}

func (f *folder) end() []byte { return append(f.b, '\r', '\n') }

// clean makes a value harmless: one line, no NUL.
func clean(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch r {
		case '\r', '\n':
			return ' '
		case 0:
			return -1
		}
		return r
	}, s), " \t")
}

// cutWord takes white space and the word behind it off the front of s.
func cutWord(s string) (space, word, rest string) {
	word = strings.TrimLeft(s, " \t")
	space = s[:len(s)-len(word)]
	if i := strings.IndexAny(word, " \t"); i >= 0 {
		return space, word[:i], word[i:]
	}
	return space, word, ""
}

// AppendField appends a structured field, folded at white space.
func AppendField(b []byte, name, value string) []byte {
	f := newFolder(b, name)
	for value = " " + clean(value); value != ""; {
		var space, word string
		space, word, value = cutWord(value)
		f.word(space, word)
	}
	return f.end()
}

// AppendText appends a field of free text (RFC 5322 §2.2.1), in RFC 2047 words
// where it is not ASCII, folded. The text comes back from DecodeHeader as it
// was, white space and all.
func AppendText(b []byte, name, value string) []byte {
	f := newFolder(b, name)
	f.text(" " + clean(value))
	return f.end()
}

// text writes words; a run of words that need it is encoded together.
func (f *folder) text(s string) {
	for s != "" {
		space, word, rest := cutWord(s)
		if !mustEncode(word) {
			f.word(space, word)
			s = rest
			continue
		}
		run := word
		for rest != "" {
			gap, next, after := cutWord(rest)
			if !mustEncode(next) {
				break
			}
			run += gap + next
			rest = after
		}
		f.encoded(space, run)
		s = rest
	}
}

func mustEncode(word string) bool {
	return !isASCII(word) || strings.Contains(word, "=?") || len(word) > 900
}

// encoded writes RFC 2047 words of at most 75 octets, none of which cuts a
// character in two (§5).
func (f *folder) encoded(space, s string) {
	const frame = len("=?utf-8?B??=")
	s = strings.ToValidUTF8(s, "\uFFFD")
	special := 0
	for i := 0; i < len(s); i++ {
		if !isQSafe(s[i]) && s[i] != ' ' {
			special++
		}
	}
	quoted := len(s)+2*special < (len(s)+2)/3*4
	for s != "" {
		room := foldAt - f.col - len(space) - frame
		if f.begun && room < 20 {
			room = foldAt - len(space) - frame
		}
		room = max(min(room, 75-frame), 20)
		n, cost := 0, 0
		for n < len(s) {
			_, size := utf8.DecodeRuneInString(s[n:])
			if quoted {
				for _, c := range []byte(s[n : n+size]) {
					cost += 3
					if isQSafe(c) || c == ' ' {
						cost -= 2
					}
				}
			} else {
				cost = (n + size + 2) / 3 * 4
			}
			if cost > room {
				break
			}
			n += size
		}
		if quoted {
			f.word(space, "=?utf-8?Q?"+qEncode(s[:n])+"?=")
		} else {
			f.word(space, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		}
		s, space = s[n:], " "
	}
}

// isQSafe is what may stand unencoded even in a display name (RFC 2047 §5).
func isQSafe(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!*+-/", c) >= 0
}

func qEncode(s string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ':
			b = append(b, '_')
		case isQSafe(c):
			b = append(b, c)
		default:
			b = append(b, '=', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// AppendAddresses appends a field of addresses. Names are encoded where they
// must be; local parts that are not ASCII stay UTF-8 and need SMTPUTF8.
func AppendAddresses(b []byte, name string, list []Addr) []byte {
	f := newFolder(b, name)
	fresh := true // no comma is needed
	for _, a := range list {
		if a.GroupEnd() {
			f.word("", ";")
			fresh = false
			continue
		}
		if !fresh {
			f.word("", ",")
		}
		fresh = a.GroupStart()
		switch spec := addrSpec(a); {
		case fresh:
			f.phrase(a.Mailbox)
			f.word("", ":")
		case a.Name != "":
			f.phrase(a.Name)
			f.word(" ", "<"+spec+">")
		default:
			f.word(" ", spec)
		}
	}
	return f.end()
}

func addrSpec(a Addr) string {
	return clean(mail.Address{Local: a.Mailbox, Domain: mail.Domain(a.Host)}.Strict()) // RFC 5322 §3.4.1
}

// phrase writes a display name: atoms, a quoted-string or encoded words.
func (f *folder) phrase(s string) {
	s = clean(s)
	if !isASCII(s) || strings.Contains(s, "=?") {
		f.encoded(" ", s)
		return
	}
	for i := 0; i < len(s); i++ {
		if !mail.IsAtext(s[i]) && s[i] != ' ' || s[i] == ' ' && i > 0 && s[i-1] == ' ' {
			s = quoteString(s)
			break
		}
	}
	for s = " " + s; s != ""; {
		var space, word string
		space, word, s = cutWord(s)
		f.word(space, word)
	}
}
