package app

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// SmartHost is a host that takes mail for others' domains, one [[smart_host]]
// each; see outbound-client.md. What none is for goes to the smart host of
// [outbound], or to the domains' own hosts. The recipient's domain decides first,
// then the account, the sender's address and the sender's domain.
type SmartHost struct {
	Address      string   `toml:"address"`       // "host:port"; or "direct": to the domains' own hosts
	TLS          string   `toml:"tls"`           // "starttls" or "implicit"; empty: TLS from the start at port 465, STARTTLS where there is a login, else where it can be had
	User         string   `toml:"user"`          // empty: no login there
	PasswordFile string   `toml:"password_file"` // holds the password, and a line end that does not count
	Recipients   []string `toml:"recipients"`    // domains of recipients; "*.example.org" is for those below
	Accounts     []string `toml:"accounts"`      // addresses of accounts
	Senders      []string `toml:"senders"`       // envelope senders, or their domains
	Fallback     bool     `toml:"fallback"`      // for what would go directly, while other servers' port 25 cannot be reached

	password string
}

// smartHostPaths are the files that the smart hosts name.
func (c *Config) smartHostPaths() []*string {
	var all []*string
	for i := range c.SmartHosts {
		all = append(all, &c.SmartHosts[i].PasswordFile)
	}
	return all
}

// readSmartHosts reads the passwords.
func (c *Config) readSmartHosts() error {
	for i := range c.SmartHosts {
		s := &c.SmartHosts[i]
		if s.PasswordFile == "" {
			continue
		}
		b, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			return err
		}
		s.password = strings.TrimRight(string(b), "\r\n")
	}
	return nil
}

func (c *Config) checkSmartHosts() error {
	fallbacks := 0
	for i := range c.SmartHosts {
		s := &c.SmartHosts[i]
		if err := s.check(); err != nil {
			return fmt.Errorf("smart_host %d (%s): %w", i+1, s.Address, err)
		}
		if s.Fallback {
			fallbacks++
		}
	}
	if fallbacks > 1 {
		return fmt.Errorf("smart_host: only one can be the fallback")
	}
	return nil
}

func (s *SmartHost) check() error {
	direct, some := s.Address == route.Direct, len(s.Recipients)+len(s.Accounts)+len(s.Senders) > 0
	if !direct {
		if err := checkHostPort(s.Address); err != nil {
			return fmt.Errorf("address: %w", err)
		}
	}
	switch {
	case s.TLS != "" && s.TLS != "starttls" && s.TLS != "implicit":
		return fmt.Errorf("tls: %q is neither \"starttls\" nor \"implicit\"", s.TLS)
	case (s.User == "") != (s.password == ""):
		return fmt.Errorf("user and password_file go together")
	case direct && (!some || s.User != "" || s.TLS != "" || s.Fallback):
		return fmt.Errorf("what goes directly needs recipients, accounts or senders, and nothing else")
	case s.Fallback && some:
		return fmt.Errorf("a fallback is for all that goes directly: it has no recipients, accounts or senders")
	}
	for _, d := range s.Recipients {
		if _, err := mail.ParseDomain(strings.TrimPrefix(d, "*.")); err != nil {
			return fmt.Errorf("recipients: %q is not a domain", d)
		}
	}
	for _, a := range s.Accounts {
		if _, err := mail.ParseAddress(a); err != nil {
			return fmt.Errorf("accounts: %q is not an address", a)
		}
	}
	for _, a := range s.Senders {
		_, err := mail.ParseAddress(a)
		if !strings.Contains(a, "@") {
			_, err = mail.ParseDomain(strings.TrimPrefix(a, "*."))
		}
		if err != nil {
			return fmt.Errorf("senders: %q is neither an address nor a domain", a)
		}
	}
	return nil
}

// smartHosts are those that the configuration names, the one of [outbound] last.
func (c *Config) smartHosts() []route.SmartHost {
	var all []route.SmartHost
	for _, s := range c.SmartHosts {
		h := route.SmartHost{
			Addr: s.Address, User: s.User, Password: s.password, Recipients: s.Recipients, Senders: s.Senders, Fallback: s.Fallback,
		}
		switch s.TLS {
		case "starttls":
			h.TLS = route.Required
		case "implicit":
			h.TLS = route.Implicit
		}
		for _, a := range s.Accounts {
			if a, err := mail.ParseAddress(a); err == nil {
				h.Accounts = append(h.Accounts, a)
			}
		}
		all = append(all, h)
	}
	if o := c.Outbound; o.SmartHost != "" {
		all = append(all, route.SmartHost{Addr: o.SmartHost, User: o.User, Password: o.Password})
	}
	return all
}

// addressOf gives an account's address.
func (r *rooms) addressOf(ctx context.Context, id mail.AccountID) (mail.Address, error) {
	a, err := r.directory.AccountByID(ctx, id)
	return a.Address, err
}
