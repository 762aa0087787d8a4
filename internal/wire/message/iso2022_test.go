package message

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestCharsets(t *testing.T) {
	for _, c := range []struct{ charset, in, want string }{
		// ISO-2022-JP and what goes by its name
		{"iso-2022-jp", "a\x1b$BF|K\\\x1b(Bb", "a日本b"},
		{"ISO-2022-JP", "\x1b$B-!|q\x1b(J\\~\x1b(B", `①ⅰ\~`},
		{"iso-2022-jp", "\x1b(I16\x1b(B x", "ｱｶ x"},
		{"cp50222", "\x0e16\x0f x", "ｱｶ x"},
		{"cp50221", "\xb1\xb6 \x1b$BF|\x1b(B", "ｱｶ 日"},
		{"iso-2022-jp-1", "\x1b$(DhR\x1b(B", "餈"},
		{"iso-2022-jp-2", "\x1b$A0!\x1b$(C0!\x1b$BF|\x1b(B", "啊가日"},
		{"iso-2022-jp-3", "\x1b$(OF|\x1b$(P!!\x1b(B", "日\uFFFD"},
		{"csISO2022JP", "\x1b$@F|\x1b(H!", "日!"},
		{"iso-2022-jp", "\x1b$BF|\r\nabc", "日\r\nabc"},
		{"iso-2022-jp", "\x1b$BF", "\uFFFD"},
		{"iso-2022-jp", "\x1b%G\x1b", "\uFFFD%G\uFFFD"},
		{"iso-2022-kr", "\x1b$)C\x0e0!\x0f a\n\x0e0!", "가 a\n가"},
		{"iso-2022-cn", "\x1b$)A\x0e0!\x0f", "啊"},
		// Windows-31J
		{"windows-31j", "\x87\x40\xfa\x40\xb1\xed\x40\xee\xef\\~", `①ⅰｱ纊ⅰ\~`},
		{"x-sjis", "\x93\xfa\x96\x7b", "日本"}, {"cp943c", "\x87\x40", "①"}, {"x-mac-japanese", "\x93\xfa", "日"},
		{"euc-jp", "\xad\xa1\x8e\xb1\x8f\xb0\xa1", "①ｱ丂"}, {"ujis", "\xc6\xfc", "日"}, {"eucJP_win", "\xad\xa1", "①"},
		// names that are not quite one
		{"charset=utf-8;", "é", "é"}, {"utf_8", "é", "é"}, {"'iso_8859_15'", "\xa4", "€"}, {"8859-1", "\xe9", "é"}, {"x-cp866", "\x80", "А"},
		{"utf-32", "\x00\x00\x65\xe5", "日"}, {"cp858", "\xd5", "€"}, {"gb_2312-80", "\xb0\xa1", "啊"}, {"ks_c_5601-1987", "\xb0\xa1", "가"},
		{"nonsense", "\x1b$BF|\x1b(B", "日"}, {"nonsense", "\xe9", "é"},
	} {
		if got := decodeCharset(c.charset, []byte(c.in)); got != c.want {
			t.Errorf("%s: %q is %q, want %q", c.charset, c.in, got, c.want)
		}
		r := DecodeText(iotest.OneByteReader(strings.NewReader(c.in)), "8bit", c.charset)
		if got, err := io.ReadAll(r); err != nil || string(got) != c.want {
			t.Errorf("%s: %q in pieces is %q, want %q; %v", c.charset, c.in, got, c.want, err)
		}
	}
}

func FuzzISO2022(f *testing.F) {
	f.Add([]byte("\x1b$BF|K\\\x1b(B\x0e16\x0f\x1b$)C\x0e0!\r\n\xb1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := iso2022{}.NewDecoder().Bytes(b)
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := io.ReadAll(iso2022{}.NewDecoder().Reader(&oneByte{b}))
		if err != nil || string(pieces) != string(whole) {
			t.Fatalf("in pieces %q, whole %q, %v", pieces, whole, err)
		}
	})
}
