package directory

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Reports is what is done about reports (RFC 3464) on what a domain sends, or
// one of its accounts.
type Reports struct {
	// Language of what we write: English, Japanese or Both. "" means what the level
	// above says, and at last Both.
	Language string `json:"lang,omitempty"`
	// Signed gives what is sent a reverse-path that names it, so that a report can
	// be believed and belongs to its message.
	Signed bool `json:"sign,omitempty"`
	// Suppress puts recipients that do not exist, and those who complain, on the
	// domain's suppression list by themselves. It needs signed paths and has them.
	Suppress bool `json:"sup,omitempty"`
	// SuppressDays is how long they stay there; 0 is DefaultSuppressDays.
	SuppressDays int `json:"supdays,omitempty"`
}

// Languages of reports.
const (
	English  = "en"
	Japanese = "ja"
	Both     = "both"
)

// DefaultSuppressDays is how long a recipient is suppressed where nothing is said.
const (
	DefaultSuppressDays = 90
	maxSuppressDays     = 3650
)

func (r Reports) check(op string) error {
	switch r.Language {
	case "", English, Japanese, Both:
	default:
		return fault.Newf(fault.Invalid, op, "%.20q is not en, ja or both", r.Language)
	}
	if r.SuppressDays < 0 || r.SuppressDays > maxSuppressDays {
		return fault.Newf(fault.Invalid, op, "a recipient is suppressed for 1 to %d days", maxSuppressDays)
	}
	return nil
}

// SuppressFor is how long a recipient is suppressed.
func (r Reports) SuppressFor() time.Duration {
	days := r.SuppressDays
	if days == 0 {
		days = DefaultSuppressDays
	}
	return time.Duration(days) * 24 * time.Hour
}

// ReportsOf says what is done about reports on mail from an address: its
// account's settings, and what they leave open its domain's. account is the
// account's own language, "" where it has none. ours is false for a domain that
// is not ours.
func (s *Store) ReportsOf(ctx context.Context, from mail.Address) (set Reports, account string, ours bool, err error) {
	err = s.view(ctx, func(r rows) error {
		var d Domain
		set, account = Reports{}, ""
		if d, ours, err = r.domain(from.Domain); err != nil || !ours {
			return err
		}
		set = d.Settings.Reports
		set.Signed = set.Signed || set.Suppress
		e := expansion{rows: r}
		_, n, _, ok, err := e.find(from, d.Settings.Separators())
		if err != nil || !ok || n.account == 0 {
			return err
		}
		a, _, err := r.account(n.account)
		account = a.Reports.Language
		set.Signed = set.Signed || a.Reports.Signed
		return err
	})
	return set, account, ours, fault.Wrap("directory.ReportsOf", err)
}

// How long keys of return paths are in use.
const (
	signsFor  = 30 * 24 * time.Hour // then the next one is drawn
	keptFor   = 90 * 24 * time.Hour // longer than a path is good
	keyOctets = 32
)

// pathKey is one key of return paths.
type pathKey struct {
	At  int64  `json:"at"` // Unix seconds
	Key []byte `json:"key"`
}

func pathKeysKey() kv.Key { return under("pathkeys") }

func decodePathKeys(b []byte) (keys []pathKey, err error) {
	err = decode(b, &keys)
	return keys, err
}

// PathKeys are the secrets that sign return paths, the newest first: it signs,
// and the others still verify. A new one is drawn when the newest is a month old.
func (s *Store) PathKeys(ctx context.Context, now time.Time) ([][]byte, error) {
	const op = "directory.PathKeys"
	var keys []pathKey
	err := s.view(ctx, func(r rows) error {
		var err error
		keys, _, err = read(r, pathKeysKey(), decodePathKeys)
		return err
	})
	if err == nil && (len(keys) == 0 || now.Sub(time.Unix(keys[0].At, 0)) > signsFor) {
		fresh := pathKey{now.Unix(), make([]byte, keyOctets)}
		_, _ = rand.Read(fresh.Key)
		err = s.update(ctx, func(tx kv.Tx, r rows) error {
			var err error
			if keys, _, err = read(r, pathKeysKey(), decodePathKeys); err != nil {
				return err
			}
			if len(keys) > 0 && now.Sub(time.Unix(keys[0].At, 0)) <= signsFor {
				return nil // somebody else was faster
			}
			keys = slices.DeleteFunc(append([]pathKey{fresh}, keys...), func(k pathKey) bool {
				return now.Sub(time.Unix(k.At, 0)) > keptFor
			})
			tx.Set(pathKeysKey(), encode(keys))
			return nil
		})
	}
	all := make([][]byte, 0, len(keys))
	for _, k := range keys {
		all = append(all, k.Key)
	}
	return all, fault.Wrap(op, err)
}
