package apid

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// Domain is a domain whose mail is ours.
type Domain struct {
	Name       string    `json:"name" doc:"in A-labels" example:"example.com"`
	Unicode    string    `json:"unicode" doc:"the name as a person reads it"`
	Added      time.Time `json:"added"`
	Postmaster string    `json:"postmaster" doc:"where postmaster@ and abuse@ lead; empty while the domain has no account"`

	DomainSettings
}

func (s *server) domainBody(ctx context.Context, d directory.Domain) (Domain, error) {
	set, err := s.settingsBody(ctx, d)
	return Domain{
		Name: string(d.Name), Unicode: d.Name.Unicode(), Added: d.Added, Postmaster: d.Postmaster.String(), DomainSettings: set,
	}, err
}

// parseDomain reads a domain in a request.
func parseDomain(s string) (mail.Domain, error) {
	d, err := mail.ParseDomain(s)
	if err != nil {
		return "", fault.Newf(fault.Invalid, "apid", "%v", err)
	}
	return d, nil
}

// parseAddress reads an address in a request.
func parseAddress(s string) (mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return mail.Address{}, fault.Newf(fault.Invalid, "apid", "%v", err)
	}
	return a, nil
}

// parseName reads an address that may be the catch-all of a domain, "@domain".
func parseName(s string) (mail.Address, error) {
	if d, ok := strings.CutPrefix(s, "@"); ok {
		domain, err := parseDomain(d)
		return mail.Address{Domain: domain}, err
	}
	return parseAddress(s)
}

// DomainPath names a domain.
type DomainPath struct {
	Name string `path:"name" maxLength:"255" doc:"the domain, in either form"`
}

type newDomain struct {
	Body struct {
		Name       string `json:"name" maxLength:"255" doc:"the domain, in either form"`
		Postmaster string `json:"postmaster,omitempty" doc:"where postmaster@ and abuse@ lead; otherwise the first account that is added"`
	}
}

type changedDomain struct {
	DomainPath
	Body changedSettings
}

func (s *server) domains() {
	d := s.o.Directory
	register(s, operation(http.MethodGet, "/domains", "list-domains", "domains", "List the domains"),
		func(ctx context.Context, _ *struct{}) (list[Domain], error) {
			all, err := d.Domains(ctx)
			out := list[Domain]{Items: []Domain{}}
			for _, one := range all {
				body, err := s.domainBody(ctx, one)
				if err != nil {
					return out, err
				}
				out.Items = append(out.Items, body)
			}
			return out, err
		})
	add := operation(http.MethodPost, "/domains", "add-domain", "domains", "Take in a domain")
	add.DefaultStatus = http.StatusCreated
	register(s, add, s.addDomain)
	register(s, operation(http.MethodGet, "/domains/{name}", "show-domain", "domains", "Show a domain"),
		func(ctx context.Context, in *DomainPath) (Domain, error) { return s.domain(ctx, in.Name) })
	register(s, operation(http.MethodPatch, "/domains/{name}", "set-domain", "domains", "Change a domain"), s.setDomain)
	register(s, operation(http.MethodDelete, "/domains/{name}", "remove-domain", "domains", "Remove a domain without accounts, and its aliases"),
		func(ctx context.Context, in *DomainPath) (Domain, error) {
			was, err := s.domain(ctx, in.Name)
			if err != nil {
				return was, err
			}
			return was, d.RemoveDomain(ctx, mail.Domain(was.Name))
		})
}

func (s *server) domain(ctx context.Context, name string) (Domain, error) {
	parsed, err := parseDomain(name)
	if err != nil {
		return Domain{}, err
	}
	found, err := s.o.Directory.Domain(ctx, parsed)
	if err != nil {
		return Domain{}, err
	}
	return s.domainBody(ctx, found)
}

func (s *server) addDomain(ctx context.Context, in *newDomain) (Domain, error) {
	name, err := parseDomain(in.Body.Name)
	if err != nil {
		return Domain{}, err
	}
	if in.Body.Postmaster != "" {
		if _, err := parseAddress(in.Body.Postmaster); err != nil {
			return Domain{}, err
		}
	}
	if err := s.o.Directory.AddDomain(ctx, name); err != nil {
		return Domain{}, err
	}
	if s.o.Sign {
		if err := s.o.Keys.Ensure(ctx, name); err != nil {
			return Domain{}, err
		}
	}
	if in.Body.Postmaster != "" {
		if err := s.setPostmaster(ctx, string(name), in.Body.Postmaster); err != nil {
			return Domain{}, err
		}
	}
	return s.domain(ctx, string(name))
}

func (s *server) setPostmaster(ctx context.Context, name, postmaster string) error {
	d, err := parseDomain(name)
	if err != nil {
		return err
	}
	var to mail.Address
	if postmaster != "" {
		if to, err = parseAddress(postmaster); err != nil {
			return err
		}
	}
	return s.o.Directory.UpdateDomain(ctx, d, func(d *directory.Domain) error { d.Postmaster = to; return nil })
}
