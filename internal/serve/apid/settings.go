package apid

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// Relay is where mail for unknown recipients of a domain goes.
type Relay struct {
	To     []string `json:"to" maxItems:"10" doc:"hosts in the order to be tried, each host or host:port; mx alone means the domain's MX hosts that are preferred to us; empty: nowhere"`
	Ask    bool     `json:"ask" doc:"whether the host is asked for each recipient before it is taken"`
	Unsure string   `json:"unsure" enum:"accept,defer" doc:"what becomes of a recipient while the host cannot be asked"`
}

// Sending bounds what one account sends within 24 hours.
type Sending struct {
	Messages   int64 `json:"messages" doc:"0: what the level above says; negative: any number"`
	Recipients int64 `json:"recipients" doc:"0: what the level above says; negative: any number"`
	New        int64 `json:"new_recipients" doc:"whom the account has not written to before; 0: what the level above says; negative: any number"`
}

func sendingBody(s directory.Sending) Sending { return Sending(s) }

// SentLately is what an account has sent within 24 hours.
type SentLately struct {
	Messages   uint64 `json:"messages"`
	Recipients uint64 `json:"recipients"`
	New        uint64 `json:"new_recipients" doc:"whom it had not written to before"`
	Refused    uint64 `json:"refused" doc:"recipients who were refused for good, here or by their hosts"`
}

// DomainSettings are what an operator decides for a domain.
type DomainSettings struct {
	Separator  string    `json:"separator" doc:"the characters behind which a sub-address begins, each of them alone; none: there are no sub-addresses" example:"+"`
	CatchAll   []string  `json:"catch_all" doc:"where mail for unknown recipients leads"`
	AliasOf    string    `json:"alias_of" doc:"the domain that this one is another name of"`
	Relay      Relay     `json:"relay"`
	Sending    Sending   `json:"sending" doc:"bounds of each account"`
	SCRAM      bool      `json:"scram" doc:"whether verifiers of SCRAM are kept of its passwords"`
	Reports    Reports   `json:"reports" doc:"what is done about reports on what the domain sends"`
	Screening  Screening `json:"screening" doc:"of what strangers send to it"`
	Use        Use       `json:"use" doc:"how its accounts are used"`
	HideClient bool      `json:"hide_client" doc:"whether the sender's address is kept out of Received"`
}

// settingsBody tells the settings of a domain with its catch-all.
func (s *server) settingsBody(ctx context.Context, d directory.Domain) (DomainSettings, error) {
	set := d.Settings
	out := DomainSettings{
		Separator: set.Separators(), CatchAll: []string{}, AliasOf: string(set.AliasOf), Sending: sendingBody(set.Sending), HideClient: set.HideClient, SCRAM: !set.NoSCRAM, Reports: reportsBody(set.Reports), Screening: Screening(set.Screening), Use: useBody(set.Use),
		Relay: Relay{To: append([]string{}, set.Relay.To...), Ask: !set.Relay.Unasked, Unsure: directory.Defer},
	}
	if out.Separator == "" {
		out.Separator = directory.NoSeparator
	}
	if set.Relay.Accepts() {
		out.Relay.Unsure = directory.Accept
	}
	all, err := s.o.Directory.Alias(ctx, mail.Address{Domain: d.Name})
	if fault.Is(err, fault.NotFound) {
		return out, nil
	}
	for _, t := range all.Targets {
		out.CatchAll = append(out.CatchAll, t.String())
	}
	return out, err
}

// changedSettings are those that a request names.
type changedSettings struct {
	Postmaster *string   `json:"postmaster,omitempty" doc:"where postmaster@ and abuse@ lead; empty for the domain's first account"`
	Separator  *string   `json:"separator,omitempty" maxLength:"8" doc:"the characters behind which a sub-address begins; none: there are no sub-addresses"`
	CatchAll   *[]string `json:"catch_all,omitempty" maxItems:"1000" doc:"empty: unknown recipients are refused"`
	AliasOf    *string   `json:"alias_of,omitempty" maxLength:"255" doc:"empty: the domain stands for itself"`
	Relay      *struct {
		To     *[]string `json:"to,omitempty" maxItems:"10"`
		Ask    *bool     `json:"ask,omitempty"`
		Unsure *string   `json:"unsure,omitempty" enum:"accept,defer"`
	} `json:"relay,omitempty"`
	Sending    *changedSending   `json:"sending,omitempty"`
	Reports    *changedReports   `json:"reports,omitempty"`
	Screening  *changedScreening `json:"screening,omitempty"`
	SCRAM      *bool             `json:"scram,omitempty"`
	HideClient *bool             `json:"hide_client,omitempty"`
	Use        *changedUse       `json:"use,omitempty"`
}

