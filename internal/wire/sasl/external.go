package sasl

import (
	"bytes"
	"unicode/utf8"
)

// externalServer is the server of EXTERNAL.
type externalServer struct {
	verify      func(authzid string) error
	asked, over bool
}

// ExternalServer is the server of EXTERNAL (RFC 4422 appendix A): who the client
// is was established below, as by its certificate. verify is told whom it wants
// to act for; "" means for whom it is. What it returns ends the exchange as it is.
func ExternalServer(verify func(authzid string) error) Server {
	return &externalServer{verify: verify}
}

func (s *externalServer) Next(response []byte) ([]byte, bool, error) {
	switch {
	case s.over:
		return nil, false, ErrMalformed
	case response == nil && !s.asked: // an empty initial response says something here
		s.asked = true
		return []byte{}, false, nil
	}
	s.over = true
	if len(response) > MaxName || !utf8.Valid(response) || bytes.IndexByte(response, 0) >= 0 {
		return nil, false, ErrMalformed
	}
	if err := s.verify(string(response)); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

// externalClient is the client of EXTERNAL.
type externalClient struct{ authzid string }

// ExternalClient is the client of EXTERNAL; "" acts for whom the certificate names.
func ExternalClient(authzid string) Client { return externalClient{authzid} }

func (c externalClient) Start() (string, []byte, error) { return External, []byte(c.authzid), nil }

func (c externalClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) > 0 {
		return nil, ErrMalformed
	}
	return []byte(c.authzid), nil
}

func (c externalClient) Finish() error { return nil }
