package app

import (
	"context"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// tlsReports gives what others have reported, in the API's words.
func (r *rooms) tlsReports(ctx context.Context, d mail.Domain, since time.Time) ([]apid.TLSReport, error) {
	taken, err := r.reporter.List(ctx, d, since)
	var all []apid.TLSReport
	for _, t := range taken {
		rep := apid.TLSReport{
			Received: t.Received.UTC(), Sender: t.Sender, Organization: t.Organization, Contact: t.Contact, ID: t.ID, From: t.From.UTC(), Until: t.Until.UTC(),
			Domain: string(t.Policy.Domain), Policy: string(t.Policy.Type), Successful: t.Successful, Failed: t.Failed,
		}
		for _, f := range t.Failures {
			rep.Failures = append(rep.Failures, apid.TLSFailure{
				Result: string(f.Result), Lines: f.Sessions, Host: f.Host, Sending: text(f.Sending), Receiving: text(f.Receiving), Reason: f.Reason,
			})
		}
		all = append(all, rep)
	}
	return all, err
}

// text is "" for no address.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// takeReports reads the reports among the mail that comes in.
func (r *rooms) takeReports(ctx context.Context, a *mail.Arrival) {
	r.returns.Take(ctx, a)
	r.reporter.Take(ctx, a)
}
