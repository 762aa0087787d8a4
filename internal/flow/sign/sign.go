// Package sign signs what is ours, and what we pass on, by DKIM, and makes the keys
// for that.
package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Options are the rooms that sign works with.
type Options struct {
	Blobs     *blob.Store
	Directory *directory.Store
}

// Signer signs. It remembers keys that were read. The nil Signer signs nothing.
type Signer struct {
	o     Options
	mu    sync.Mutex
	known map[string]signer // by domain and selector
}

// signer is a private key as it lay in the directory, and as it signs.
type signer struct {
	at  string
	key crypto.Signer
}

// maxKnown bounds what is remembered, in keys of some 5 KiB.
const maxKnown = 2_000

// New makes a Signer.
func New(o Options) *Signer { return &Signer{o: o, known: map[string]signer{}} }

// Sign gives the DKIM-Signature fields for a message that is ours: of the author's
// domain or, where that is not one of ours, of the reverse-path's. prefix is the
// fields in front of the content that are to be signed too. There are none if no
// domain has a key.
func (s *Signer) Sign(ctx context.Context, a *mail.Arrival, prefix []byte, content blob.Handle) ([]byte, error) {
	if s == nil {
		return nil, nil
	}
	m, err := s.open(ctx, prefix, content)
	if err != nil {
		return nil, fault.Wrap("sign.Sign", err)
	}
	defer m.close()
	domains := []mail.Domain{a.Envelope.From.Domain}
	if from := m.header.Addresses("From"); len(from) > 0 {
		if d, err := mail.ParseDomain(from[0].Host); err == nil {
			domains = []mail.Domain{d, a.Envelope.From.Domain}
		}
	}
	for _, d := range domains {
		fields, err := s.sign(ctx, m, d, a.At)
		if err != nil || fields != nil {
			return fields, fault.Wrap("sign.Sign", err)
		}
	}
	return nil, nil
}

// SignFor gives the fields by which a domain of ours says that it passed a message
// on, content being all of it.
func (s *Signer) SignFor(ctx context.Context, by mail.Domain, at time.Time, prefix []byte, content blob.Handle) ([]byte, error) {
	if s == nil || by == "" {
		return nil, nil
	}
	m, err := s.open(ctx, prefix, content)
	if err != nil {
		return nil, fault.Wrap("sign.SignFor", err)
	}
	defer m.close()
	fields, err := s.sign(ctx, m, by, at)
	return fields, fault.Wrap("sign.SignFor", err)
}

// letter is a message to be signed.
type letter struct {
	header message.Header
	body   io.Reader
	sum    []byte // of the body, once it was read
	close  func()
}

// open reads the header of a message.
func (s *Signer) open(ctx context.Context, prefix []byte, content blob.Handle) (*letter, error) {
	r, err := s.o.Blobs.OpenHandle(ctx, content)
	if err != nil {
		return nil, err
	}
	text := io.MultiReader(bytes.NewReader(prefix), io.NewSectionReader(r, 0, content.Size()))
	block, rest, _, err := message.SplitHeader(text)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return &letter{header: message.ParseHeader(block), body: rest, close: func() { _ = r.Close() }}, nil
}

// sign signs with the active keys of a domain, or of the nearest above it that is
// ours: reports come from a host's name. It gives nil where there is none.
func (s *Signer) sign(ctx context.Context, m *letter, d mail.Domain, at time.Time) ([]byte, error) {
	for name := string(d); strings.Contains(name, "."); _, name, _ = strings.Cut(name, ".") {
		keys, err := s.o.Directory.Keys(ctx, mail.Domain(name))
		if err != nil {
			return nil, err
		}
		signers, err := s.active(name, keys)
		if err != nil || len(signers) == 0 {
			if err != nil {
				return nil, err
			}
			continue
		}
		if m.sum == nil {
			var b dkim.Body
			sum := b.Want(dkim.Relaxed, -1)
			if _, err := io.Copy(&b, m.body); err != nil {
				return nil, err
			}
			b.Close()
			m.sum = sum.Sum()
		}
		return dkim.Sign(m.header, m.sum, signers, at)
	}
	return nil, nil
}

// active makes signers of the keys that sign.
func (s *Signer) active(domain string, keys []directory.Key) ([]dkim.Signer, error) {
	var all []dkim.Signer
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		if k.State != directory.KeyActive {
			continue
		}
		name := domain + "/" + k.Selector
		have, ok := s.known[name]
		if !ok || have.at != string(k.Private) {
			key, err := x509.ParsePKCS8PrivateKey(k.Private)
			private, is := key.(crypto.Signer)
			if err != nil || !is {
				return nil, fault.Newf(fault.Corrupt, "sign.active", "the key %s of %s cannot be read", k.Selector, domain)
			}
			have = signer{string(k.Private), private}
			if len(s.known) >= maxKnown {
				clear(s.known)
			}
			s.known[name] = have
		}
		all = append(all, dkim.Signer{Domain: domain, Selector: k.Selector, Key: have.key})
	}
	return all, nil
}
