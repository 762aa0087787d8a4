package sasl

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/scram"
)

// scramServer is the server of SCRAM-SHA-256 without channel binding.
type scramServer struct {
	conv  *scram.ServerConversation
	done  func(user string)
	step  int
	cause error // of a failed lookup
}

// ScramSHA256Server is the server of SCRAM-SHA-256 (RFC 5802, RFC 7677). lookup
// gives the verifier of a user; for one that does not exist it gives Decoy's,
// so that nobody learns which names exist, and an error only when it cannot
// answer; that error ends the exchange as it is. done, if not nil, is told who
// has proved to know the password. An authorization identity other than the
// user's own name is refused.
func ScramSHA256Server(lookup func(user string) (ScramVerifier, error), done func(user string)) Server {
	return newScramServer(lookup, done, nil)
}

// newScramServer takes the nonce from outside, for the examples of the RFC.
func newScramServer(lookup func(user string) (ScramVerifier, error), done func(user string), nonce func() string) *scramServer {
	s := &scramServer{done: done}
	server, err := scram.SHA256.NewServer(func(user string) (scram.StoredCredentials, error) {
		v, err := lookup(user)
		if err != nil {
			s.cause = err
			return scram.StoredCredentials{}, err
		}
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(v.Salt), Iters: v.Iterations},
			StoredKey:  v.StoredKey, ServerKey: v.ServerKey,
		}, nil
	})
	if err != nil { // the library's NewServer has no way to fail
		s.step = scramOver
		return s
	}
	if nonce != nil {
		server.WithNonceGenerator(nonce)
	}
	s.conv = server.NewConversation()
	return s
}

// The steps of a scramServer.
const (
	scramStart = iota
	scramAsked
	scramFinal
	scramTold
	scramOver
)

func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	step := s.step
	s.step = scramOver
	if len(response) > MaxMessage || !utf8.Valid(response) || bytes.IndexByte(response, 0) >= 0 {
		return nil, false, ErrMalformed
	}
	switch step {
	case scramStart, scramAsked:
		if step == scramStart && len(response) == 0 {
			s.step = scramAsked
			return []byte{}, false, nil
		}
		return s.first(response)
	case scramFinal:
		challenge, err := s.conv.Step(string(response))
		if err != nil || !s.conv.Valid() {
			return nil, false, ErrFailed
		}
		s.step = scramTold
		return []byte(challenge), false, nil
	case scramTold:
		// The client has our signature; its empty response closes the exchange.
		if len(response) > 0 {
			return nil, false, ErrMalformed
		}
		if s.done != nil {
			s.done(s.conv.Username())
		}
		return nil, true, nil
	}
	return nil, false, ErrMalformed
}

// first takes client-first-message (RFC 5802 §7).
func (s *scramServer) first(response []byte) ([]byte, bool, error) {
	challenge, err := s.conv.Step(string(response))
	switch {
	case s.cause != nil:
		return nil, false, s.cause
	case err != nil:
		return nil, false, ErrMalformed
	}
	if a := s.conv.AuthzID(); a != "" && a != s.conv.Username() {
		return nil, false, ErrFailed
	}
	if user := s.conv.Username(); user == "" || len(user) > MaxName {
		return nil, false, ErrMalformed
	}
	s.step = scramFinal
	return []byte(challenge), false, nil
}

// maxClientIterations is how much work a server may ask of us.
const maxClientIterations = 1 << 20

// scramClient is the client of SCRAM-SHA-256 without channel binding.
type scramClient struct {
	conv *scram.ClientConversation
	step int // messages taken or sent; 3 when the server has shown its signature; scramOver after a failure
}

// ScramSHA256Client is the client of SCRAM-SHA-256. It believes no server that
// asks for less than the 4,096 iterations of RFC 7677 §4.
func ScramSHA256Client(user, pass string) Client { return newScramClient(user, pass, nil) }

func newScramClient(user, pass string, nonce func() string) *scramClient {
	// Where SASLprep refuses a password it is used as it is, as servers do.
	client, err := scram.SHA256.NewClient(user, pass, "")
	if err != nil {
		client, err = scram.SHA256.NewClientUnprepped(user, pass, "")
	}
	if err != nil {
		return &scramClient{}
	}
	client.WithMinIterations(MinIterations)
	if nonce != nil {
		client.WithNonceGenerator(nonce)
	}
	return &scramClient{conv: client.NewConversation()}
}

func (c *scramClient) Start() (string, []byte, error) {
	if c.conv == nil || c.step != 0 {
		return "", nil, ErrMalformed
	}
	c.step = 1
	first, err := c.conv.Step("")
	if err != nil {
		return "", nil, ErrMalformed
	}
	return ScramSHA256, []byte(first), nil
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) > MaxMessage || c.step < 1 || c.step > 2 {
		return nil, ErrMalformed
	}
	step := c.step
	c.step = scramOver
	if step == 1 && !modest(string(challenge)) {
		return nil, ErrMalformed
	}
	response, err := c.conv.Step(string(challenge))
	if err != nil {
		// The library would go on after a failure, with a signature of nothing
		// that an empty one matches; the step above keeps it from that.
		return nil, errors.Join(ErrFailed, err)
	}
	c.step = step + 1
	return []byte(response), nil
}

// modest says whether server-first-message asks for work that can be done.
func modest(first string) bool {
	fields := strings.Split(first, ",")
	if len(fields) < 3 {
		return false
	}
	n, ok := strings.CutPrefix(fields[2], "i=")
	i, err := strconv.Atoi(n)
	return ok && err == nil && i > 0 && i <= maxClientIterations
}

// Finish makes sure that the server showed its signature (RFC 5802 §5).
func (c *scramClient) Finish() error {
	if c.conv == nil || c.step != 3 || !c.conv.Valid() {
		return ErrFailed
	}
	return nil
}
