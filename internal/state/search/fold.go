package search

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// class is what a folded character is to a tokenizer.
type class uint8

const (
	classOther class = iota // separates words
	classWord               // of scripts that put space between words
	classDense              // of scripts that do not: each two neighbours are a term
)

// classOf is the class of a folded character. Hangul is dense too, as its words
// grow endings, and so are pictures.
func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return classWord
		}
		return classOther
	case r >= 0x3041 && r <= 0x3096, r >= 0x309d && r <= 0x309f, r >= 0x30f7 && r <= 0x30ff && r != 0x30fb,
		r >= 0x3005 && r <= 0x3007, r >= 0x3099 && r <= 0x309a, r >= 0x31f0 && r <= 0x31ff,
		r >= 0x3400 && r <= 0x4dbf, r >= 0x4e00 && r <= 0x9fff, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0x1f000 && r <= 0x1faff, r >= 0x20000 && r <= 0x3ffff,
		r >= 0x3105 && r <= 0x312f, r >= 0x0e01 && r <= 0x0eff, r >= 0x1000 && r <= 0x109f, r >= 0x1780 && r <= 0x17d3:
		return classDense
	case unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
		return classWord
	}
	return classOther
}

// A folder makes texts comparable, piece by piece: compatibility forms and width
// as NFKC has them, case folded, katakana as hiragana, Latin and Greek letters
// without their accents, any white space one space. A line end between two
// dense characters goes, as mail breaks Japanese lines in mid-word. What has no
// width goes too. What i;unicode-casemap (RFC 5051 §2) finds equal is equal.
type folder struct {
	space, line bool // white space, and with a line end in it, is due
	dense       bool // the last character was dense
	slow        []byte
}

// append folds src, which begins and ends where boundary allows, onto dst.
func (f *folder) append(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		end := i
		for end < len(src) && src[end] > ' ' && src[end] < 0x7f {
			end++
		}
		if end < len(src) && src[end] >= utf8.RuneSelf && end > i {
			end-- // it may combine with what follows
		}
		if end > i {
			dst = f.plain(dst, src[i:end])
			i = end
			continue
		}
		if src[i] < utf8.RuneSelf && (i+1 == len(src) || src[i+1] < utf8.RuneSelf) {
			f.space, f.line = true, f.line || src[i] == '\n'
			i++
			continue
		}
		// What is not ASCII, and the one character before that it may combine with.
		end = i + 1
		for end < len(src) && src[end] >= utf8.RuneSelf {
			end++
		}
		dst = f.wide(dst, src[i:end])
		i = end
	}
	return dst
}

// plain folds ASCII that is no space.
func (f *folder) plain(dst, src []byte) []byte {
	dst = f.flush(dst)
	f.dense = false
	at := len(dst)
	dst = append(dst, src...)
	for i, c := range dst[at:] {
		if c-'A' <= 'Z'-'A' {
			dst[at+i] = c + 'a' - 'A'
		}
	}
	return dst
}

// flush writes the white space that is due.
func (f *folder) flush(dst []byte) []byte {
	if f.space {
		f.space, f.line, f.dense = false, false, false
		dst = append(dst, ' ')
	}
	return dst
}

// simple maps the characters that stand for themselves and combine with nothing
// that is simple; ok is false for all others.
func simple(r rune) (rune, bool) {
	switch {
	case r < utf8.RuneSelf:
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r, true
	case r >= 0x3041 && r <= 0x3096, r >= 0x4e00 && r <= 0x9fff, r >= 0x3001 && r <= 0x301d,
		r >= 0x3400 && r <= 0x4dbf, r == 0x30fb, r == 0x30fc, r >= 0xac00 && r <= 0xd7a3:
		return r, true
	case r >= 0x30a1 && r <= 0x30f6:
		return r - 0x60, true
	case r == 0x3000:
		return ' ', true
	case r >= 0xff01 && r <= 0xff5e:
		return simple(r - 0xfee0)
	}
	return 0, false
}

func (f *folder) wide(dst, src []byte) []byte {
	at, mark, before := len(dst), 0, *f
	for mark < len(src) {
		r, n := utf8.DecodeRune(src[mark:])
		m, ok := simple(r)
		if !ok {
			// Composition may reach back: once more, slowly.
			slow := f.slow
			*f = before
			f.slow = slow
			return f.wideSlow(dst[:at], src)
		}
		dst = f.put(dst, m)
		mark += n
	}
	return dst
}

func (f *folder) wideSlow(dst, src []byte) []byte {
	f.slow = norm.NFKD.Append(f.slow[:0], src...)
	var plain []byte
	accents := false // those of the last letter go
	for _, r := range string(f.slow) {
		switch {
		case unicode.Is(unicode.Mn, r):
			if accents {
				continue
			}
		case r == 'ß' || r == 'ẞ':
			plain = append(plain, "ss"...)
			accents = true
			continue
		default:
			accents = r < 0x250 && unicode.IsLetter(r) || r >= 0x370 && r < 0x400
		}
		plain = utf8.AppendRune(plain, unicode.ToLower(unicode.ToUpper(r)))
	}
	for _, r := range string(norm.NFC.Bytes(plain)) {
		if r >= 0x30a1 && r <= 0x30f6 || r == 0x30fd || r == 0x30fe {
			r -= 0x60
		}
		dst = f.put(dst, r)
	}
	return dst
}

// put writes one folded character.
func (f *folder) put(dst []byte, r rune) []byte {
	switch {
	case r <= ' ' || r == 0x7f || r >= utf8.RuneSelf && unicode.IsSpace(r):
		f.space, f.line = true, f.line || r == '\n' || r == 0x2028 || r == 0x2029
		return dst
	case r == 0xad || r >= 0x200b && r <= 0x200f || r >= 0x2060 && r <= 0x2064 || r == 0xfeff || r >= 0xfe00 && r <= 0xfe0f:
		return dst
	}
	dense := classOf(r) == classDense
	if f.space {
		if f.line && f.dense && dense {
			f.space, f.line = false, false
		} else {
			dst = f.flush(dst)
		}
	}
	f.dense = dense
	return utf8.AppendRune(dst, r)
}

// fold is all of s folded.
func fold(s string) []byte {
	var f folder
	return f.flush(f.append(nil, []byte(s)))
}

// boundary finds a place to cut b at: before an ASCII character nothing can
// combine with what follows. Text with none for long is cut between characters.
func boundary(b []byte) int {
	for i := len(b) - 1; i > len(b)/2; i-- {
		if b[i] < utf8.RuneSelf {
			return i
		}
	}
	for i := len(b) - 1; i > 0 && i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return len(b)
}
