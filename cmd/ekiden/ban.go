package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/state/ban"
)

// BanCmd is `ekiden ban`.
type BanCmd struct {
	List     banListCmd     `cmd:"" help:"List who is kept out at every door, and who is never."`
	Add      banAddCmd      `cmd:"" help:"Keep an address or a network out."`
	Remove   banRemoveCmd   `cmd:"" help:"Lift a ban, and forget that it was."`
	Allow    banAllowCmd    `cmd:"" help:"Never keep an address or a network out, nor count it against rates."`
	Disallow banDisallowCmd `cmd:"" help:"Take a network off the list of those never kept out."`
}

// mustNet says what is wrong with a network.
func mustNet(s string) error {
	if _, err := ban.ParseNet(s); err != nil {
		return usageError{fmt.Errorf("%q is neither an address nor a network such as 192.0.2.0/24", s)}
	}
	return nil
}

type banListCmd struct {
	At
	All bool `help:"Those bans too that are over, and count for the length of the next."`
}

// banLists is what the list answers in JSON.
type banLists struct {
	Bans    []apid.Ban        `json:"bans"`
	Allowed []apid.AllowedNet `json:"allowed"`
}

// Run lists bans and allowed networks.
func (c *banListCmd) Run() error {
	path := "/bans"
	if c.All {
		path += "?all=true"
	}
	var bans items[apid.Ban]
	if err := c.call(http.MethodGet, path, nil, &bans); err != nil {
		return err
	}
	var allowed items[apid.AllowedNet]
	if err := c.call(http.MethodGet, "/allowed", nil, &allowed); err != nil {
		return err
	}
	return c.print(banLists{bans.Items, allowed.Items}, func(w io.Writer) {
		row(w, "NET", "UNTIL", "TIMES", "REASON")
		for _, b := range bans.Items {
			row(w, b.Net, ends(b), fmt.Sprint(b.Times), b.Reason)
		}
		for _, a := range allowed.Items {
			row(w, a.Net, "allowed", "", a.Note)
		}
	})
}

// ends says when a ban does.
func ends(b apid.Ban) string {
	switch {
	case b.Until == nil:
		return "lifted"
	case b.Over:
		return "over"
	}
	return b.Until.Local().Format(time.DateTime)
}

type banAddCmd struct {
	At
	Net    string        `arg:"" help:"An address, or a network such as 192.0.2.0/24 or 2001:db8::/48."`
	For    time.Duration `placeholder:"D" help:"How long, such as 24h. Without it: until it is lifted."`
	Reason string        `placeholder:"TEXT" help:"Why, for who reads the list."`
}

// Run bans a network.
func (c *banAddCmd) Run() error {
	if err := mustNet(c.Net); err != nil {
		return err
	}
	body := map[string]any{"net": c.Net, "reason": c.Reason}
	if c.For > 0 {
		body["for"] = c.For.String()
	}
	var b apid.Ban
	if err := c.call(http.MethodPost, "/bans", body, &b); err != nil {
		return err
	}
	if b.Until == nil {
		return c.say(b, "%s is banned until the ban is lifted", b.Net)
	}
	return c.say(b, "%s is banned until %s", b.Net, ends(b))
}

type banRemoveCmd struct {
	At
	Net string `arg:"" help:"The network, as the list has it."`
}

// Run lifts a ban.
func (c *banRemoveCmd) Run() error {
	if err := mustNet(c.Net); err != nil {
		return err
	}
	var was apid.Net
	if err := c.call(http.MethodDelete, at("bans", c.Net), nil, &was); err != nil {
		return err
	}
	return c.say(was, "%s is not banned any more", was.Net)
}

type banAllowCmd struct {
	At
	Net  string `arg:"" help:"An address or a network."`
	Note string `placeholder:"TEXT" help:"Whose it is, for who reads the list."`
}

// Run allows a network.
func (c *banAllowCmd) Run() error {
	if err := mustNet(c.Net); err != nil {
		return err
	}
	var a apid.AllowedNet
	if err := c.call(http.MethodPost, "/allowed", map[string]any{"net": c.Net, "note": c.Note}, &a); err != nil {
		return err
	}
	return c.say(a, "%s is never banned", a.Net)
}

type banDisallowCmd struct {
	At
	Net string `arg:"" help:"The network, as the list has it."`
}

// Run takes a network off the list of the allowed.
func (c *banDisallowCmd) Run() error {
	if err := mustNet(c.Net); err != nil {
		return err
	}
	var was apid.Net
	if err := c.call(http.MethodDelete, at("allowed", c.Net), nil, &was); err != nil {
		return err
	}
	return c.say(was, "%s can be banned again", was.Net)
}
