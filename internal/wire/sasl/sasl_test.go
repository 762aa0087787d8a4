package sasl

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// only accepts one user and one password.
func only(user, pass string) func(authzid, u, p string) error {
	return func(authzid, u, p string) error {
		if authzid != "" && authzid != user || u != user || p != pass {
			return ErrFailed
		}
		return nil
	}
}

func TestPlainServer(t *testing.T) {
	for _, c := range []struct {
		name, in string
		err      error
	}{
		{"RFC 4616 §4, first example", "\x00tim\x00tanstaaftanstaaf", nil},
		{"own name as identity", "tim\x00tim\x00tanstaaftanstaaf", nil},
		{"RFC 4616 §4, another's identity", "Ursel\x00tim\x00tanstaaftanstaaf", ErrFailed},
		{"wrong", "\x00tim\x00x", ErrFailed},
		{"no password", "\x00tim\x00", ErrMalformed},
		{"no name", "\x00\x00x", ErrMalformed},
		{"two parts", "tim\x00x", ErrMalformed},
		{"four parts", "\x00tim\x00x\x00", ErrMalformed},
		{"not UTF-8", "\x00tim\x00\xff", ErrMalformed},
		{"long name", "\x00" + strings.Repeat("n", MaxName+1) + "\x00x", ErrMalformed},
		{"long password", "\x00tim\x00" + strings.Repeat("n", MaxPassword+1), ErrMalformed},
	} {
		for _, asked := range []bool{false, true} {
			s := PlainServer(only("tim", "tanstaaftanstaaf"))
			if asked {
				if ch, done, err := s.Next(nil); ch == nil || len(ch) > 0 || done || err != nil {
					t.Fatalf("asking gave %q %v %v", ch, done, err)
				}
			}
			_, done, err := s.Next([]byte(c.in))
			if !errors.Is(err, c.err) || done != (c.err == nil) {
				t.Errorf("%s: %v %v", c.name, done, err)
			}
			if _, done, err := s.Next([]byte("\x00tim\x00tanstaaftanstaaf")); done || err == nil {
				t.Errorf("%s: the exchange went on after its end", c.name)
			}
		}
	}
	s := PlainServer(only("a", "b"))
	s.Next(nil)
	if _, done, err := s.Next(nil); done || err == nil {
		t.Error("an empty answer to the question was taken")
	}
}

func TestLoginServer(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		want string // the challenges, then the end
	}{
		{"asked", []string{"", "tim", "x"}, "Username: Password: done"},
		{"initial response", []string{"tim", "x"}, "Password: done"},
		{"wrong", []string{"", "tim", "y"}, "Username: Password: authentication failed"},
		{"no name", []string{"", ""}, "Username: malformed SASL message"},
		{"no password", []string{"", "tim", ""}, "Username: Password: malformed SASL message"},
		{"NUL", []string{"t\x00m"}, "malformed SASL message"},
		{"after the end", []string{"tim", "x", "x"}, "Password: done malformed SASL message"},
	} {
		s := LoginServer(only("tim", "x"))
		var got []string
		for _, in := range c.in {
			ch, done, err := s.Next([]byte(in))
			switch {
			case err != nil:
				got = append(got, err.Error())
			case done:
				got = append(got, "done")
			default:
				got = append(got, string(ch))
			}
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s: %q, want %q", c.name, g, c.want)
		}
	}
}

// exchange runs a client against a server.
func exchange(c Client, s Server) error {
	_, response, err := c.Start()
	for i := 0; err == nil && i < 5; i++ {
		challenge, done, e := s.Next(response)
		if e != nil {
			return e
		}
		if done {
			return c.Finish()
		}
		response, err = c.Next(challenge)
	}
	return err
}

