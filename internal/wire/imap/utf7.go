package imap

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7 is base64 with "," for "/" and without padding (RFC 3501 §5.1.3).
var utf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").
	WithPadding(base64.NoPadding).Strict()

var errUTF7 = errors.New("not modified UTF-7")

// EncodeMailbox writes a mailbox name in modified UTF-7 (RFC 3501 §5.1.3).
// What is not UTF-8 is written as U+FFFD.
func EncodeMailbox(name string) string {
	i := 0
	for i < len(name) && name[i] != '&' && printable(rune(name[i])) {
		i++
	}
	if i == len(name) {
		return name
	}
	var out strings.Builder
	var shifted []rune
	flush := func() {
		if len(shifted) == 0 {
			return
		}
		var b []byte
		for _, u := range utf16.Encode(shifted) {
			b = append(b, byte(u>>8), byte(u))
		}
		out.WriteByte('&')
		out.WriteString(utf7.EncodeToString(b))
		out.WriteByte('-')
		shifted = shifted[:0]
	}
	for _, r := range name {
		switch {
		case r == '&':
			flush()
			out.WriteString("&-")
		case printable(r):
			flush()
			out.WriteRune(r)
		default:
			shifted = append(shifted, r)
		}
	}
	flush()
	return out.String()
}

// DecodeMailbox reads a mailbox name in modified UTF-7. It is strict, so that
// each name has one form: no shift for what is printable, none right after
// another, no left-over bits, no lone surrogates.
func DecodeMailbox(s string) (string, error) {
	if !strings.Contains(s, "&") {
		for _, r := range s {
			if !printable(r) {
				return "", errUTF7
			}
		}
		return s, nil
	}
	var out strings.Builder
	shifted := false // the last thing was a shifted run
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '&' {
			if !printable(rune(c)) {
				return "", errUTF7
			}
			out.WriteByte(c)
			shifted = false
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if end < 0 {
			return "", errUTF7
		}
		run := s[i+1 : i+end]
		i += end
		if run == "" {
			out.WriteByte('&')
			shifted = false
			continue
		}
		if shifted {
			return "", errUTF7
		}
		if err := decodeRun(&out, run); err != nil {
			return "", err
		}
		shifted = true
	}
	return out.String(), nil
}

// decodeRun reads what stands between "&" and "-".
func decodeRun(out *strings.Builder, run string) error {
	b, err := utf7.DecodeString(run)
	// The decoder skips line ends, which may not stand here.
	if err != nil || len(b)%2 != 0 || strings.ContainsAny(run, "\r\n") {
		return errUTF7
	}
	for i := 0; i < len(b); i += 2 {
		r := rune(b[i])<<8 | rune(b[i+1])
		if utf16.IsSurrogate(r) {
			i += 2
			if i+1 >= len(b) {
				return errUTF7
			}
			r = utf16.DecodeRune(r, rune(b[i])<<8|rune(b[i+1]))
			if r == utf8.RuneError {
				return errUTF7
			}
		}
		if printable(r) {
			return errUTF7
		}
		out.WriteRune(r)
	}
	return nil
}

func printable(r rune) bool { return r >= 0x20 && r <= 0x7e }
