package apid

import (
	"context"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Ban keeps a network out at every door.
type Ban struct {
	Net    string     `json:"net" doc:"an IPv4 address or network, or an IPv6 network" example:"192.0.2.0/24"`
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty" doc:"absent: until it is lifted"`
	Times  int        `json:"times" doc:"how often it was banned lately, this time too; each ban by a guard is twice as long as the one before"`
	Reason string     `json:"reason,omitempty"`
	Manual bool       `json:"manual" doc:"a person made it"`
	Over   bool       `json:"over,omitempty" doc:"it has ended, and counts only for the length of the next"`
}

// AllowedNet is a network that is never banned.
type AllowedNet struct {
	Net   string    `json:"net" example:"192.0.2.0/24"`
	Since time.Time `json:"since"`
	Note  string    `json:"note,omitempty"`
}

// Bans is who is kept out, and who never. Networks are as a person writes them;
// fault.Invalid for what is none.
type Bans interface {
	List(ctx context.Context, all bool) ([]Ban, error)
	Add(ctx context.Context, net string, d time.Duration, reason string) (Ban, error)
	Remove(ctx context.Context, net string) (Net, error)
	Allowed(ctx context.Context) ([]AllowedNet, error)
	Allow(ctx context.Context, net, note string) (AllowedNet, error)
	Disallow(ctx context.Context, net string) (Net, error)
}

// Net is a network that something was true of.
type Net struct {
	Net string `json:"net"`
}

type netPath struct {
	Net string `path:"net" maxLength:"60" doc:"an address or a network"`
}

type bansQuery struct {
	All bool `query:"all" doc:"those too that are over"`
}

type newBan struct {
	Body struct {
		Net    string `json:"net" maxLength:"60" doc:"an address or a network"`
		For    string `json:"for,omitempty" maxLength:"40" doc:"a duration such as 24h; absent: until it is lifted"`
		Reason string `json:"reason,omitempty" maxLength:"200"`
	}
}

type newAllowed struct {
	Body struct {
		Net  string `json:"net" maxLength:"60" doc:"an address or a network"`
		Note string `json:"note,omitempty" maxLength:"200"`
	}
}

func (s *server) bans() {
	register(s, operation(http.MethodGet, "/bans", "list-bans", "bans", "List who is kept out"),
		func(ctx context.Context, in *bansQuery) (list[Ban], error) {
			all, err := s.o.Bans.List(ctx, in.All)
			return list[Ban]{append([]Ban{}, all...)}, err
		})
	add := operation(http.MethodPost, "/bans", "add-ban", "bans", "Keep an address or a network out")
	add.DefaultStatus = http.StatusCreated
	register(s, add, s.addBan)
	register(s, operation(http.MethodDelete, "/bans/{net}", "remove-ban", "bans", "Lift a ban, and forget that it was"),
		func(ctx context.Context, in *netPath) (Net, error) { return s.o.Bans.Remove(ctx, in.Net) })
	register(s, operation(http.MethodGet, "/allowed", "list-allowed", "bans", "List who is never kept out"),
		func(ctx context.Context, _ *struct{}) (list[AllowedNet], error) {
			all, err := s.o.Bans.Allowed(ctx)
			return list[AllowedNet]{append([]AllowedNet{}, all...)}, err
		})
	allow := operation(http.MethodPost, "/allowed", "allow", "bans", "Never keep an address or a network out")
	allow.DefaultStatus = http.StatusCreated
	register(s, allow, func(ctx context.Context, in *newAllowed) (AllowedNet, error) {
		return s.o.Bans.Allow(ctx, in.Body.Net, in.Body.Note)
	})
	register(s, operation(http.MethodDelete, "/allowed/{net}", "disallow", "bans", "Take a network off the list of those never kept out"),
		func(ctx context.Context, in *netPath) (Net, error) { return s.o.Bans.Disallow(ctx, in.Net) })
}

func (s *server) addBan(ctx context.Context, in *newBan) (Ban, error) {
	var d time.Duration
	if in.Body.For != "" {
		var err error
		if d, err = time.ParseDuration(in.Body.For); err != nil || d <= 0 {
			return Ban{}, fault.Newf(fault.Invalid, "apid", "%.40q is not a duration such as 24h", in.Body.For)
		}
	}
	return s.o.Bans.Add(ctx, in.Body.Net, d, in.Body.Reason)
}
