package main

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// RouteCmd is `ekiden route`.
type RouteCmd struct {
	Test routeTestCmd `cmd:"" help:"Explain how a message to an address would leave, without sending one."`
}

type routeTestCmd struct {
	At
	Address  string `arg:"" help:"The recipient."`
	Resolver string `placeholder:"HOST:PORT" help:"Another resolver to ask. What it says of signatures is not believed: they are checked here."`
	Anchor   string `name:"trust-anchor" type:"existingfile" placeholder:"FILE" help:"A lab's own DNSSEC trust anchor."`
	Hints    string `name:"root-hints" type:"existingfile" placeholder:"FILE" help:"A lab's own DNS root."`
	Connect  bool   `help:"Connect to one address of each host, secure the line, and leave."`
}

// Run explains.
func (c *routeTestCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	q := url.Values{}
	if c.Resolver != "" {
		if _, err := netip.ParseAddrPort(c.Resolver); err != nil {
			return usageError{fmt.Errorf("--resolver: %q is not ADDRESS:PORT", c.Resolver)}
		}
		q.Set("resolver", c.Resolver)
	}
	if c.Connect {
		q.Set("connect", "true")
	}
	for name, path := range map[string]string{"trust_anchor": c.Anchor, "root_hints": c.Hints} {
		if path == "" {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return usageError{err}
		}
		q.Set(name, string(b))
	}
	path := at("route", c.Address)
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	var w apid.Way
	if err := c.call(http.MethodGet, path, nil, &w); err != nil {
		return err
	}
	return c.print(w, func(out io.Writer) { explain(out, w) })
}

// explain puts a way into words.
func explain(out io.Writer, w apid.Way) {
	switch {
	case w.Here:
		row(out, w.Address+" is here: nothing leaves")
		return
	case w.Failure != "":
		row(out, "no way to "+w.Address+":", w.Failure)
		return
	}
	row(out, "hop", w.Hop)
	if !w.Signed {
		row(out, "hosts", "nothing proves that they are the domain's: no DNSSEC, no MTA-STS that is enforced")
	}
	if p := w.Policy; p != nil {
		from := "fetched now"
		if p.Cached {
			from = "known"
		}
		row(out, "MTA-STS", fmt.Sprintf("%s, id %s, %s, until %s, for %s", p.Mode, p.ID, from, second(p.Until), strings.Join(p.MX, " ")))
	}
	for _, t := range w.Trouble {
		row(out, "trouble", t)
	}
	for _, h := range w.Hosts {
		row(out, "host", h.Name+" ("+strings.Join(h.Addresses, " ")+")")
		row(out, "  demand", h.Demand)
		for _, t := range h.TLSA {
			row(out, "  TLSA", t)
		}
		if h.Barred != "" {
			row(out, "  not used", h.Barred)
		}
		if h.Trial != "" {
			row(out, "  trial", h.Trial)
		}
	}
}
