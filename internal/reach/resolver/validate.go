package resolver

import (
	"context"
	"errors"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// How long what validation found is remembered.
const (
	bogusMemory = 30 * time.Second // RFC 4035 §4.7, RFC 9520 §3.2
	maxLink     = 12 * time.Hour
	maxLinks    = 8_000
	bogusTries  = 2 // answers to one question, from different servers, until it is given up
)

// link is what is known of a name on the way down from a trust anchor.
type link struct {
	kind    linkKind
	zone    string        // that the name lies in, or begins
	keys    []*dns.DNSKEY // of a signed zone
	why     *dnssec.Bogus // of a broken one, and of an unsigned one where there is a reason to tell
	expires time.Time
}

type linkKind uint8

const (
	signed   linkKind = iota + 1 // a zone whose keys are known
	unsigned                     // a zone without, and all below it
	inside                       // no zone begins there
	absent                       // nor is there anything below it
	broken                       // it should be signed, and that does not hold
)

// anchorFor is the nearest trust anchor above a name.
func (r *Resolver) anchorFor(name string) *dnssec.Anchors {
	var best *dnssec.Anchors
	for _, a := range r.anchors {
		if dns.IsSubDomain(a.Zone, name) && (best == nil || len(a.Zone) > len(best.Zone)) {
			best = a
		}
	}
	return best
}

// chain follows the signatures from a trust anchor down to a name: to the zone that
// the name lies in or, where the way ends before, to the unsigned zone.
func (r *Resolver) chain(ctx context.Context, target string, w *work) (*link, error) {
	a := r.anchorFor(target)
	if a == nil {
		return &link{kind: unsigned, zone: ".", expires: time.Now().Add(maxLink)}, nil
	}
	if l := r.knownLink(target, a.Zone); l != nil {
		return l, nil
	}
	at, err := r.entry(ctx, a, w)
	if err != nil {
		return nil, err
	}
	for pos := a.Zone; pos != target; {
		next := r.nextCut(at, pos, target)
		l, err := r.linkTo(ctx, at, next, w)
		if one := dnssec.Suffix(target, dns.CountLabel(pos)+1); (err != nil || l.kind == broken) && next != one && ctx.Err() == nil && !isSpent(err) {
			r.links.forget(next) // another zone's word about it counts
			next = one
			l, err = r.linkTo(ctx, at, next, w)
		}
		if err != nil {
			return nil, err
		}
		switch l.kind {
		case unsigned:
			return l, nil
		case broken:
			return nil, l.why
		case absent:
			return at, nil
		case signed:
			at = l
		}
		pos = next
	}
	return at, nil
}

// knownLink is the shortest way to what is known of a name: its own link if it begins a
// signed zone, or that of an unsigned zone it lies in.
func (r *Resolver) knownLink(target, anchor string) *link {
	now := time.Now()
	if l, ok := r.links.get(target, now); ok && (l.kind == signed || l.kind == unsigned) {
		return l
	}
	for up := target; up != anchor && up != "."; up = dnssec.Parent(up) {
		if l, ok := r.links.get(up, now); ok && l.kind == unsigned {
			return l
		}
	}
	return nil
}

// nextCut is the name to look at next on the way down: a zone cut that the zone itself
// has told of, or one label more.
func (r *Resolver) nextCut(at *link, pos, target string) string {
	have, all := dns.CountLabel(pos), dns.CountLabel(target)
	now := time.Now()
	for n := have + 1; n <= all; n++ {
		name := dnssec.Suffix(target, n)
		if s, ok := r.steps.get(question{name, dns.TypeDS}); ok && s.zone == at.zone && !s.forwarded && now.Before(s.until()) {
			return name
		}
	}
	return dnssec.Suffix(target, have+1)
}

// entry is the zone of a trust anchor, with its keys.
func (r *Resolver) entry(ctx context.Context, a *dnssec.Anchors, w *work) (*link, error) {
	now := time.Now()
	if l, ok := r.links.get(a.Zone, now); ok {
		if l.kind == broken {
			return nil, l.why
		}
		return l, nil
	}
	r.mu.Lock()
	trusted := a.Trusted()
	r.mu.Unlock()
	l, err := r.keysOf(ctx, a.Zone, trusted, maxLink, w)
	if err != nil {
		return nil, err
	}
	return r.remember(a.Zone, l)
}

func (r *Resolver) remember(name string, l *link) (*link, error) {
	r.links.put(name, l, l.expires)
	if l.kind == broken {
		return nil, l.why
	}
	return l, nil
}

// linkTo finds out what a name below a signed zone is, by the digests that the zone has
// for it, or the proof that it has none.
func (r *Resolver) linkTo(ctx context.Context, at *link, name string, w *work) (*link, error) {
	if l, ok := r.links.get(name, time.Now()); ok {
		return l, nil
	}
	q := question{name, dns.TypeDS}
	l := &link{kind: broken}
	var first *link
	for range bogusTries {
		s, err := r.raw(ctx, q, w)
		if err != nil {
			if first != nil && !isSpent(err) && ctx.Err() == nil {
				break
			}
			return nil, err
		}
		if l, err = r.weigh(ctx, at, s, w); err != nil {
			return nil, err
		}
		if l.kind != broken || l.zone == name {
			break // what the parent says holds; what the zone says was asked for twice already
		}
		first = l
		r.distrust(s, w)
	}
	l.expires = earlier(l.expires, at.expires)
	r.links.put(name, l, l.expires)
	return l, nil
}

// distrust has another server asked for what did not validate, or the same for just
// that: some prove nothing about the names that aliases lead to.
func (r *Resolver) distrust(s *step, w *work) {
	r.steps.forget(s.q)
	if s.forwarded || s.chained || !s.from.IsValid() {
		return
	}
	if w.avoid == nil {
		w.avoid = map[string]bool{}
	}
	w.avoid[s.from.String()] = true
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// weigh judges what a signed zone says about the digests of a name.
func (r *Resolver) weigh(ctx context.Context, at *link, s *step, w *work) (*link, error) {
	now := time.Now()
	l := &link{kind: inside, zone: at.zone, keys: at.keys, expires: earlier(now.Add(max(s.ttl, minCutTTL)), now.Add(maxLink))}
	switch s.kind {
	case has, alias:
		v, err := w.check.Verify(s.set, s.sigs, at.zone, at.keys, now)
		if err != nil {
			return brokenLink(err)
		}
		l.expires = earlier(l.expires, v.Until)
		if s.kind == alias {
			return l, nil
		}
		var ds []*dns.DS
		for _, rr := range s.set {
			if d, ok := rr.(*dns.DS); ok {
				ds = append(ds, d)
			}
		}
		return r.keysOf(ctx, s.q.name, ds, time.Until(l.expires), w)
	}
	d, err := r.denial(s, at, now, w)
	if err != nil {
		return brokenLink(err)
	}
	l.expires = earlier(l.expires, d.until)
	p, cut := d.NoDS(s.q.name)
	switch {
	case p == dnssec.Unproved:
		return brokenLink(missing(s.q.name + " has no proof that it has no digests"))
	case cut:
		l.kind, l.zone, l.keys = unsigned, s.q.name, nil
		if d.Excessive() {
			l.why = &dnssec.Bogus{Code: dnssec.UnsupportedIterations, Why: "more iterations of NSEC3 than we count"}
		}
	case s.kind == noName:
		l.kind = absent
	}
	return l, nil
}

// brokenLink remembers what does not hold for a while.
func brokenLink(err error) (*link, error) {
	var b *dnssec.Bogus
	if !errors.As(err, &b) {
		return nil, err
	}
	return &link{kind: broken, why: b, expires: time.Now().Add(bogusMemory)}, nil
}

func missing(why string) *dnssec.Bogus { return &dnssec.Bogus{Code: dnssec.DenialMissing, Why: why} }

// keysOf finds the keys of a zone that its parent vouches for.
func (r *Resolver) keysOf(ctx context.Context, zone string, ds []*dns.DS, ttl time.Duration, w *work) (*link, error) {
	q := question{zone, dns.TypeDNSKEY}
	var why error
	for range bogusTries {
		s, err := r.raw(ctx, q, w)
		if err != nil {
			if why != nil && !isSpent(err) && ctx.Err() == nil {
				break
			}
			return nil, err
		}
		now := time.Now()
		expires := earlier(now.Add(ttl), now.Add(max(s.ttl, minCutTTL)))
		keys, v, err := w.check.Keys(zone, s.set, s.sigs, ds, now)
		if errors.Is(err, dnssec.ErrUnsupported) {
			return &link{kind: unsigned, zone: zone, expires: expires, why: &dnssec.Bogus{Code: dnssec.UnsupportedAlgorithm, Why: zone + " is signed with nothing that we know"}}, nil
		}
		if err == nil {
			return &link{kind: signed, zone: zone, keys: keys, expires: earlier(expires, v.Until)}, nil
		}
		why = err
		r.distrust(s, w)
	}
	l, err := brokenLink(why)
	if err == nil {
		l.zone = zone
	}
	return l, err
}

// denial is the proof that came with a step, as far as its signatures hold.
type denial struct {
	*dnssec.Denial
	held  []dns.RR
	until time.Time // the first of its signatures ends, or a record is to be forgotten
}

func (r *Resolver) denial(s *step, at *link, now time.Time, w *work) (*denial, error) {
	type owner struct {
		name string
		t    uint16
	}
	sets := map[owner][]dns.RR{}
	sigs := map[owner][]*dns.RRSIG{}
	var order []owner
	for _, rr := range s.auth {
		h := rr.Header()
		if sig, ok := rr.(*dns.RRSIG); ok {
			sigs[owner{h.Name, sig.TypeCovered}] = append(sigs[owner{h.Name, sig.TypeCovered}], sig)
			continue
		}
		o := owner{h.Name, h.Rrtype}
		if len(sets[o]) == 0 {
			order = append(order, o)
		}
		sets[o] = append(sets[o], rr)
	}
	var why error = missing(s.q.String() + " is not there, and nothing proves it")
	d := &denial{until: now.Add(maxLink)}
	for _, o := range order {
		v, err := w.check.Verify(sets[o], sigs[o], at.zone, at.keys, now)
		switch {
		case err != nil && o.t == dns.TypeSOA:
			return nil, err // it goes out with the answer, and says how long that lives
		case o.t == dns.TypeSOA:
		case err != nil:
			why = err
		case v.Wildcard == "": // one that was drawn from a wildcard proves nothing (RFC 4035 §5.4)
			d.held = append(d.held, sets[o]...)
			d.until = earlier(d.until, earlier(v.Until, s.made.Add(time.Duration(v.TTL)*time.Second)))
		}
	}
	if len(d.held) == 0 {
		return nil, why
	}
	d.Denial = w.check.Denial(at.zone, d.held)
	return d, nil
}

// judge finds out whether a step is to be believed. An error means that it cannot be
// known now.
func (r *Resolver) judge(ctx context.Context, s *step, w *work) (*verdict, error) {
	if v := s.verdict.Load(); v != nil {
		return v, nil
	}
	v, err := r.weighStep(ctx, s, w)
	var b *dnssec.Bogus
	if errors.As(err, &b) {
		v, err = &verdict{security: bogus, why: b, expires: time.Now().Add(bogusMemory)}, nil
	}
	if err == nil {
		s.verdict.Store(v)
	}
	return v, err
}

func (r *Resolver) weighStep(ctx context.Context, s *step, w *work) (*verdict, error) {
	switch {
	case s.local:
		return &verdict{}, nil
	case r.o.TrustAD:
		if s.ad {
			return &verdict{security: secure}, nil
		}
		return &verdict{}, nil
	case !r.validates():
		return &verdict{}, nil
	case s.forwarded && !r.capable(ctx, w):
		return &verdict{expires: time.Now().Add(probeAgain)}, ctx.Err()
	}
	zone := s.signer()
	target := zone
	if zone == "" {
		target = s.owner()
	}
	l, err := r.chain(ctx, target, w)
	switch {
	case err != nil:
		return nil, err
	case l.kind == unsigned:
		return &verdict{why: l.why}, nil
	case zone == "":
		return nil, unsignedIn(s, l.zone)
	case l.zone != zone:
		return nil, &dnssec.Bogus{Code: dnssec.CodeBogus, Why: s.q.String() + " is signed by " + zone + ", which is no zone"}
	}
	if s.kind == has || s.kind == alias {
		return r.weighSet(s, l, w)
	}
	return r.weighDenial(s, l, w)
}

// unsignedIn is what is wrong with a step without signatures in a signed zone.
func unsignedIn(s *step, zone string) error {
	if s.kind == has || s.kind == alias {
		return &dnssec.Bogus{Code: dnssec.SignatureMissing, Why: s.q.String() + " is not signed, but " + zone + " is"}
	}
	return missing(s.q.String() + " is not there, and nothing proves it, but " + zone + " is signed")
}

// owner is the name whose zone should have signed a step.
func (s *step) owner() string {
	name := s.q.name
	if len(s.set) > 0 {
		name = s.set[0].Header().Name
	}
	if s.q.t == dns.TypeDS && name == s.q.name {
		return dnssec.Parent(name)
	}
	return name
}

// signer is the zone that signed a step, "" if none did that could.
func (s *step) signer() string {
	var sigs []*dns.RRSIG
	if s.kind == has || s.kind == alias {
		sigs = s.sigs
	} else {
		for _, rr := range s.auth {
			if sig, ok := rr.(*dns.RRSIG); ok && sig.TypeCovered != dns.TypeSOA {
				sigs = append(sigs, sig)
			}
		}
	}
	for _, sig := range sigs {
		if zone := dns.CanonicalName(sig.SignerName); dns.IsSubDomain(zone, s.owner()) {
			return zone
		}
	}
	return ""
}

func (r *Resolver) weighSet(s *step, l *link, w *work) (*verdict, error) {
	now := time.Now()
	v, err := w.check.Verify(s.set, s.sigs, l.zone, l.keys, now)
	if err != nil {
		return nil, err
	}
	good := &verdict{security: secure, expires: earlier(s.made.Add(time.Duration(v.TTL)*time.Second), v.Until)}
	if v.Wildcard == "" {
		return good, nil
	}
	d, err := r.denial(s, l, now, w)
	if err != nil {
		return nil, err
	}
	switch d.NoCloser(s.set[0].Header().Name, v.Labels) {
	case dnssec.Unproved:
		return nil, missing("nothing proves that no name stands closer to " + s.q.name + " than " + v.Wildcard)
	case dnssec.Insecure:
		good.security = insecure
	}
	return good, nil
}

func (r *Resolver) weighDenial(s *step, l *link, w *work) (*verdict, error) {
	now := time.Now()
	d, err := r.denial(s, l, now, w)
	if err != nil {
		return nil, err
	}
	p := dnssec.Unproved
	if s.kind == noName {
		p = d.NoName(s.q.name)
	} else {
		p = d.NoData(s.q.name, s.q.t)
	}
	v := &verdict{security: secure, expires: earlier(earlier(s.expires, l.expires), d.until)}
	switch p {
	case dnssec.Secure:
		r.gaps.learn(s, l.zone, d.held, v.expires)
	case dnssec.Unproved:
		return nil, missing("what came with it does not prove that " + s.q.String() + " is not there")
	case dnssec.Insecure:
		v.security = insecure
		if d.Excessive() {
			v.why = &dnssec.Bogus{Code: dnssec.UnsupportedIterations, Why: "more iterations of NSEC3 than we count"}
		}
	}
	return v, nil
}

// tryAnchors sees whether the keys of a trust anchor can be had.
func (r *Resolver) tryAnchors(ctx context.Context, w *work) error {
	var why error
	for _, a := range r.anchors {
		r.links.forget(a.Zone) // what others said before does not count
		r.steps.forget(question{a.Zone, dns.TypeDNSKEY})
		if _, why = r.entry(ctx, a, w); why == nil {
			return nil
		}
		r.links.forget(a.Zone)
	}
	return why
}

// Anchored sees whether the keys of a trust anchor can be had, on which all else hangs,
// and names its zone.
func (r *Resolver) Anchored(ctx context.Context) (zone string, err error) {
	for _, a := range r.anchors {
		if _, err = r.entry(ctx, a, newWork(ctx)); err == nil {
			return a.Zone, nil
		}
		zone = a.Zone
	}
	return zone, err
}

// capable finds out whether forwarders hand on signatures. Once they do they must from
// then on; while they do not, what they say counts as unsigned.
func (r *Resolver) capable(ctx context.Context, w *work) bool {
	now := time.Now()
	r.mu.Lock()
	yes, no := r.signed, now.Before(r.unsigned)
	r.mu.Unlock()
	if yes || no {
		return yes
	}
	err := r.tryAnchors(ctx, w)
	if ctx.Err() != nil || isSpent(err) {
		return false
	}
	r.mu.Lock()
	r.signed = err == nil
	if err != nil {
		r.unsigned = now.Add(probeAgain)
	}
	r.mu.Unlock()
	if err != nil && !r.told.Swap(true) {
		r.o.Sink.Emit(ctx, event.ResolverUnsigned{Err: err})
	}
	return err == nil
}
