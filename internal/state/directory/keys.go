package directory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// KeyState is where a signing key stands in its life.
type KeyState string

// A key is published first, so that every server finds it before it is used; then
// it signs; then it stays published for what is still on its way.
const (
	KeyPublished KeyState = "published"
	KeyActive    KeyState = "active"
	KeyRetired   KeyState = "retired"
)

// Kinds of keys.
const (
	KeyRSA     = "rsa"
	KeyEd25519 = "ed25519"
)

// Key is a DKIM key of a domain.
type Key struct {
	Selector string   `json:"sel"`
	Kind     string   `json:"kind"`
	State    KeyState `json:"state"`
	Private  []byte   `json:"key"` // PKCS #8
	Record   string   `json:"rec"` // what is published under the selector
	Made     int64    `json:"made"`
	Since    int64    `json:"at"` // that it has been in its state, in Unix seconds
}

// Rotation is how long keys stay in their states.
type Rotation struct {
	Spread time.Duration // published before they sign
	Life   time.Duration // signing; 0: for ever
	Keep   time.Duration // published after that
}

// DefaultRotation gives resolvers two days to forget that a key was not there, and
// mail two weeks to come home.
func DefaultRotation() Rotation {
	return Rotation{Spread: 48 * time.Hour, Life: 180 * 24 * time.Hour, Keep: 14 * 24 * time.Hour}
}

// Rotate moves keys on, as far as time allows, and says of which kinds a new one is
// wanted. It is pure; that others find the keys is for the zone to see to.
func (r Rotation) Rotate(keys []Key, now time.Time) (after []Key, wanted []string) {
	after = slices.Clone(keys)
	for _, kind := range []string{KeyRSA, KeyEd25519} {
		active, next := newest(after, kind, KeyActive), newest(after, kind, KeyPublished)
		switch {
		case next >= 0 && (active < 0 || after[next].been(now) >= r.Spread):
			for i := range after {
				if after[i].Kind == kind && after[i].State == KeyActive {
					after[i].State, after[i].Since = KeyRetired, now.Unix()
				}
			}
			after[next].State, after[next].Since = KeyActive, now.Unix()
		case next >= 0:
		case active < 0, r.Life > 0 && after[active].been(now) >= r.Life:
			wanted = append(wanted, kind)
		}
	}
	after = slices.DeleteFunc(after, func(k Key) bool { return k.State == KeyRetired && k.been(now) >= r.Keep })
	return after, wanted
}

// been is how long a key has been in its state.
func (k Key) been(now time.Time) time.Duration { return now.Sub(time.Unix(k.Since, 0)) }

// newest is where the newest key of a kind in a state is; -1 if there is none.
func newest(keys []Key, kind string, state KeyState) int {
	at := -1
	for i, k := range keys {
		if k.Kind == kind && k.State == state && (at < 0 || k.Made > keys[at].Made) {
			at = i
		}
	}
	return at
}

func keysKey(d mail.Domain) kv.Key { return under("dkim").Text(string(d)) }

func decodeKeys(b []byte) ([]Key, error) {
	var all []Key
	err := decode(b, &all)
	return all, err
}

// Keys lists the signing keys of a domain, by kind and selector. A domain that is
// not ours has none.
func (s *Store) Keys(ctx context.Context, d mail.Domain) ([]Key, error) {
	var all []Key
	err := s.view(ctx, func(r rows) error {
		var err error
		all, _, err = read(r, keysKey(d), decodeKeys)
		return err
	})
	return slices.Clone(all), fault.Wrap("directory.Keys", err)
}

// maxKeys is how many keys a domain may have at once, in all states: each is a row
// of its zone, and together they are one of ours.
const maxKeys = 16

// UpdateKeys changes the signing keys of a domain. fn may run more than once.
// fault.NotFound; fault.Invalid if there are too many or two of one selector.
func (s *Store) UpdateKeys(ctx context.Context, d mail.Domain, fn func([]Key) ([]Key, error)) ([]Key, error) {
	const op = "directory.UpdateKeys"
	var after []Key
	err := s.update(ctx, func(tx kv.Tx, r rows) error {
		if _, err := r.mustDomain(op, d); err != nil {
			return err
		}
		before, _, err := read(r, keysKey(d), decodeKeys)
		if err != nil {
			return err
		}
		if after, err = fn(slices.Clone(before)); err != nil {
			return err
		}
		slices.SortFunc(after, func(a, b Key) int {
			return cmp.Or(cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Selector, b.Selector))
		})
		if len(after) > maxKeys {
			return fault.Newf(fault.Invalid, op, "%s has %d keys already; retire or remove some", d, len(before))
		}
		for i, k := range after {
			if slices.ContainsFunc(after[:i], func(o Key) bool { return o.Selector == k.Selector }) {
				return fault.Newf(fault.Exists, op, "%s has a key of the selector %s already", d, k.Selector)
			}
		}
		tx.Set(keysKey(d), encode(after))
		return nil
	})
	return after, fault.Wrap(op, err)
}
