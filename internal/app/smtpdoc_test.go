package app

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSMTPDoc keeps the table of settings in docs/smtp.md to the defaults of
// docs/config.md, and the sections of which it has every key whole.
func TestSMTPDoc(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	row := regexp.MustCompile("^\\| `([a-z0-9_.]+)` \\| (.*?) \\| ")
	defaults, section := map[string]string{}, ""
	for l := range strings.Lines(read(configDoc)) {
		if s, ok := strings.CutPrefix(l, "## `["); ok {
			section = strings.Trim(s, "`[]\n")
		} else if m := row.FindStringSubmatch(l); m != nil {
			defaults[section+"."+m[1]] = m[2]
		}
	}
	told := map[string]string{}
	for l := range strings.Lines(read("../../docs/smtp.md")) {
		if m := row.FindStringSubmatch(l); m != nil && strings.Contains(m[1], ".") {
			told[m[1]] = m[2]
		}
	}
	for key, is := range told {
		if want, ok := defaults[key]; !ok || is != want {
			t.Errorf("docs/smtp.md says %s = %s; docs/config.md says %q", key, is, want)
		}
	}
	for key := range defaults {
		section, _, _ := strings.Cut(key, ".")
		if _, ok := told[key]; !ok && slices.Contains([]string{"smtp", "auth", "sending", "checks", "proxy"}, section) {
			t.Errorf("docs/smtp.md does not say what %s does", key)
		}
	}
	if len(told) < 20 {
		t.Errorf("docs/smtp.md has %d settings", len(told))
	}
}
