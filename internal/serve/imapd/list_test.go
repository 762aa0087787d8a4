package imapd

import (
	"strings"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		reference, pattern, name string
		want                     bool
	}{
		{"", "*", "a/b", true}, {"", "%", "a/b", false}, {"", "%", "a", true}, {"", "%/%", "a/b", true}, {"", "%/%", "a/b/c", false},
		{"", "", "a", false}, {"", "a*c", "abc", true}, {"", "a*c", "ac", true}, {"", "a*c", "ab", false}, {"", "a%c", "a/c", false},
		{"a/", "*", "a/b/c", true}, {"a/", "%", "a/b/c", false}, {"a", "*", "ab", true}, {"", "inbox", "INBOX", true}, {"", "In%", "INBOX", true},
		{"", "inbox/x", "INBOX/x", true}, {"", "inbox/X", "INBOX/x", false}, {"", "A", "a", false}, {"", "日%", "日本", true},
		{"", strings.Repeat("*", maxPattern+1), "a", false},
	} {
		if got := newPattern(c.reference, c.pattern).matches(c.name); got != c.want {
			t.Errorf("%q %q on %q: %v", c.reference, c.pattern, c.name, got)
		}
	}
	// No pattern takes exponential time.
	start := time.Now()
	newPattern("", strings.Repeat("*a", maxPattern/2)+"b").matches(strings.Repeat("a", 5000))
	if d := time.Since(start); d > 2*time.Second {
		t.Error(d)
	}
}

func TestNeedle(t *testing.T) {
	var m scratch
	for _, c := range []struct {
		needle, text string
		want         bool
	}{
		{"", "x", true}, {"hello", "say HELLO now", true}, {"hello", "hell o", false}, {"köln", "KO\u0308LN", true}, {"ABC", "ａｂｃ", true},
		{"ガ", "ｶﾞ", true}, {"страна", "СТРАНА", true}, {"é", "e", false}, {"世界", "こんにちは世界", true},
	} {
		n := newNeedle(c.needle)
		if got := n.in(c.text); got != c.want {
			t.Errorf("%q in %q: %v", c.needle, c.text, got)
		}
		// However the text is cut, it is found.
		for pad := searchChunk - 40; pad < searchChunk+40; pad++ {
			text := strings.Repeat("x", pad) + c.text + strings.Repeat("é", 10)
			if got, err := n.inReader(strings.NewReader(text), &m); got != c.want && c.needle != "é" || err != nil {
				t.Fatalf("%q in %q after %d: %v, %v", c.needle, c.text, pad, got, err)
			}
		}
	}
	wide := strings.Repeat("世", searchChunk) + "界"
	if got, _ := newNeedle("世界").inReader(strings.NewReader(wide), &m); !got {
		t.Error("not found where no ASCII is")
	}
}
