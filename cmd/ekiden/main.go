// Command ekiden is the mail server and what administers it.
package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/ekiden-mail/ekiden/internal/app"
)

// version is set by the linker.
var version = "dev"

// Exit codes of the operator contract.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// cli is the list of commands.
type cli struct {
	Demo     demoCmd     `cmd:"" help:"Start a complete server for trying and testing: no root, no configuration, loopback only."`
	Serve    serveCmd    `cmd:"" help:"Run the server."`
	Check    checkCmd    `cmd:"" help:"Check the configuration, the host and domains."`
	Domain   DomainCmd   `cmd:"" help:"Domains that mail is taken for."`
	Account  AccountCmd  `cmd:"" help:"Accounts: who owns mail and may log in."`
	Alias    AliasCmd    `cmd:"" help:"Addresses that lead to other addresses."`
	Key      KeyCmd      `cmd:"" help:"Keys that mail of our domains is signed with (DKIM)."`
	Zone     ZoneCmd     `cmd:"" help:"Zones of the domain name system that the server is the authority for."`
	Ban      BanCmd      `cmd:"" help:"Addresses that are kept out at every door, or never."`
	Suppress SuppressCmd `cmd:"" name:"suppression" help:"Recipients to whom a domain does not send any more."`
	Queue    QueueCmd    `cmd:"" help:"Messages that wait to leave."`
	Route    RouteCmd    `cmd:"" help:"The way that mail goes."`
	Reports  ReportsCmd  `cmd:"" help:"What other servers report about our domains."`
	Trace    TraceCmd    `cmd:"" help:"What became of a message, by its id or by an address."`
	Import   ImportCmd   `cmd:"" help:"Bring mail from elsewhere into an account."`
	Export   ExportCmd   `cmd:"" help:"Write an account's mail in a form that other programs read."`
	Undelete UndeleteCmd `cmd:"" help:"Deleted messages, for as long as they are kept."`
	Backup   BackupCmd   `cmd:"" help:"Take a backup while mail flows: only what is new since the last one in that directory is written."`
	Restore  RestoreCmd  `cmd:"" help:"Bring a backup back into a data directory that holds no store; the server must not run."`
	Verify   VerifyCmd   `cmd:"" help:"Verify what is stored, or where a message comes from."`
	Sendmail sendmailCmd `cmd:"" help:"Send a message that is read from standard input, through the server that runs. Installed under the name sendmail it takes its options directly."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

func main() {
	if args, ok := asSendmail(os.Args); ok {
		os.Exit(runSendmail(args))
	}
	os.Exit(run(os.Args[1:]))
}

// run carries out one command line and gives the exit code.
func run(args []string) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("ekiden"), kong.Description("Ekiden, the mail server."),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Exit(os.Exit))
	if err != nil {
		fmt.Fprintln(os.Stderr, "ekiden:", err)
		return exitFailed
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "ekiden: %v%s\n", err, hint(parser, err))
		return exitUsage
	}
	if err := ctx.Run(); err != nil {
		var usage usageError
		fmt.Fprintln(os.Stderr, "ekiden:", publicText(err))
		if errors.As(err, &usage) {
			return exitUsage
		}
		return exitFailed
	}
	return exitDone
}

// usageError is a command line whose form is right and whose words are not.
type usageError struct{ error }

// versionCmd prints the version.
type versionCmd struct {
	JSON bool `name:"json" help:"As one line of JSON."`
}

// Run prints it.
func (v versionCmd) Run() error {
	if v.JSON {
		fmt.Printf("{\"version\":%q}\n", version)
		return nil
	}
	fmt.Println("ekiden", version)
	return nil
}

// hint names the nearest right word for one that the parser did not know, where
// it names none itself.
func hint(parser *kong.Kong, err error) string {
	var parse *kong.ParseError
	if strings.Contains(err.Error(), "did you mean") || !errors.As(err, &parse) {
		return ""
	}
	quoted := regexp.MustCompile(`(?:unexpected argument|unknown flag) (\S+)`).FindStringSubmatch(err.Error())
	if quoted == nil {
		return ""
	}
	node := parse.Context.Selected()
	if node == nil {
		node = parser.Model.Node
	}
	var words []string
	for _, child := range node.Children {
		words = append(words, child.Name)
	}
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			words = append(words, "--"+f.Name)
		}
	}
	slices.Sort(words)
	if n := app.Nearest(strings.TrimSuffix(quoted[1], ","), words); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}
