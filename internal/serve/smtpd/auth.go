package smtpd

import (
	"encoding/base64"
	"errors"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/wire/line"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// attempt is where this session's user comes from.
func (s *session) attempt() login.Attempt {
	return login.Attempt{Door: s.srv.o.Mode.String(), Addr: s.peer.Addr, TLS: s.peer.TLS, Secured: s.secured}
}

// auth lets a user in (RFC 4954 §4).
func (s *session) auth(c smtp.Command) {
	x, err := s.srv.o.Auth.Start(s.ctx, s.attempt(), c.Mechanism)
	if err != nil {
		s.fail(authReply(err))
		return
	}
	response, ok := decodeInitial(c.Initial)
	if !ok {
		s.fail(smtp.Answer(501, smtp.Enhanced{5, 5, 2}, "That is not base64"))
		return
	}
	for {
		challenge, done, err := x.Next(response)
		if err != nil {
			s.authFailed(err)
			return
		}
		if done && len(challenge) == 0 {
			s.who, s.held = x.Who(), time.Now()
			s.peer.Account, s.peer.User, s.peer.Login = s.who.Account, s.who.Address, c.Mechanism
			s.answer(235, smtp.Enhanced{2, 7, 0}, "Welcome")
			return
		}
		s.send(smtp.Reply{Code: 334, Text: []string{base64.StdEncoding.EncodeToString(challenge)}})
		if response, ok = s.readResponse(); !ok {
			return
		}
	}
}

// holds is for how long a login is believed to hold.
const holds = time.Minute

// still ends the session of an account that was disabled or removed, or whose
// password has changed. A directory that cannot be read proves nothing.
func (s *session) still() bool {
	if s.who.Account == 0 || time.Since(s.held) < holds {
		return true
	}
	s.held = time.Now()
	ok, err := s.srv.o.Auth.Still(s.ctx, s.who)
	if err != nil {
		s.srv.failed(s, err)
		return true
	}
	if !ok {
		s.answer(421, smtp.Enhanced{4, 7, 0}, "%s Please log in again", s.srv.o.Hostname)
		s.end("login revoked")
	}
	return ok
}

// authFailed answers a login that did not succeed. Who goes on guessing is cut
// off here and slowed elsewhere.
func (s *session) authFailed(err error) {
	s.send(authReply(err))
	if !fault.Is(err, fault.Unauthenticated) {
		return
	}
	if s.authFailures++; s.authFailures >= s.srv.limits.AuthFailures {
		s.answer(421, smtp.Enhanced{4, 7, 0}, "%s Too many failed logins; goodbye", s.srv.o.Hostname)
		s.end("too many failed logins")
	}
}

// decodeInitial reads an initial response: "" is none, "=" an empty one.
func decodeInitial(s string) (response []byte, ok bool) {
	switch s {
	case "":
		return nil, true
	case "=":
		return []byte{}, true
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// readResponse reads the answer to a challenge. It says false if there is none,
// which it has then answered.
func (s *session) readResponse() (response []byte, ok bool) {
	if !s.link.command(s.srv.limits.Command, true) {
		s.lost(errStopped)
		return nil, false
	}
	text, err := s.link.in.ReadLine(smtp.MaxAuthLine)
	switch {
	case errors.Is(err, line.ErrTooLong):
		s.fail(smtp.Answer(500, smtp.Enhanced{5, 5, 6}, "That line is too long")) // RFC 4954 §6
	case errors.Is(err, line.ErrBare):
		s.bare()
	case err != nil:
		s.lost(err)
	case string(text) == "*":
		s.answer(501, smtp.Enhanced{5, 0, 0}, "Authentication was given up")
	default:
		response, err = base64.StdEncoding.Strict().DecodeString(string(text))
		if err == nil {
			return response, true
		}
		s.fail(smtp.Answer(501, smtp.Enhanced{5, 5, 2}, "That is not base64"))
	}
	return nil, false
}
