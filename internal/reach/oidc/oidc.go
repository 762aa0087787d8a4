// Package oidc says what an access token is worth: by the signature of an OpenID
// Connect issuer (JWT, RFC 7519), or by asking the authorization server
// (RFC 7662).
package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Options say whose tokens are taken. Issuer or Introspection is needed; with
// both, tokens are asked about.
type Options struct {
	Issuer        string // https://…, whose configuration is found by OpenID Connect Discovery
	Audience      string // who a token must be made out for; needed with signed tokens (RFC 8725 §3.9)
	Introspection string // https://…
	ClientID      string // who asks there
	ClientSecret  string
	Claim         string         // that holds the address; "" is email
	Scope         string         // that a token must have; "": none
	Roots         *x509.CertPool // who may sign the certificates of both; nil: the system's
	Timeout       time.Duration  // of each question; zero: 5 s
}

// Verifier looks at tokens. It may be used by many goroutines at once.
type Verifier struct {
	o      Options
	client *http.Client
	keys   *remembering
	asking chan struct{}

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier // once the issuer's configuration was read
}

// maxAsking is how many tokens are asked about at once.
const maxAsking = 16

// Token is a valid token.
type Token struct {
	Address mail.Address
	Expires time.Time // zero: it does not say
}

// New makes a Verifier; it asks nobody yet. fault.Invalid for options that
// cannot work.
func New(o Options) (*Verifier, error) {
	const op = "oidc.New"
	if o.Issuer == "" && o.Introspection == "" {
		return nil, fault.New(fault.Invalid, op, "an issuer or an introspection endpoint is needed")
	}
	for _, s := range []string{o.Issuer, o.Introspection} {
		if u, err := url.Parse(s); s != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "") {
			return nil, fault.Newf(fault.Invalid, op, "%q is not https://host/path", s)
		}
	}
	if o.Introspection == "" && o.Audience == "" {
		return nil, fault.New(fault.Invalid, op, "an audience is needed: a token for another service of the issuer is none for this one")
	}
	if o.Claim == "" {
		o.Claim = "email"
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	base := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
	}
	v := &Verifier{o: o, asking: make(chan struct{}, maxAsking), keys: newRemembering(base)}
	v.client = &http.Client{Transport: base, Timeout: o.Timeout, CheckRedirect: noRedirect}
	return v, nil
}

// noRedirect keeps tokens and secrets where they are sent.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Hint says how a client gets a token: the scope that it must have, and the
// issuer's configuration.
func (v *Verifier) Hint() (scope, configuration string) {
	if v.o.Issuer != "" {
		configuration = strings.TrimSuffix(v.o.Issuer, "/") + "/.well-known/openid-configuration"
	}
	return v.o.Scope, configuration
}

// Verify gives for whom a token was made out. fault.Unauthenticated, with the
// reason, if it is not valid here; fault.Unavailable if that cannot be found out.
func (v *Verifier) Verify(ctx context.Context, token string) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	select {
	case v.asking <- struct{}{}:
		defer func() { <-v.asking }()
	case <-ctx.Done():
		return Token{}, fault.As(fault.Unavailable, "oidc.Verify", ctx.Err())
	}
	if v.o.Introspection != "" {
		return v.introspect(ctx, token)
	}
	return v.signed(ctx, token)
}

// claims are what both kinds of answer hold.
type claims struct {
	Active   bool     `json:"active"`
	Expires  float64  `json:"exp"` // Unix seconds
	From     float64  `json:"nbf"`
	Issuer   string   `json:"iss"`
	Audience texts    `json:"aud"`
	Scope    string   `json:"scope"`
	Scopes   texts    `json:"scp"` // as some say it
	Verified *boolean `json:"email_verified"`

	all map[string]any
}

func (c *claims) UnmarshalJSON(b []byte) error {
	type plain claims
	if err := json.Unmarshal(b, (*plain)(c)); err != nil {
		return err
	}
	return json.Unmarshal(b, &c.all)
}

// texts is one text or several (RFC 7519 §4.1.3).
type texts []string

