package search

import (
	"strings"
	"testing"
)

// TestNeedle finds equal what i;unicode-casemap does (RFC 5051 §2), and more.
func TestNeedle(t *testing.T) {
	var m Scratch
	for _, c := range []struct {
		needle, text string
		want         bool
	}{
		{"", "x", true}, {"hello", "say HELLO now", true}, {"hello", "hell o", false}, {"köln", "KO\u0308LN", true}, {"ABC", "ａｂｃ", true},
		{"ガ", "ｶﾞ", true}, {"страна", "СТРАНА", true}, {"é", "e", true}, {"か", "が", false}, {"世界", "こんにちは世界", true},
		{"ﬁle", "FILE", true}, {"Ǆ", "dž", true}, {"②", "2", true},
	} {
		n := NewNeedle(c.needle)
		if got := n.In(c.text); got != c.want {
			t.Errorf("%q in %q: %v", c.needle, c.text, got)
		}
		// However the text is cut, it is found.
		for pad := chunk - 40; pad < chunk+40; pad++ {
			text := strings.Repeat("x", pad) + c.text + strings.Repeat("é", 10)
			if got, err := n.InReader(strings.NewReader(text), &m); got != c.want || err != nil {
				t.Fatalf("%q in %q after %d: %v, %v", c.needle, c.text, pad, got, err)
			}
		}
	}
	wide := strings.Repeat("世", chunk) + "界"
	if got, _ := NewNeedle("世界").InReader(strings.NewReader(wide), &m); !got {
		t.Error("not found where no ASCII is")
	}
}
