package sasl

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/scram"
)

// ScramOptions are what a server of SCRAM works with. Lookup is needed.
type ScramOptions struct {
	Hash Hash
	// Plus means that the client chose the mechanism whose name ends in -PLUS, and
	// Bindings are what the connection can be bound by: if there are any, -PLUS was
	// offered.
	Plus     bool
	Bindings []Binding
	// Lookup gives the verifiers of a user, one for each of his passwords. All must
	// have one salt and one number of iterations, since these are told before the
	// proof comes. For a user that does not exist it gives Decoy's, so that nobody
	// learns which names exist. An error means that it cannot answer, and ends the
	// exchange as it is.
	Lookup func(user string) ([]ScramVerifier, error)
	// Done, if not nil, is told who has proved to know a password, and which of
	// those that Lookup gave.
	Done func(user string, which int)

	nonce func() string // for the examples of the RFCs
}

// scramServer is the server of SCRAM. One conversation of the library runs for
// each verifier, all with the same nonce.
type scramServer struct {
	o     ScramOptions
	convs []*scram.ServerConversation
	which int // whose proof was right
	step  int
}

// ScramServer is the server of the SCRAM family (RFC 5802, RFC 7677). An
// authorization identity other than the user's own name is refused.
func ScramServer(o ScramOptions) Server {
	if o.nonce == nil {
		o.nonce = func() string {
			var b [24]byte
			_, _ = rand.Read(b[:])
			return base64.StdEncoding.EncodeToString(b[:])
		}
	}
	return &scramServer{o: o}
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
		return s.first(string(response))
	case scramFinal:
		return s.final(string(response))
	case scramTold:
		// The client has our signature; its empty response closes the exchange.
		if len(response) > 0 {
			return nil, false, ErrMalformed
		}
		if s.o.Done != nil {
			s.o.Done(s.convs[s.which].Username(), s.which)
		}
		return nil, true, nil
	}
	return nil, false, ErrMalformed
}

// binding reads the flag at the head of client-first-message and gives what
// the exchange is bound by (RFC 5802 §6): with the flag "p", which comes with
// -PLUS and only there, one that we know. "y" says that the client would have
// bound it, had we offered to.
func (s *scramServer) binding(first string) (scram.ChannelBinding, error) {
	flag, _, _ := strings.Cut(first, ",")
	name, bound := strings.CutPrefix(flag, "p=")
	switch {
	case bound != s.o.Plus:
		return scram.ChannelBinding{}, ErrMalformed
	case bound:
		for _, b := range s.o.Bindings {
			if b.Type == name {
				return scram.ChannelBinding{Type: scram.ChannelBindingType(b.Type), Data: b.Data}, nil
			}
		}
		return scram.ChannelBinding{}, ErrBinding
	case flag == "y" && len(s.o.Bindings) > 0: // and we did: somebody between us hid it
		return scram.ChannelBinding{}, ErrBinding
	}
	return scram.ChannelBinding{}, nil
}

// first takes client-first-message (RFC 5802 §7).
func (s *scramServer) first(message string) ([]byte, bool, error) {
	bound, err := s.binding(message)
	if err != nil {
		return nil, false, err
	}
	var verifiers []ScramVerifier
	var cause error
	nonce := s.o.nonce()
	// The first conversation looks the user up, for all of them.
	challenge, conv, err := s.converse(message, bound, nonce, func(user string) (ScramVerifier, error) {
		if user == "" || len(user) > MaxName {
			return ScramVerifier{}, ErrMalformed
		}
		if verifiers, cause = s.o.Lookup(user); cause == nil && len(verifiers) == 0 {
			cause = ErrFailed
		}
		if cause != nil {
			return ScramVerifier{}, cause
		}
		return verifiers[0], nil
	})
	switch {
	case cause != nil:
		return nil, false, cause
	case err != nil:
		return nil, false, ErrMalformed
	}
	if a := conv.AuthzID(); a != "" && a != conv.Username() {
		return nil, false, ErrFailed
	}
	s.convs = append(s.convs, conv)
	for _, v := range verifiers[1:] {
		if v.Hash != verifiers[0].Hash || v.Iterations != verifiers[0].Iterations || !bytes.Equal(v.Salt, verifiers[0].Salt) {
			return nil, false, errors.New("sasl: verifiers of one user have more than one salt")
		}
		_, conv, err := s.converse(message, bound, nonce, func(string) (ScramVerifier, error) { return v, nil })
		if err != nil {
			return nil, false, ErrMalformed
		}
		s.convs = append(s.convs, conv)
	}
	s.step = scramFinal
	return []byte(challenge), false, nil
}

