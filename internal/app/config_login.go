package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/ldap"
	"github.com/ekiden-mail/ekiden/internal/reach/oidc"
	"github.com/ekiden-mail/ekiden/internal/state/certs"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// Auth is about logins.
type Auth struct {
	// Plaintext allows logins without TLS. Only the demo can ask for it.
	Plaintext       bool     `toml:"-"`
	Argon2Memory    uint32   `toml:"argon2_memory"`    // memory of a password hash, in KiB
	Argon2Time      uint32   `toml:"argon2_time"`      // passes of a password hash
	SCRAM           []string `toml:"scram"`            // hashes that SCRAM is offered with: SHA-256, SHA-512, SHA-1 (for old clients); empty: no SCRAM
	SCRAMIterations int      `toml:"scram_iterations"` // work of a SCRAM verifier (RFC 7677 §4); at least 10,000
	ChannelBinding  bool     `toml:"channel_binding"`  // SCRAM is offered with -PLUS too; some clients choose that and cannot do it (docs/login.md)
	TOTPSuffix      bool     `toml:"totp_suffix"`      // an account with one-time codes may log in by its password with a code behind it; else only by app passwords
	ClientCAFile    string   `toml:"client_ca_file"`   // PEM: who signs the certificates that clients log in with (SASL EXTERNAL); empty: nobody
}

// OAuth says whose access tokens are taken (OAUTHBEARER, XOAUTH2): those that an
// OpenID Connect issuer signed, or those that introspection vouches for.
type OAuth struct {
	Issuer        string   `toml:"issuer"`             // https://…; tokens that it signed are taken
	Audience      string   `toml:"audience"`           // whom a token must be made out for; needed with signed tokens
	Introspection string   `toml:"introspection_url"`  // https://…; tokens are asked about here (RFC 7662)
	ClientID      string   `toml:"client_id"`          // who asks there
	SecretFile    string   `toml:"client_secret_file"` // holds that client's secret, and a line end that does not count
	Claim         string   `toml:"claim"`              // that holds the address
	Scope         string   `toml:"scope"`              // that a token must have; empty: none
	TrustCAFile   string   `toml:"trust_ca_file"`      // PEM: an authority to trust beside the system's
	Believe       Duration `toml:"believe"`            // for how long a token is not looked at again

	secret string
}

// LDAP says where the passwords of some domains are known. It is off without url.
type LDAP struct {
	URL          string   `toml:"url"`                // ldaps://host or ldap://host
	StartTLS     bool     `toml:"starttls"`           // with ldap://
	TrustCAFile  string   `toml:"trust_ca_file"`      // PEM: an authority to trust beside the system's
	Domains      []string `toml:"domains"`            // whose passwords are known there
	BindDN       string   `toml:"bind_dn"`            // who searches; empty: nobody in particular
	PasswordFile string   `toml:"bind_password_file"` // holds the password, and a line end that does not count
	Base         string   `toml:"base"`               // below which is searched
	Filter       string   `toml:"filter"`             // for {address}, {local} or {domain}
	Template     string   `toml:"template"`           // instead of a search: the name to bind as, such as uid={local},ou=people,dc=example,dc=com
	QuotaAttr    string   `toml:"quota_attribute"`    // holds the quota in octets, taken over when an account is new; empty: none
	Timeout      Duration `toml:"timeout"`            // of connecting, and of each question
	Connections  int      `toml:"connections"`        // at once
	Believe      Duration `toml:"believe"`            // for how long a password that was right is not asked about again

	password string
}

func defaultAuth() Auth {
	p := login.DefaultParams()
	return Auth{
		Argon2Memory: p.Memory, Argon2Time: p.Time, SCRAMIterations: p.Iterations, SCRAM: []string{string(sasl.SHA256), string(sasl.SHA512)},
		TOTPSuffix: true,
	}
}

func defaultOAuth() OAuth { return OAuth{Claim: "email", Believe: Duration(5 * time.Minute)} }

