package main

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// AliasCmd is `ekiden alias`.
type AliasCmd struct {
	Add    aliasAddCmd    `cmd:"" help:"Make an address lead to others. @DOMAIN takes what no other address of the domain takes."`
	List   aliasListCmd   `cmd:"" help:"List the aliases."`
	Show   aliasShowCmd   `cmd:"" help:"Show an alias."`
	Set    aliasSetCmd    `cmd:"" help:"Replace the targets of an alias, or its owner."`
	Remove aliasRemoveCmd `cmd:"" help:"Remove an alias, or only the targets named."`
}

// aliasWords are an alias and its targets.
type aliasWords struct {
	address string
	targets []string
}

func (a aliasWords) check() error {
	if err := mustAddress(a.address, true); err != nil {
		return err
	}
	for _, t := range a.targets {
		if err := mustAddress(t, false); err != nil {
			return err
		}
	}
	return nil
}

type aliasAddCmd struct {
	At
	Address string   `arg:"" help:"The alias."`
	Targets []string `arg:"" help:"Where it leads, here or elsewhere."`
	Owner   string   `placeholder:"ADDR" help:"Makes it a mailing list: what goes to the targets goes in the owner's name, who hears of failures."`
}

// Run adds an alias.
func (c *aliasAddCmd) Run() error {
	if err := (aliasWords{c.Address, c.Targets}).check(); err != nil {
		return err
	}
	var a apid.Alias
	if err := c.call(http.MethodPost, "/aliases", map[string]any{"address": c.Address, "targets": c.Targets, "owner": c.Owner}, &a); err != nil {
		return err
	}
	return c.told(a)
}

// told says where an alias leads.
func (c *At) told(a apid.Alias) error {
	if a.Owner != "" {
		return c.say(a, "list %s of %s leads to %s", a.Address, a.Owner, strings.Join(a.Targets, ", "))
	}
	return c.say(a, "alias %s leads to %s", a.Address, strings.Join(a.Targets, ", "))
}

type aliasListCmd struct {
	At
	Domain string `placeholder:"NAME" help:"Only those of this domain."`
}

// Run lists the aliases.
func (c *aliasListCmd) Run() error {
	var all items[apid.Alias]
	if err := c.call(http.MethodGet, "/aliases?domain="+url.QueryEscape(c.Domain), nil, &all); err != nil {
		return err
	}
	return c.print(all, func(w io.Writer) {
		row(w, "ALIAS", "TARGETS", "OWNER")
		for _, a := range all.Items {
			row(w, a.Address, strings.Join(a.Targets, ", "), cmp.Or(a.Owner, "-"))
		}
	})
}

type aliasShowCmd struct {
	At
	Address string `arg:"" help:"The alias."`
}

// Run shows an alias, a target a line.
func (c *aliasShowCmd) Run() error {
	if err := mustAddress(c.Address, true); err != nil {
		return err
	}
	var a apid.Alias
	if err := c.call(http.MethodGet, at("aliases", c.Address), nil, &a); err != nil {
		return err
	}
	return c.print(a, func(w io.Writer) {
		for _, t := range a.Targets {
			row(w, t)
		}
	})
}

type aliasSetCmd struct {
	At
	Address string   `arg:"" help:"The alias."`
	Targets []string `arg:"" optional:"" help:"Where it leads from now on."`
	Owner   *string  `placeholder:"ADDR" help:"The owner of a mailing list; empty: it is none any more."`
}

// Run replaces the targets.
func (c *aliasSetCmd) Run() error {
	if err := (aliasWords{c.Address, c.Targets}).check(); err != nil {
		return err
	}
	body := map[string]any{}
	if len(c.Targets) > 0 {
		body["targets"] = c.Targets
	}
	if c.Owner != nil {
		body["owner"] = *c.Owner
	}
	if len(body) == 0 {
		return usageError{errors.New("say where it leads, or --owner")}
	}
	var a apid.Alias
	if err := c.call(http.MethodPatch, at("aliases", c.Address), body, &a); err != nil {
		return err
	}
	return c.told(a)
}

type aliasRemoveCmd struct {
	At
	Address string   `arg:"" help:"The alias."`
	Targets []string `arg:"" optional:"" help:"Only these targets; the last one takes the alias with it."`
}

// Run removes an alias or targets of it.
func (c *aliasRemoveCmd) Run() error {
	if err := (aliasWords{c.Address, c.Targets}).check(); err != nil {
		return err
	}
	path := at("aliases", c.Address)
	if len(c.Targets) > 0 {
		path += "?" + url.Values{"target": c.Targets}.Encode()
	}
	var was apid.Alias
	if err := c.call(http.MethodDelete, path, nil, &was); err != nil {
		return err
	}
	if len(c.Targets) > 0 {
		return c.say(was, "alias %s leads to %s no more", was.Address, strings.Join(c.Targets, ", "))
	}
	return c.say(was, "alias %s removed", was.Address)
}
