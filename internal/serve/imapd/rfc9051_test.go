package imapd_test

import (
	"os"
	"strings"
	"testing"
)

// TestRFC9051 holds docs/rfc/9051.tsv, which says by what each thing that RFC
// 9051 asks for is tested, to what the tests say.
func TestRFC9051(t *testing.T) {
	const root = "../../../"
	b, err := os.ReadFile(root + "docs/rfc/9051.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			t.Errorf("want a section, what it asks, and a test: %q", line)
			continue
		}
		rows++
		path, words, _ := strings.Cut(fields[2], "#")
		text, err := os.ReadFile(root + path)
		if err != nil || words == "" || !strings.Contains(string(text), words) {
			t.Errorf("§%s: nothing in %s is %q, %v", fields[0], path, words, err)
		}
	}
	if rows < 50 {
		t.Errorf("%d rows", rows)
	}
}
