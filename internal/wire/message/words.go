package message

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// encodedWord is one =?charset?encoding?text?= (RFC 2047 §2).
type encodedWord struct {
	charset  string
	encoding byte // 'B' or 'Q'
	octets   []byte
}

// DecodeHeader makes an unfolded value readable: it decodes RFC 2047 words in
// all charsets, wherever they stand, joins adjacent ones even where a
// character was cut in two, and guesses what raw 8-bit octets are. The result
// is valid UTF-8 without control characters. It never fails: what is no
// encoded word stays as it is.
func DecodeHeader(s string) string {
	if plainASCII(s) {
		return s
	}
	if !strings.Contains(s, "=?") {
		return printable(guessText([]byte(s)))
	}
	var out strings.Builder
	var run encodedWord // words in hand, as long as charset and encoding stay
	flush := func() {
		if run.octets != nil {
			out.WriteString(printable(decodeCharset(run.charset, run.octets)))
			run = encodedWord{}
		}
	}
	ends := true // false once there is no "?=" ahead: keeps the time linear
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 || !ends {
			break
		}
		w, rest, ok := cutEncodedWord(s[i:], &ends)
		if !ok {
			flush()
			out.WriteString(printable(guessText([]byte(s[:i+2]))))
			s = s[i+2:]
			continue
		}
		// White space between two encoded words is not shown (RFC 2047 §6.2).
		if gap := s[:i]; run.octets == nil || strings.Trim(gap, " \t\r\n") != "" {
			flush()
			out.WriteString(printable(guessText([]byte(gap))))
		}
		if run.octets != nil && (!strings.EqualFold(run.charset, w.charset) || run.encoding != w.encoding) {
			flush()
		}
		if run.octets == nil {
			run = w
		} else {
			run.octets = append(run.octets, w.octets...)
		}
		s = rest
	}
	flush()
	out.WriteString(printable(guessText([]byte(s))))
	return out.String()
}

// cutEncodedWord takes an encoded word off the front of s.
func cutEncodedWord(s string, ends *bool) (w encodedWord, rest string, ok bool) {
	head := s[2:min(len(s), 2+80)]
	charset, head, ok := strings.Cut(head, "?")
	if !ok || charset == "" || len(head) < 2 || head[1] != '?' || strings.ContainsAny(charset, " \t=()<>@,;:\"/[]") {
		return w, s, false
	}
	w.encoding = head[0] &^ 0x20
	if w.encoding != 'B' && w.encoding != 'Q' {
		return w, s, false
	}
	text := s[2+len(charset)+3:]
	end := strings.Index(text, "?=")
	if end < 0 {
		*ends = false
		return w, s, false
	}
	w.charset, _, _ = strings.Cut(charset, "*") // the language of RFC 2231 §5
	rest = text[end+2:]
	if w.encoding == 'B' {
		w.octets = decodeBase64Word(text[:end])
	} else {
		w.octets = decodeQWord(text[:end])
	}
	return w, rest, true
}

func decodeBase64Word(s string) []byte {
	if b, err := base64.StdEncoding.DecodeString(s); err == nil {
		return b
	}
	d := base64Decoder{}
	out := d.decode(make([]byte, 0, len(s)), []byte(s))
	return d.finish(out)
}

// decodeQWord undoes the Q encoding (RFC 2047 §4.2).
func decodeQWord(s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			b = append(b, ' ')
		case c == '=' && i+2 < len(s):
			if v, ok := unhex(s[i+1], s[i+2]); ok {
				b = append(b, v)
				i += 2
				continue
			}
			b = append(b, c)
		default:
			b = append(b, c)
		}
	}
	return b
}

// plainASCII says whether s needs no decoding at all.
func plainASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf || c < ' ' && c != '\t' || c == 0x7f || c == '=' && i+1 < len(s) && s[i+1] == '?' {
			return false
		}
	}
	return true
}

// printable drops control characters, which decoded words can smuggle in.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r == '\r' || r == '\n':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return -1
		}
		return r
	}, s)
}
