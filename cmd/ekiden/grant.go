package main

import (
	"io"
	"net/http"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// GrantCmd is `ekiden account grant`.
type GrantCmd struct {
	Add    grantAddCmd    `cmd:"" help:"Let an account send as another address, or as every address of @DOMAIN."`
	List   grantListCmd   `cmd:"" help:"List what an account may send as besides its own addresses."`
	Remove grantRemoveCmd `cmd:"" help:"Take a grant back."`
}

type grantWords struct {
	At
	Address string `arg:"" help:"The account."`
	As      string `arg:"" help:"The address to send as, or @DOMAIN for every address of a domain."`
}

func (c *grantWords) check() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	return mustAddress(c.As, true)
}

type grantAddCmd struct{ grantWords }

// Run adds a grant.
func (c *grantAddCmd) Run() error {
	if err := c.check(); err != nil {
		return err
	}
	var all items[apid.Grant]
	if err := c.call(http.MethodPost, at("accounts", c.Address)+"/grants", map[string]string{"address": c.As}, &all); err != nil {
		return err
	}
	return c.say(all, "%s may send as %s", c.Address, c.As)
}

type grantListCmd struct {
	At
	Address string `arg:"" help:"The account."`
}

// Run lists the grants of an account.
func (c *grantListCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var all items[apid.Grant]
	if err := c.call(http.MethodGet, at("accounts", c.Address)+"/grants", nil, &all); err != nil {
		return err
	}
	return c.print(all, func(w io.Writer) {
		row(w, "MAY SEND AS", "SINCE")
		for _, g := range all.Items {
			row(w, g.Address, date(g.Added))
		}
	})
}

type grantRemoveCmd struct{ grantWords }

// Run takes a grant back.
func (c *grantRemoveCmd) Run() error {
	if err := c.check(); err != nil {
		return err
	}
	var all items[apid.Grant]
	if err := c.call(http.MethodDelete, at("accounts", c.Address)+at("grants", c.As), nil, &all); err != nil {
		return err
	}
	return c.say(all, "%s may send as %s no more", c.Address, c.As)
}

type accountHoldCmd struct {
	At
	Address string `arg:"" help:"The account."`
	Reason  string `placeholder:"TEXT" help:"What is shown with the account."`
}

// Run holds an account.
func (c *accountHoldCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var a apid.Account
	if err := c.call(http.MethodPost, at("accounts", c.Address)+"/hold", map[string]string{"reason": c.Reason}, &a); err != nil {
		return err
	}
	return c.say(a, "what %s sends is held in the queue", a.Address)
}

type accountReleaseCmd struct {
	At
	Address string `arg:"" help:"The account."`
}

// Run releases an account.
func (c *accountReleaseCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var r apid.Released
	if err := c.call(http.MethodPost, at("accounts", c.Address)+"/release", nil, &r); err != nil {
		return err
	}
	what := "deliveries"
	if r.Deliveries == 1 {
		what = "delivery"
	}
	return c.say(r, "account %s may send again; %d held %s released", r.Address, r.Deliveries, what)
}
