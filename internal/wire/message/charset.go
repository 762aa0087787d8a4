package message

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// charsetByAlias knows names that mail uses and the indexes do not know, or
// know as something else than what the mail holds: what says GB2312 is GBK at
// least, what says ISO-2022-JP holds the extensions of Microsoft's CP5022x.
func charsetByAlias(name string) encoding.Encoding {
	switch name {
	case "iso-2022-jp", "csiso2022jp", "csiso2022jp2", "iso-2022-jp-ms", "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3", "iso-2022-jp-2004",
		"iso-2022-jp-ext", "iso2022jp", "iso-2022jp", "cp50220", "cp50221", "cp50222", "x-windows-50220", "x-windows-50221", "jis", "x-iso-2022-jp",
		"windows-50220", "windows-50221", "windows-50222", "x-windows-50222", "x-iso-2022-jp-nec", "jis-encoding", "csjisencoding",
		"iso-2022-kr", "csiso2022kr", "iso2022kr", "iso-2022-cn", "iso-2022-cn-ext":
		return iso2022{}
	case "shift_jis", "shift-jis", "shiftjis", "sjis", "x-sjis", "x-sjis-cp932", "ms_kanji", "csshiftjis", "shift_jis-2004", "shift_jisx0213", "sjis-win",
		"cp932", "ms932", "x-ms-cp932", "windows-31j", "cswindows31j", "ibm943", "cp943", "cp943c", "ibm-943", "x-ibm943", "windows-932", "x-mac-japanese":
		return japanese.ShiftJIS
	case "euc-jp", "eucjp", "x-euc-jp", "x-euc", "cseucpkdfmtjapanese", "eucjp-ms", "eucjp-win", "eucjpms", "cp51932", "euc_jp", "euc-jp-2004", "ujis":
		return japanese.EUCJP
	case "gb2312", "gb_2312", "gb_2312-80", "x-gb2312", "gbk", "x-gbk", "cp936", "ms936", "windows-936", "euc-cn",
		"euccn", "gb18030", "gb-18030", "csgb2312", "iso-ir-58", "chinese":
		return simplifiedchinese.GB18030
	case "hz-gb-2312", "hz-gb2312", "hz":
		return simplifiedchinese.HZGB2312
	case "big5", "big-5", "big5-hkscs", "x-big5", "cn-big5", "csbig5", "cp950", "ms950", "windows-950":
		return traditionalchinese.Big5
	case "euc-kr", "euckr", "ks_c_5601", "ks_c_5601-1987", "ks_c_5601-1989", "ksc5601", "ksc_5601", "korean",
		"cp949", "ms949", "windows-949", "uhc", "x-windows-949", "cseuckr", "iso-ir-149":
		return korean.EUCKR
	case "cp858", "ibm858", "ccsid00858":
		return charmap.CodePage858
	case "utf-32", "utf32":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case "iso-8859-1", "iso8859-1", "8859-1", "iso-8859-1:1987", "x-ansi", "iso-latin-1", "western", "latin1", "latin-1", "l1", "cp1252", "windows-1252", "ansi", "iso-8859-1-windows-3.1-latin-1":
		return charmap.Windows1252
	case "iso-8859-8-i", "iso-8859-8-e":
		return charmap.ISO8859_8
	case "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258":
		e, _ := htmlindex.Get("windows-" + name[2:])
		return e
	case "cp850", "ibm850":
		return charmap.CodePage850
	case "cp437", "ibm437":
		return charmap.CodePage437
	case "utf-16", "utf16", "unicode", "ucs-2", "iso-10646-ucs-2":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	}
	return nil
}

// charset finds an encoding by any of its names. nil stands for UTF-8, ASCII
// and names that nobody knows: there the octets themselves must tell.
func charset(name string) encoding.Encoding {
	name = charsetName(name)
	if isUnicodeName(name) || isNoName(name) {
		return nil
	}
	if e := charsetByAlias(name); e != nil {
		return e
	}
	if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
		return e
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return e
	}
	if bare, private := strings.CutPrefix(name, "x-"); private {
		return charset(bare)
	}
	if hyphens := strings.ReplaceAll(name, "_", "-"); hyphens != name {
		return charset(hyphens)
	}
	return nil
}

func charsetName(name string) string {
	name = strings.TrimPrefix(strings.ToLower(strings.Trim(name, " \t\r\n\"';,")), "charset=")
	if len(name) > 60 {
		return ""
	}
	return name
}

func isUnicodeName(name string) bool {
	switch name {
	case "utf-8", "utf8", "utf_8", "x-utf-8", "x-utf8", "utf8-mac", "utf-8-mac", "utf8mb4", "utf-8n", "unicode-1-1-utf-8", "unicode-utf-8", "al32utf8":
		return true
	}
	return false
}

func isUTF7(name string) bool {
	switch charsetName(name) {
	case "utf-7", "utf7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7", "unicode-2-0-utf-7", "csunicode11utf7":
		return true
	}
	return false
}

func isNoName(name string) bool {
	switch name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "us", "7bit", "8bit", "binary", "unknown", "unknown-8bit",
		"x-unknown", "default", "default_charset", "user-defined", "x-user-defined":
		return true
	}
	return false
}

// KnownCharset says whether text in a charset of that name is decoded by its
// name and not by guessing. (Sieve and JMAP ask.)
func KnownCharset(name string) bool {
	n := charsetName(name)
	return isUnicodeName(n) || n == "us-ascii" || isUTF7(n) || charset(n) != nil
}

// decodeCharset gives b in UTF-8. It never fails; what cannot be is U+FFFD.
func decodeCharset(name string, b []byte) string {
	if isUTF7(name) {
		all, _ := io.ReadAll(newUTF7(bytes.NewReader(b)))
		return string(all)
	}
	if isUnicodeName(charsetName(name)) {
		return toValid(b)
	}
	e := charset(name)
	if e == nil {
		return guessText(b)
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return guessText(b)
	}
	return toValid(out)
}

// guessText reads octets of which nobody says what they are: UTF-8 if they are
// valid in it, ISO-2022-JP by its escapes, else windows-1252.
func guessText(b []byte) string {
	switch {
	case hasJISEscape(b):
		if out, err := (iso2022{}).NewDecoder().Bytes(b); err == nil {
			return toValid(out)
		}
	case utf8.Valid(b):
		return string(b)
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return toValid(b)
	}
	return string(out)
}

// hasJISEscape looks for the escapes that switch to Japanese (RFC 1468).
func hasJISEscape(b []byte) bool {
	for {
		i := bytes.IndexByte(b, 0x1b)
		if i < 0 || i+2 >= len(b) {
			return false
		}
		b = b[i+1:]
		if b[0] == '$' && (b[1] == 'B' || b[1] == '@' || b[1] == '(') || b[0] == '(' && (b[1] == 'J' || b[1] == 'I') {
			return true
		}
	}
}

func toValid(b []byte) string { return string(bytes.ToValidUTF8(b, []byte("\uFFFD"))) }