func defaultLDAP() LDAP {
	return LDAP{Filter: "(mail={address})", Timeout: Duration(5 * time.Second), Connections: 4, Believe: Duration(5 * time.Minute)}
}

// loginPaths are the files that logins need.
func (c *Config) loginPaths() []*string {
	return []*string{&c.Auth.ClientCAFile, &c.OAuth.SecretFile, &c.OAuth.TrustCAFile, &c.LDAP.TrustCAFile, &c.LDAP.PasswordFile}
}

// readLogin reads the secrets among them.
func (c *Config) readLogin() error {
	for _, f := range []struct {
		path string
		to   *string
	}{{c.OAuth.SecretFile, &c.OAuth.secret}, {c.LDAP.PasswordFile, &c.LDAP.password}} {
		if f.path == "" {
			continue
		}
		b, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		*f.to = strings.TrimRight(string(b), "\r\n")
	}
	return nil
}

// minIterations of SCRAM, whose verifiers are the weaker secret at rest.
const minIterations = 10_000

// checkLogin says what cannot work.
func (c *Config) checkLogin() error {
	if c.Auth.SCRAMIterations < minIterations || c.Auth.Argon2Memory < 8 || c.Auth.Argon2Time < 1 {
		return fmt.Errorf("auth: at least scram_iterations = %d, argon2_memory = 8 and argon2_time = 1 are needed", minIterations)
	}
	for _, h := range c.Auth.SCRAM {
		if !slices.Contains([]sasl.Hash{sasl.SHA1, sasl.SHA256, sasl.SHA512}, sasl.Hash(h)) {
			return fmt.Errorf("auth.scram: %q is none of SHA-1, SHA-256, SHA-512", h)
		}
	}
	if o := &c.OAuth; o.Issuer != "" || o.Introspection != "" {
		if _, err := oidc.New(o.options(nil)); err != nil {
			return fmt.Errorf("oauth: %s", fault.Public(err))
		}
		if o.Believe < 0 {
			return errors.New("oauth.believe: a time cannot be negative")
		}
	}
	l := &c.LDAP
	if l.URL == "" {
		if len(l.Domains) > 0 {
			return errors.New("ldap: domains without a url")
		}
		return nil
	}
	if len(l.Domains) == 0 || l.Connections < 1 || l.Timeout <= 0 {
		return errors.New("ldap: domains, connections and timeout are needed")
	}
	for _, d := range l.Domains {
		if p, err := mail.ParseDomain(d); err != nil || p.IsLiteral() {
			return fmt.Errorf("ldap.domains: %q is not a domain", d)
		}
	}
	if _, err := ldap.New(l.options(nil)); err != nil {
		return fmt.Errorf("ldap: %s", fault.Public(err))
	}
	return nil
}

func (o *OAuth) options(roots *x509.CertPool) oidc.Options {
	return oidc.Options{
		Issuer: o.Issuer, Audience: o.Audience, Introspection: o.Introspection, ClientID: o.ClientID, ClientSecret: o.secret, Claim: o.Claim,
		Scope: o.Scope, Roots: roots,
	}
}

func (l *LDAP) options(roots *x509.CertPool) ldap.Options {
	o := ldap.Options{
		URL: l.URL, StartTLS: l.StartTLS, Roots: roots, BindDN: l.BindDN, BindPassword: l.password, Base: l.Base, Filter: l.Filter,
		Template: l.Template, QuotaAttr: l.QuotaAttr, Timeout: time.Duration(l.Timeout), Connections: l.Connections,
	}
	if l.Template != "" && l.Filter == defaultLDAP().Filter {
		o.Filter = "" // nobody has asked for it
	}
	return o
}

// params is how much work a password hash costs.
func (c *Config) params() login.Params {
	p := login.DefaultParams()
	p.Memory, p.Time, p.Iterations = c.Auth.Argon2Memory, c.Auth.Argon2Time, c.Auth.SCRAMIterations
	p.SCRAM = []sasl.Hash{}
	for _, h := range c.Auth.SCRAM {
		p.SCRAM = append(p.SCRAM, sasl.Hash(h))
	}
	return p
}

