package sasl

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// plainServer is the server of RFC 4616.
type plainServer struct {
	verify func(authzid, user, pass string) error
	asked  bool
	over   bool
}

// PlainServer is the server of PLAIN (RFC 4616). What verify returns ends the
// exchange as it is. An empty authzid means the user's own identity.
func PlainServer(verify func(authzid, user, pass string) error) Server {
	return &plainServer{verify: verify}
}

func (s *plainServer) Next(response []byte) ([]byte, bool, error) {
	switch {
	case s.over:
		return nil, false, ErrMalformed
	case len(response) == 0 && !s.asked:
		s.asked = true
		return []byte{}, false, nil
	}
	s.over = true
	if len(response) > MaxMessage || !utf8.Valid(response) {
		return nil, false, ErrMalformed
	}
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 || !goodName(parts[1]) || !goodPassword(parts[2]) || len(parts[0]) > MaxName {
		return nil, false, ErrMalformed
	}
	if err := s.verify(string(parts[0]), string(parts[1]), string(parts[2])); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

func goodName(b []byte) bool     { return len(b) > 0 && len(b) <= MaxName }
func goodPassword(b []byte) bool { return len(b) > 0 && len(b) <= MaxPassword }

// plainClient is the client of RFC 4616.
type plainClient struct{ user, pass string }

// PlainClient is the client of PLAIN.
func PlainClient(user, pass string) Client { return plainClient{user, pass} }

func (c plainClient) Start() (string, []byte, error) {
	if strings.ContainsRune(c.user+c.pass, 0) {
		return "", nil, ErrMalformed
	}
	return Plain, []byte("\x00" + c.user + "\x00" + c.pass), nil
}

// Next serves a server that asks although it was given the initial response
// with the command; it may ask only with an empty challenge.
func (c plainClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) > 0 {
		return nil, ErrMalformed
	}
	_, response, err := c.Start()
	return response, err
}

func (c plainClient) Finish() error { return nil }

// loginServer is the server of LOGIN.
type loginServer struct {
	verify func(authzid, user, pass string) error
	step   int // 0: at the start, 1: asked for the name, 2: asked for the password, 3: over
	user   string
}

// LoginServer is the server of LOGIN, which RFC 4616 made obsolete and which
// old clients and devices still speak. It takes the name as initial response
// too. Its authzid is always empty.
func LoginServer(verify func(authzid, user, pass string) error) Server {
	return &loginServer{verify: verify}
}

func (s *loginServer) Next(response []byte) ([]byte, bool, error) {
	if s.step == 0 && len(response) == 0 {
		s.step = 1
		return []byte("Username:"), false, nil
	}
	bad := !utf8.Valid(response) || bytes.IndexByte(response, 0) >= 0
	switch {
	case s.step <= 1 && !bad && goodName(response):
		s.user, s.step = string(response), 2
		return []byte("Password:"), false, nil
	case s.step == 2 && !bad && goodPassword(response):
		s.step = 3
		if err := s.verify("", s.user, string(response)); err != nil {
			return nil, false, err
		}
		return nil, true, nil
	}
	s.step = 3
	return nil, false, ErrMalformed
}

// loginClient is the client of LOGIN.
type loginClient struct {
	answers []string
}

// LoginClient is the client of LOGIN. It answers the two challenges in order,
// whatever they say.
func LoginClient(user, pass string) Client { return &loginClient{answers: []string{user, pass}} }

func (c *loginClient) Start() (string, []byte, error) { return Login, nil, nil }

func (c *loginClient) Next([]byte) ([]byte, error) {
	if len(c.answers) == 0 {
		return nil, ErrMalformed
	}
	answer := c.answers[0]
	c.answers = c.answers[1:]
	return []byte(answer), nil
}

func (c *loginClient) Finish() error { return nil }
