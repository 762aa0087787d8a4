package apid

import (
	"context"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/suppress"
)

// OwnReports is what an account says of reports on what it sends.
type OwnReports struct {
	Language string `json:"language" enum:"en,ja,both," doc:"of reports that we write; empty: what the message or the domain says"`
	Signed   bool   `json:"signed" doc:"whether what is sent has a return path that names it, so that reports can be believed"`
}

// Reports is what a domain says of reports on what it sends.
type Reports struct {
	OwnReports
	Suppress     bool `json:"suppress" doc:"whether recipients that do not exist, or complain, are suppressed by themselves"`
	SuppressDays int  `json:"suppress_days" doc:"for how long"`
}

func reportsBody(r directory.Reports) Reports {
	return Reports{
		OwnReports: OwnReports{Language: r.Language, Signed: r.Signed || r.Suppress}, Suppress: r.Suppress,
		SuppressDays: int(r.SuppressFor() / (24 * time.Hour)),
	}
}

// changedOwnReports are those that a request names.
type changedOwnReports struct {
	Language *string `json:"language,omitempty" enum:"en,ja,both," doc:"of reports that we write; empty: what the message or the domain says"`
	Signed   *bool   `json:"signed,omitempty"`
}

func (c *changedOwnReports) apply(r *directory.Reports) {
	if c != nil {
		assign(&r.Language, c.Language)
		assign(&r.Signed, c.Signed)
	}
}

// changedReports are those that a request names.
type changedReports struct {
	Language     *string `json:"language,omitempty" enum:"en,ja,both," doc:"of reports that we write; empty: what the message says"`
	Signed       *bool   `json:"signed,omitempty"`
	Suppress     *bool   `json:"suppress,omitempty"`
	SuppressDays *int    `json:"suppress_days,omitempty" minimum:"0" doc:"0: as it comes"`
}

func (c *changedReports) apply(r *directory.Reports) {
	if c != nil {
		assign(&r.Language, c.Language)
		assign(&r.Signed, c.Signed)
		assign(&r.Suppress, c.Suppress)
		assign(&r.SuppressDays, c.SuppressDays)
	}
}

// Suppression is a recipient to whom a domain does not send any more.
type Suppression struct {
	Address string     `json:"address"`
	Reason  string     `json:"reason" doc:"one of the words of docs/reports.md; other where a person says so" example:"unknown-user"`
	Detail  string     `json:"detail,omitempty" doc:"what the recipient's host said, or a note"`
	Manual  bool       `json:"manual" doc:"a person made it"`
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until,omitempty" doc:"absent: until it is removed"`
	Message string     `json:"message,omitempty" doc:"the id of the message that it began with"`
}

func suppressionBody(e suppress.Entry) Suppression {
	out := Suppression{
		Address: e.To.String(), Reason: string(e.Reason), Detail: e.Detail, Manual: e.Manual, Since: e.Since.UTC(), Until: moment(e.Until),
	}
	if e.Message != (mail.ArrivalID{}) {
		out.Message = e.Message.String()
	}
	return out
}

type suppressionList struct {
	Items []Suppression `json:"items" doc:"by domain and local part"`
	More  bool          `json:"more,omitempty" doc:"the limit was reached"`
}

type suppressionPath struct {
	DomainPath
	Address string `path:"address" maxLength:"400"`
}

type newSuppression struct {
	DomainPath
	Body struct {
		Address string `json:"address" maxLength:"400"`
		For     string `json:"for,omitempty" maxLength:"40" doc:"a duration such as 720h; absent: until it is removed"`
		Note    string `json:"note,omitempty" maxLength:"200"`
	}
}

type suppressionsQuery struct {
	DomainPath
	After string `query:"after" maxLength:"400" doc:"only those behind this address: the last one of the page before"`
	Limit int    `query:"limit" default:"1000" minimum:"1" maximum:"10000"`
}

func (s *server) suppressions() {
	const path = "/domains/{name}/suppressions"
	register(s, operation(http.MethodGet, path, "list-suppressions", "suppressions", "List to whom a domain does not send any more"), s.listSuppressions)
	add := operation(http.MethodPost, path, "add-suppression", "suppressions", "Send nothing to a recipient any more")
	add.DefaultStatus = http.StatusCreated
	register(s, add, s.addSuppression)
	register(s, operation(http.MethodDelete, path+"/{address}", "remove-suppression", "suppressions", "Send to a recipient again"),
		func(ctx context.Context, in *suppressionPath) (Suppression, error) {
			d, to, err := s.suppressed(ctx, in.Name, in.Address)
			if err != nil {
				return Suppression{}, err
			}
			was, err := s.o.Suppress.Remove(ctx, d, to)
			return suppressionBody(was), err
		})
}

// suppressed reads a domain, which must be ours, and a recipient.
func (s *server) suppressed(ctx context.Context, name, address string) (mail.Domain, mail.Address, error) {
	d, err := s.domain(ctx, name)
	if err != nil || address == "" {
		return mail.Domain(d.Name), mail.Address{}, err
	}
	to, err := parseAddress(address)
	return mail.Domain(d.Name), to, err
}

func (s *server) listSuppressions(ctx context.Context, in *suppressionsQuery) (suppressionList, error) {
	out := suppressionList{Items: []Suppression{}}
	d, after, err := s.suppressed(ctx, in.Name, in.After)
	if err != nil {
		return out, err
	}
	var last suppress.Entry
	if !after.IsNull() {
		last = suppress.Entry{Domain: d, To: after}
	}
	found, err := s.o.Suppress.List(ctx, d, last, time.Now(), in.Limit)
	for _, e := range found {
		out.Items = append(out.Items, suppressionBody(e))
	}
	out.More = len(found) == in.Limit
	return out, err
}

func (s *server) addSuppression(ctx context.Context, in *newSuppression) (Suppression, error) {
	d, to, err := s.suppressed(ctx, in.Name, in.Body.Address)
	if err != nil {
		return Suppression{}, err
	}
	e := suppress.Entry{Domain: d, To: to, Reason: "other", Detail: in.Body.Note, Manual: true, Since: time.Now()}
	if in.Body.For != "" {
		span, err := time.ParseDuration(in.Body.For)
		if err != nil || span <= 0 {
			return Suppression{}, fault.Newf(fault.Invalid, "apid", "%.40q is not a duration such as 720h", in.Body.For)
		}
		e.Until = e.Since.Add(span)
	}
	return suppressionBody(e), s.o.Suppress.Add(ctx, e)
}