// converse begins one conversation.
func (s *scramServer) converse(first string, bound scram.ChannelBinding, nonce string, lookup func(string) (ScramVerifier, error)) (string, *scram.ServerConversation, error) {
	server, err := s.o.Hash.library().NewServer(func(user string) (scram.StoredCredentials, error) {
		v, err := lookup(user)
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(v.Salt), Iters: v.Iterations},
			StoredKey:  v.StoredKey, ServerKey: v.ServerKey,
		}, err
	})
	if err != nil {
		return "", nil, err
	}
	server.WithNonceGenerator(func() string { return nonce })
	conv := server.NewConversationWithChannelBinding(bound)
	challenge, err := conv.Step(first)
	return challenge, conv, err
}

// final takes client-final-message, and answers with the signature that goes
// with the password that was proved.
func (s *scramServer) final(message string) ([]byte, bool, error) {
	var signature []byte
	failure := ErrFailed
	for i, conv := range s.convs {
		text, err := conv.Step(message)
		switch {
		case err == nil && conv.Valid() && signature == nil:
			signature, s.which = []byte(text), i
		case text == scram.ErrChannelBindingsDontMatch:
			failure = ErrBinding
		}
	}
	if signature == nil {
		return nil, false, failure
	}
	s.step = scramTold
	return signature, false, nil
}

// maxClientIterations is how much work a server may ask of us.
const maxClientIterations = 1 << 20

// scramClient is the client of SCRAM.
type scramClient struct {
	mechanism string
	conv      *scram.ClientConversation
	step      int // messages taken or sent; 3 when the server has shown its signature; scramOver after a failure
}

// ScramClient is the client of SCRAM. It believes no server that asks for less
// than 4,096 iterations (RFC 7677 §4). With plus it binds the exchange to the
// first of bindings, which must be there; without, where there are any, it says
// that it could have, so that a server that offered -PLUS notices who hid it.
func ScramClient(h Hash, plus bool, user, pass string, bindings []Binding) Client {
	return newScramClient(h, plus, user, pass, bindings, nil)
}

func newScramClient(h Hash, plus bool, user, pass string, bindings []Binding, nonce func() string) *scramClient {
	// Where SASLprep refuses a password it is used as it is, as servers do.
	client, err := h.library().NewClient(user, pass, "")
	if err != nil {
		client, err = h.library().NewClientUnprepped(user, pass, "")
	}
	if err != nil || plus && len(bindings) == 0 {
		return &scramClient{}
	}
	client.WithMinIterations(MinIterations)
	if nonce != nil {
		client.WithNonceGenerator(nonce)
	}
	c := &scramClient{mechanism: h.Mechanism(plus)}
	switch {
	case plus:
		b := bindings[0]
		c.conv = client.NewConversationWithChannelBinding(scram.ChannelBinding{Type: scram.ChannelBindingType(b.Type), Data: b.Data})
	case len(bindings) > 0:
		c.conv = client.NewConversationAdvertisingChannelBinding()
	default:
		c.conv = client.NewConversation()
	}
	return c
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
	return c.mechanism, []byte(first), nil
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

// Tells says whether a mechanism tells the server the password, or what is as
// good as one, so that it may go over a secure line only.
func Tells(mechanism string) bool {
	return !slices.ContainsFunc([]Hash{SHA1, SHA256, SHA512}, func(h Hash) bool {
		return mechanism == h.Mechanism(false) || mechanism == h.Mechanism(true)
	})
}
