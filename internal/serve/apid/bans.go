package apid

import (
	"context"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/ban"
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

func banBody(b ban.Ban, now time.Time) Ban {
	out := Ban{Net: b.Net.String(), Since: b.Since, Times: b.Times, Reason: b.Reason, Manual: b.Manual, Over: !b.At(now)}
	if !b.Until.IsZero() {
		out.Until = &b.Until
	}
	return out
}

// AllowedNet is a network that is never banned.
type AllowedNet struct {
	Net   string    `json:"net" example:"192.0.2.0/24"`
	Since time.Time `json:"since"`
	Note  string    `json:"note,omitempty"`
}

func allowedBody(a ban.Allowed) AllowedNet { return AllowedNet{a.Net.String(), a.Since, a.Note} }

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
			out, now := list[Ban]{Items: []Ban{}}, time.Now()
			all, err := s.o.Bans.Bans(ctx, now, in.All)
			for _, b := range all {
				out.Items = append(out.Items, banBody(b, now))
			}
			return out, err
		})
	add := operation(http.MethodPost, "/bans", "add-ban", "bans", "Keep an address or a network out")
	add.DefaultStatus = http.StatusCreated
	register(s, add, s.addBan)
	register(s, operation(http.MethodDelete, "/bans/{net}", "remove-ban", "bans", "Lift a ban, and forget that it was"),
		func(ctx context.Context, in *netPath) (Net, error) {
			net, err := ban.ParseNet(in.Net)
			if err != nil {
				return Net{}, err
			}
			return Net{net.String()}, s.o.Bans.Remove(ctx, net)
		})
	register(s, operation(http.MethodGet, "/allowed", "list-allowed", "bans", "List who is never kept out"),
		func(ctx context.Context, _ *struct{}) (list[AllowedNet], error) {
			out := list[AllowedNet]{Items: []AllowedNet{}}
			all, err := s.o.Bans.Allowed(ctx)
			for _, a := range all {
				out.Items = append(out.Items, allowedBody(a))
			}
			return out, err
		})
	allow := operation(http.MethodPost, "/allowed", "allow", "bans", "Never keep an address or a network out")
	allow.DefaultStatus = http.StatusCreated
	register(s, allow, func(ctx context.Context, in *newAllowed) (AllowedNet, error) {
		net, err := ban.ParseNet(in.Body.Net)
		if err != nil {
			return AllowedNet{}, err
		}
		a, err := s.o.Bans.Allow(ctx, net, in.Body.Note)
		return allowedBody(a), err
	})
	register(s, operation(http.MethodDelete, "/allowed/{net}", "disallow", "bans", "Take a network off the list of those never kept out"),
		func(ctx context.Context, in *netPath) (Net, error) {
			net, err := ban.ParseNet(in.Net)
			if err != nil {
				return Net{}, err
			}
			return Net{net.String()}, s.o.Bans.Disallow(ctx, net)
		})
}

func (s *server) addBan(ctx context.Context, in *newBan) (Ban, error) {
	net, err := ban.ParseNet(in.Body.Net)
	if err != nil {
		return Ban{}, err
	}
	var d time.Duration
	if in.Body.For != "" {
		if d, err = time.ParseDuration(in.Body.For); err != nil || d <= 0 {
			return Ban{}, fault.Newf(fault.Invalid, "apid", "%.40q is not a duration such as 24h", in.Body.For)
		}
	}
	b, err := s.o.Bans.Add(ctx, net, d, in.Body.Reason)
	return banBody(b, time.Now()), err
}
