package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// issuer is an OpenID Connect issuer with two keys. Its tokens are made by
// go-jose.
type issuer struct {
	*httptest.Server
	rsa     *rsa.PrivateKey
	ec      *ecdsa.PrivateKey
	fetched atomic.Int64
	down    atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		if i.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/a", "token_endpoint": i.URL + "/t",
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.fetched.Add(1)
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: &i.rsa.PublicKey, KeyID: "r", Algorithm: "RS256", Use: "sig"}, {Key: &i.ec.PublicKey, KeyID: "e", Algorithm: "ES256", Use: "sig"},
		}})
	})
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	return i
}

func roots(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

// sign makes a token; change may alter what a good one says.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (i *issuer) claims(change map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.URL, "aud": []string{"ekiden", "other"}, "sub": "1", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"email": "carol@x.test", "email_verified": true, "scope": "openid mail",
	}
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func TestSigned(t *testing.T) {
	i := newIssuer(t)
	v, err := New(Options{Issuer: i.URL, Audience: "ekiden", Scope: "mail", Roots: roots(i.Server)})
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs := func(change map[string]any) string { return sign(t, jose.RS256, i.rsa, "r", i.claims(change)) }
	public, err := x509.MarshalPKIXPublicKey(&i.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	good := rs(nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	for _, c := range []struct {
		name, token string
		ok          bool
	}{
		{"RS256", good, true},
		{"ES256", sign(t, jose.ES256, i.ec, "e", i.claims(nil)), true},
		{"one audience as a text", rs(map[string]any{"aud": "ekiden"}), true},
		{"scopes as a list", rs(map[string]any{"scope": nil, "scp": []string{"mail"}}), true},
		{"verified as a text", rs(map[string]any{"email_verified": "true"}), true},
		{"nothing said of verifying", rs(map[string]any{"email_verified": nil}), true},
		{"a stranger's key", sign(t, jose.RS256, stranger, "r", i.claims(nil)), false},
		{"no signature", none, false},
		{"another's signature", parts[0] + "." + parts[1] + "." + strings.Split(rs(map[string]any{"sub": "2"}), ".")[2], false},
		{"the public key as a secret", sign(t, jose.HS256, public, "r", i.claims(nil)), false},
		{"an algorithm that the issuer does not use", sign(t, jose.PS256, i.rsa, "r", i.claims(nil)), false},
		{"expired", rs(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}), false},
		{"without an end", rs(map[string]any{"exp": nil}), false},
		{"not yet", rs(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), false},
		{"for another service", rs(map[string]any{"aud": "other"}), false},
		{"of another issuer", rs(map[string]any{"iss": "https://id.elsewhere.test"}), false},
		{"an address that nobody verified", rs(map[string]any{"email_verified": false}), false},
		{"without an address", rs(map[string]any{"email": nil}), false},
		{"an address that is none", rs(map[string]any{"email": "carol"}), false},
		{"a number", rs(map[string]any{"email": 5}), false},
		{"without the scope", rs(map[string]any{"scope": "openid"}), false},
		{"rubbish", "abc", false},
		{"empty", "", false},
	} {
		got, err := v.Verify(context.Background(), c.token)
		switch {
		case c.ok && (err != nil || got.Address.String() != "carol@x.test" || time.Until(got.Expires) < 50*time.Minute):
			t.Errorf("%s: %+v, %v", c.name, got, err)
		case !c.ok && (!fault.Is(err, fault.Unauthenticated) || fault.Public(err) == ""):
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	if scope, configuration := v.Hint(); scope != "mail" || configuration != i.URL+"/.well-known/openid-configuration" {
		t.Error(scope, configuration)
	}
}

// TestUnknownKeys sees that tokens with made-up keys do not make us ask the
// issuer each time.
func TestUnknownKeys(t *testing.T) {
	i := newIssuer(t)
	v, err := New(Options{Issuer: i.URL, Audience: "ekiden", Roots: roots(i.Server)})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		if _, err := v.Verify(context.Background(), sign(t, jose.ES256, i.ec, fmt.Sprint(n), i.claims(nil))); err == nil {
			t.Error("a key that the issuer does not know")
		}
	}
	if n := i.fetched.Load(); n > 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
	if _, err := v.Verify(context.Background(), sign(t, jose.ES256, i.ec, "e", i.claims(nil))); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestIssuerDown(t *testing.T) {
	i := newIssuer(t)
	i.down.Store(true)
	v, err := New(Options{Issuer: i.URL, Audience: "ekiden", Roots: roots(i.Server), Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, jose.ES256, i.ec, "e", i.claims(nil))
	for range 2 {
		if _, err := v.Verify(context.Background(), good); !fault.Is(err, fault.Unavailable) {
			t.Errorf("down: %v", err)
		}
	}
	i.down.Store(false)
	v.keys.mu.Lock()
	clear(v.keys.answers) // as after some seconds
	v.keys.mu.Unlock()
	if _, err := v.Verify(context.Background(), good); err != nil {
		t.Errorf("up again: %v", err)
	}
	other, err := New(Options{Issuer: i.URL, Audience: "ekiden"}) // whose certificate we do not trust
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Verify(context.Background(), good); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an issuer that nobody vouches for: %v", err)
	}
}

func TestIntrospection(t *testing.T) {
	asked := 0
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		id, secret, _ := r.BasicAuth()
		if r.Method != http.MethodPost || id != "mx%2Bekiden" || secret != "s%3Acret" || r.PostFormValue("token_type_hint") != "access_token" {
			t.Errorf("%s by %s:%s with %v", r.Method, id, secret, r.PostForm)
		}
		kind, body := "application/json; charset=utf-8", ""
		in, out := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
		switch r.PostFormValue("token") {
		case "good":
			body = fmt.Sprintf(`{"active":true,"username":"carol@x.test","aud":"ekiden","exp":%d}`, in)
		case "revoked":
			body = `{"active":false}`
		case "old":
			body = fmt.Sprintf(`{"active":true,"username":"carol@x.test","aud":"ekiden","exp":%d}`, out)
		case "early":
			body = fmt.Sprintf(`{"active":true,"username":"carol@x.test","aud":"ekiden","nbf":%d}`, in)
		case "other":
			body = `{"active":true,"username":"carol@x.test","aud":["x"]}`
		case "page":
			kind, body = "text/html", "<p>"
		case "broken":
			body = `{"active":`
		case "redirect":
			http.Redirect(w, r, "https://elsewhere.test/", http.StatusTemporaryRedirect)
			return
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(body))
	}))
	defer s.Close()
	v, err := New(Options{Introspection: s.URL + "/introspect", ClientID: "mx+ekiden", ClientSecret: "s:cret", Claim: "username", Audience: "ekiden", Roots: roots(s), Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]fault.Kind{
		"revoked": fault.Unauthenticated, "old": fault.Unauthenticated, "early": fault.Unauthenticated, "other": fault.Unauthenticated,
		"page": fault.Unavailable, "broken": fault.Unavailable, "redirect": fault.Unavailable, "else": fault.Unavailable,
	} {
		if got, err := v.Verify(context.Background(), token); !fault.Is(err, want) {
			t.Errorf("%s: %+v, %v", token, got, err)
		}
	}
	if got, err := v.Verify(context.Background(), "good"); err != nil || got.Address.String() != "carol@x.test" || got.Expires.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if asked != 9 {
		t.Errorf("asked %d times", asked)
	}
	s.Close()
	if _, err := v.Verify(context.Background(), "good"); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"nothing": {}, "no audience": {Issuer: "https://id.test"}, "in clear": {Issuer: "http://id.test", Audience: "x"},
		"a query": {Introspection: "https://id.test/?x"}, "no host": {Introspection: "https:///x"},
	} {
		if _, err := New(o); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"active":true,"email":"carol@x.test","aud":["x"],"exp":1e300,"scope":"mail"}`))
	f.Add([]byte(`{"active":true,"email":"carol@x.test","aud":"x","scp":["mail"],"email_verified":"true"}`))
	v := &Verifier{o: Options{Claim: "email", Scope: "mail", Audience: "x"}}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := v.answer(b, time.Unix(1, 0))
		if err == nil && (got.Address.IsNull() || !strings.Contains(string(b), "mail")) {
			t.Errorf("%q gave %+v", b, got)
		}
	})
}
