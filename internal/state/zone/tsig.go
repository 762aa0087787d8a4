package zone

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// TSIG is a key that we share with a secondary or a primary (RFC 8945).
type TSIG struct {
	Name      string // canonical, with the final dot
	Algorithm string // as dns.HmacSHA256
	Secret    string // in base64
}

// NewTSIG makes up a secret for a key of that name.
func NewTSIG(name string) TSIG {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	return TSIG{dns.CanonicalName(name), dns.HmacSHA256, base64.StdEncoding.EncodeToString(secret)}
}

// SetTSIG keeps a key in the place of one of the same name; one without a secret
// removes it. fault.Invalid.
func (s *Store) SetTSIG(ctx context.Context, k TSIG) error {
	const op = "zone.SetTSIG"
	k.Name, k.Algorithm = dns.CanonicalName(k.Name), dns.CanonicalName(k.Algorithm)
	if _, err := base64.StdEncoding.DecodeString(k.Secret); err != nil || strings.Trim(k.Name, ".") == "" {
		return fault.New(fault.Invalid, op, "a key has a name, and a secret in base64")
	}
	switch k.Algorithm {
	case dns.HmacSHA224, dns.HmacSHA256, dns.HmacSHA384, dns.HmacSHA512:
	default:
		return fault.Newf(fault.Unsupported, op, "%q is not an algorithm of shared keys that is taken", k.Algorithm)
	}
	return fault.Wrap(op, s.o.DB.Update(ctx, shard, func(tx kv.Tx) error {
		if k.Secret == "" {
			tx.Delete(rowKey(tagTSIG, k.Name))
			return nil
		}
		tx.Set(rowKey(tagTSIG, k.Name), kv.Value{}.Byte(rowVersion).Text(k.Algorithm).Text(k.Secret))
		return nil
	}))
}

// TSIG gives a key. fault.NotFound.
func (s *Store) TSIG(ctx context.Context, name string) (k TSIG, err error) {
	name = dns.CanonicalName(name)
	err = s.o.DB.View(ctx, kv.ZoneShard(), func(r kv.Reader) error {
		b, ok, err := r.Get(rowKey(tagTSIG, name))
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "", "there is no such key")
		}
		v := kv.ReadValue(b)
		v.Version()
		k = TSIG{Name: name, Algorithm: v.Text(), Secret: v.Text()}
		if v.Err() != nil {
			return fault.New(fault.Corrupt, "", "the row of a key is damaged")
		}
		return nil
	})
	return k, fault.Wrap("zone.TSIG", err)
}
