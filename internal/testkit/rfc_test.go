package testkit

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestRFCIndex holds docs/rfc/index.tsv to the code: each RFC that a comment
// cites stands there, and each that is claimed there is cited somewhere.
func TestRFCIndex(t *testing.T) {
	b, err := os.ReadFile("../../docs/rfc/index.tsv")
	if err != nil {
		t.Fatal(err)
	}
	support := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			t.Fatalf("want number, support and title: %q", line)
		}
		if !strings.Contains(" full part read ", " "+fields[1]+" ") {
			t.Errorf("RFC %s: support is full, part or read, not %q", fields[0], fields[1])
		}
		support[fields[0]] = fields[1]
	}
	files, err := load("../..")
	if err != nil {
		t.Fatal(err)
	}
	cite := regexp.MustCompile(`RFCs?\s+(\d{3,5})`)
	cited := map[string]bool{}
	for _, f := range files {
		for _, g := range f.ast.Comments {
			for _, m := range cite.FindAllStringSubmatch(g.Text(), -1) {
				if cited[m[1]] = true; support[m[1]] == "" {
					t.Errorf("%s cites RFC %s, which is not in the index", f.path, m[1])
				}
			}
		}
	}
	for number, how := range support {
		if how != "read" && !cited[number] {
			t.Errorf("RFC %s is said to be supported (%s) and no comment cites it", number, how)
		}
	}
}