func FuzzServers(f *testing.F) {
	f.Add([]byte("\x00tim\x00pass"), []byte("x"), []byte(""))
	f.Add([]byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), []byte("c=biws,r=rOprNGfwEbeRWgbNEkqOx,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), []byte(""))
	f.Add([]byte("user"), []byte("pass"), []byte("x"))
	f.Add([]byte("n,a=user@x.test,\x01host=x\x01auth=Bearer abc\x01\x01"), []byte("\x01"), []byte(""))
	f.Add([]byte("user=user@x.test\x01auth=Bearer abc\x01\x01"), []byte(""), []byte(""))
	f.Add([]byte("p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO"), []byte("c=cD10bHMtZXhwb3J0ZXIsLHg=,r=rOprNGfwEbeRWgbNEkqOx,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), []byte(""))
	f.Add([]byte(""), []byte("p=tls-exporter,a=x,n=a=2Cb,r="), []byte("c=,r=,p="))
	v := Decoy(SHA256, []byte("x"), "user", 4096)
	bound := []Binding{{TLSExporter, []byte("x")}}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		deny := func(authzid, u, p string) error {
			if u == "" || p == "" || len(u) > MaxName || len(p) > MaxPassword || strings.Contains(u+p, "\x00") {
				t.Errorf("verify was asked about %q %q", u, p)
			}
			return ErrFailed
		}
		for _, s := range []Server{PlainServer(deny), LoginServer(deny),
			ScramServer(ScramOptions{Hash: SHA256, Lookup: one(v, v), nonce: func() string { return "x" }}),
			ScramServer(ScramOptions{Hash: SHA256, Plus: true, Bindings: bound, Lookup: one(v), nonce: func() string { return "x" }}),
			ExternalServer(func(who string) error { return deny(who, "u", "p") }),
			OAuthBearerServer(func(b Bearer) error { return &TokenError{Status: "invalid_token"} }),
			XOAuth2Server(func(b Bearer) error { return &TokenError{Status: "invalid_token"} })} {
			for _, in := range [][]byte{a, b, c, a} {
				ch, done, err := s.Next(in)
				if done {
					t.Fatalf("%q %q %q came in", a, b, c)
				}
				if len(ch) > 2*MaxMessage || err != nil && ch != nil {
					t.Fatalf("challenge %q with %v", ch, err)
				}
			}
		}
	})
}

func FuzzClient(f *testing.F) {
	f.Add([]byte("r=Nx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), []byte("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
	f.Add([]byte("r=N,s=,i=4096,x"), []byte("e=other-error"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if bytes.Contains(a, []byte("i=")) && modest(string(a)) && !bytes.Contains(a, []byte("i=4096")) {
			return // many iterations are what costs, and prove nothing more
		}
		c := newScramClient(SHA256, false, "user", "pencil", nil, func() string { return "N" })
		c.Start()
		c.Next(a)
		c.Next(b)
		if c.Finish() == nil {
			t.Fatalf("%q %q proved the password", a, b)
		}
	})
}

func FuzzVerifier(f *testing.F) {
	f.Add(Decoy(SHA256, []byte("x"), "user", 4096).String())
	f.Add("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA==")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseScramVerifier(s); err == nil && v.String() != s {
			t.Errorf("%q became %q", s, v.String())
		}
	})
}

// FuzzBearer holds both OAuth parsers to what they may give.
func FuzzBearer(f *testing.F) {
	f.Add([]byte("n,a=user@x.test,\x01host=x\x01port=143\x01auth=Bearer abc==\x01\x01"))
	f.Add([]byte("y,,\x01auth=bearer  a.b.c\x01\x01"))
	f.Add([]byte("user=user@x.test\x01auth=Bearer abc\x01\x01"))
	f.Add([]byte("\x01"))
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, parse := range []func([]byte) (Bearer, error){ParseOAuthBearer, ParseXOAuth2} {
			b, err := parse(message)
			if err == nil && (!isToken(b.Token) || len(b.Token) > MaxToken || len(b.User) > MaxName || strings.Contains(b.User, "\x00")) {
				t.Errorf("%q gave %q", message, b)
			}
		}
		if b, err := ParseOAuthBearer(message); err == nil {
			_, again, _ := OAuthBearerClient(b.User, b.Token).Start()
			if c, err := ParseOAuthBearer(again); b.User != "" && (err != nil || c != b) {
				t.Errorf("%q became %q: %v", b, c, err)
			}
		}
	})
}
