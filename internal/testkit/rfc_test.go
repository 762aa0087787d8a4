package testkit

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestRFCIndex holds docs/rfc/index.tsv to the code: each RFC that a comment
// cites stands there, each that is claimed there is cited somewhere, and tests of
// it are named.
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
		if len(fields) < 3 || len(fields) > 4 {
			t.Fatalf("want number, support, title and tests: %q", line)
		}
		if !strings.Contains(" full part read ", " "+fields[1]+" ") {
			t.Errorf("RFC %s: support is full, part or read, not %q", fields[0], fields[1])
		}
		support[fields[0]] = fields[1]
		switch {
		case fields[1] == "read":
		case len(fields) < 4:
			t.Errorf("RFC %s is said to be supported (%s) and no test of it is named in a fourth column", fields[0], fields[1])
		default:
			tried(t, fields[0], strings.Split(fields[3], ","))
		}
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

// tried holds the tests that are named for an RFC to what they say: a file, with
// what it holds behind a #, or else one that cites the RFC. What begins as a
// test's name must be one.
func tried(t *testing.T, number string, tests []string) {
	t.Helper()
	if len(tests) > 3 {
		t.Errorf("RFC %s: up to three tests are enough", number)
	}
	for _, test := range tests {
		path, words, named := strings.Cut(test, "#")
		if !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "/testdata/") && !strings.HasPrefix(path, "test/") {
			t.Errorf("RFC %s: %s is no test", number, path)
		}
		b, err := os.ReadFile("../../" + path)
		if err != nil {
			t.Errorf("RFC %s: %v", number, err)
			continue
		}
		what := regexp.QuoteMeta(words)
		switch {
		case !named:
			what = `\bRFCs? ` + number + `\b`
		case testName.MatchString(words):
			what = `(?m)^func ` + words + `\(`
		}
		if !regexp.MustCompile(what).Match(b) {
			t.Errorf("RFC %s: nothing in %s is %s", number, path, what)
		}
	}
}

var testName = regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`)
