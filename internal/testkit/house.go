// Package testkit holds the tests that keep the house in order: which floor may
// import which, how large a file or a function may grow, and which RFC clauses
// the code answers for.
package testkit

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	module      = "github.com/ekiden-mail/ekiden/"
	maxFile     = 600 // lines
	maxFunc     = 80  // lines
	maxOwn      = 12  // imports of our own a package
	exceptsFile = "house_exceptions.tsv"
)

// floor is the height of a package by the longest of these prefixes; an import
// must point to a lower floor, or within a floor where sideways says so.
type floor struct {
	prefix string
	height int
	pure   bool // no clock, socket, file or goroutine
}

func floors() []floor {
	return []floor{
		{"internal/mail", 0, true}, {"internal/fault", 0, true}, {"internal/event", 1, true}, {"internal/limit", 1, true},
		{"internal/wire/line", 2, true}, {"internal/wire", 3, true}, {"internal/trust", 4, true}, {"internal/sieve", 4, true},
		{"internal/reach", 5, false}, {"internal/state/kv", 5, false}, {"internal/state", 6, false},
		{"internal/flow", 10, false}, {"internal/serve/door", 19, false}, {"internal/serve", 20, false}, {"internal/app", 30, false}, {"cmd", 40, false},
		{"internal/testkit", 50, false}, {"internal/sim", 50, false}, {"test", 50, false},
	}
}

// steps orders the rooms inside flow, which too only go down.
func steps() map[string]int {
	return map[string]int{
		"login": 0, "judge": 0, "junk": 0, "sign": 0, "route": 0, "notify": 0,
		"transfer": 0, "prove": 1, "gather": 2, "answer": 1, "callout": 1, "returns": 1, "deliver": 2, "screen": 3, "receive": 4, "submit": 4, "relay": 4, "report": 5,
	}
}

// sideways are the imports inside a floor that the plan foresees.
func sideways() map[string][]string {
	return map[string][]string{
		"internal/event":             {},
		"internal/trust/arc":         {"internal/trust/dkim"},
		"internal/wire/message":      {},
		"internal/wire/dsn":          {"internal/wire/message", "internal/wire/smtp", "internal/wire/bounce"},
		"internal/wire/sendmail":     {"internal/wire/message", "internal/wire/smtp"},
		"internal/state/kv/memkv":    {"internal/state/kv"},
		"internal/state/kv/pebblekv": {"internal/state/kv"},
		"internal/state/kv/kvtest":   {"internal/state/kv", "internal/state/kv/memkv"},
		"internal/state/mailbox":     {"internal/state/blob", "internal/state/search"},
		"internal/state/queue":       {"internal/state/blob"},
		"internal/state/backup":      {"internal/state/blob"},
		"internal/wire/dns/dnstest":  {"internal/wire/dns"},
		"internal/wire/maildir":      {"internal/wire/imap"}, // names of folders are IMAP's
	}
}

// rel gives the path below the module of one of our imports, or "".
func rel(path string) string {
	r, ok := strings.CutPrefix(path, module)
	if !ok {
		return ""
	}
	return r
}

func floorOf(pkg string) (floor, bool) {
	best := floor{}
	for _, f := range floors() {
		if (pkg == f.prefix || strings.HasPrefix(pkg, f.prefix+"/")) && len(f.prefix) > len(best.prefix) {
			best = f
		}
	}
	return best, best.prefix != ""
}

// file is one parsed source file.
type file struct {
	path string // below the root
	pkg  string // its directory below the root
	test bool
	ast  *ast.File
	fset *token.FileSet
}

// load parses all Go files below root that belong to the module.
func load(root string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		r, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if skipDir(root, r, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file{r, filepath.Dir(r), strings.HasSuffix(path, "_test.go"), tree, fset})
		return nil
	})
	return files, err
}

// skipDir leaves out what is not ours to judge: hidden and data directories,
// and modules of their own.
func skipDir(root, r, name string) bool {
	if r != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "vectors") {
		return true
	}
	if r == "." {
		return false
	}
	_, err := os.Stat(filepath.Join(root, r, "go.mod"))
	return err == nil
}

// exceptions reads the list of what may break a rule: rule, path, reason.
func exceptions(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && !strings.HasPrefix(line, "#") {
			fields := strings.Split(line, "\t")
			if len(fields) != 3 || fields[2] == "" {
				return nil, fmt.Errorf("%s: want rule, path and reason with tabs between: %q", path, line)
			}
			list[fields[0]+" "+fields[1]] = fields[2]
		}
	}
	return list, nil
}

// imports lists the file's imports.
func (f file) imports() []string {
	var all []string
	for _, i := range f.ast.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		all = append(all, p)
	}
	return all
}
