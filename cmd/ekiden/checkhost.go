package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/ekiden-mail/ekiden/internal/app"
)

// checkHostCmd looks at the host and its way out.
type checkHostCmd struct {
	Config   string   `short:"c" required:"" type:"path" placeholder:"FILE" help:"The configuration (TOML)."`
	Resolver string   `placeholder:"HOST:PORT" help:"Another resolver to ask. What it says of signatures is not believed: they are checked here."`
	Anchor   string   `name:"trust-anchor" type:"existingfile" placeholder:"FILE" help:"A lab's own DNSSEC trust anchor."`
	Hints    string   `name:"root-hints" type:"existingfile" placeholder:"FILE" help:"A lab's own DNS root."`
	Domains  []string `arg:"" optional:"" help:"Domains whose mail hosts are connected to; gmail.com, outlook.com and icloud.com if none is given."`
	JSON     bool     `name:"json" help:"Answer in JSON."`
}

// Run says what was found; what is wrong makes it fail.
func (k checkHostCmd) Run() error {
	c, err := app.Load(k.Config)
	if err != nil {
		return err
	}
	if k.Resolver != "" {
		c.DNS.Resolvers, c.DNS.TrustAD = []string{k.Resolver}, false
	}
	c.DNS.TrustAnchorFile, c.DNS.RootHintsFile = cmp.Or(k.Anchor, c.DNS.TrustAnchorFile), cmp.Or(k.Hints, c.DNS.RootHintsFile)
	if err := c.Check(); err != nil {
		return usageError{err}
	}
	if len(k.Domains) == 0 {
		k.Domains = []string{"gmail.com", "outlook.com", "icloud.com"}
	}
	ctx, cancel := untilSignal()
	defer cancel()
	found := c.CheckHost(ctx, k.Domains)
	for _, f := range found {
		if !f.Good {
			err = errors.New("something is wrong with this host")
		}
		if !k.JSON {
			fmt.Printf("%-4s %s: %s\n", map[bool]string{true: "good", false: "BAD"}[f.Good], f.What, f.Said)
		}
	}
	if k.JSON {
		return errors.Join(json.NewEncoder(os.Stdout).Encode(found), err)
	}
	return err
}
