package apid

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// Alias is an address that leads to others.
type Alias struct {
	Address string    `json:"address" doc:"@domain is the catch-all" example:"sales@example.com"`
	Targets []string  `json:"targets" doc:"here or elsewhere"`
	Owner   string    `json:"owner,omitempty" doc:"makes it a mailing list: what goes to the targets goes in the owner's name, who hears of failures"`
	Added   time.Time `json:"added"`
}

func aliasBody(a directory.Alias) Alias {
	out := Alias{Address: a.Address.String(), Owner: a.Owner.String(), Added: a.Added}
	if a.Address.Local == "" {
		out.Address = "@" + string(a.Address.Domain)
	}
	for _, t := range a.Targets {
		out.Targets = append(out.Targets, t.String())
	}
	return out
}

func parseTargets(in []string) ([]mail.Address, error) {
	var out []mail.Address
	for _, s := range in {
		a, err := parseAddress(s)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// parseOwner reads the owner of a list; none is the null address.
func parseOwner(in *string) (mail.Address, error) {
	if in == nil || *in == "" {
		return mail.Address{}, nil
	}
	return parseAddress(*in)
}

// AliasPath names an alias.
type AliasPath struct {
	Address string `path:"address" maxLength:"400" doc:"@domain is the catch-all"`
}

type newAlias struct {
	Body struct {
		Address string   `json:"address" maxLength:"400" doc:"@domain takes what no other address of the domain takes"`
		Targets []string `json:"targets" minItems:"1" maxItems:"1000"`
		Owner   string   `json:"owner,omitempty" maxLength:"400" doc:"makes it a mailing list"`
	}
}

type changedAlias struct {
	AliasPath
	Body struct {
		Targets []string `json:"targets,omitempty" maxItems:"1000" doc:"none: they stay"`
		Owner   *string  `json:"owner,omitempty" maxLength:"400" doc:"empty: it is no mailing list any more"`
	}
}

type removedAlias struct {
	AliasPath
	Target []string `query:"target,explode" maxItems:"1000" doc:"only these targets; the last one takes the alias with it"`
}

func (s *server) aliases() {
	register(s, operation(http.MethodGet, "/aliases", "list-aliases", "aliases", "List the aliases"),
		func(ctx context.Context, in *inDomain) (list[Alias], error) {
			out := list[Alias]{Items: []Alias{}}
			d, err := in.parse()
			if err != nil {
				return out, err
			}
			all, err := s.o.Directory.Aliases(ctx)
			for _, a := range all {
				if d == "" || a.Address.Domain == d {
					out.Items = append(out.Items, aliasBody(a))
				}
			}
			return out, err
		})
	add := operation(http.MethodPost, "/aliases", "add-alias", "aliases", "Make an address lead to others")
	add.DefaultStatus, add.MaxBodyBytes = http.StatusCreated, maxAliasBody
	register(s, add, s.addAlias)
	register(s, operation(http.MethodGet, "/aliases/{address}", "show-alias", "aliases", "Show an alias"),
		func(ctx context.Context, in *AliasPath) (Alias, error) { return s.alias(ctx, in.Address) })
	set := operation(http.MethodPatch, "/aliases/{address}", "set-alias", "aliases", "Replace the targets of an alias, or its owner")
	set.MaxBodyBytes = maxAliasBody
	register(s, set, func(ctx context.Context, in *changedAlias) (Alias, error) {
		addr, err := parseName(in.Address)
		if err != nil {
			return Alias{}, err
		}
		targets, err := parseTargets(in.Body.Targets)
		if err != nil {
			return Alias{}, err
		}
		owner, err := parseOwner(in.Body.Owner)
		if err != nil {
			return Alias{}, err
		}
		err = s.o.Directory.UpdateAlias(ctx, addr, func(a *directory.Alias) error {
			if len(targets) > 0 {
				a.Targets = targets
			}
			if in.Body.Owner != nil {
				a.Owner = owner
			}
			return nil
		})
		if err != nil {
			return Alias{}, err
		}
		return s.alias(ctx, in.Address)
	})
	register(s, operation(http.MethodDelete, "/aliases/{address}", "remove-alias", "aliases", "Remove an alias, or some of its targets"), s.removeAlias)
}

func (s *server) alias(ctx context.Context, address string) (Alias, error) {
	addr, err := parseName(address)
	if err != nil {
		return Alias{}, err
	}
	a, err := s.o.Directory.Alias(ctx, addr)
	return aliasBody(a), err
}

func (s *server) addAlias(ctx context.Context, in *newAlias) (Alias, error) {
	addr, err := parseName(in.Body.Address)
	if err != nil {
		return Alias{}, err
	}
	targets, err := parseTargets(in.Body.Targets)
	if err != nil {
		return Alias{}, err
	}
	owner, err := parseOwner(&in.Body.Owner)
	if err != nil {
		return Alias{}, err
	}
	if err := s.o.Directory.AddList(ctx, addr, targets, owner); err != nil {
		return Alias{}, err
	}
	return s.alias(ctx, in.Body.Address)
}

// removeAlias gives the alias as it was.
func (s *server) removeAlias(ctx context.Context, in *removedAlias) (Alias, error) {
	addr, err := parseName(in.Address)
	if err != nil {
		return Alias{}, err
	}
	was, err := s.o.Directory.Alias(ctx, addr)
	if err != nil {
		return Alias{}, err
	}
	gone, err := parseTargets(in.Target)
	if err != nil {
		return Alias{}, err
	}
	for _, t := range gone {
		if !slices.Contains(was.Targets, t) {
			return Alias{}, fault.Newf(fault.NotFound, "apid", "%s does not lead to %s", aliasBody(was).Address, t)
		}
	}
	left := slices.DeleteFunc(slices.Clone(was.Targets), func(t mail.Address) bool { return slices.Contains(gone, t) })
	if len(gone) == 0 || len(left) == 0 {
		return aliasBody(was), s.o.Directory.RemoveAlias(ctx, addr)
	}
	return aliasBody(was), s.o.Directory.UpdateAlias(ctx, addr, func(a *directory.Alias) error {
		a.Targets = slices.DeleteFunc(a.Targets, func(t mail.Address) bool { return slices.Contains(gone, t) })
		return nil
	})
}
