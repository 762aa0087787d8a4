package app

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write docs/config.md anew")

const configDoc = "../../docs/config.md"

// TestConfigDoc keeps docs/config.md what the comments in config*.go say.
func TestConfigDoc(t *testing.T) {
	types := map[string]documented{}
	paths, err := filepath.Glob("config*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(types, structs(tree))
	}
	var b bytes.Buffer
	b.WriteString("# Configuration\n\nThe file of `ekiden serve -c FILE`, in TOML. An unknown key is an error. " +
		"Relative paths are relative to the file.\nThis page is made from the comments in `internal/app/config*.go`.\n")
	describe(&b, types, "Config", "", reflect.ValueOf(Default()))
	if *rewrite {
		if err := os.WriteFile(configDoc, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(configDoc); err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("docs/config.md is not what config*.go says (%v): go test ./internal/app -rewrite", err)
	}
}

// documented is a struct type and what is said about it.
type documented struct {
	about string
	body  *ast.StructType
}

func structs(tree *ast.File) map[string]documented {
	found := map[string]documented{}
	for _, d := range tree.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		spec := g.Specs[0].(*ast.TypeSpec)
		if body, ok := spec.Type.(*ast.StructType); ok {
			found[spec.Name.Name] = documented{oneLine(g.Doc.Text()), body}
		}
	}
	return found
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// describe writes a table of a struct's keys, then its sections.
func describe(b *bytes.Buffer, types map[string]documented, name, section string, defaults reflect.Value) {
	title := "Top"
	if section != "" {
		title = "`[" + section + "]`"
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| key | default | what |\n|---|---|---|\n", title, types[name].about)
	var sections, tables []*ast.Field
	for _, f := range types[name].body.Fields.List {
		if f.Tag == nil || strings.Contains(f.Tag.Value, `"-"`) {
			continue
		}
		if _, ok := types[fmt.Sprint(f.Type)]; ok {
			sections = append(sections, f)
			continue
		}
		if array, ok := f.Type.(*ast.ArrayType); ok && name == "Config" && types[fmt.Sprint(array.Elt)].body != nil {
			tables = append(tables, f)
			continue
		}
		value := defaults.FieldByName(f.Names[0].Name)
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", key(f), shown(value), oneLine(f.Doc.Text()+f.Comment.Text()))
	}
	for _, f := range sections {
		describe(b, types, fmt.Sprint(f.Type), key(f), defaults.FieldByName(f.Names[0].Name))
	}
	for _, f := range tables {
		one := reflect.New(defaults.FieldByName(f.Names[0].Name).Type().Elem())
		if d, ok := one.Interface().(interface{ setDefaults() }); ok {
			d.setDefaults()
		}
		describe(b, types, fmt.Sprint(f.Type.(*ast.ArrayType).Elt), "["+key(f)+"]", one.Elem())
	}
}

func key(f *ast.Field) string {
	return reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("toml")
}

// shown writes a default as TOML.
func shown(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		if x == "" {
			return ""
		}
		return fmt.Sprintf("`%q`", x)
	case []string:
		if len(x) == 0 {
			return "`[]`"
		}
		return "`" + strings.ReplaceAll(fmt.Sprintf("%q", x), `" "`, `", "`) + "`"
	case Duration:
		b, _ := x.MarshalText()
		return "`\"" + string(b) + "\"`"
	default:
		return fmt.Sprintf("`%v`", x)
	}
}