// changedSending are the bounds that a request names.
type changedSending struct {
	Messages   *int64 `json:"messages,omitempty" doc:"0: what the level above says; negative: any number"`
	Recipients *int64 `json:"recipients,omitempty"`
	New        *int64 `json:"new_recipients,omitempty"`
}

func (c *changedSending) apply(s *directory.Sending) {
	if c == nil {
		return
	}
	assign(&s.Messages, c.Messages)
	assign(&s.Recipients, c.Recipients)
	assign(&s.New, c.New)
}

// assign sets what is given.
func assign[T any](to *T, given *T) {
	if given != nil {
		*to = *given
	}
}

// changes reads a request; what it gives changes a domain.
func (c *changedSettings) changes() (func(*directory.Domain) error, error) {
	var postmaster mail.Address
	var as mail.Domain
	var err error
	if c.Postmaster != nil && *c.Postmaster != "" {
		if postmaster, err = parseAddress(*c.Postmaster); err != nil {
			return nil, err
		}
	}
	if c.AliasOf != nil && *c.AliasOf != "" {
		if as, err = parseDomain(*c.AliasOf); err != nil {
			return nil, err
		}
	}
	return func(d *directory.Domain) error {
		set := &d.Settings
		if c.Postmaster != nil {
			d.Postmaster = postmaster
		}
		if c.AliasOf != nil {
			set.AliasOf = as
		}
		assign(&set.Separator, c.Separator)
		assign(&set.HideClient, c.HideClient)
		if c.SCRAM != nil {
			set.NoSCRAM = !*c.SCRAM
		}
		c.Sending.apply(&set.Sending)
		c.Reports.apply(&set.Reports)
		c.Screening.apply(&set.Screening)
		c.Use.apply(&set.Use)
		if r := c.Relay; r != nil {
			assign(&set.Relay.To, r.To)
			assign(&set.Relay.Unsure, r.Unsure)
			if r.Ask != nil {
				set.Relay.Unasked = !*r.Ask
			}
			if len(set.Relay.To) == 0 {
				set.Relay = directory.Relay{}
			}
		}
		return nil
	}, nil
}

// setDomain changes what a request names; the catch-all, which is an alias, last.
func (s *server) setDomain(ctx context.Context, in *changedDomain) (Domain, error) {
	name, err := parseDomain(in.Name)
	if err != nil {
		return Domain{}, err
	}
	change, err := in.Body.changes()
	if err != nil {
		return Domain{}, err
	}
	var targets []mail.Address
	if c := in.Body.CatchAll; c != nil {
		if targets, err = parseTargets(*c); err != nil {
			return Domain{}, err
		}
	}
	if err := s.o.Directory.UpdateDomain(ctx, name, change); err != nil {
		return Domain{}, err
	}
	if in.Body.CatchAll != nil {
		if err := s.setCatchAll(ctx, mail.Address{Domain: name}, targets); err != nil {
			return Domain{}, err
		}
	}
	return s.domain(ctx, in.Name)
}

func (s *server) setCatchAll(ctx context.Context, at mail.Address, targets []mail.Address) error {
	d := s.o.Directory
	if len(targets) == 0 {
		if err := d.RemoveAlias(ctx, at); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		return nil
	}
	err := d.UpdateAlias(ctx, at, func(a *directory.Alias) error { a.Targets = targets; return nil })
	if fault.Is(err, fault.NotFound) {
		err = d.AddAlias(ctx, at, targets)
	}
	return err
}
