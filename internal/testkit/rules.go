package testkit

import (
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// breach is one rule broken at one place.
type breach struct{ rule, where, what string }

// check runs all rules over the files.
func check(files []file) []breach {
	var all []breach
	for _, f := range files {
		all = append(all, checkImports(f)...)
		all = append(all, checkSize(f)...)
		all = append(all, checkTodo(f)...)
		if !f.test {
			all = append(all, checkPure(f)...)
			all = append(all, checkInit(f)...)
		}
	}
	all = append(all, checkOwn(files)...)
	all = append(all, checkDocs(files)...)
	return append(all, checkGlobals(files)...)
}

func checkImports(f file) []breach {
	var all []breach
	from, known := floorOf(f.pkg)
	if !known {
		return []breach{{"floor", f.path, f.pkg + " stands on no floor: add it to the list"}}
	}
	for _, path := range f.imports() {
		to := rel(path)
		if f.test {
			continue // tests may look anywhere: they use the real rooms
		}
		if strings.Contains(path, "cockroachdb/pebble/v2") && !strings.HasPrefix(f.pkg, "internal/state/kv/") {
			all = append(all, breach{"engine", f.path, "names the engine"})
		}
		if to == "" {
			continue
		}
		if isEngine(to) && f.pkg != "internal/app" && !strings.HasPrefix(f.pkg, "internal/state/kv/") {
			all = append(all, breach{"engine", f.path, "imports " + to})
		}
		target, ok := floorOf(to)
		if !ok || !mayImport(f.pkg, to, from, target) {
			all = append(all, breach{"floor", f.path, "imports " + to})
		}
	}
	return all
}

func isEngine(pkg string) bool {
	return pkg == "internal/state/kv/memkv" || pkg == "internal/state/kv/pebblekv" || pkg == "internal/state/kv/pgkv"
}

func mayImport(pkg, to string, from, target floor) bool {
	switch {
	case target.height < from.height:
		return true
	case slices.Contains(sideways()[pkg], to):
		return true
	case from.prefix == "internal/flow" && target.prefix == "internal/flow":
		a, okA := steps()[filepath.Base(pkg)]
		b, okB := steps()[filepath.Base(to)]
		return okA && okB && b < a
	}
	return false
}

// lines gives the number of lines from one position to another.
func (f file) lines(from, to token.Pos) int {
	return f.fset.Position(to).Line - f.fset.Position(from).Line + 1
}

func checkSize(f file) []breach {
	var all []breach
	if n := f.fset.File(f.ast.Pos()).LineCount(); n > maxFile {
		all = append(all, breach{"file", f.path, fmt.Sprintf("has %d lines; %d are allowed", n, maxFile)})
	}
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		if n := f.lines(fn.Pos(), fn.End()); n > maxFunc {
			all = append(all, breach{"func", f.path + ":" + fn.Name.Name, fmt.Sprintf("has %d lines; %d are allowed", n, maxFunc)})
		}
	}
	return all
}

func checkTodo(f file) []breach {
	var all []breach
	for _, g := range f.ast.Comments {
		for _, word := range []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"} {
			if strings.Contains(g.Text(), word) {
				all = append(all, breach{"open", f.path, "has a " + word})
			}
		}
	}
	return all
}

// checkPure forbids the clock, sockets, files and goroutines where words and
// grammar live.
func checkPure(f file) []breach {
	fl, ok := floorOf(f.pkg)
	if !ok || !fl.pure || f.pkg == "internal/wire/dns/dnstest" {
		return nil
	}
	var all []breach
	bad := func(what string) { all = append(all, breach{"pure", f.path, what}) }
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			bad("starts a goroutine")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				switch name := x.Name + "." + n.Sel.Name; {
				case x.Name == "os", name == "time.Now", name == "time.Since", name == "time.Sleep", strings.HasPrefix(name, "net.Dial"), strings.HasPrefix(name, "net.Listen"):
					bad("uses " + name)
				}
			}
		}
		return true
	})
	return all
}

func checkInit(f file) []breach {
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			return []breach{{"init", f.path, "has an init function"}}
		}
	}
	return nil
}

// checkOwn counts a package's imports of our own.
func checkOwn(files []file) []breach {
	own := map[string]map[string]bool{}
	for _, f := range files {
		if f.test || strings.HasPrefix(f.pkg, "internal/app") || strings.HasPrefix(f.pkg, "cmd") {
			continue
		}
		for _, path := range f.imports() {
			if to := rel(path); to != "" {
				if own[f.pkg] == nil {
					own[f.pkg] = map[string]bool{}
				}
				own[f.pkg][to] = true
			}
		}
	}
	var all []breach
	for pkg, set := range own {
		if len(set) > maxOwn {
			all = append(all, breach{"own", pkg, fmt.Sprintf("imports %d packages of ours; %d are allowed", len(set), maxOwn)})
		}
	}
	return all
}

// checkDocs wants one package comment a package.
func checkDocs(files []file) []breach {
	docs := map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		docs[f.pkg] = docs[f.pkg] || f.ast.Doc != nil
	}
	var all []breach
	for pkg, ok := range docs {
		if !ok {
			all = append(all, breach{"doc", pkg, "has no package comment"})
		}
	}
	return all
}

// checkGlobals finds package variables that some function of the package
// assigns to.
func checkGlobals(files []file) []breach {
	globals := map[string]map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, name := range s.(*ast.ValueSpec).Names {
					if globals[f.pkg] == nil {
						globals[f.pkg] = map[string]bool{}
					}
					globals[f.pkg][name.Name] = true
				}
			}
		}
	}
	var all []breach
	for _, f := range files {
		if !f.test {
			all = append(all, writtenGlobals(f, globals[f.pkg])...)
		}
	}
	return all
}

func writtenGlobals(f file, globals map[string]bool) []breach {
	var all []breach
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		local := declared(fn)
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			for _, e := range targets(n) {
				if id := root(e); id != nil && globals[id.Name] && !local[id.Name] {
					all = append(all, breach{"global", f.path + ":" + fn.Name.Name, "writes to " + id.Name})
				}
			}
			return true
		})
	}
	return all
}

// declared collects the names a function declares itself, which hide globals.
func declared(fn *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					if id, ok := e.(*ast.Ident); ok {
						names[id.Name] = true
					}
				}
			}
		case *ast.Field:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					names[id.Name] = true
				}
			}
		}
		return true
	})
	return names
}

// targets are the expressions that a statement assigns to.
func targets(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	}
	return nil
}

// root is the variable an assignment reaches through: x in x.f[i].g.
func root(e ast.Expr) *ast.Ident {
	for {
		switch v := e.(type) {
		case *ast.Ident:
			return v
		case *ast.IndexExpr:
			e = v.X
		case *ast.SelectorExpr:
			e = v.X
		case *ast.StarExpr:
			e = v.X
		case *ast.ParenExpr:
			e = v.X
		default:
			return nil
		}
	}
}
