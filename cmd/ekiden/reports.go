package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// ReportsCmd is `ekiden reports`.
type ReportsCmd struct {
	TLS tlsReportsCmd `cmd:"" name:"tls" help:"How TLS to the hosts of our domains went for others (TLSRPT)."`
}

type tlsReportsCmd struct {
	At
	Domain string `arg:"" optional:"" help:"The domain; without it all of ours."`
	Days   int    `default:"14" placeholder:"N" help:"Reports that came in within so many days."`
}

// Run lists the reports.
func (c *tlsReportsCmd) Run() error {
	if c.Days < 1 || c.Days > 90 {
		return usageError{errors.New("--days: from 1 to 90")}
	}
	q := url.Values{"days": {fmt.Sprint(c.Days)}}
	if c.Domain != "" {
		if err := mustDomain(c.Domain); err != nil {
			return err
		}
		q.Set("domain", c.Domain)
	}
	var all items[apid.TLSReport]
	if err := c.call(http.MethodGet, "/tls-reports?"+q.Encode(), nil, &all); err != nil {
		return err
	}
	return c.print(all, func(w io.Writer) {
		row(w, "DAY", "DOMAIN", "BY", "POLICY", "SECURED", "FAILED")
		for _, r := range all.Items {
			row(w, r.From.Format(time.DateOnly), r.Domain, r.Organization, r.Policy, r.Successful, r.Failed)
			for _, f := range r.Failures {
				row(w, "", f.Host, f.Result, f.Reason, "", f.Lines)
			}
		}
	})
}
