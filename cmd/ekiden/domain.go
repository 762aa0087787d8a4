package main

import (
	"io"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// items is what the API answers to list.
type items[T any] struct {
	Items []T `json:"items"`
}

// DomainCmd is `ekiden domain`.
type DomainCmd struct {
	Add     domainAddCmd     `cmd:"" help:"Take mail for a domain."`
	List    domainListCmd    `cmd:"" help:"List the domains."`
	Show    domainShowCmd    `cmd:"" help:"Show a domain."`
	Set     domainSetCmd     `cmd:"" help:"Change a domain."`
	Records domainRecordsCmd `cmd:"" help:"List the records that the world is to see of a domain, wherever its zone is served."`
	Remove  domainRemoveCmd  `cmd:"" help:"Remove a domain that has no accounts, and its aliases."`
}

type domainAddCmd struct {
	At
	Name       string `arg:"" help:"The domain."`
	Postmaster string `placeholder:"ADDR" help:"Where postmaster@ and abuse@ lead (otherwise the first account that is added)."`
}

// Run adds a domain.
func (c *domainAddCmd) Run() error {
	if err := mustDomain(c.Name); err != nil {
		return err
	}
	in := map[string]string{"name": c.Name}
	if c.Postmaster != "" {
		if err := mustAddress(c.Postmaster, false); err != nil {
			return err
		}
		in["postmaster"] = c.Postmaster
	}
	var d apid.Domain
	if err := c.call(http.MethodPost, "/domains", in, &d); err != nil {
		return err
	}
	return c.say(d, "domain %s added", d.Name)
}

type domainListCmd struct{ At }

// Run lists the domains.
func (c *domainListCmd) Run() error {
	var all items[apid.Domain]
	if err := c.call(http.MethodGet, "/domains", nil, &all); err != nil {
		return err
	}
	return c.print(all, func(w io.Writer) {
		row(w, "DOMAIN", "POSTMASTER", "ADDED")
		for _, d := range all.Items {
			row(w, domainName(d), d.Postmaster, date(d.Added))
		}
	})
}

func domainName(d apid.Domain) string {
	if d.Unicode != d.Name {
		return d.Name + " (" + d.Unicode + ")"
	}
	return d.Name
}

func date(t time.Time) string   { return t.Local().Format("2006-01-02") }
func second(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

type domainShowCmd struct {
	At
	Name string `arg:"" help:"The domain."`
}

// Run shows a domain.
func (c *domainShowCmd) Run() error {
	if err := mustDomain(c.Name); err != nil {
		return err
	}
	var d apid.Domain
	if err := c.call(http.MethodGet, at("domains", c.Name), nil, &d); err != nil {
		return err
	}
	if c.JSON {
		return c.print(d, nil)
	}
	accounts, err := c.accounts(d.Name)
	if err != nil {
		return err
	}
	return c.print(d, func(w io.Writer) {
		row(w, "domain", domainName(d))
		row(w, "postmaster", d.Postmaster)
		row(w, "added", second(d.Added))
		row(w, "accounts", len(accounts.Items))
		showSettings(w, d)
	})
}

type domainRemoveCmd struct {
	At
	Name string `arg:"" help:"The domain."`
}

// Run removes a domain.
func (c *domainRemoveCmd) Run() error {
	if err := mustDomain(c.Name); err != nil {
		return err
	}
	var d apid.Domain
	if err := c.call(http.MethodDelete, at("domains", c.Name), nil, &d); err != nil {
		return err
	}
	return c.say(d, "domain %s removed", d.Name)
}