// openLogin makes the room that says who may come in.
func (r *rooms) openLogin(c *Config) (*login.Login, error) {
	const op = "app.openLogin"
	o := login.Options{
		Directory: r.directory, Sink: r.sink, Params: c.params(), NoLimits: c.Limits.Off, Bans: r.bans, Guesses: c.Limits.guesses(),
		TOTPSuffix: c.Auth.TOTPSuffix, Binding: c.Auth.ChannelBinding,
		Provisioned: func(ctx context.Context, a directory.Account) error {
			return r.mailbox.Update(ctx, a.ID, a.ID, func(tx *mailbox.Tx) error { return tx.Provision() })
		},
	}
	var err error
	if o.ClientCAs, err = c.clientCAs(); err != nil {
		return nil, err
	}
	if c.OAuth.Issuer != "" || c.OAuth.Introspection != "" {
		roots, err := trusted(c.OAuth.TrustCAFile)
		if err != nil {
			return nil, err
		}
		v, err := oidc.New(c.OAuth.options(roots))
		if err != nil {
			return nil, fault.Wrap(op, err)
		}
		o.Tokens = tokens{v, time.Duration(c.OAuth.Believe)}
	}
	if c.LDAP.URL != "" {
		roots, err := trusted(c.LDAP.TrustCAFile)
		if err != nil {
			return nil, err
		}
		l, err := ldap.New(c.LDAP.options(roots))
		if err != nil {
			return nil, fault.Wrap(op, err)
		}
		o.Elsewhere = newElsewhere(l, &c.LDAP)
	}
	return login.New(o), nil
}

// clientCAs are the authorities that client_ca_file holds; nil: none.
func (c *Config) clientCAs() (*x509.CertPool, error) {
	const op = "app.clientCAs"
	if c.Auth.ClientCAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.Auth.ClientCAFile)
	if err != nil {
		return nil, fault.As(fault.Invalid, op, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Newf(fault.Invalid, op, "%s holds no certificate", c.Auth.ClientCAFile)
	}
	return pool, nil
}

// askClients lets a door ask for a certificate where one can be logged in with.
// A wrong one breaks no handshake: it is looked at when EXTERNAL is asked for.
func (c *Config) askClients(u *certs.Use) {
	if pool, err := c.clientCAs(); err == nil && pool != nil {
		u.Clients, u.ClientCAs = tls.RequestClientCert, pool
	}
}

// tokens lets login see what oidc says.
type tokens struct {
	*oidc.Verifier
	believe time.Duration
}

// Verify is oidc's, with how long it is to be believed.
func (t tokens) Verify(ctx context.Context, token string) (login.Token, error) {
	v, err := t.Verifier.Verify(ctx, token)
	return login.Token{Address: v.Address, Expires: v.Expires, Believe: t.believe}, err
}

// elsewhere lets login see what LDAP says.
type elsewhere struct {
	*ldap.Client
	domains map[mail.Domain]bool
	believe time.Duration
}

func newElsewhere(l *ldap.Client, c *LDAP) elsewhere {
	e := elsewhere{l, map[mail.Domain]bool{}, time.Duration(c.Believe)}
	for _, name := range c.Domains {
		if d, err := mail.ParseDomain(name); err == nil {
			e.domains[d] = true
		}
	}
	return e
}

// Serves says whether LDAP knows the passwords of a domain.
func (e elsewhere) Serves(d mail.Domain) bool { return e.domains[d] }

// Believe is how long a right password counts.
func (e elsewhere) Believe() time.Duration { return e.believe }

// Check is LDAP's.
func (e elsewhere) Check(ctx context.Context, a mail.Address, password string) (login.Entry, error) {
	found, err := e.Client.Check(ctx, a, password)
	return login.Entry{Quota: found.Quota}, err
}

// Find is LDAP's.
func (e elsewhere) Find(ctx context.Context, a mail.Address) (login.Entry, error) {
	found, err := e.Client.Find(ctx, a)
	return login.Entry{Quota: found.Quota}, err
}
