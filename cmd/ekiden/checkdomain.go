package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"text/tabwriter"

	"github.com/ekiden-mail/ekiden/internal/app"
	"github.com/ekiden-mail/ekiden/internal/flow/inspect"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// checkDomainCmd looks at a domain, ours or not, as the world does.
type checkDomainCmd struct {
	Name      string   `arg:"" help:"The domain."`
	Resolver  string   `placeholder:"HOST:PORT" help:"Where DNS questions go; without it, we look names up ourselves, from the root down."`
	Anchor    string   `name:"trust-anchor" type:"existingfile" placeholder:"FILE" help:"A lab's own DNSSEC trust anchor."`
	Hints     string   `name:"root-hints" type:"existingfile" placeholder:"FILE" help:"A lab's own DNS root."`
	TrustCA   string   `name:"trust-ca" type:"existingfile" placeholder:"FILE" help:"An authority to trust beside the system's."`
	SMTPPort  int      `name:"smtp-port" default:"25" placeholder:"N" help:"Where mail hosts are reached."`
	HTTPSPort int      `name:"https-port" default:"443" placeholder:"N" help:"Where MTA-STS policies are fetched."`
	Selector  []string `placeholder:"NAME" help:"A selector of DKIM keys to look for, besides common ones. May be repeated."`
	Hostname  string   `placeholder:"NAME" help:"How to call ourselves to mail hosts; this machine's name without it."`
	NoLists   bool     `help:"Do not ask blocklists."`
	JSON      bool     `name:"json" help:"Answer in JSON."`
}

// Run says what was found; what is wrong makes it fail.
func (k checkDomainCmd) Run() error {
	d, err := mail.ParseDomain(k.Name)
	if err != nil {
		return usageError{err}
	}
	if k.Resolver != "" {
		if _, err := netip.ParseAddrPort(k.Resolver); err != nil {
			return usageError{fmt.Errorf("--resolver: %q is not address:port", k.Resolver)}
		}
	}
	if k.Hostname == "" {
		if k.Hostname, err = os.Hostname(); err != nil {
			k.Hostname = "localhost"
		}
	}
	ctx, stop := untilSignal()
	defer stop()
	r, err := app.Inspection{
		Resolver: k.Resolver, Anchor: k.Anchor, Hints: k.Hints, TrustCA: k.TrustCA, SMTPPort: k.SMTPPort, HTTPSPort: k.HTTPSPort,
		Selectors: k.Selector, Hostname: k.Hostname, NoLists: k.NoLists,
	}.Domain(ctx, d)
	if err != nil {
		return err
	}
	if k.JSON {
		err = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		err = showReport(r)
	}
	if r.Worst() == inspect.Bad {
		err = errors.Join(err, errors.New("something is wrong with "+string(d)))
	}
	return err
}

// showReport prints a table, and below what could be better how to mend it.
func showReport(r inspect.Report) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	for _, f := range r.Findings {
		level := f.Level.String()
		if f.Level == inspect.Bad {
			level = "BAD"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", level, f.Topic, f.Said)
		if f.Mend != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", f.Mend)
		}
	}
	return w.Flush()
}
