package line

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxQuoted is the longest string that is quoted, in octets; a longer one is a
// literal.
const maxQuoted = 1 << 10

// Quotable says whether s may stand in a quoted string of 7 bits.
func Quotable(s string) bool {
	if len(s) > maxQuoted {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c >= 0x7f || c < ' ' {
			return false
		}
	}
	return true
}

// QuotableUTF8 is Quotable for a client that takes UTF-8 in quoted strings (RFC 9051
// §4.3).
func QuotableUTF8(s string) bool {
	return len(s) <= maxQuoted && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// AppendString writes s behind b as IMAP writes a string (RFC 9051 §4.3): quoted
// or, where that cannot be, as a literal, which is non-synchronising with plus.
// NULs, which no string can hold, become "?".
func AppendString(b []byte, s string, plus bool) []byte {
	if !Quotable(s) {
		return append(AppendLiteralHead(b, int64(len(s)), plus), strings.ReplaceAll(s, "\x00", "?")...)
	}
	return AppendQuoted(b, s)
}

// AppendQuoted writes s, which is quotable, in quotes behind b.
func AppendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		return append(append(b, s...), '"')
	}
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// AppendLiteralHead writes what stands before the n octets of a literal.
func AppendLiteralHead(b []byte, n int64, plus bool) []byte {
	b = strconv.AppendInt(append(b, '{'), n, 10)
	if plus {
		b = append(b, '+')
	}
	return append(b, "}\r\n"...)
}
