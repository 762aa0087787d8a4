package sasl

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// kvsep stands between the pairs of an OAuth message (RFC 7628 §3.1).
const kvsep = "\x01"

// Bearer is what a client brings in OAUTHBEARER and XOAUTH2.
type Bearer struct {
	User  string // whom it wants to come in as; "" means whom the token names
	Token string
}

// TokenError is why a token was not taken; it is told to the client, which may
// learn from it where to get another.
type TokenError struct {
	Status string `json:"status"`          // of the registry of RFC 6749 §11.4, or of RFC 6750 §3.1
	Scope  string `json:"scope,omitempty"` // that a token must have
	Config string `json:"openid-configuration,omitempty"`

	Err error `json:"-"` // how the exchange ends
}

func (e *TokenError) Error() string { return "token: " + e.Status }

// Unwrap gives how the exchange ends; ErrFailed by default.
func (e *TokenError) Unwrap() error {
	if e.Err == nil {
		return ErrFailed
	}
	return e.Err
}

// oauthServer is the server of OAUTHBEARER and XOAUTH2.
type oauthServer struct {
	parse   func([]byte) (Bearer, error)
	explain func(*TokenError) []byte
	verify  func(Bearer) error
	step    int   // 0: at the start, 1: asked, 2: told why it failed, 3: over
	failure error // what ends the exchange after step 2
}

// OAuthBearerServer is the server of OAUTHBEARER (RFC 7628). If verify gives a
// *TokenError, the client is told of it in JSON, and the exchange fails after
// its answer (§3.2.3); any other error ends it as it is.
func OAuthBearerServer(verify func(Bearer) error) Server {
	return &oauthServer{parse: ParseOAuthBearer, verify: verify, explain: func(e *TokenError) []byte {
		b, _ := json.Marshal(e) // three texts
		return b
	}}
}

// XOAuth2Server is the server of XOAUTH2, which Google and Microsoft speak and
// older clients still know alone. It tells of a failure as theirs do.
func XOAuth2Server(verify func(Bearer) error) Server {
	return &oauthServer{parse: ParseXOAuth2, verify: verify, explain: func(e *TokenError) []byte {
		b, _ := json.Marshal(struct {
			Status  string `json:"status"`
			Schemes string `json:"schemes"`
			Scope   string `json:"scope,omitempty"`
		}{"401", "bearer", e.Scope})
		return b
	}}
}

func (s *oauthServer) Next(response []byte) ([]byte, bool, error) {
	step := s.step
	s.step = 3
	switch {
	case step == 0 && len(response) == 0:
		s.step = 1
		return []byte{}, false, nil
	case step == 2: // RFC 7628 §3.2.3: whatever the client says now
		return nil, false, s.failure
	case step > 2:
		return nil, false, ErrMalformed
	}
	b, err := s.parse(response)
	if err != nil {
		return nil, false, err
	}
	err = s.verify(b)
	var refused *TokenError
	switch {
	case err == nil:
		return nil, true, nil
	case errors.As(err, &refused):
		s.step, s.failure = 2, refused.Unwrap()
		return s.explain(refused), false, nil
	}
	return nil, false, err
}

// ParseOAuthBearer reads a client's message of OAUTHBEARER (RFC 7628 §3.1):
// a GS2 header, then pairs, of which "auth" must be there and is a bearer token
// (RFC 6750 §2.1). Pairs that we do not know are ignored.
func ParseOAuthBearer(message []byte) (Bearer, error) {
	header, rest, ok := strings.Cut(string(message), kvsep)
	if !ok || len(message) > MaxToken || !utf8.Valid(message) {
		return Bearer{}, ErrMalformed
	}
	flag, rest2, ok := strings.Cut(header, ",")
	name, after, ok2 := strings.Cut(rest2, ",")
	if !ok || !ok2 || after != "" || flag != "n" && flag != "y" { // no channel binding is defined
		return Bearer{}, ErrMalformed
	}
	var b Bearer
	if name != "" {
		if b.User, ok = decodeSaslname(name); !ok {
			return Bearer{}, ErrMalformed
		}
	}
	b.Token, ok = bearerIn(rest)
	if !ok || len(b.User) > MaxName {
		return Bearer{}, ErrMalformed
	}
	return b, nil
}

// decodeSaslname reads "a=" with a name in which "=2C" and "=3D" stand for the
// comma and the equals sign (RFC 5801 §4).
func decodeSaslname(s string) (string, bool) {
	s, ok := strings.CutPrefix(s, "a=")
	plain := strings.NewReplacer("=2C", "", "=3D", "").Replace(s)
	if !ok || s == "" || strings.ContainsAny(plain, "=\x00") {
		return "", false
	}
	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s), true
}

// bearerIn finds the token among pairs that each end in kvsep, as does the whole.
func bearerIn(pairs string) (token string, ok bool) {
	pairs, ok = strings.CutSuffix(pairs, kvsep)
	for pairs != "" && ok {
		var pair string
		if pair, pairs, ok = strings.Cut(pairs, kvsep); !ok {
			return "", false
		}
		key, value, eq := strings.Cut(pair, "=")
		if !eq || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return "", false
		}
		if key != "auth" {
			continue
		}
		scheme, t, sp := strings.Cut(value, " ")
		t = strings.TrimLeft(t, " ")
		if !sp || token != "" || !strings.EqualFold(scheme, "Bearer") || !isToken(t) {
			return "", false
		}
		token = t
	}
	return token, ok && token != ""
}

// isToken says whether s is a b64token (RFC 6750 §2.1).
func isToken(s string) bool {
	body := strings.TrimRight(s, "=")
	for _, c := range []byte(body) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+/", c) >= 0) {
			return false
		}
	}
	return body != ""
}

// ParseXOAuth2 reads a client's message of XOAUTH2: the user, then the token.
func ParseXOAuth2(message []byte) (Bearer, error) {
	first, rest, ok := strings.Cut(string(message), kvsep)
	user, ok2 := strings.CutPrefix(first, "user=")
	if !ok || !ok2 || user == "" || len(message) > MaxToken || len(user) > MaxName ||
		!utf8.Valid(message) || bytes.IndexByte(message, 0) >= 0 {
		return Bearer{}, ErrMalformed
	}
	token, ok := bearerIn(rest)
	if !ok {
		return Bearer{}, ErrMalformed
	}
	return Bearer{User: user, Token: token}, nil
}

// oauthClient is the client of OAUTHBEARER and XOAUTH2.
type oauthClient struct {
	mechanism, message, last string
	failed                   bool
}

// OAuthBearerClient is the client of OAUTHBEARER.
func OAuthBearerClient(user, token string) Client {
	name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user)
	return &oauthClient{mechanism: OAuthBearer, message: "n,a=" + name + "," + kvsep + "auth=Bearer " + token + kvsep + kvsep, last: kvsep}
}

// XOAuth2Client is the client of XOAUTH2.
func XOAuth2Client(user, token string) Client {
	return &oauthClient{mechanism: XOAuth2, message: "user=" + user + kvsep + "auth=Bearer " + token + kvsep + kvsep}
}

func (c *oauthClient) Start() (string, []byte, error) { return c.mechanism, []byte(c.message), nil }

// Next answers a server that asks although it has the message, and one that
// says why it does not take the token.
func (c *oauthClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) == 0 {
		return []byte(c.message), nil
	}
	if c.failed {
		return nil, ErrMalformed
	}
	c.failed = true
	return []byte(c.last), nil
}

func (c *oauthClient) Finish() error {
	if c.failed {
		return ErrFailed
	}
	return nil
}
