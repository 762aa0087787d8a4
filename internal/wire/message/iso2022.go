package message

import (
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"
)

// iso2022 is ISO-2022-JP (RFC 1468) and all that goes by its name or is made like
// it: ISO-2022-JP-1, -2 (RFC 1554) and -3, Microsoft's CP50220 to CP50222 with
// half-width katakana by an escape, a shift or 8 bits, ISO-2022-KR (RFC 1557) and
// ISO-2022-CN (RFC 1922). What is of none of these is U+FFFD, one for each
// character. A line that ends amid such characters is followed by one of ASCII, as
// RFC 1468 demands of all.
type iso2022 struct{}

// NewDecoder makes a decoder.
func (iso2022) NewDecoder() *encoding.Decoder {
	d := &iso2022Decoder{jis: japanese.EUCJP.NewDecoder(), gb: simplifiedchinese.GBK.NewDecoder(), ks: korean.EUCKR.NewDecoder()}
	d.Reset()
	return &encoding.Decoder{Transformer: d}
}

// NewEncoder is there for the interface: nothing is written so.
func (iso2022) NewEncoder() *encoding.Encoder { return encoding.Replacement.NewEncoder() }

// set is a character set that an escape names.
type set byte

const (
	setASCII set = iota
	setKana      // JIS X 0201, half-width katakana
	setJIS       // JIS X 0208, and of JIS X 0213 what it has
	setJIS2      // JIS X 0212
	setGB        // GB 2312
	setKS        // KS X 1001
	setNone      // one of two octets that we do not know
)

// escapes are those we know, without their ESC; behind SO the others mean.
var escapes = []struct {
	text    string
	set     set
	shifted bool
}{
	{"(B", setASCII, false}, {"(J", setASCII, false}, {"(H", setASCII, false}, {"(I", setKana, false},
	{"$@", setJIS, false}, {"$B", setJIS, false}, {"$(@", setJIS, false}, {"$(B", setJIS, false}, {"$(O", setJIS, false}, {"$(Q", setJIS, false},
	{"$(D", setJIS2, false}, {"$(P", setNone, false}, {"$A", setGB, false}, {"$(A", setGB, false}, {"$(C", setKS, false},
	{"$)C", setKS, true}, {"$)A", setGB, true}, {"$)G", setNone, true}, {"$*H", setNone, true},
}

type iso2022Decoder struct {
	plain, shifted set // without and behind SO
	shift          bool
	jis, gb, ks    transform.Transformer
	in             [3]byte
	out            [8]byte
}

// Reset begins anew.
func (d *iso2022Decoder) Reset() { d.plain, d.shifted, d.shift = setASCII, setKana, false }

// Transform decodes.
func (d *iso2022Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if len(dst)-nDst < 4 {
			return nDst, nSrc, transform.ErrShortDst
		}
		out, n := d.next(src[nSrc:], atEOF)
		if n == 0 {
			return nDst, nSrc, transform.ErrShortSrc
		}
		nDst += copy(dst[nDst:], out)
		nSrc += n
	}
	return nDst, nSrc, nil
}

var replaced = []byte("\uFFFD")

// next decodes what stands first, of n octets; 0: more of them are needed.
func (d *iso2022Decoder) next(src []byte, atEOF bool) (out []byte, n int) {
	c := src[0]
	switch {
	case c == 0x1b:
		return d.escape(src, atEOF)
	case c == 0x0e, c == 0x0f:
		d.shift = c == 0x0e
		return nil, 1
	case c == '\n':
		d.plain, d.shift = setASCII, false
		return src[:1], 1
	case c <= ' ' || c == 0x7f:
		return src[:1], 1
	}
	now := d.plain
	if d.shift {
		now = d.shifted
	}
	switch {
	case now == setKana && c < 0x60:
		return d.kana(c | 0x80), 1
	case now == setKana, now == setASCII && c >= 0x80:
		return d.kana(c), 1
	case now == setASCII:
		return src[:1], 1
	case len(src) > 1 && src[1] > ' ' && src[1] != 0x7f:
		return d.double(now, c|0x80, src[1]|0x80), 2
	case len(src) == 1 && !atEOF:
		return nil, 0
	}
	return replaced, 1
}

// kana is a half-width katakana in 8 bits.
func (d *iso2022Decoder) kana(c byte) []byte {
	if c < 0xa1 || c > 0xdf {
		return replaced
	}
	return utf8.AppendRune(d.out[:0], rune(0xff61+int(c)-0xa1))
}

// double decodes a character of two octets.
func (d *iso2022Decoder) double(s set, a, b byte) []byte {
	t := d.jis
	d.in = [3]byte{a, b}
	in := d.in[:2]
	switch s {
	case setJIS2:
		d.in = [3]byte{0x8f, a, b}
		in = d.in[:3]
	case setGB:
		t = d.gb
	case setKS:
		t = d.ks
	case setNone:
		return replaced
	}
	n, _, err := t.Transform(d.out[:], in, true)
	// Some tables take the first octet alone for a character, and the second for none.
	if _, one := utf8.DecodeRune(d.out[:n]); err != nil || n == 0 || one != n {
		return replaced
	}
	return d.out[:n]
}

// escape takes an escape off. One that we do not know stays visible.
func (d *iso2022Decoder) escape(src []byte, atEOF bool) (out []byte, n int) {
	for _, e := range escapes {
		if len(src) > len(e.text) && string(src[1:1+len(e.text)]) == e.text {
			if e.shifted {
				d.shifted = e.set
			} else {
				d.plain, d.shift = e.set, false
			}
			return nil, 1 + len(e.text)
		}
		if !atEOF && len(src) <= len(e.text) && string(src[1:]) == e.text[:len(src)-1] {
			return nil, 0
		}
	}
	return replaced, 1
}
