package pebblekv

import (
	"testing"
	"time"
)

// TestPace: the log waits for company only where company comes.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		what  string
		every time.Duration // between looks
		each  int64         // commits between two
		want  time.Duration
	}{
		{"nobody", time.Second, 0, 0},
		{"one client that waits for each", time.Millisecond, 1, 0},
		{"a fast client alone", 500 * time.Microsecond, 1, 0},
		{"many", time.Millisecond, 4, syncPause},
		{"many at a slow disk", 20 * time.Millisecond, 64, syncPause},
	} {
		var p pace
		now := time.Unix(1, 0)
		got := p.look(now)
		for range 100 {
			now = now.Add(c.every)
			p.commits.Add(c.each)
			got = p.look(now)
		}
		if got != c.want {
			t.Errorf("%s: waits %v, want %v", c.what, got, c.want)
		}
		// A rush that is over is forgotten.
		if got := p.look(now.Add(time.Second)); got != 0 {
			t.Errorf("%s: waits %v a second after the last commit", c.what, got)
		}
	}
}
