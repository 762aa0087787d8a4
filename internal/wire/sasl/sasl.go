// Package sasl holds the authentication mechanisms of RFC 4422 as small state
// machines, both sides of each. Passwords at rest and the base64 of the
// protocols are others' work.
package sasl

import (
	"errors"
	"fmt"
	"slices"
)

// The mechanisms, by their registered names. Those of SCRAM are made by
// Hash.Mechanism.
const (
	Plain       = "PLAIN"         // RFC 4616
	Login       = "LOGIN"         // draft-murchison-sasl-login-00
	ScramSHA256 = "SCRAM-SHA-256" // RFC 5802, RFC 7677
	OAuthBearer = "OAUTHBEARER"   // RFC 7628
	XOAuth2     = "XOAUTH2"       // as Google published it
	External    = "EXTERNAL"      // RFC 4422 appendix A
)

// MaxMessage bounds every challenge and response, in octets after base64.
const MaxMessage = 4 << 10

// MaxToken bounds an access token and what comes with it, in octets: a signed
// token with many claims is long.
const MaxToken = 8 << 10

// MaxName and MaxPassword bound what a client may call itself and say, in octets.
const (
	MaxName     = 1 << 10
	MaxPassword = 1 << 10
)

var (
	// ErrMalformed means that the other side broke the mechanism's rules.
	ErrMalformed = errors.New("malformed SASL message")
	// ErrFailed means that the other side did not prove what it had to.
	ErrFailed = errors.New("authentication failed")
	// ErrBinding is an ErrFailed: the two sides do not see one and the same
	// secure connection (RFC 5056), or somebody hid that it could be bound to.
	ErrBinding = fmt.Errorf("%w: the channel binding does not hold", ErrFailed)
)

// Server is the server's side of one exchange.
type Server interface {
	// Next takes the client's response and gives the next challenge. The first
	// call takes the initial response, or nil if there was none (an empty one is
	// taken for none). With done the exchange has succeeded and there is no
	// challenge: what the mechanism says at its end goes out as a challenge of
	// its own, to which the client answers with an empty response (RFC 4422 §3.6).
	// After an error the exchange is over.
	Next(response []byte) (challenge []byte, done bool, err error)
}

// Client is the client's side of one exchange.
type Client interface {
	// Start names the mechanism and gives the initial response; nil means that
	// the client waits for a challenge.
	Start() (mechanism string, initial []byte, err error)
	// Next answers a challenge.
	Next(challenge []byte) (response []byte, err error)
	// Finish is called when the server says that the exchange succeeded. It fails
	// if the server has not proved that it knows the password, where the
	// mechanism asks it to.
	Finish() error
}

// ClientFor gives the strongest client among what the server offers; nil if it
// offers none that we speak. Names are in upper case. bindings are those of the
// connection, if it is secure.
func ClientFor(offered []string, user, password string, bindings []Binding) Client {
	offers := func(m string) bool { return slices.Contains(offered, m) }
	for _, h := range []Hash{SHA512, SHA256} {
		if len(bindings) > 0 && offers(h.Mechanism(true)) {
			return ScramClient(h, true, user, password, bindings)
		}
	}
	for _, h := range []Hash{SHA512, SHA256} {
		if offers(h.Mechanism(false)) {
			return ScramClient(h, false, user, password, bindings)
		}
	}
	switch {
	case offers(Plain):
		return PlainClient(user, password)
	case offers(Login):
		return LoginClient(user, password)
	}
	return nil
}
