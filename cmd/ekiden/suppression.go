package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// SuppressCmd is `ekiden suppression`.
type SuppressCmd struct {
	List   suppressionListCmd   `cmd:"" help:"List to whom a domain does not send any more."`
	Add    suppressionAddCmd    `cmd:"" help:"Send nothing from a domain to a recipient any more; its users are told when they try."`
	Remove suppressionRemoveCmd `cmd:"" help:"Send to a recipient again."`
}

type suppressionListCmd struct {
	At
	Domain string `arg:"" help:"The domain that sends."`
}

// Run lists the entries, page by page.
func (c *suppressionListCmd) Run() error {
	if err := mustDomain(c.Domain); err != nil {
		return err
	}
	all, err := pages(c.call, at("domains", c.Domain)+"/suppressions?after=", func(i apid.Suppression) string { return i.Address })
	if err != nil {
		return err
	}
	return c.print(all, func(w io.Writer) {
		row(w, "ADDRESS", "REASON", "SINCE", "UNTIL", "DETAIL")
		for _, e := range all.Items {
			row(w, e.Address, e.Reason, date(e.Since), untilDay(e.Until), e.Detail)
		}
	})
}

func untilDay(t *time.Time) string {
	if t == nil {
		return "removed"
	}
	return date(*t)
}

type suppressionAddCmd struct {
	At
	Domain  string        `arg:"" help:"The domain that sends."`
	Address string        `arg:"" help:"The recipient."`
	For     time.Duration `placeholder:"D" help:"How long, such as 720h. Without it: until it is removed."`
	Note    string        `placeholder:"TEXT" help:"Why; the sender is told."`
}

// Run adds an entry.
func (c *suppressionAddCmd) Run() error {
	if err := mustDomain(c.Domain); err != nil {
		return err
	}
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	in := map[string]string{"address": c.Address, "note": c.Note}
	if c.For > 0 {
		in["for"] = c.For.String()
	}
	var e apid.Suppression
	if err := c.call(http.MethodPost, at("domains", c.Domain)+"/suppressions", in, &e); err != nil {
		return err
	}
	return c.say(e, "%s does not send to %s any more", c.Domain, e.Address)
}

type suppressionRemoveCmd struct {
	At
	Domain  string `arg:"" help:"The domain that sends."`
	Address string `arg:"" help:"The recipient."`
}

// Run removes an entry.
func (c *suppressionRemoveCmd) Run() error {
	if err := mustDomain(c.Domain); err != nil {
		return err
	}
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var was apid.Suppression
	if err := c.call(http.MethodDelete, at("domains", c.Domain)+at("suppressions", c.Address), nil, &was); err != nil {
		return err
	}
	return c.say(was, "%s sends to %s again", c.Domain, was.Address)
}

// OwnReports are options of reports on what a domain or an account sends.
type OwnReports struct {
	ReportLanguage *string `enum:"en,ja,both,default" placeholder:"en|ja|both|default" help:"The language of reports on what is sent; default for what the message or the level above says."`
	SignedPaths    *bool   `negatable:"" help:"Whether what is sent has a return path that names it, so that reports about it can be believed."`
}

// reports gives the options in the API's words.
func (o OwnReports) reports() map[string]any {
	in := map[string]any{}
	if l := o.ReportLanguage; l != nil {
		if in["language"] = *l; *l == "default" {
			in["language"] = ""
		}
	}
	if o.SignedPaths != nil {
		in["signed"] = *o.SignedPaths
	}
	return in
}

func (c *domainSetCmd) allReports() map[string]any {
	in := c.reports()
	if c.Suppress != nil {
		in["suppress"] = *c.Suppress
	}
	if c.SuppressFor != nil {
		in["suppress_days"] = *c.SuppressFor
	}
	return in
}

// showReports writes those settings that are not as they come.
func showReports(w io.Writer, r apid.Reports) {
	if r.Language != "" {
		row(w, "language of reports", r.Language)
	}
	if r.Signed {
		row(w, "return paths", "signed")
	}
	if r.Suppress {
		row(w, "who does not exist", fmt.Sprintf("is suppressed for %d days", r.SuppressDays))
	}
}
