package sasl

import (
	"errors"
	"strings"
	"testing"
)

func TestParseOAuthBearer(t *testing.T) {
	for _, c := range []struct {
		in          string // "^" stands for the separator
		user, token string // no token: malformed
	}{
		{"n,a=user@example.com,^host=server.example.com^port=143^auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==^^", "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="}, // RFC 7628 §4.1
		{"n,,^auth=bEaReR a.b-c_d~e+f/g^^", "", "a.b-c_d~e+f/g"},
		{"y,,^auth=Bearer x^^", "", "x"},
		{"n,a=a=2Cb=3Dc,^auth=Bearer x^^", "a,b=c", "x"},
		{"n,,^odd=x y^auth=Bearer x^^", "", "x"},
		{"^", "", ""},
		{"", "", ""},
		{"n,,^^", "", ""},
		{"n,,^auth=Bearer x^", "", ""},
		{"n,,^auth=Bearer x", "", ""},
		{"n,,^auth=Basic x^^", "", ""},
		{"n,,^auth=Bearer ^^", "", ""},
		{"n,,^auth=Bearer x y^^", "", ""},
		{"n,,^auth=Bearer ==^^", "", ""},
		{"n,,^auth=Bearer x^auth=Bearer y^^", "", ""},
		{"n,,^4=x^auth=Bearer x^^", "", ""},
		{"p=tls-exporter,,^auth=Bearer x^^", "", ""},
		{"n,a=,^auth=Bearer x^^", "", ""},
		{"n,a=x=2D,^auth=Bearer x^^", "", ""},
		{"n,u=x,^auth=Bearer x^^", "", ""},
		{"n,,x^auth=Bearer x^^", "", ""},
		{"n,a=\xff,^auth=Bearer x^^", "", ""},
		{"n,,^auth=Bearer " + strings.Repeat("x", MaxToken) + "^^", "", ""},
	} {
		b, err := ParseOAuthBearer([]byte(strings.ReplaceAll(c.in, "^", kvsep)))
		if (err == nil) != (c.token != "") || err == nil && (b.User != c.user || b.Token != c.token) {
			t.Errorf("%.100q: %+v %v", c.in, b, err)
		}
	}
}

func TestParseXOAuth2(t *testing.T) {
	for in, ok := range map[string]bool{
		"user=someuser@example.com^auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg^^": true, // Google's example
		"user=a^auth=Bearer x^":   false,
		"user=^auth=Bearer x^^":   false,
		"auth=Bearer x^^":         false,
		"user=a^auth=Basic x^^":   false,
		"user=a\x00^auth=Basic^^": false,
		"":                        false,
	} {
		if b, err := ParseXOAuth2([]byte(strings.ReplaceAll(in, "^", kvsep))); (err == nil) != ok {
			t.Errorf("%q: %+v %v", in, b, err)
		}
	}
}

// TestTokenRefused sees the server tell why, and fail only then (RFC 7628 §3.2.3).
func TestTokenRefused(t *testing.T) {
	end := errors.New("the end")
	refuse := func(Bearer) error {
		return &TokenError{Status: "invalid_token", Scope: "mail", Config: "https://id.example/.well-known/openid-configuration", Err: end}
	}
	for _, c := range []struct {
		server Server
		client Client
		told   string
	}{
		{OAuthBearerServer(refuse), OAuthBearerClient("a=b,c", "x"), `{"status":"invalid_token","scope":"mail","openid-configuration":"https://id.example/.well-known/openid-configuration"}`},
		{XOAuth2Server(refuse), XOAuth2Client("u", "x"), `{"status":"401","schemes":"bearer","scope":"mail"}`},
	} {
		_, initial, err := c.client.Start()
		if err != nil {
			t.Fatal(err)
		}
		told, done, err := c.server.Next(initial)
		if string(told) != c.told || done || err != nil {
			t.Errorf("told %s, %v, %v", told, done, err)
		}
		answer, err := c.client.Next(told)
		if err != nil || c.client.Finish() == nil {
			t.Errorf("the client answered with %q: %v", answer, err)
		}
		if _, done, err := c.server.Next(answer); done || !errors.Is(err, end) {
			t.Errorf("ended with %v %v", done, err)
		}
		if _, done, err := c.server.Next(initial); done || !errors.Is(err, ErrMalformed) {
			t.Errorf("after the end: %v %v", done, err)
		}
	}
}

func TestTokenTaken(t *testing.T) {
	down := errors.New("down")
	verify := func(b Bearer) error {
		switch b {
		case Bearer{"tim@x.test", "good"}:
			return nil
		case Bearer{"tim@x.test", "down"}:
			return down
		}
		return &TokenError{Status: "invalid_token"}
	}
	for _, c := range []struct {
		server func(func(Bearer) error) Server
		client func(user, token string) Client
	}{{OAuthBearerServer, OAuthBearerClient}, {XOAuth2Server, XOAuth2Client}} {
		for token, want := range map[string]error{"good": nil, "down": down, "bad": ErrFailed} {
			if err := exchange(c.client("tim@x.test", token), c.server(verify)); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%s: %v", token, err)
			}
			s := c.server(verify)
			if ch, done, err := s.Next(nil); ch == nil || done || err != nil {
				t.Errorf("asking gave %q %v %v", ch, done, err)
			}
		}
	}
}

func TestExternal(t *testing.T) {
	verify := func(who string) error {
		if who == "" || who == "tim" {
			return nil
		}
		return ErrFailed
	}
	for _, c := range []struct {
		in  [][]byte
		err error
	}{
		{[][]byte{{}}, nil},
		{[][]byte{nil, {}}, nil},
		{[][]byte{nil, nil}, nil},
		{[][]byte{[]byte("tim")}, nil},
		{[][]byte{nil, []byte("tim")}, nil},
		{[][]byte{[]byte("tom")}, ErrFailed},
		{[][]byte{[]byte("a\x00b")}, ErrMalformed},
		{[][]byte{[]byte("\xff")}, ErrMalformed},
		{[][]byte{{}, {}}, ErrMalformed},
	} {
		s := ExternalServer(verify)
		var err error
		for _, in := range c.in {
			_, _, err = s.Next(in)
		}
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%q: %v", c.in, err)
		}
	}
	if err := exchange(ExternalClient("tim"), ExternalServer(verify)); err != nil {
		t.Error(err)
	}
}
