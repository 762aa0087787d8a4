package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// AppPasswordCmd is `ekiden account app-password`.
type AppPasswordCmd struct {
	Add     appAddCmd     `cmd:"" help:"Make up a password for one program, and print it: it is told this once."`
	List    appListCmd    `cmd:"" help:"List an account's app passwords."`
	Remove  appRemoveCmd  `cmd:"" help:"Revoke an app password. All sessions of the account have to log in again."`
	Require appRequireCmd `cmd:"" help:"Let mail programs log in by app passwords alone, or by the main password too."`
}

type appAddCmd struct {
	At
	Address string        `arg:"" help:"The account."`
	Name    string        `arg:"" optional:"" help:"What its owner calls it, such as phone."`
	For     []string      `default:"imap,pop3,smtp" help:"What it opens: imap, pop3, smtp, managesieve, jmap, dav."`
	Expires time.Duration `placeholder:"D" help:"After how long it ends, such as 2160h. Without it: never."`
}

// Run makes one.
func (c *appAddCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	if c.Expires < 0 {
		return usageError{errors.New("--expires wants a time to come")}
	}
	in := map[string]any{"name": c.Name, "scopes": c.For}
	if c.Expires > 0 {
		in["for"] = c.Expires.String()
	}
	var p apid.AppPassword
	if err := c.call(http.MethodPost, at("accounts", c.Address)+"/app-passwords", in, &p); err != nil {
		return err
	}
	return c.print(p, func(w io.Writer) {
		fmt.Fprintln(w, "app password", p.ID, "of", clean(c.Address), "for", strings.Join(p.Scopes, ", "))
		fmt.Fprintln(w, "password:", p.Password)
	})
}

type appListCmd struct {
	At
	Address string `arg:"" help:"The account."`
}

// Run lists them.
func (c *appListCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var all items[apid.AppPassword]
	if err := c.call(http.MethodGet, at("accounts", c.Address)+"/app-passwords", nil, &all); err != nil {
		return err
	}
	return c.print(all, func(w io.Writer) {
		row(w, "ID", "NAME", "FOR", "ADDED", "EXPIRES", "USED")
		for _, p := range all.Items {
			row(w, p.ID, p.Name, strings.Join(p.Scopes, ","), date(p.Added), orNever(p.Expires), orNever(p.Used))
		}
	})
}

func orNever(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return date(*t)
}

type appRemoveCmd struct {
	At
	Address string `arg:"" help:"The account."`
	Which   string `arg:"" help:"The id of the app password, or its name where only one is called so."`
}

// Run revokes one.
func (c *appRemoveCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var p apid.AppPassword
	if err := c.call(http.MethodDelete, at("accounts", c.Address)+"/app-passwords/"+url.PathEscape(c.Which), nil, &p); err != nil {
		return err
	}
	return c.say(p, "app password %s of %s revoked", p.ID, c.Address)
}

type appRequireCmd struct {
	At
	Address string `arg:"" help:"The account."`
	Off     bool   `help:"The main password opens mail programs again."`
}

// Run changes that.
func (c *appRequireCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var s apid.LoginSettings
	if err := c.call(http.MethodPatch, at("accounts", c.Address)+"/login", map[string]any{"apps_only": !c.Off}, &s); err != nil {
		return err
	}
	if s.AppsOnly {
		return c.say(s, "mail programs of %s need an app password", s.Address)
	}
	return c.say(s, "mail programs of %s may use the main password", s.Address)
}

// TOTPCmd is `ekiden account totp`.
type TOTPCmd struct {
	Enrol   totpEnrolCmd   `cmd:"" help:"Give out a secret of one-time codes; it counts once confirmed."`
	Confirm totpConfirmCmd `cmd:"" help:"Turn one-time codes on, by the code that the authenticator shows now."`
	Remove  totpRemoveCmd  `cmd:"" help:"Turn one-time codes off, and forget the secret."`
	Show    totpShowCmd    `cmd:"" help:"Show how an account logs in."`
}

type totpEnrolCmd struct {
	At
	Address string `arg:"" help:"The account."`
}

// Run gives a secret out.
func (c *totpEnrolCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var e apid.Enrolment
	if err := c.call(http.MethodPost, at("accounts", c.Address)+"/totp", nil, &e); err != nil {
		return err
	}
	return c.print(e, func(w io.Writer) {
		fmt.Fprintln(w, "secret:", e.Secret)
		fmt.Fprintln(w, e.URI)
		fmt.Fprintln(w, "then: ekiden account totp confirm", clean(c.Address), "CODE")
	})
}

type totpConfirmCmd struct {
	At
	Address string `arg:"" help:"The account."`
	Code    string `arg:"" help:"Six digits."`
}

// Run turns codes on.
func (c *totpConfirmCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var s apid.LoginSettings
	if err := c.call(http.MethodPost, at("accounts", c.Address)+"/totp/confirm", map[string]any{"code": c.Code}, &s); err != nil {
		return err
	}
	return c.say(s, "one-time codes of %s are on", s.Address)
}

type totpRemoveCmd struct {
	At
	Address string `arg:"" help:"The account."`
}

// Run turns codes off.
func (c *totpRemoveCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var s apid.LoginSettings
	if err := c.call(http.MethodDelete, at("accounts", c.Address)+"/totp", nil, &s); err != nil {
		return err
	}
	return c.say(s, "one-time codes of %s are off", s.Address)
}

type totpShowCmd struct {
	At
	Address string `arg:"" help:"The account."`
}

// Run shows them.
func (c *totpShowCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var s apid.LoginSettings
	if err := c.call(http.MethodGet, at("accounts", c.Address)+"/login", nil, &s); err != nil {
		return err
	}
	return c.print(s, func(w io.Writer) {
		row(w, "account", s.Address)
		row(w, "one-time codes", onOff(s.TOTP))
		row(w, "app passwords", fmt.Sprint(s.AppPasswords), map[bool]string{true: "needed by mail programs"}[s.AppsOnly])
		row(w, "SCRAM", strings.Join(s.SCRAM, ", "))
	})
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
