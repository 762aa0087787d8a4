package apid

import (
	"context"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// AppPassword is a password that was made up for one program.
type AppPassword struct {
	ID       string     `json:"id"`
	Name     string     `json:"name" doc:"what its owner calls it"`
	Scopes   []string   `json:"scopes" doc:"the protocols that it opens"`
	Added    time.Time  `json:"added"`
	Expires  *time.Time `json:"expires,omitempty" doc:"absent: never"`
	Used     *time.Time `json:"used,omitempty" doc:"the day of the last use; absent: never"`
	Password string     `json:"password,omitempty" doc:"told once, when it is made"`
}

func appBody(p directory.AppPassword) AppPassword {
	given := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return AppPassword{ID: p.ID, Name: p.Name, Scopes: p.Scopes, Added: p.Added, Expires: given(p.Expires), Used: given(p.Used)}
}

// LoginSettings are how an account logs in.
type LoginSettings struct {
	Address      string   `json:"address"`
	AppsOnly     bool     `json:"apps_only" doc:"mail programs need an app password"`
	TOTP         bool     `json:"totp" doc:"one-time codes are on"`
	AppPasswords int      `json:"app_passwords" doc:"how many there are"`
	Password     bool     `json:"password" doc:"a main password is kept here"`
	SCRAM        []string `json:"scram" doc:"the mechanisms of SCRAM that the main password works with"`
}

// Enrolment is what an authenticator needs. It is told once.
type Enrolment struct {
	Secret string `json:"secret" doc:"in base32"`
	URI    string `json:"uri" doc:"for a QR code"`
}

type newAppPassword struct {
	AccountPath
	Body struct {
		Name   string   `json:"name" maxLength:"100" example:"phone"`
		Scopes []string `json:"scopes" minItems:"1" maxItems:"10" doc:"of imap, pop3, smtp, managesieve, jmap, dav"`
		For    string   `json:"for,omitempty" maxLength:"40" doc:"a duration such as 2160h after which it ends; absent: never"`
	}
}

type appPath struct {
	AccountPath
	ID string `path:"id" maxLength:"100" doc:"its id, or its name where only one is called so"`
}

type changedLogin struct {
	AccountPath
	Body struct {
		AppsOnly *bool `json:"apps_only,omitempty"`
	}
}

type shownCode struct {
	AccountPath
	Body struct {
		Code string `json:"code" maxLength:"20" doc:"that the authenticator shows now"`
	}
}

func (s *server) logins() {
	const apps, one = "/accounts/{address}/app-passwords", "/accounts/{address}/app-passwords/{id}"
	register(s, operation(http.MethodGet, "/accounts/{address}/login", "show-login", "logins", "Show how an account logs in"),
		func(ctx context.Context, in *AccountPath) (LoginSettings, error) {
			return s.loginSettings(ctx, in.Address)
		})
	register(s, operation(http.MethodPatch, "/accounts/{address}/login", "set-login", "logins", "Change how an account logs in"),
		func(ctx context.Context, in *changedLogin) (LoginSettings, error) {
			addr, err := parseAddress(in.Address)
			if err == nil && in.Body.AppsOnly != nil {
				err = s.o.Login.SetAppsOnly(ctx, addr, *in.Body.AppsOnly)
			}
			if err != nil {
				return LoginSettings{}, err
			}
			return s.loginSettings(ctx, in.Address)
		})
	register(s, operation(http.MethodGet, apps, "list-app-passwords", "logins", "List an account's app passwords"),
		func(ctx context.Context, in *AccountPath) (list[AppPassword], error) {
			out := list[AppPassword]{Items: []AppPassword{}}
			addr, err := parseAddress(in.Address)
			if err != nil {
				return out, err
			}
			all, err := s.o.Login.Apps(ctx, addr)
			for _, p := range all {
				out.Items = append(out.Items, appBody(p))
			}
			return out, err
		})
	add := operation(http.MethodPost, apps, "add-app-password", "logins", "Make up an app password")
	add.DefaultStatus = http.StatusCreated
	register(s, add, s.addApp)
	register(s, operation(http.MethodDelete, one, "remove-app-password", "logins", "Revoke an app password"),
		func(ctx context.Context, in *appPath) (AppPassword, error) {
			addr, err := parseAddress(in.Address)
			if err != nil {
				return AppPassword{}, err
			}
			gone, err := s.o.Login.RemoveApp(ctx, addr, in.ID)
			return appBody(gone), err
		})
	s.totp()
}

func (s *server) addApp(ctx context.Context, in *newAppPassword) (AppPassword, error) {
	addr, err := parseAddress(in.Address)
	if err != nil {
		return AppPassword{}, err
	}
	var expires time.Time
	if in.Body.For != "" {
		d, err := time.ParseDuration(in.Body.For)
		if err != nil || d <= 0 {
			return AppPassword{}, fault.Newf(fault.Invalid, "apid", "%q is not a duration such as 2160h", in.Body.For)
		}
		expires = time.Now().Add(d).UTC().Truncate(time.Second)
	}
	made, err := s.o.Login.AddApp(ctx, addr, in.Body.Name, in.Body.Scopes, expires)
	out := appBody(made.AppPassword)
	out.Password = made.Password
	return out, err
}

func (s *server) loginSettings(ctx context.Context, address string) (LoginSettings, error) {
	addr, err := parseAddress(address)
	if err != nil {
		return LoginSettings{}, err
	}
	a, all, _, err := s.o.Directory.Secrets(ctx, addr)
	out := LoginSettings{
		Address: a.Address.String(), AppsOnly: all.AppsOnly, TOTP: all.TOTP.On, AppPasswords: len(all.Apps),
		Password: all.Argon2 != "" || !all.SCRAM256.IsZero(), SCRAM: all.Mechanisms(),
	}
	return out, err
}

// totp are one-time codes: a secret is given out, and counts once a code of it
// was shown.
func (s *server) totp() {
	const path = "/accounts/{address}/totp"
	enrol := operation(http.MethodPost, path, "enrol-totp", "logins", "Give out a secret of one-time codes")
	enrol.DefaultStatus = http.StatusCreated
	register(s, enrol, func(ctx context.Context, in *AccountPath) (Enrolment, error) {
		addr, err := parseAddress(in.Address)
		if err != nil {
			return Enrolment{}, err
		}
		e, err := s.o.Login.EnrolTOTP(ctx, addr, string(addr.Domain))
		if err != nil {
			return Enrolment{}, err
		}
		return Enrolment{Secret: e.Secret, URI: e.URI}, nil
	})
	register(s, operation(http.MethodPost, path+"/confirm", "confirm-totp", "logins", "Turn one-time codes on, by the first of them"),
		func(ctx context.Context, in *shownCode) (LoginSettings, error) {
			addr, err := parseAddress(in.Address)
			if err == nil {
				err = s.o.Login.ConfirmTOTP(ctx, addr, in.Body.Code)
			}
			if err != nil {
				return LoginSettings{}, err
			}
			return s.loginSettings(ctx, in.Address)
		})
	register(s, operation(http.MethodDelete, path, "remove-totp", "logins", "Turn one-time codes off"),
		func(ctx context.Context, in *AccountPath) (LoginSettings, error) {
			addr, err := parseAddress(in.Address)
			if err == nil {
				err = s.o.Login.RemoveTOTP(ctx, addr)
			}
			if err != nil {
				return LoginSettings{}, err
			}
			return s.loginSettings(ctx, in.Address)
		})
}
