package imap

import (
	"strings"
	"testing"
	"time"
)

func TestParseRaw(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{
		"":                                 "ALL",
		"hello world":                      "TEXT hello TEXT world",
		`"hello world" -spam`:              `TEXT "hello world" NOT TEXT spam`,
		`from:amy subject:"no meeting"`:    `FROM amy SUBJECT "no meeting"`,
		"from:amy OR from:david x":         "OR FROM amy FROM david TEXT x",
		"{from:amy from:david from:eve}":   "OR OR FROM amy FROM david FROM eve",
		"subject:(dinner movie)":           "(SUBJECT dinner SUBJECT movie)",
		"-(a b) is:unread":                 "NOT (TEXT a TEXT b) UNSEEN",
		"is:starred is:read is:important":  "FLAGGED SEEN KEYWORD $Important",
		"is:sunny":                         "TEXT is:sunny",
		"in:inbox in:Work in:anywhere":     `X-GM-LABELS \inbox X-GM-LABELS Work ALL`,
		`label:"my friends"`:               `X-GM-LABELS "my friends"`,
		"larger:10M smaller:2k size:5":     "LARGER 10485760 SMALLER 2048 LARGER 5",
		"after:2004/04/16 before:2004-5-1": "SINCE 16-Apr-2004 BEFORE 1-May-2004",
		"newer_than:2d older_than:1y":      "YOUNGER 172800 OLDER 31536000",
		"older_than:1m newer_than:3h":      "OLDER 2678400 YOUNGER 10800",
		"older_than:soon":                  "TEXT older_than:soon",
		"rfc822msgid:<a@b> list:x.y":       "HEADER Message-ID <a@b> HEADER List-ID x.y",
		"has:attachment filename:a.pdf":    "HEADER Content-Type multipart/mixed BODY a.pdf",
		"has:nothing http://x/y":           "TEXT has:nothing TEXT http://x/y",
		"a) b":                             `TEXT a TEXT ") b"`,
		"- a":                              "TEXT - TEXT a",
		"OR a":                             "TEXT OR TEXT a",
		"東京 from:山田":                       `TEXT "東京" FROM "山田"`,
	} {
		keys, err := ParseRaw(in, now)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		}
		e := &Encoder{}
		(&SearchCommand{Keys: keys}).encode(e)
		got := strings.NewReplacer("{6}\r\n東京", `"東京"`, "{6}\r\n山田", `"山田"`).Replace(strings.TrimSpace(string(e.Bytes())))
		if got != want {
			t.Errorf("%q:\n%s, want\n%s", in, got, want)
		}
	}
	for _, in := range []string{strings.Repeat("(", MaxDepth+1) + "a", strings.Repeat("-", MaxDepth+1) + "a", strings.Repeat("a ", MaxList+1)} {
		if _, err := ParseRaw(in, now); err == nil {
			t.Errorf("%.60q passes", in)
		}
	}
}

// FuzzRaw: whatever is typed becomes keys that can be written and read.
func FuzzRaw(f *testing.F) {
	f.Add(`from:amy OR {"a b" -is:read} larger:1M`)
	f.Add("((a) OR b:c \"")
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := ParseRaw(s, time.Unix(1_800_000_000, 0))
		if err != nil {
			return
		}
		if len(keys) == 0 {
			t.Fatal("no keys")
		}
		e := &Encoder{}
		(&SearchCommand{Keys: keys}).encode(e)
	})
}
