package resolver

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// replyKey is a question as somebody puts it to us.
type replyKey struct {
	question
	unchecked bool // CD: the one who asks validates
}

// reply is the whole answer to a question, aliases followed.
type reply struct {
	steps    []*step // the last one has the records, or says that there are none
	security security
	why      *dnssec.Bogus // of what is bogus, or unsigned for a reason
	err      error         // ErrNoName, ErrNoData; of a failure ErrServer or ErrBogus
	made     time.Time
	expires  time.Time
	signed   time.Time // until when the signatures hold, of what is secure
	stale    bool
	used     atomic.Bool
	ahead    atomic.Bool // it is being asked for anew
}

// secure says whether a chain of signatures leads to a trust anchor.
func (p *reply) secure() bool { return p.security == secure }

// failed says that the reply is none.
func (p *reply) failed() bool {
	return errors.Is(p.err, words.ErrServer) || errors.Is(p.err, words.ErrBogus)
}

func (p *reply) use()         { p.used.Store(true) }
func (p *reply) unused() bool { return !p.used.Swap(false) }

// size counts the steps, too: the cache of those may have forgotten them.
func (p *reply) size() int {
	n := 250
	for _, s := range p.steps {
		n += s.size()
	}
	return n
}

// find gives the whole answer to a question about a name in lower case with the final
// dot. unchecked leaves validation to who asks. The error is the context's, or that of
// a reply that is a failure.
func (r *Resolver) find(ctx context.Context, name string, t uint16, unchecked bool) (*reply, error) {
	k := replyKey{question{name, t}, unchecked}
	now := time.Now()
	old, ok := r.replies.get(k)
	if ok && now.Before(old.expires) {
		r.prefetch(k, old, now)
		return old, failure(old)
	}
	if ok && old.servesOn(now) {
		return r.orStale(ctx, k, old)
	}
	p, err := r.fresh(ctx, k, time.Time{})
	if err != nil {
		return nil, err
	}
	return p, failure(p)
}

func failure(p *reply) error {
	if p.failed() {
		return p.err
	}
	return nil
}

// fresh asks, or waits for who is asking the same.
func (r *Resolver) fresh(ctx context.Context, k replyKey, since time.Time) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	return r.asked.once(ctx, k, func() (*reply, error) {
		if p, ok := r.replies.get(k); ok && time.Now().Before(p.expires) && !p.made.Before(since) {
			return p, nil // somebody was faster
		}
		w := newWork(ctx)
		w.renew, w.from = k.question, since
		p, err := r.resolve(ctx, k, w)
		if err != nil {
			return nil, err
		}
		if old, ok := r.replies.get(k); ok && p.failed() && old.servesOn(time.Now()) {
			return p, nil // the old one may serve on
		}
		if p.made.Before(p.expires) {
			r.replies.put(k, p)
		}
		return p, nil
	})
}

// prefetch asks anew for what is asked for often and about to expire.
func (r *Resolver) prefetch(k replyKey, p *reply, now time.Time) {
	life := p.expires.Sub(p.made)
	if life < prefetchMin || p.expires.Sub(now) > life/10 || p.stale || p.failed() || p.ahead.Swap(true) {
		return
	}
	r.behindTheScenes(func(ctx context.Context) { _, _ = r.fresh(ctx, k, now) })
}

// servesOn says whether an answer that has expired is better than none (RFC 8767): not
// where its signatures have ended, since without them it would mean something else.
func (p *reply) servesOn(now time.Time) bool {
	return !p.failed() && now.Before(p.expires.Add(staleFor)) && (p.security != secure || now.Before(p.signed))
}

// orStale asks, and gives the old answer where that fails or takes long (RFC 8767 §5).
func (r *Resolver) orStale(ctx context.Context, k replyKey, old *reply) (*reply, error) {
	got := make(chan *reply, 1)
	if !r.behindTheScenes(func(ctx context.Context) {
		p, err := r.fresh(ctx, k, time.Time{})
		if err == nil {
			got <- p
		}
		close(got)
	}) {
		close(got)
	}
	timer := time.NewTimer(staleAfter)
	defer timer.Stop()
	select {
	case p := <-got:
		if p != nil && !errors.Is(p.err, words.ErrServer) {
			return p, failure(p)
		}
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := time.Now()
	p := &reply{steps: old.steps, security: old.security, why: old.why, err: old.err, made: now, expires: now.Add(staleTTL), signed: old.signed, stale: true}
	return p, nil
}

// resolve answers a question from what is known and by asking. The error is the
// context's or that of a budget; a failure is a reply.
func (r *Resolver) resolve(ctx context.Context, k replyKey, w *work) (*reply, error) {
	p := &reply{security: secure}
	q := k.question
	seen := map[string]bool{}
	for {
		if seen[q.name] || len(p.steps) > maxAliases {
			return r.fail(p, fmt.Errorf("%w: %s: aliases in a circle, or more than %d", words.ErrServer, k.question, maxAliases)), nil
		}
		seen[q.name] = true
		s, v, err := r.checked(ctx, q, k.unchecked, w)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			if w.budget != nil && w.budget.Spent() {
				return nil, fmt.Errorf("%w: %s: %w", words.ErrServer, k.question, err)
			}
			return r.fail(p, err), nil
		}
		p.add(s, v)
		switch {
		case v.security == bogus:
			p.err = fmt.Errorf("%w: %w", words.ErrBogus, v.why)
			return p, nil
		case s.kind == noName:
			p.err = words.ErrNoName
		case s.kind == noData:
			p.err = words.ErrNoData
		case s.kind == alias:
			q.name = s.target
			continue
		}
		return p, nil
	}
}

