package apid

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// Keys makes signing keys.
type Keys interface {
	// Ensure makes the keys of a domain that has none.
	Ensure(ctx context.Context, d mail.Domain) error
	// Add makes one more, which does not sign yet.
	Add(ctx context.Context, d mail.Domain, kind string, now time.Time) (directory.Key, error)
	// Rotate moves keys on; with force, whatever their age.
	Rotate(ctx context.Context, d mail.Domain, r directory.Rotation, now time.Time, force bool) ([]directory.Key, error)
}

// Key is a DKIM key of a domain.
type Key struct {
	Selector string    `json:"selector"`
	Kind     string    `json:"kind" enum:"rsa,ed25519"`
	State    string    `json:"state" enum:"published,active,retired" doc:"published: it does not sign yet; active: it signs; retired: it does not sign any more"`
	Name     string    `json:"name" doc:"where the record is to be in the DNS" example:"r20261124._domainkey.example.com"`
	Record   string    `json:"record" doc:"the text of the TXT record"`
	Made     time.Time `json:"made"`
	Since    time.Time `json:"since" doc:"that it is in its state"`
}

func keyBody(d mail.Domain, k directory.Key) Key {
	return Key{
		Selector: k.Selector, Kind: k.Kind, State: string(k.State), Name: k.Selector + "._domainkey." + string(d), Record: k.Record,
		Made: time.Unix(k.Made, 0).UTC(), Since: time.Unix(k.Since, 0).UTC(),
	}
}

func keyList(d mail.Domain, keys []directory.Key) list[Key] {
	out := list[Key]{Items: []Key{}}
	for _, k := range keys {
		out.Items = append(out.Items, keyBody(d, k))
	}
	return out
}

type newKey struct {
	DomainPath
	Body struct {
		Kind string `json:"kind" enum:"rsa,ed25519"`
	}
}

type rotation struct {
	DomainPath
	Body struct {
		Now bool `json:"now,omitempty" doc:"whatever the keys' age: first new keys are made to be published, and the next time they sign"`
	}
}

type keyPath struct {
	DomainPath
	Selector string `path:"selector" maxLength:"63"`
}

func (s *server) keys() {
	const path = "/domains/{name}/keys"
	register(s, operation(http.MethodGet, path, "list-keys", "keys", "List the DKIM keys of a domain, and what is to be published of them"),
		func(ctx context.Context, in *DomainPath) (list[Key], error) {
			d, err := s.domain(ctx, in.Name)
			if err != nil {
				return keyList("", nil), err
			}
			keys, err := s.o.Directory.Keys(ctx, mail.Domain(d.Name))
			return keyList(mail.Domain(d.Name), keys), err
		})
	add := operation(http.MethodPost, path, "add-key", "keys", "Make one more DKIM key, which does not sign before it is rotated in")
	add.DefaultStatus = http.StatusCreated
	register(s, add, func(ctx context.Context, in *newKey) (Key, error) {
		d, err := s.domain(ctx, in.Name)
		if err != nil {
			return Key{}, err
		}
		k, err := s.o.Keys.Add(ctx, mail.Domain(d.Name), in.Body.Kind, time.Now())
		return keyBody(mail.Domain(d.Name), k), err
	})
	register(s, operation(http.MethodPost, path+"/rotate", "rotate-keys", "keys", "Move the DKIM keys of a domain on, as far as time allows"),
		func(ctx context.Context, in *rotation) (list[Key], error) {
			d, err := s.domain(ctx, in.Name)
			if err != nil {
				return keyList("", nil), err
			}
			keys, err := s.o.Keys.Rotate(ctx, mail.Domain(d.Name), directory.DefaultRotation(), time.Now(), in.Body.Now)
			return keyList(mail.Domain(d.Name), keys), err
		})
	register(s, operation(http.MethodDelete, path+"/{selector}", "remove-key", "keys", "Remove a DKIM key; what it has signed is not believed any more"), s.removeKey)
}

func (s *server) removeKey(ctx context.Context, in *keyPath) (Key, error) {
	d, err := s.domain(ctx, in.Name)
	if err != nil {
		return Key{}, err
	}
	var was directory.Key
	_, err = s.o.Directory.UpdateKeys(ctx, mail.Domain(d.Name), func(all []directory.Key) ([]directory.Key, error) {
		i := slices.IndexFunc(all, func(k directory.Key) bool { return k.Selector == in.Selector })
		if i < 0 {
			return nil, fault.Newf(fault.NotFound, "apid", "%s has no key of the selector %.63s", d.Name, in.Selector)
		}
		was = all[i]
		return slices.Delete(all, i, i+1), nil
	})
	return keyBody(mail.Domain(d.Name), was), err
}