// UnmarshalJSON reads both.
func (t *texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// boolean is true, or "true" as some say it.
type boolean bool

// UnmarshalJSON reads both.
func (t *boolean) UnmarshalJSON(b []byte) error {
	*t = string(b) == "true" || string(b) == `"true"`
	return nil
}

// invalid is what a token gets that is not taken.
func invalid(format string, args ...any) error {
	return fault.Newf(fault.Unauthenticated, "oidc.Verify", format, args...)
}

// token says for whom claims are.
func (v *Verifier) token(c claims) (Token, error) {
	if v.o.Scope != "" && !slices.Contains(append(strings.Fields(c.Scope), c.Scopes...), v.o.Scope) {
		return Token{}, invalid("the token does not have the scope %s", v.o.Scope)
	}
	if v.o.Claim == "email" && c.Verified != nil && !bool(*c.Verified) {
		return Token{}, invalid("the issuer has not verified the address")
	}
	name, _ := c.all[v.o.Claim].(string)
	a, err := mail.ParseAddress(name)
	if err != nil {
		return Token{}, invalid("the token's claim %s is not an address", v.o.Claim)
	}
	t := Token{Address: a}
	if c.Expires > 0 {
		t.Expires = time.Unix(int64(min(c.Expires, 1<<40)), 0)
	}
	return t, nil
}

// signed verifies a JWT: its signature by the issuer's keys with one of the
// algorithms that the issuer says it uses, and none else (RFC 8725 §3.1), its
// issuer, its audience and its time.
func (v *Verifier) signed(ctx context.Context, token string) (Token, error) {
	troubles := v.keys.troubles()
	verifier, err := v.issuer()
	if err != nil {
		return Token{}, fault.As(fault.Unavailable, "oidc.Verify", err)
	}
	t, err := verifier.Verify(ctx, token)
	switch {
	case err != nil && (v.keys.troubles() != troubles || ctx.Err() != nil):
		return Token{}, fault.As(fault.Unavailable, "oidc.Verify", err)
	case err != nil:
		return Token{}, invalid("%.200s", err)
	}
	var c claims
	if err := t.Claims(&c); err != nil {
		return Token{}, invalid("the token's claims: %.200s", err)
	}
	return v.token(c)
}

// issuer reads the issuer's configuration when it is first needed.
func (v *Verifier) issuer() (*oidc.IDTokenVerifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.verifier == nil {
		// The keys are fetched for as long as the server runs.
		ctx := oidc.ClientContext(context.Background(), &http.Client{Transport: v.keys, Timeout: v.o.Timeout, CheckRedirect: noRedirect})
		p, err := oidc.NewProvider(ctx, v.o.Issuer)
		if err != nil {
			return nil, err
		}
		v.verifier = p.VerifierContext(ctx, &oidc.Config{ClientID: v.o.Audience})
	}
	return v.verifier, nil
}

// introspect asks the authorization server (RFC 7662 §2).
func (v *Verifier) introspect(ctx context.Context, token string) (Token, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.o.Introspection, strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, fault.As(fault.Unavailable, "oidc.Verify", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if v.o.ClientID != "" { // RFC 6749 §2.3.1
		r.SetBasicAuth(url.QueryEscape(v.o.ClientID), url.QueryEscape(v.o.ClientSecret))
	}
	res, err := v.client.Do(r)
	if err != nil {
		return Token{}, fault.As(fault.Unavailable, "oidc.Verify", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || res.StatusCode != http.StatusOK || kind != "application/json" {
		return Token{}, fault.Newf(fault.Unavailable, "oidc.Verify", "the introspection endpoint answered %s (%s)", res.Status, kind)
	}
	return v.answer(b, time.Now())
}

// answer judges what introspection said.
func (v *Verifier) answer(b []byte, now time.Time) (Token, error) {
	var c claims
	if err := json.Unmarshal(b, &c); err != nil {
		return Token{}, fault.As(fault.Unavailable, "oidc.Verify", err)
	}
	seconds := float64(now.Unix())
	switch {
	case !c.Active:
		return Token{}, invalid("the token is not active")
	case c.Expires > 0 && c.Expires <= seconds || c.From > seconds:
		return Token{}, invalid("the token does not hold now")
	case v.o.Issuer != "" && c.Issuer != "" && c.Issuer != v.o.Issuer:
		return Token{}, invalid("the token is of another issuer")
	case v.o.Audience != "" && !slices.Contains(c.Audience, v.o.Audience):
		return Token{}, invalid("the token is made out for another service")
	}
	return v.token(c)
}
