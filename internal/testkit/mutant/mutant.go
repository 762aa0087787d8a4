// Package mutant runs a test against the program with something taken out, in a
// copy that only the compiler sees: a test that finds nothing there proves nothing.
package mutant

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Mutant is the program with something taken out.
type Mutant struct {
	Name  string
	File  string   // below the root of the module
	Edits []string // old, new, old, new …: each old text stands in the file once
}

// Test runs a test of a package, given by its path below root, and gives what it
// said and how it ended.
func (m Mutant) Test(t *testing.T, root, pkg, run string, env ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.Command("go", "test", "-count=1", "-overlay", m.overlay(t, root), "-run", run, "-v", "./"+pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	return cmd.CombinedOutput()
}

// overlay writes the changed file, and what tells the compiler of it.
func (m Mutant) overlay(t *testing.T, root string) string {
	t.Helper()
	path := filepath.Join(root, m.File)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	for i := 0; i < len(m.Edits); i += 2 {
		if strings.Count(s, m.Edits[i]) != 1 {
			t.Fatalf("%s does not have %q once any more: say what the mutant changes now", m.File, m.Edits[i])
		}
		s = strings.Replace(s, m.Edits[i], m.Edits[i+1], 1)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, filepath.Base(m.File))
	if err := os.WriteFile(changed, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
