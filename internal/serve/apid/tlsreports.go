package apid

import (
	"context"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// TLSReport is what another server has told of lines to hosts of a domain of
// ours (RFC 8460).
type TLSReport struct {
	Received     time.Time    `json:"received"`
	Sender       string       `json:"sender,omitempty" doc:"the reverse-path; nothing proves it"`
	Organization string       `json:"organization"`
	Contact      string       `json:"contact,omitempty"`
	ID           string       `json:"id"`
	From         time.Time    `json:"from"`
	Until        time.Time    `json:"until"`
	Domain       string       `json:"domain"`
	Policy       string       `json:"policy" doc:"tlsa, sts or no-policy-found"`
	Successful   int64        `json:"successful" doc:"lines that were secured"`
	Failed       int64        `json:"failed"`
	Failures     []TLSFailure `json:"failures,omitempty"`
}

// TLSFailure is one kind of failure.
type TLSFailure struct {
	Result    string `json:"result" doc:"such as certificate-expired"`
	Lines     int64  `json:"lines"`
	Host      string `json:"host,omitempty" doc:"of the domain"`
	Sending   string `json:"sending,omitempty"`
	Receiving string `json:"receiving,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

type tlsReportsQuery struct {
	Domain string `query:"domain" maxLength:"255" doc:"of ours; empty: all"`
	Days   int    `query:"days" default:"14" minimum:"1" maximum:"90"`
}

func (s *server) tlsReports() {
	o := operation(http.MethodGet, "/tls-reports", "tls-reports", "reports", "What others have reported of TLS to our hosts, the latest first")
	register(s, o, func(ctx context.Context, in *tlsReportsQuery) (list[TLSReport], error) {
		var d mail.Domain
		var err error
		if in.Domain != "" {
			if d, err = parseDomain(in.Domain); err != nil {
				return list[TLSReport]{}, err
			}
		}
		if s.o.TLSReports == nil {
			return list[TLSReport]{}, fault.New(fault.Unsupported, "apid", "no reports are kept here")
		}
		all, err := s.o.TLSReports(ctx, d, time.Now().AddDate(0, 0, -in.Days))
		if all == nil {
			all = []TLSReport{}
		}
		return list[TLSReport]{all}, err
	})
}
