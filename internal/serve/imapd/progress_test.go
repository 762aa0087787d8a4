package imapd

import (
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	long := time.Now().Add(-time.Minute)
	for _, c := range []struct {
		tag        string
		asked      time.Time
		done, goal int
		want       string
	}{
		{"a", long, 5, 10, "* OK [INPROGRESS (\"a\" 5 10)] still at it\r\n"},
		{"a]", long, 5, 10, "* OK [INPROGRESS] still at it\r\n"},
		{"a", time.Now(), 5, 10, ""},
		{"a", long, 10, 10, ""},
	} {
		s := &session{tag: c.tag, asked: c.asked}
		s.progress(c.done, c.goal)
		s.progress(c.done, c.goal) // too soon after the first
		if got := string(s.enc.Bytes()); got != c.want {
			t.Errorf("%q %d of %d: %q, want %q", c.tag, c.done, c.goal, got, c.want)
		}
	}
}
