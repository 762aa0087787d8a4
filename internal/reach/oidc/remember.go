package oidc

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// How long the answers of an issuer are remembered: a token with a key that
// nobody knows makes us look for new keys, and anybody can write such tokens.
const (
	rememberAnswer  = 30 * time.Second
	rememberTrouble = 5 * time.Second
	maxRemembered   = 16
	maxAnswer       = 1 << 20 // octets
)

// remembering is a transport that asks for each thing once in a while.
type remembering struct {
	base http.RoundTripper

	mu      sync.Mutex
	answers map[string]answer
	failed  int
}

// answer is what was got; status 0: nothing.
type answer struct {
	until  time.Time
	status int
	header http.Header
	body   []byte
}

func newRemembering(base http.RoundTripper) *remembering {
	return &remembering{base: base, answers: map[string]answer{}}
}

// troubles counts what could not be got.
func (r *remembering) troubles() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

var errTrouble = errors.New("the issuer could not be asked a moment ago")

// RoundTrip answers from memory, or asks and remembers.
func (r *remembering) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.Method != http.MethodGet {
		return r.base.RoundTrip(q)
	}
	key := q.URL.String()
	r.mu.Lock()
	a, ok := r.answers[key]
	r.mu.Unlock()
	var cause error
	if !ok || !time.Now().Before(a.until) {
		a, cause = r.ask(q)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) >= maxRemembered {
		clear(r.answers)
	}
	r.answers[key] = a
	if a.status != http.StatusOK {
		r.failed++
	}
	if a.status == 0 {
		if cause == nil {
			cause = errTrouble
		}
		return nil, cause
	}
	return &http.Response{
		Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: q,
	}, nil
}

func (r *remembering) ask(q *http.Request) (answer, error) {
	res, err := r.base.RoundTrip(q)
	if err != nil {
		return answer{until: time.Now().Add(rememberTrouble)}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{until: time.Now().Add(rememberTrouble)}, err
	}
	a := answer{until: time.Now().Add(rememberAnswer), status: res.StatusCode, header: res.Header, body: body}
	if res.StatusCode != http.StatusOK {
		a.until = time.Now().Add(rememberTrouble)
	}
	return a, nil
}
