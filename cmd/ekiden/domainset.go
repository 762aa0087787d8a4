package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

type domainSetCmd struct {
	At
	Name       string   `arg:"" help:"The domain."`
	Postmaster *string  `placeholder:"ADDR" help:"Where postmaster@ and abuse@ lead; empty for the domain's first account."`
	Separator  *string  `placeholder:"CHARS" help:"The characters behind which a sub-address begins, each of them alone (+ if nothing is set); none for no sub-addresses."`
	CatchAll   []string `placeholder:"ADDR" help:"Where mail for unknown recipients leads; none to refuse it. May be repeated."`
	AliasOf    *string  `placeholder:"NAME" help:"The domain that this one is another name of; none if it stands for itself."`
	Relay      []string `placeholder:"HOST:PORT" help:"Where mail for unknown recipients is sent: a host, mx for the domain's MX hosts that are preferred to us, or none. May be repeated."`
	RelayAsk   *bool    `negatable:"" help:"Whether that host is asked for each recipient before it is taken."`
	Unsure     *string  `name:"relay-unsure" enum:"accept,defer" placeholder:"accept|defer" help:"What becomes of a recipient while that host cannot be asked."`
	SCRAM      *bool    `name:"scram" negatable:"" help:"Whether verifiers of SCRAM are kept of its passwords: the weaker secret at rest."`
	HideClient *bool    `negatable:"" help:"Whether the address of the sender's client is kept out of Received."`
	OwnReports
	Suppress    *bool `negatable:"" help:"Whether recipients that do not exist, or complain, are suppressed by themselves; it brings --signed-paths with it."`
	SuppressFor *int  `placeholder:"DAYS" help:"How long they are; 0 for 90 days."`
	Screening
	UseOptions
	Bounds
}

// Bounds are options of what an account sends within 24 hours.
type Bounds struct {
	MaxMessagesSent  *string `placeholder:"N" help:"Messages an account may send within 24 hours; default for what the level above says, none for any number."`
	MaxRecipients    *string `placeholder:"N" help:"Recipients an account may send to within 24 hours, in the same words."`
	MaxNewRecipients *string `placeholder:"N" help:"Recipients within 24 hours whom the account has not written to before, in the same words."`
}

// sending gives the bounds in the API's words; nil if there are none.
func (b Bounds) sending() (map[string]int64, error) {
	var out map[string]int64
	for name, given := range map[string]*string{"messages": b.MaxMessagesSent, "recipients": b.MaxRecipients, "new_recipients": b.MaxNewRecipients} {
		if given == nil {
			continue
		}
		n, err := parseBound(*given)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = map[string]int64{}
		}
		out[name] = n
	}
	return out, nil
}

// parseBound reads a number over 0, default (0) or none (-1).
func parseBound(s string) (int64, error) {
	switch s {
	case "default":
		return 0, nil
	case "none":
		return -1, nil
	}
	var n int64
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil || n < 1 || fmt.Sprint(n) != s {
		return 0, usageError{fmt.Errorf("%q is not a number over 0, default or none", s)}
	}
	return n, nil
}

// bound writes what parseBound reads.
func bound(n int64) string {
	switch {
	case n == 0:
		return "default"
	case n < 0:
		return "none"
	}
	return fmt.Sprint(n)
}

func bounds(s apid.Sending) string {
	return fmt.Sprintf("messages %s, recipients %s, new recipients %s", bound(s.Messages), bound(s.Recipients), bound(s.New))
}

// orNone makes of the word none what the API takes for nothing.
func orNone(given []string) []string {
	if len(given) == 1 && given[0] == "none" {
		return []string{}
	}
	return given
}

// body gives the options in the API's words.
func (c *domainSetCmd) body() (map[string]any, error) {
	in := map[string]any{}
	if c.Postmaster != nil {
		if in["postmaster"] = *c.Postmaster; *c.Postmaster != "" {
			if err := mustAddress(*c.Postmaster, false); err != nil {
				return nil, err
			}
		}
	}
	if c.Separator != nil {
		in["separator"] = *c.Separator
	}
	if c.CatchAll != nil {
		to := orNone(c.CatchAll)
		for _, a := range to {
			if err := mustAddress(a, false); err != nil {
				return nil, err
			}
		}
		in["catch_all"] = to
	}
	if c.AliasOf != nil {
		as := strings.Join(orNone([]string{*c.AliasOf}), "")
		if as != "" {
			if err := mustDomain(as); err != nil {
				return nil, err
			}
		}
		in["alias_of"] = as
	}
	if c.SCRAM != nil {
		in["scram"] = *c.SCRAM
	}
	if c.HideClient != nil {
		in["hide_client"] = *c.HideClient
	}
	if r := c.relay(); len(r) > 0 {
		in["relay"] = r
	}
	if r := c.allReports(); len(r) > 0 {
		in["reports"] = r
	}
	if s := c.screening(); len(s) > 0 {
		in["screening"] = s
	}
	use, err := c.use()
	if err != nil {
		return nil, err
	}
	if use != nil {
		in["use"] = use
	}
	sending, err := c.sending()
	if sending != nil {
		in["sending"] = sending
	}
	if err == nil && len(in) == 0 {
		err = usageError{errors.New("nothing to set: see --help")}
	}
	return in, err
}

func (c *domainSetCmd) relay() map[string]any {
	r := map[string]any{}
	if c.Relay != nil {
		r["to"] = orNone(c.Relay)
	}
	if c.RelayAsk != nil {
		r["ask"] = *c.RelayAsk
	}
	if c.Unsure != nil {
		r["unsure"] = *c.Unsure
	}
	return r
}

// Run changes a domain.
func (c *domainSetCmd) Run() error {
	if err := mustDomain(c.Name); err != nil {
		return err
	}
	in, err := c.body()
	if err != nil {
		return err
	}
	var d apid.Domain
	if err := c.call(http.MethodPatch, at("domains", c.Name), in, &d); err != nil {
		return err
	}
	if c.Postmaster != nil && len(in) == 1 {
		return c.say(d, "postmaster of %s is %s", d.Name, d.Postmaster)
	}
	return c.say(d, "domain %s changed", d.Name)
}

// showSettings writes those that are not as they come.
func showSettings(w io.Writer, d apid.Domain) {
	row(w, "sub-addresses behind", d.Separator)
	if len(d.CatchAll) > 0 {
		row(w, "catch-all", strings.Join(d.CatchAll, ", "))
	}
	if d.AliasOf != "" {
		row(w, "another name of", d.AliasOf)
	}
	if r := d.Relay; len(r.To) > 0 {
		asked := "asked for each recipient; unsure: " + r.Unsure
		if !r.Ask {
			asked = "not asked"
		}
		row(w, "unknown recipients go to", strings.Join(r.To, ", ")+" ("+asked+")")
	}
	if d.Sending != (apid.Sending{}) {
		row(w, "an account sends in 24 hours", bounds(d.Sending))
	}
	showUse(w, d.Use)
	if !d.SCRAM {
		row(w, "SCRAM", "no verifiers are kept")
	}
	if d.HideClient {
		row(w, "client's address", "hidden")
	}
	showReports(w, d.Reports)
	showScreening(w, d.Screening)
}
