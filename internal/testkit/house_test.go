package testkit

import (
	"go/parser"
	"go/token"
	"testing"
)

// TestHouse holds the tree to the house rules.
func TestHouse(t *testing.T) {
	files, err := load("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files found: is the root right?", len(files))
	}
	allowed, err := exceptions(exceptsFile)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, b := range check(files) {
		key := b.rule + " " + b.where
		if _, ok := allowed[key]; ok {
			used[key] = true
			continue
		}
		t.Errorf("%s: %s %s", b.rule, b.where, b.what)
	}
	for key := range allowed {
		if !used[key] {
			t.Errorf("exception %q is not needed any more: take it off the list", key)
		}
	}
}

// TestRulesBite shows that each rule finds what it is there for.
func TestRulesBite(t *testing.T) {
	cases := []struct{ rule, path, pkg, src string }{
		{"floor", "internal/wire/smtp/a.go", "internal/wire/smtp", `package smtp; import _ "github.com/ekiden-mail/ekiden/internal/state/queue"`},
		{"floor", "internal/flow/deliver/a.go", "internal/flow/deliver", `package deliver; import _ "github.com/ekiden-mail/ekiden/internal/flow/relay"`},
		{"floor", "internal/serve/smtpd/a.go", "internal/serve/smtpd", `package smtpd; import _ "github.com/ekiden-mail/ekiden/internal/serve/imapd"`},
		{"engine", "internal/flow/relay/a.go", "internal/flow/relay", `package relay; import _ "github.com/ekiden-mail/ekiden/internal/state/kv/memkv"`},
		{"pure", "internal/wire/smtp/a.go", "internal/wire/smtp", `package smtp; import "time"; func f() { _ = time.Now() }`},
		{"pure", "internal/mail/a.go", "internal/mail", `package mail; func f() { go f() }`},
		{"init", "internal/app/a.go", "internal/app", `package app; func init() {}`},
		{"global", "internal/app/a.go", "internal/app", `package app; var x []int; func f() { x[0] = 1 }`},
		{"open", "internal/app/a.go", "internal/app", "package app\n// TO" + "DO: later\n"},
		{"doc", "internal/app/a.go", "internal/app", `package app`},
	}
	for _, c := range cases {
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, c.path, c.src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, b := range check([]file{{c.path, c.pkg, false, tree, fset}}) {
			found = found || b.rule == c.rule
		}
		if !found {
			t.Errorf("rule %q let this pass: %s", c.rule, c.src)
		}
	}
}
