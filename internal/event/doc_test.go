package event

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write docs/events.md anew")

const eventsDoc = "../../docs/events.md"

// entry is one event as the code has it.
type entry struct {
	name, about string
	attrs       []string
}

// TestEventsDoc keeps docs/events.md what the types of this package say.
func TestEventsDoc(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Events\n\nOne line of log each, with these names and attributes; they are stable.\n" +
		"This page is made from the types in `internal/event`.\n\n| event | attributes | when |\n|---|---|---|\n")
	for _, e := range entries(t) {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", e.name, strings.Join(e.attrs, "` `"), e.about)
	}
	if *rewrite {
		if err := os.WriteFile(eventsDoc, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(eventsDoc); err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("docs/events.md is not what the code says (%v): go test ./internal/event -rewrite", err)
	}
}

// entries reads the events out of the package's files, sorted by name.
func entries(t *testing.T) []entry {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*entry{}
	of := func(name string) *entry {
		if found[name] == nil {
			found[name] = &entry{}
		}
		return found[name]
	}
	for _, path := range paths {
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				if spec, ok := d.Specs[0].(*ast.TypeSpec); ok && d.Tok == token.TYPE {
					about := strings.Join(strings.Fields(d.Doc.Text()), " ")
					of(spec.Name.Name).about = strings.TrimPrefix(about, spec.Name.Name+" says that ")
				}
			case *ast.FuncDecl:
				if d.Recv != nil {
					readMethod(of(fmt.Sprint(d.Recv.List[0].Type)), d)
				}
			}
		}
	}
	var list []entry
	for _, e := range found {
		if e.name != "" {
			list = append(list, *e)
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return list
}

// readMethod takes the name and the attributes' keys from Name and Attrs.
func readMethod(e *entry, fn *ast.FuncDecl) {
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ReturnStmt:
			if lit, ok := n.Results[0].(*ast.BasicLit); ok && fn.Name.Name == "Name" {
				e.name, _ = strconv.Unquote(lit.Value)
			}
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && fn.Name.Name == "Attrs" && fmt.Sprint(sel.X) == "slog" {
				key, _ := strconv.Unquote(n.Args[0].(*ast.BasicLit).Value)
				e.attrs = append(e.attrs, key)
			}
		}
		return true
	})
}
