package resolver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// How the root is reached.
const (
	primeTime   = 1500 * time.Millisecond // for all root servers that are tried at once
	primeTries  = 5                       // root servers
	probeAgain  = 5 * time.Minute         // while the root is out of reach
	systemAgain = time.Minute             // how old what is known of the system's servers may be
)

// parseHints reads a root hints file: who answers for the root, with addresses.
func parseHints(text string) (*cut, error) {
	var ns, extra []dns.RR
	p := dns.NewZoneParser(strings.NewReader(text), ".", "")
	p.SetDefaultTTL(3600)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		switch rr.(type) {
		case *dns.NS:
			ns = append(ns, rr)
		case *dns.A, *dns.AAAA:
			extra = append(extra, rr)
		}
	}
	if err := p.Err(); err != nil {
		return nil, fault.As(fault.Invalid, "resolver.parseHints", err)
	}
	c := rootCut(ns, extra, time.Time{})
	if c == nil || len(c.glue) == 0 {
		return nil, fault.New(fault.Invalid, "resolver.parseHints", "no name server of the root with an address")
	}
	return c, nil
}

// rootCut makes the root's delegation of records; nil if they name no server.
func rootCut(ns, extra []dns.RR, now time.Time) *cut {
	c := &cut{zone: "."}
	ttl := maxCutTTL
	for _, rr := range ns {
		if x, ok := rr.(*dns.NS); ok && x.Hdr.Name == "." && len(c.servers) < maxServers {
			c.servers = append(c.servers, dns.CanonicalName(x.Ns))
			ttl = min(ttl, seconds(x.Hdr.Ttl))
		}
	}
	if len(c.servers) == 0 {
		return nil
	}
	c.addGlue(extra, ".")
	c.expires = now.Add(max(ttl, minCutTTL))
	return c
}

// root is the root's delegation, as its servers have given it (RFC 8109). Where none
// is reached, it is not asked for again for a while.
func (r *Resolver) root(ctx context.Context, w *work) (*cut, error) {
	now := time.Now()
	r.mu.Lock()
	c, wait := r.primed, r.unreached
	r.mu.Unlock()
	if c != nil && now.Before(c.expires) {
		return c, nil
	}
	if now.Before(wait) {
		return nil, fmt.Errorf("%w: the root servers are out of reach", words.ErrServer)
	}
	return r.priming.once(ctx, ".", func() (*cut, error) { return r.prime(ctx) })
}

// prime asks several root servers at once; the first that answers is enough.
func (r *Resolver) prime(ctx context.Context) (*cut, error) {
	try, cancel := context.WithTimeout(ctx, primeTime)
	defer cancel()
	type result struct {
		c   *cut
		err error
	}
	servers := slices.Clone(r.hints.glue)
	rand.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	// Of both families, so that one that leads nowhere does not decide.
	servers = mixed(servers)[:min(len(servers), primeTries)]
	results := make(chan result, len(servers))
	for _, s := range servers {
		go func() {
			m, err := r.exchange(try, s, question{".", dns.TypeNS}, asking{secure: true}, &work{})
			res := result{err: err}
			if err == nil {
				if res.c = rootCut(m.Answer, m.Extra, time.Now()); res.c == nil {
					res.err = errors.New("does not know the root")
				}
			}
			results <- res
		}()
	}
	var got *cut
	why := errors.New("no root server is known")
	for range servers {
		res := <-results // each ends with try
		if res.c != nil && got == nil {
			got = res.c
			cancel()
		} else if got == nil && res.err != nil {
			why = res.err
		}
	}
	if ctx.Err() != nil && got == nil {
		return nil, ctx.Err()
	}
	r.reached(ctx, got, why)
	if got == nil {
		return nil, fmt.Errorf("%w: the root servers are out of reach: %s", words.ErrServer, short(why))
	}
	return got, nil
}

// mixed puts addresses of both families in turn.
func mixed(all []netip.AddrPort) []netip.AddrPort {
	var four, six, out []netip.AddrPort
	for _, a := range all {
		if a.Addr().Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	for len(four)+len(six) > 0 {
		if len(four) > 0 {
			out, four = append(out, four[0]), four[1:]
		}
		if len(six) > 0 {
			out, six = append(out, six[0]), six[1:]
		}
	}
	return out
}

// reached takes whether the root was reached, and says so where that changes who
// answers our questions.
func (r *Resolver) reached(ctx context.Context, c *cut, why error) {
	now := time.Now()
	r.mu.Lock()
	before := r.out
	if c != nil {
		for _, a := range r.hints.glue {
			if !slices.Contains(c.glue, a) && len(c.glue) < maxGlue {
				c.glue = append(c.glue, a) // answers may leave some out for want of room
			}
		}
		r.primed, r.unreached, r.out = c, time.Time{}, false
	} else {
		r.unreached, r.out = now.Add(probeAgain), true
		if r.o.NoSystem {
			r.unreached = now.Add(failureTTL) // nobody else can serve meanwhile
		}
	}
	after := r.out
	r.mu.Unlock()
	if before != after || after && !r.said.Swap(true) {
		r.o.Sink.Emit(ctx, event.RootReached{Reached: !after, System: after && !r.o.NoSystem, Err: why})
	}
}

// system are the system's name servers, as /etc/resolv.conf or the like has them.
func (r *Resolver) system(now time.Time) ([]upstream, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.read) < systemAgain && len(r.systems) > 0 {
		return r.systems, nil
	}
	c, err := dns.ClientConfigFromFile(r.o.ResolvConf)
	if err != nil {
		return nil, err
	}
	var list []upstream
	for _, s := range c.Servers {
		up, err := parseUpstream(net.JoinHostPort(s, c.Port))
		if err == nil {
			list = append(list, up)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s names no server", r.o.ResolvConf)
	}
	if !slices.Equal(list, r.systems) {
		r.signed, r.unsigned = false, time.Time{} // another network, where other things are possible
	}
	r.systems, r.read = list, now
	return list, nil
}
