package app

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// ACME is about certificates from an authority that gives them to programs, such
// as Let's Encrypt. It proves that a host name is ours at our doors http or
// https, to which ports 80 and 443 of that name must lead.
type ACME struct {
	AgreeTerms  bool     `toml:"agree_terms"`   // true: you agree to the authority's terms, and certificates are ordered there
	Email       string   `toml:"email"`         // where the authority writes to; needed
	Directory   string   `toml:"directory"`     // the authority's directory URL
	Names       []string `toml:"names"`         // host names to be certified; empty: hostname alone
	Profile     string   `toml:"profile"`       // which of the authority's kinds of certificate; empty: its usual one
	EABKeyID    string   `toml:"eab_key_id"`    // of an account that you have with the authority outside ACME, where it wants one
	EABKeyFile  string   `toml:"eab_key_file"`  // holds that account's MAC key, in base64url
	TrustCAFile string   `toml:"trust_ca_file"` // PEM: by whom the authority's own web site is certified; empty: one the system trusts

	eabKey string // read from EABKeyFile
}

func defaultACME() ACME {
	return ACME{Directory: "https://acme-v02.api.letsencrypt.org/directory"}
}

// on says whether certificates are ordered.
func (a *ACME) on() bool { return a.AgreeTerms }

func (c *Config) checkACME() error {
	a := &c.ACME
	if !a.on() {
		if a.Email != "" {
			return errors.New("acme: agree_terms = true is needed, once you have read the authority's terms")
		}
		return nil
	}
	if m, err := mail.ParseAddress(a.Email); err != nil || m.Domain == "" {
		return fmt.Errorf("acme.email: %q is not an address", a.Email)
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("acme.directory: %q is not an https URL", a.Directory)
	}
	if _, err := c.acmeNames(); err != nil {
		return err
	}
	if (a.EABKeyID == "") != (a.EABKeyFile == "") {
		return errors.New("acme: eab_key_id and eab_key_file go together")
	}
	if len(c.Listen.HTTP) == 0 && len(c.Listen.HTTPS) == 0 && os.Getenv("LISTEN_PID") == "" {
		return errors.New("acme: listen.http or listen.https is needed, where the authority looks")
	}
	return nil
}

// acmeNames are the host names to be certified, in ASCII.
func (c *Config) acmeNames() ([]string, error) {
	given := c.ACME.Names
	if len(given) == 0 {
		given = []string{c.Hostname}
	}
	var names []string
	for _, n := range given {
		ascii, err := idna.Lookup.ToASCII(n)
		if err != nil || !strings.Contains(ascii, ".") {
			return nil, fmt.Errorf("acme.names: %q is not a full host name", n)
		}
		if !slices.Contains(names, ascii) {
			names = append(names, ascii)
		}
	}
	return names, nil
}

// ordered says whether a certificate for name comes from the authority.
func (c *Config) ordered(name string) bool {
	names, err := c.acmeNames()
	return err == nil && c.ACME.on() && slices.Contains(names, strings.ToLower(name))
}

// readEAB reads the key of the outside account.
func (a *ACME) readEAB() error {
	if a.EABKeyFile == "" {
		return nil
	}
	b, err := os.ReadFile(a.EABKeyFile)
	a.eabKey = strings.TrimSpace(string(b))
	return err
}
