package sign

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
)

// rsaBits is the length of our RSA keys (RFC 8301 §3.2): longer ones do not fit into
// one string of a TXT record, which some name servers cannot take.
const rsaBits = 2048

// NewKey makes a key of a kind, under a selector that tells the day and the kind.
// fault.Invalid if the kind is not known.
func NewKey(kind string, state directory.KeyState, now time.Time) (directory.Key, error) {
	const op = "sign.NewKey"
	var private crypto.Signer
	var err error
	switch kind {
	case directory.KeyRSA:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case directory.KeyEd25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		return directory.Key{}, fault.Newf(fault.Invalid, op, "%.20q is neither %s nor %s", kind, directory.KeyRSA, directory.KeyEd25519)
	}
	if err != nil {
		return directory.Key{}, fault.As(fault.Internal, op, err)
	}
	k := directory.Key{Selector: selector(kind, now), Kind: kind, State: state, Made: now.Unix(), Since: now.Unix()}
	if k.Private, err = x509.MarshalPKCS8PrivateKey(private); err == nil {
		k.Record, err = dkim.Record(private.Public())
	}
	return k, fault.As(fault.Internal, op, err)
}

// selector names a key by its kind and day.
func selector(kind string, now time.Time) string {
	return kind[:1] + now.UTC().Format("20060102")
}

// unlike gives a selector that no key has.
func unlike(name string, keys []directory.Key) string {
	free := name
	for n := 2; slices.ContainsFunc(keys, func(k directory.Key) bool { return k.Selector == free }); n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free
}

// Ensure makes the keys of a domain that has none. They sign at once: mail that is
// signed with a key that nobody finds yet is no worse than mail that is not.
func (s *Signer) Ensure(ctx context.Context, d mail.Domain) error {
	const op = "sign.Ensure"
	have, err := s.o.Directory.Keys(ctx, d)
	if err != nil || len(have) > 0 {
		return fault.Wrap(op, err)
	}
	_, err = s.Rotate(ctx, d, directory.DefaultRotation(), time.Now(), false)
	return fault.Wrap(op, err)
}

// Add gives a domain one more key, which is published and does not sign yet.
func (s *Signer) Add(ctx context.Context, d mail.Domain, kind string, now time.Time) (directory.Key, error) {
	const op = "sign.Add"
	k, err := NewKey(kind, directory.KeyPublished, now)
	if err != nil {
		return k, err
	}
	_, err = s.o.Directory.UpdateKeys(ctx, d, func(all []directory.Key) ([]directory.Key, error) {
		k.Selector = unlike(selector(kind, now), all)
		return append(all, k), nil
	})
	return k, fault.Wrap(op, err)
}

// Rotate moves the keys of a domain on and makes those that are wanted. With force it
// begins to change keys whatever their age, and a second time, once the new ones have
// been published, has them sign, however short that was.
func (s *Signer) Rotate(ctx context.Context, d mail.Domain, r directory.Rotation, now time.Time, force bool) ([]directory.Key, error) {
	const op = "sign.Rotate"
	if force {
		r.Spread, r.Life = 0, 1
	}
	before, err := s.o.Directory.Keys(ctx, d)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	_, wanted := r.Rotate(before, now)
	made := map[string]directory.Key{} // outside of the transaction: it takes time
	for _, kind := range wanted {
		if made[kind], err = NewKey(kind, directory.KeyPublished, now); err != nil {
			return nil, err
		}
	}
	after, err := s.o.Directory.UpdateKeys(ctx, d, func(all []directory.Key) ([]directory.Key, error) {
		first := len(all) == 0
		all, wanted := r.Rotate(all, now)
		for _, kind := range wanted {
			k, ok := made[kind]
			if !ok {
				continue // somebody else rotates too; the next time will do
			}
			if first {
				k.State = directory.KeyActive
			}
			k.Selector = unlike(k.Selector, all)
			all = append(all, k)
		}
		return all, nil
	})
	return after, fault.Wrap(op, err)
}
