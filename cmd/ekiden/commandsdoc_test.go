package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var rewrite = flag.Bool("rewrite", false, "write docs/commands.md anew")

const commandsDoc = "../../docs/commands.md"

// TestCommandsDoc keeps docs/commands.md what the commands' help says.
func TestCommandsDoc(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Name("ekiden"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("# Commands\n\nThis page is made from the commands' help (`ekiden COMMAND --help`).\n\n" +
		"The commands of administration speak to the server that runs over a data directory, or work on its store while none does: `-c FILE` or\n" +
		"`--data DIR` says which one, and `--json` makes the answer JSON. The same resources are in the REST API, whose document is at\n" +
		"`/api/v1/openapi.json` of the socket in the data directory.\n\n" +
		"Exit codes: 0 done; 1 it failed, or something was found wrong; 2 wrong usage.\n")
	for _, n := range parser.Model.Children {
		describe(&b, n, "ekiden")
	}
	if *rewrite {
		if err := os.WriteFile(commandsDoc, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(commandsDoc); err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("docs/commands.md is not what the help says (%v): go test ./cmd/ekiden -rewrite", err)
	}
}

// describe writes a command and those within it.
func describe(b *bytes.Buffer, n *kong.Node, above string) {
	name := above + " " + n.Name
	if len(n.Children) > 0 {
		fmt.Fprintf(b, "\n## %s\n\n%s\n", name, n.Help)
		for _, c := range n.Children {
			describe(b, c, name)
		}
		return
	}
	if above == "ekiden" {
		fmt.Fprintf(b, "\n## %s\n", name)
	}
	usage := name
	for _, p := range n.Positional {
		usage += " " + strings.ReplaceAll(p.Summary(), " ", "")
	}
	fmt.Fprintf(b, "\n**`%s`** — %s\n", usage, n.Help)
	var rows []string
	for _, p := range n.Positional {
		if p.Help != "" {
			rows = append(rows, fmt.Sprintf("- `%s`: %s\n", p.Summary(), p.Help))
		}
	}
	for _, f := range n.Flags {
		if word := map[string]bool{"config": true, "data": true, "json": true, "help": true}; !word[f.Name] || n.Name == "demo" || n.Name == "serve" {
			if f.Name == "help" {
				continue
			}
			rows = append(rows, fmt.Sprintf("- `%s`: %s%s\n", flagWord(f), f.Help, preset(f)))
		}
	}
	if len(rows) > 0 {
		b.WriteString("\n" + strings.Join(rows, ""))
	}
}

func flagWord(f *kong.Flag) string {
	word := "--" + f.Name
	if f.Short != 0 {
		word = "-" + string(f.Short) + ", " + word
	}
	if !f.IsBool() {
		word += "=" + strings.Trim(f.FormatPlaceHolder(), `"`)
	}
	return word
}

func preset(f *kong.Flag) string {
	if f.HasDefault && f.Default != "" && !f.IsBool() {
		return " (default " + f.Default + ")"
	}
	return ""
}
