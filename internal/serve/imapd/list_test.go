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
