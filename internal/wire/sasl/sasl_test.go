package sasl

import (
	"bytes"
	"encoding/base64"
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

// rfc7677 is the verifier of RFC 7677 §3.
func rfc7677(t *testing.T) ScramVerifier {
	t.Helper()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewScramVerifier("pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestScramExample is the exchange of RFC 7677 §3, both sides of it.
func TestScramExample(t *testing.T) {
	v := rfc7677(t)
	var told string
	server := newScramServer(func(user string) (ScramVerifier, error) { return v, nil }, func(user string) { told = user },
		func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" })
	client := newScramClient("user", "pencil", func() string { return "rOprNGfwEbeRWgbNEkqO" })
	_, c1, err := client.Start()
	check(t, c1, err, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
	s1, _, err := server.Next(c1)
	check(t, s1, err, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
	c2, err := client.Next(s1)
	check(t, c2, err, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if client.Finish() == nil {
		t.Error("the client believes a server that has not shown its signature")
	}
	s2, done, err := server.Next(c2)
	check(t, s2, err, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
	if done || told != "" {
		t.Error("the server ended before the client had its signature")
	}
	c3, err := client.Next(s2)
	check(t, c3, err, "")
	if _, done, err = server.Next(c3); !done || err != nil || told != "user" {
		t.Error(done, err, told)
	}
	if err := client.Finish(); err != nil {
		t.Error(err)
	}
}

func check(t *testing.T, got []byte, err error, want string) {
	t.Helper()
	if err != nil || string(got) != want {
		t.Fatalf("got %q %v, want %q", got, err, want)
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

func TestScram(t *testing.T) {
	v := rfc7677(t)
	lookup := func(user string) (ScramVerifier, error) {
		if user == "user" {
			return v, nil
		}
		return Decoy([]byte("secret"), user, 4096), nil
	}
	for _, c := range []struct {
		user, pass string
		ok         bool
	}{{"user", "pencil", true}, {"user", "Pencil", false}, {"other", "pencil", false}, {"user", "pen\u00adcil", true}, {"user", "", false}} {
		if err := exchange(ScramSHA256Client(c.user, c.pass), ScramSHA256Server(lookup, nil)); (err == nil) != c.ok {
			t.Errorf("%s/%s: %v", c.user, c.pass, err)
		}
	}
	down := errors.New("down")
	s := ScramSHA256Server(func(string) (ScramVerifier, error) { return ScramVerifier{}, down }, nil)
	if err := exchange(ScramSHA256Client("user", "pencil"), s); !errors.Is(err, down) {
		t.Errorf("a failed lookup gave %v", err)
	}
	for _, first := range []string{"", "n,,n=,r=x", "n,a=boss,n=user,r=x", "p=tls-unique,,n=user,r=x", "n,,m=1,n=user,r=x",
		"x,,n=user,r=x", "n,,n=us=er,r=x", "n,,n=\xff,r=x", "n,,n=" + strings.Repeat("u", MaxName+1) + ",r=x"} {
		s := ScramSHA256Server(lookup, nil)
		s.Next(nil)
		if ch, _, err := s.Next([]byte(first)); err == nil {
			t.Errorf("%.40q was answered with %q", first, ch)
		}
	}
}

func TestScramClientIsNotOverworked(t *testing.T) {
	for _, challenge := range []string{"r=NONCEx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000", "r=NONCEx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
		"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=NONCEx", ""} {
		c := newScramClient("user", "pencil", func() string { return "NONCE" })
		c.Start()
		if got, err := c.Next([]byte(challenge)); err == nil {
			t.Errorf("%q was answered with %q", challenge, got)
		}
	}
}

func TestClients(t *testing.T) {
	v := rfc7677(t)
	for name, s := range map[string]Server{
		Plain: PlainServer(only("user", "pencil")), Login: LoginServer(only("user", "pencil")),
		ScramSHA256: ScramSHA256Server(func(string) (ScramVerifier, error) { return v, nil }, nil),
	} {
		c := ClientFor([]string{"CRAM-MD5", name}, "user", "pencil")
		if got, _, _ := c.Start(); got != name {
			t.Errorf("%s was chosen of %s", got, name)
		}
		if err := exchange(ClientFor([]string{name}, "user", "pencil"), s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := ClientFor([]string{"XOAUTH2"}, "user", "pencil"); c != nil {
		t.Error("a client came for a mechanism that we do not speak")
	}
}

func TestVerifier(t *testing.T) {
	v := rfc7677(t)
	w, err := ParseScramVerifier(v.String())
	if err != nil || w.String() != v.String() || !w.Matches("pencil") || w.Matches("pencils") {
		t.Errorf("%v became %v: %v", v, w, err)
	}
	a, b := Decoy([]byte("s"), "u", 4096), Decoy([]byte("s"), "u", 4096)
	if !bytes.Equal(a.Salt, b.Salt) || bytes.Equal(a.Salt, Decoy([]byte("s"), "v", 4096).Salt) || len(a.Salt) != SaltSize {
		t.Error("decoys change, or do not")
	}
	if _, err := ParseScramVerifier(a.String()); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"x", verifierPrefix, strings.Replace(v.String(), "4096", "4095", 1), strings.Replace(v.String(), "4096", "04096", 1),
		v.String() + "A", strings.Replace(v.String(), "$", "", 1), verifierPrefix + "4096:$:"} {
		if _, err := ParseScramVerifier(s); err == nil {
			t.Errorf("%q was read", s)
		}
	}
	if _, err := NewScramVerifier("x", nil, 4096); err == nil {
		t.Error("no salt was taken")
	}
	if _, err := NewScramVerifier("x", []byte("salt"), 100); err == nil {
		t.Error("too few iterations were taken")
	}
}

func FuzzServers(f *testing.F) {
	f.Add([]byte("\x00tim\x00pass"), []byte("x"), []byte(""))
	f.Add([]byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), []byte("c=biws,r=rOprNGfwEbeRWgbNEkqOx,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), []byte(""))
	f.Add([]byte("user"), []byte("pass"), []byte("x"))
	f.Add([]byte(""), []byte("p=tls-exporter,a=x,n=a=2Cb,r="), []byte("c=,r=,p="))
	v := Decoy([]byte("x"), "user", 4096)
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		deny := func(authzid, u, p string) error {
			if u == "" || p == "" || len(u) > MaxName || len(p) > MaxPassword || strings.Contains(u+p, "\x00") {
				t.Errorf("verify was asked about %q %q", u, p)
			}
			return ErrFailed
		}
		for _, s := range []Server{PlainServer(deny), LoginServer(deny),
			newScramServer(func(string) (ScramVerifier, error) { return v, nil }, nil, func() string { return "x" })} {
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
		c := newScramClient("user", "pencil", func() string { return "N" })
		c.Start()
		c.Next(a)
		c.Next(b)
		if c.Finish() == nil {
			t.Fatalf("%q %q proved the password", a, b)
		}
	})
}

func FuzzVerifier(f *testing.F) {
	f.Add(Decoy([]byte("x"), "user", 4096).String())
	f.Add("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA==")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseScramVerifier(s); err == nil && v.String() != s {
			t.Errorf("%q became %q", s, v.String())
		}
	})
}