// add takes a step further.
func (p *reply) add(s *step, v *verdict) {
	if len(p.steps) == 0 {
		p.made, p.expires, p.signed = time.Now(), s.until(), v.expires
	}
	p.steps = append(p.steps, s)
	p.expires = earlier(p.expires, s.until())
	p.signed = earlier(p.signed, v.expires)
	if p.security = min(p.security, security(v.security)); v.security == bogus {
		p.security = bogus
	}
	if v.why != nil {
		p.why = v.why
	}
}

// fail makes a failure of a reply.
func (r *Resolver) fail(p *reply, err error) *reply {
	if !errors.Is(err, words.ErrServer) {
		err = fmt.Errorf("%w: %w", words.ErrServer, err)
	}
	now := time.Now()
	p.err, p.security, p.made, p.expires = err, insecure, now, now.Add(failureTTL)
	return p
}

// checked gives what servers say to one question, and what validation says to that.
// What is bogus is asked for again elsewhere: somebody may have forged it.
func (r *Resolver) checked(ctx context.Context, q question, unchecked bool, w *work) (*step, *verdict, error) {
	var first *step
	for range bogusTries {
		s, err := r.raw(ctx, q, w)
		if err != nil {
			if first != nil && ctx.Err() == nil && !isSpent(err) {
				break
			}
			return nil, nil, err
		}
		if unchecked {
			return s, &verdict{}, nil
		}
		known := s.verdict.Load() != nil
		v, err := r.judge(ctx, s, w)
		if err != nil || v.security != bogus || known {
			return s, v, err
		}
		if first == nil {
			first = s
		}
		r.distrust(s, w)
	}
	r.steps.put(q, first)
	return first, first.verdict.Load(), nil
}

// local answers what nobody is to be asked (RFC 6761 §6).
func (r *Resolver) local(q question, now time.Time) *step {
	s := &step{q: q, zone: q.name, made: now, ttl: time.Hour, expires: now.Add(time.Hour), local: true}
	top := dnssec.Suffix(q.name, 1)
	switch {
	case top == "arpa." && r.o.Hints == "" && len(r.o.Servers) == 0 && private(q.name):
		s.kind = noName // RFC 6303 §4: nobody on the Internet knows what stands at such addresses
		return s
	case top == "localhost.":
		s.kind = noData
		hdr := dns.RR_Header{Name: q.name, Rrtype: q.t, Class: dns.ClassINET, Ttl: 3600}
		switch q.t {
		case dns.TypeA:
			s.kind, s.set = has, []dns.RR{&dns.A{Hdr: hdr, A: []byte{127, 0, 0, 1}}}
		case dns.TypeAAAA:
			s.kind, s.set = has, []dns.RR{&dns.AAAA{Hdr: hdr, AAAA: []byte{15: 1}}}
		}
		return s
	case top == "invalid." || top == "onion.": // RFC 7686 §2
		s.kind = noName
		return s
	}
	return nil
}

// private says whether a reverse name is of addresses that mean another thing in each
// network (RFC 6303 §4).
func private(name string) bool {
	for _, zone := range privateZones {
		if dns.IsSubDomain(zone, name) {
			return true
		}
	}
	for b := 16; b < 32; b++ {
		if dns.IsSubDomain(fmt.Sprintf("%d.172.in-addr.arpa.", b), name) {
			return true
		}
	}
	return false
}

var privateZones = [...]string{
	"10.in-addr.arpa.", "168.192.in-addr.arpa.", "0.in-addr.arpa.", "127.in-addr.arpa.", "254.169.in-addr.arpa.",
	"2.0.192.in-addr.arpa.", "100.51.198.in-addr.arpa.", "113.0.203.in-addr.arpa.", "255.255.255.255.in-addr.arpa.",
	"d.f.ip6.arpa.", "8.e.f.ip6.arpa.", "9.e.f.ip6.arpa.", "a.e.f.ip6.arpa.", "b.e.f.ip6.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa.",
	"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
}
