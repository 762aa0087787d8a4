package resolver

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// followAgain is when the keys of an anchor are looked at again that could not be had.
const followAgain = time.Hour

// load takes what was kept of the trust anchors; what cannot be read counts as nothing.
func (r *Resolver) load() {
	if r.o.Keep == nil {
		return
	}
	b, err := r.o.Keep.Load()
	if err != nil {
		r.o.Sink.Emit(r.life, event.Failed{Where: "resolver", Err: err})
		return
	}
	for line := range bytes.Lines(b) {
		for _, a := range r.anchors {
			_ = a.UnmarshalText(line) // one of another zone is refused
		}
	}
}

// Run reaches for the root at once, so that it is said if that fails, follows the keys
// of the trust anchors (RFC 5011), and forgets what is too old, until ctx ends. Then it
// closes the resolver.
func (r *Resolver) Run(ctx context.Context) error {
	defer r.Close()
	if len(r.o.Servers) == 0 {
		_, _ = r.root(ctx, &work{})
	}
	follow, sweep := time.NewTimer(0), time.NewTicker(sweepEach)
	defer follow.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-follow.C:
			follow.Reset(r.follow(ctx))
		case <-sweep.C:
			r.sweep(time.Now())
		}
	}
}

// follow looks at the keys of all anchors, and says when to do so again.
func (r *Resolver) follow(ctx context.Context) time.Duration {
	again := followAgain
	if !r.validates() {
		return again
	}
	changed := false
	for _, a := range r.anchors {
		ctx, cancel := context.WithTimeout(ctx, maxTime)
		next, c := r.followOne(ctx, a)
		cancel()
		again, changed = min(max(next, followAgain), 24*time.Hour), changed || c
	}
	if changed && r.o.Keep != nil {
		if err := r.o.Keep.Save(r.kept()); err != nil {
			r.o.Sink.Emit(ctx, event.Failed{Where: "resolver", Err: err})
		}
	}
	return again
}

func (r *Resolver) kept() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b bytes.Buffer
	for _, a := range r.anchors {
		if line, err := a.MarshalText(); err == nil {
			b.Write(append(line, '\n'))
		}
	}
	return b.Bytes()
}

func (r *Resolver) followOne(ctx context.Context, a *dnssec.Anchors) (next time.Duration, changed bool) {
	s, err := r.raw(ctx, question{a.Zone, dns.TypeDNSKEY}, newWork(ctx))
	if err != nil {
		return followAgain, false
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var w dnssec.Work
	_, v, err := w.Keys(a.Zone, s.set, s.sigs, a.Trusted(), now)
	if err != nil {
		return followAgain, false
	}
	fresh := len(a.Keys) == 0
	changed, next = a.Follow(s.set, s.sigs, v, now)
	if changed && !fresh {
		r.o.Sink.Emit(ctx, event.AnchorsRolled{Zone: a.Zone, Keys: describe(a)})
	}
	return next, changed
}

// describe names the keys of an anchor and where they stand.
func describe(a *dnssec.Anchors) string {
	var all []string
	for _, k := range a.Keys {
		if rr, err := dns.NewRR(k.Key); err == nil {
			if key, ok := rr.(*dns.DNSKEY); ok {
				all = append(all, fmt.Sprintf("%d %s", key.KeyTag(), k.State))
			}
		}
	}
	return strings.Join(all, ", ")
}

// sweep forgets what is too old to serve.
func (r *Resolver) sweep(now time.Time) {
	r.steps.sweep(func(s *step) bool { return now.After(s.expires) })
	r.cuts.sweep(func(c *cut) bool { return now.After(c.expires) })
	r.replies.sweep(func(p *reply) bool { return now.After(p.expires.Add(staleFor)) })
	r.packets.sweep(func(p *packet) bool { return now.After(p.expires) })
}
