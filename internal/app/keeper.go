package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

const (
	keepZonesFirst = time.Minute // behind the start
	keepZonesEvery = time.Hour
	dkimLabel      = "_domainkey."
)

// keepZones rolls what is published in our zones: DKIM keys, and the keys that zones are
// signed with, for which the parents are asked what they have.
func (s *Server) keepZones(ctx context.Context) error {
	wait := keepZonesFirst
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		wait = keepZonesEvery
		for after := ""; ctx.Err() == nil; {
			page, err := s.rooms.zones.List(ctx, after, zonePage)
			if err != nil {
				s.zoneTrouble(ctx, "", err)
			}
			if err != nil || len(page) == 0 {
				break
			}
			for _, z := range page {
				s.zoneTrouble(ctx, z.Name, errors.Join(s.rooms.rotate(ctx, z), s.rooms.seeParent(ctx, z)))
			}
			after = page[len(page)-1].Name
		}
	}
}

func (s *Server) zoneTrouble(ctx context.Context, name string, err error) {
	if err != nil && ctx.Err() == nil {
		s.rooms.sink.Emit(ctx, event.Failed{Where: strings.TrimSpace("zones " + name), Err: err})
	}
}

// rotate moves on the DKIM keys of a domain whose keys are published in this zone.
func (r *rooms) rotate(ctx context.Context, z zone.Held) error {
	name := strings.TrimSuffix(z.Name, ".")
	if !r.signs || z.Domain == "" || name != string(z.Domain) && name != dkimLabel+string(z.Domain) {
		return nil
	}
	_, err := r.signer.Rotate(ctx, z.Domain, directory.DefaultRotation(), time.Now(), false)
	return err
}

// seeParent asks what the parent of a signed zone has of it. If nobody can tell, that is
// no trouble: keys do not roll meanwhile.
func (r *rooms) seeParent(ctx context.Context, z zone.Held) error {
	if !z.Signed {
		return nil
	}
	a, err := r.resolver.Lookup(ctx, z.Name, dns.TypeDS)
	if err != nil && !errors.Is(err, dns.ErrNoData) && !errors.Is(err, dns.ErrNoName) {
		return nil
	}
	var set [][]byte
	for _, rec := range a.Records {
		if rec.Type == dns.TypeDS {
			set = append(set, rec.Data)
		}
	}
	return r.zones.Seen(ctx, z.Name, set)
}
