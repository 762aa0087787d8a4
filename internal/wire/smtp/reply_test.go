package smtp

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

func TestAppendReply(t *testing.T) {
	long := strings.Repeat("0123456789", 60)
	for _, c := range []struct {
		r    Reply
		want string
	}{
		{Answer(250, Enhanced{2, 0, 0}, "Ok"), "250 2.0.0 Ok\r\n"},
		{Answer(250, Enhanced{}, "100%% of %s", "it"), "250 100% of it\r\n"},
		{Reply{Code: 354}, "354 \r\n"},
		{Reply{Code: 250, Text: []string{"a", "b"}}, "250-a\r\n250 b\r\n"},
		{Reply{Code: 550, Enhanced: Enhanced{5, 7, 1}, Text: []string{"a", "b"}}, "550-5.7.1 a\r\n550 5.7.1 b\r\n"},
		{Answer(550, Enhanced{}, "%s", "a\r\n250 b\x00\tc\x7fé"), "550 a??250 b?\tc???\r\n"}, // no reply within a reply
		{Answer(250, Enhanced{2, 0, 0}, "%s", long), "250-2.0.0 " + long[:500] + "\r\n250 2.0.0 " + long[500:] + "\r\n"},
		{Reply{Code: 334, Text: []string{long}}, "334 " + long + "\r\n"},
	} {
		got := string(c.r.AppendTo(nil))
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.r, got, c.want)
		}
		for l := range strings.SplitAfterSeq(got, "\n") {
			if len(l) > 512 && c.r.Code != 334 {
				t.Errorf("%v: a line of %d octets", c.r, len(l))
			}
		}
	}
}

func TestReadReply(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Reply
	}{
		{"250 Ok\r\n", Reply{250, Enhanced{}, []string{"Ok"}}},
		{"250\r\n", Reply{250, Enhanced{}, []string{""}}},
		{"250 \r\n", Reply{250, Enhanced{}, []string{""}}},
		{"250-a\r\n250-b\r\n250 c\r\n", Reply{250, Enhanced{}, []string{"a", "b", "c"}}},
		{"250-a\r\n250\r\n", Reply{250, Enhanced{}, []string{"a", ""}}},
		{"550 5.1.1 No\r\n", Reply{550, Enhanced{5, 1, 1}, []string{"No"}}},
		{"550-5.1.1 No\r\n550 5.1.1 one\r\n", Reply{550, Enhanced{5, 1, 1}, []string{"No", "one"}}},
		{"550-5.1.1 No\r\n550 one\r\n", Reply{550, Enhanced{}, []string{"5.1.1 No", "one"}}},
		{"550 4.1.1 odd\r\n", Reply{550, Enhanced{}, []string{"4.1.1 odd"}}},
		{"250 1.2.3 x\r\n", Reply{250, Enhanced{}, []string{"1.2.3 x"}}},
		{"250 2.0.0\r\n", Reply{250, Enhanced{2, 0, 0}, []string{""}}},
		{"250 2.0.1000 x\r\n", Reply{250, Enhanced{}, []string{"2.0.1000 x"}}},
		{"421 caf\xe9\r\n", Reply{421, Enhanced{}, []string{"caf\xe9"}}},
	} {
		got, err := ReadReply(line.NewReader(strings.NewReader(c.in)))
		if err != nil || got.Code != c.want.Code || got.Enhanced != c.want.Enhanced || !slices.Equal(got.Text, c.want.Text) {
			t.Errorf("%q: %#v, %v", c.in, got, err)
		}
	}
	for _, in := range []string{
		"hello\r\n", "25 x\r\n", "2500 x\r\n", "250_x\r\n", "199 x\r\n", "650 x\r\n", "\r\n", "250-a\r\n251 b\r\n", "250 a\n", "250 a\rb\r\n",
		"250 a\x00\r\n", "250 " + strings.Repeat("x", MaxReplyInput) + "\r\n", strings.Repeat("250-x\r\n", MaxReplyLines+1) + "250 x\r\n",
	} {
		if r, err := ReadReply(line.NewReader(strings.NewReader(in))); !errors.Is(err, ErrReply) {
			t.Errorf("%.40q: %v, %v", in, r, err)
		}
	}
	for in, want := range map[string]error{"": io.EOF, "250-a\r\n": io.EOF, "250 a": io.ErrUnexpectedEOF} {
		if r, err := ReadReply(line.NewReader(strings.NewReader(in))); err != want {
			t.Errorf("%q: %v, %v, want %v", in, r, err, want)
		}
	}
}

// FuzzReply: what was read, and is written, reads the same again.
func FuzzReply(f *testing.F) {
	f.Add("250-2.0.0 a\r\n250 2.0.0 b\r\n")
	f.Add("334 \r\n")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := ReadReply(line.NewReader(strings.NewReader(in)))
		if err != nil {
			return
		}
		for _, s := range r.Text {
			if len(s) > 400 {
				return // will be broken
			}
		}
		first := string(r.AppendTo(nil))
		again, err := ReadReply(line.NewReader(strings.NewReader(first)))
		if err != nil || string(again.AppendTo(nil)) != first || again.Code != r.Code {
			t.Fatalf("%q became %q: %v, %v", in, first, again, err)
		}
	})
}

func TestKindsOfReply(t *testing.T) {
	for code, want := range map[int][3]bool{0: {}, 250: {true}, 354: {true}, 450: {false, true}, 550: {false, false, true}, 600: {}, 199: {}} {
		r := Reply{Code: code}
		if got := [3]bool{r.OK(), r.Temporary(), r.Permanent()}; got != want {
			t.Errorf("%d: %v", code, got)
		}
	}
	if s := Answer(550, Enhanced{5, 1, 1}, "No").String(); s != "550 5.1.1 No" {
		t.Error(s)
	}
}

func TestXtext(t *testing.T) {
	for plain, coded := range map[string]string{
		"": "", "abc": "abc", "a+b=c": "a+2Bb+3Dc", "a b": "a+20b", "\xc3\xa9": "+C3+A9", "\r\n": "+0D+0A",
	} {
		if got := EncodeXtext(plain); got != coded {
			t.Errorf("%q: %q", plain, got)
		}
		if got, ok := DecodeXtext(coded); got != plain || !ok {
			t.Errorf("%q: %q, %v", coded, got, ok)
		}
	}
	for _, s := range []string{"+", "+2", "+2G", "a=b", "a b", "é", "a+2Bb=", "+4x"} {
		if got, ok := DecodeXtext(s); ok {
			t.Errorf("%q gives %q", s, got)
		}
	}
}

func FuzzXtext(f *testing.F) {
	f.Add("a+b=c\x00é")
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := DecodeXtext(EncodeXtext(s)); !ok || got != s {
			t.Fatalf("%q became %q", s, got)
		}
		DecodeXtext(s)
	})
}
