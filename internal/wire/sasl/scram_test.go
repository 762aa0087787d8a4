package sasl

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// rfc7677 is the verifier of RFC 7677 §3.
func rfc7677(t *testing.T) ScramVerifier {
	t.Helper()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewScramVerifier(SHA256, "pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// one knows a verifier for everybody.
func one(v ...ScramVerifier) func(string) ([]ScramVerifier, error) {
	return func(string) ([]ScramVerifier, error) { return v, nil }
}

// TestScramExample is the exchange of RFC 7677 §3, both sides of it.
func TestScramExample(t *testing.T) {
	v := rfc7677(t)
	var told string
	server := ScramServer(ScramOptions{
		Hash: SHA256, Lookup: one(v), Done: func(user string, which int) { told = user },
		nonce: func() string { return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0" },
	})
	client := newScramClient(SHA256, false, "user", "pencil", nil, func() string { return "rOprNGfwEbeRWgbNEkqO" })
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

func TestScram(t *testing.T) {
	v := rfc7677(t)
	lookup := func(user string) ([]ScramVerifier, error) {
		if user == "user" {
			return []ScramVerifier{v}, nil
		}
		return []ScramVerifier{Decoy(SHA256, []byte("secret"), user, 4096)}, nil
	}
	server := func(lookup func(string) ([]ScramVerifier, error)) Server {
		return ScramServer(ScramOptions{Hash: SHA256, Lookup: lookup})
	}
	for _, c := range []struct {
		user, pass string
		ok         bool
	}{{"user", "pencil", true}, {"user", "Pencil", false}, {"other", "pencil", false}, {"user", "pen\u00adcil", true}, {"user", "", false}} {
		if err := exchange(ScramClient(SHA256, false, c.user, c.pass, nil), server(lookup)); (err == nil) != c.ok {
			t.Errorf("%s/%s: %v", c.user, c.pass, err)
		}
	}
	down := errors.New("down")
	s := server(func(string) ([]ScramVerifier, error) { return nil, down })
	if err := exchange(ScramClient(SHA256, false, "user", "pencil", nil), s); !errors.Is(err, down) {
		t.Errorf("a failed lookup gave %v", err)
	}
	for _, first := range []string{"", "n,,n=,r=x", "n,a=boss,n=user,r=x", "p=tls-unique,,n=user,r=x", "n,,m=1,n=user,r=x",
		"x,,n=user,r=x", "n,,n=us=er,r=x", "n,,n=\xff,r=x", "n,,n=" + strings.Repeat("u", MaxName+1) + ",r=x"} {
		s := server(lookup)
		s.Next(nil)
		if ch, _, err := s.Next([]byte(first)); err == nil {
			t.Errorf("%.40q was answered with %q", first, ch)
		}
	}
}

func TestScramClientIsNotOverworked(t *testing.T) {
	for _, challenge := range []string{"r=NONCEx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000", "r=NONCEx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
		"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=NONCEx", ""} {
		c := newScramClient(SHA256, false, "user", "pencil", nil, func() string { return "NONCE" })
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
		ScramSHA256: ScramServer(ScramOptions{Hash: SHA256, Lookup: one(v)}),
	} {
		c := ClientFor([]string{"CRAM-MD5", name}, "user", "pencil", nil)
		if got, _, _ := c.Start(); got != name {
			t.Errorf("%s was chosen of %s", got, name)
		}
		if err := exchange(ClientFor([]string{name}, "user", "pencil", nil), s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := ClientFor([]string{"XOAUTH2"}, "user", "pencil", nil); c != nil {
		t.Error("a client came for a mechanism that we do not speak")
	}
}

func TestVerifier(t *testing.T) {
	v := rfc7677(t)
	w, err := ParseScramVerifier(v.String())
	if err != nil || w.String() != v.String() || !w.Matches("pencil") || w.Matches("pencils") {
		t.Errorf("%v became %v: %v", v, w, err)
	}
	a, b := Decoy(SHA256, []byte("s"), "u", 4096), Decoy(SHA256, []byte("s"), "u", 4096)
	if !bytes.Equal(a.Salt, b.Salt) || bytes.Equal(a.Salt, Decoy(SHA256, []byte("s"), "v", 4096).Salt) || len(a.Salt) != SaltSize {
		t.Error("decoys change, or do not")
	}
	if _, err := ParseScramVerifier(a.String()); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"x", "SCRAM-SHA-256$", strings.Replace(v.String(), "4096", "4095", 1), strings.Replace(v.String(), "4096", "04096", 1),
		v.String() + "A", strings.Replace(v.String(), "$", "", 1), "SCRAM-SHA-256$4096:$:"} {
		if _, err := ParseScramVerifier(s); err == nil {
			t.Errorf("%q was read", s)
		}
	}
	if _, err := NewScramVerifier("MD5", "x", []byte("salt"), 4096); err == nil {
		t.Error("an unknown hash was taken")
	}
	if _, err := NewScramVerifier(SHA256, "x", nil, 4096); err == nil {
		t.Error("no salt was taken")
	}
	if _, err := NewScramVerifier(SHA256, "x", []byte("salt"), 100); err == nil {
		t.Error("too few iterations were taken")
	}
}

// TestScramSHA1Example is the exchange of RFC 5802 §5.
func TestScramSHA1Example(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("QSXCR+Q6sek8bf92")
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewScramVerifier(SHA1, "pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	server := ScramServer(ScramOptions{Hash: SHA1, Lookup: one(v), nonce: func() string { return "3rfcNHYJY1ZVvWVs7j" }})
	s1, _, err := server.Next([]byte("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL"))
	check(t, s1, err, "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096")
	s2, _, err := server.Next([]byte("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="))
	check(t, s2, err, "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")
}

// TestScramFamily runs every hash with and without a binding, with several
// passwords of one user.
func TestScramFamily(t *testing.T) {
	bound := []Binding{{TLSExporter, []byte("one")}, {TLSServerEndPoint, []byte("two")}}
	salt := []byte("0123456789abcdef")
	for _, h := range []Hash{SHA1, SHA256, SHA512} {
		var all []ScramVerifier
		for _, p := range []string{"main", "first app", "second app"} {
			v, err := NewScramVerifier(h, p, salt, 4096)
			if err != nil {
				t.Fatal(err)
			}
			if w, err := ParseScramVerifier(v.String()); err != nil || w.String() != v.String() || !w.Matches(p) {
				t.Errorf("%v became %v: %v", v, w, err)
			}
			all = append(all, v)
		}
		for _, c := range []struct {
			name           string
			pass           string
			plus           bool
			client, server []Binding
			which          int
			err            error
		}{
			{"no TLS", "main", false, nil, nil, 0, nil},
			{"an app's password", "second app", false, nil, nil, 2, nil},
			{"bound", "first app", true, bound, bound, 1, nil},
			{"bound by the certificate", "main", true, bound[1:], bound, 0, nil},
			{"a client that cannot bind", "main", false, nil, bound, 0, nil},
			{"wrong", "none", true, bound, bound, 0, ErrFailed},
			{"another connection", "main", true, []Binding{{TLSExporter, []byte("1")}}, bound, 0, ErrBinding},
			{"an unknown binding", "main", true, []Binding{{"tls-odd", []byte("1")}}, bound, 0, ErrBinding},
			{"-PLUS was hidden", "main", false, bound, bound, 0, ErrBinding},
			{"-PLUS was not offered", "main", false, bound, nil, 0, nil},
			{"-PLUS without TLS", "main", true, bound, nil, 0, ErrBinding},
		} {
			which := -1
			s := ScramServer(ScramOptions{Hash: h, Plus: c.plus, Bindings: c.server, Lookup: one(all...), Done: func(_ string, w int) { which = w }})
			err := exchange(ScramClient(h, c.plus, "user", c.pass, c.client), s)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || err == nil && which != c.which {
				t.Errorf("%s, %s: %v, password %d", h, c.name, err, which)
			}
		}
	}
	v := Decoy(SHA256, []byte("s"), "u", 4096)
	w := v
	w.Salt = salt
	if err := exchange(ScramClient(SHA256, false, "u", "x", nil), ScramServer(ScramOptions{Hash: SHA256, Lookup: one(v, w)})); err == nil {
		t.Error("two salts were taken")
	}
}

func TestScramFlagMatchesMechanism(t *testing.T) {
	b := []Binding{{TLSExporter, []byte("x")}}
	for _, c := range []struct {
		plus  bool
		first string
	}{{true, "n,,n=user,r=x"}, {true, "y,,n=user,r=x"}, {false, "p=tls-exporter,,n=user,r=x"}} {
		s := ScramServer(ScramOptions{Hash: SHA256, Plus: c.plus, Bindings: b, Lookup: one(rfc7677(t))})
		if ch, _, err := s.Next([]byte(c.first)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v %q: %q %v", c.plus, c.first, ch, err)
		}
	}
}

func TestStrongestClient(t *testing.T) {
	b := []Binding{{TLSExporter, []byte("x")}}
	all := []string{"LOGIN", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS"}
	for _, want := range []string{"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "LOGIN"} {
		c := ClientFor(all, "user", "pencil", b)
		got, _, err := c.Start()
		if got != want || err != nil {
			t.Errorf("%v: %s, %v", all, got, err)
		}
		if Tells(want) != (want == "PLAIN" || want == "LOGIN") {
			t.Errorf("%s tells: %v", want, Tells(want))
		}
		all = remove(all, want)
	}
	if got, _, _ := ClientFor([]string{"SCRAM-SHA-256-PLUS", "PLAIN"}, "user", "pencil", nil).Start(); got != "PLAIN" {
		t.Errorf("without TLS %s was chosen", got)
	}
}

func remove(all []string, s string) (left []string) {
	for _, a := range all {
		if a != s {
			left = append(left, a)
		}
	}
	return left
}
