package dnsd

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// How secondaries are told of changes (RFC 1996 §3.6).
const (
	tellEvery   = 2 * time.Second  // between looks for changes
	tellAnyway  = 30 * time.Second // then also without one: what a zone is drawn from may have changed
	tellTimeout = 3 * time.Second  // for an answer
	tellAtOnce  = 16               // secondaries
	maxTellings = 6                // of one serial to one that does not answer; then its own refresh has to do
)

// telling is what a secondary knows of a zone.
type telling struct {
	serial uint32
	tries  int
	next   time.Time
}

// Tell notifies secondaries of new serials until ctx ends.
func (s *Server) Tell(ctx context.Context) error {
	told := map[string]*telling{} // by zone and secondary
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	var changes uint64
	var last time.Time
	pending := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if c := s.o.Zones.Changes(); c != changes || pending || now.Sub(last) >= tellAnyway {
				changes, last = c, now
				pending = s.tellAll(ctx, told, now)
			}
		}
	}
}

// tellAll looks at all zones that have secondaries, and says whether somebody is
// still to be told.
func (s *Server) tellAll(ctx context.Context, told map[string]*telling, now time.Time) (pending bool) {
	var work sync.WaitGroup
	slots := make(chan struct{}, tellAtOnce)
	known := map[string]bool{}
	for _, name := range s.o.Zones.Told() {
		held, err := s.o.Zones.Zone(ctx, name)
		if err != nil {
			continue // it is gone, or the store tells of it
		}
		z, err := s.o.Zones.Ready(ctx, name)
		if err != nil || z == nil {
			continue
		}
		for _, to := range held.Notify {
			key := name + " " + to
			known[key] = true
			t := told[key]
			if t == nil {
				t = &telling{}
				told[key] = t
			}
			if t.serial == z.Serial && (t.tries == 0 || t.tries >= maxTellings) || now.Before(t.next) {
				pending = pending || t.tries > 0 && t.tries < maxTellings
				continue
			}
			if t.serial != z.Serial {
				*t = telling{serial: z.Serial}
			}
			slots <- struct{}{}
			work.Go(func() {
				defer func() { <-slots }()
				if s.notify(ctx, name, to, z.Ask(name, dns.TypeSOA, false).Answer) {
					t.tries = 0
					return
				}
				t.tries++
				t.next = now.Add(tellEvery << t.tries)
			})
			pending = true
		}
	}
	work.Wait()
	for key := range told {
		if !known[key] {
			delete(told, key)
		}
	}
	return pending
}

// notify tells one secondary, and says whether it has heard.
func (s *Server) notify(ctx context.Context, name, to string, soa []dns.RR) bool {
	m := new(dns.Msg)
	m.SetNotify(name)
	m.Answer = soa
	c := &dns.Client{Timeout: tellTimeout}
	if s.o.Source.IsValid() {
		c.Dialer = &net.Dialer{Timeout: tellTimeout, LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.o.Source, 0))}
	}
	r, _, err := c.ExchangeContext(ctx, m, to)
	return err == nil && r.Response
}
