// Package policies keeps the MTA-STS policies of other domains (RFC 8461). They
// survive restarts: a domain that was secure once does not become less so
// because its policy cannot be fetched.
package policies

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/trust/mtasts"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// How policies are kept.
const (
	maxKnown   = 10_000          // in memory
	maxRows    = 100_000         // in the store, once a sweep has come by
	retryAfter = 5 * time.Minute // a failure (RFC 8461 §3.3)
	freshFor   = 24 * time.Hour  // then it is fetched again, whatever the id (RFC 8461 §3.3)
	unusedFor  = 60 * 24 * time.Hour
	sweepEvery = time.Hour
)

// Options of a store; Failed may be nil.
type Options struct {
	DB       kv.DB
	Resolver dns.Resolver
	// Fetch gives the body at an https URL and its media type.
	Fetch func(ctx context.Context, url string, limit int64) (body []byte, media string, err error)
	// Untrusted says whether an error of Fetch is that the server did not prove
	// who it is.
	Untrusted func(error) bool
	Failed    func(context.Context, error) // told of failures of the store
}

// Known is what is known of a domain's policy.
type Known struct {
	mtasts.Policy
	ID      string    // in its record when it was fetched
	Fetched time.Time // zero: the domain has no policy, or none is known
	Cached  bool      // it was not fetched just now
	Trouble tlsrpt.Result
	Reason  string // why a new one could not be had, in words
}

// There says whether there is a policy.
func (k Known) There() bool { return !k.Fetched.IsZero() }

// Until is when the policy ends unless it is fetched again.
func (k Known) Until() time.Time { return k.Fetched.Add(k.MaxAge) }

// valid says whether the policy is in force.
func (k Known) valid(now time.Time) bool { return k.There() && now.Before(k.Until()) }

// Store is the policies. It may be used by several goroutines.
type Store struct {
	o  Options
	mu sync.Mutex
	by map[mail.Domain]*entry
}

// entry is one domain's. Whoever is busy with it may ask the domain, which may take
// long.
type entry struct {
	busy   chan struct{} // of one place
	read   bool          // the row was
	known  Known
	used   time.Time // as the row has it
	failed time.Time // when it could not be fetched last, and why
	why    Known
}

// New makes a store over o.DB.
func New(o Options) *Store {
	if o.Failed == nil {
		o.Failed = func(context.Context, error) {}
	}
	return &Store{o: o, by: map[mail.Domain]*entry{}}
}

func (s *Store) entry(d mail.Domain) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.by[d]
	if e == nil {
		if len(s.by) >= maxKnown {
			clear(s.by) // the rows are there
		}
		e = &entry{busy: make(chan struct{}, 1)}
		s.by[d] = e
	}
	return e
}

func (e *entry) lock()   { e.busy <- struct{}{} }
func (e *entry) unlock() { <-e.busy }

// Find gives the policy of d that is in force. It is fetched where the domain's
// record tells of one that is not known (RFC 8461 §3.3); while that fails, or the
// record is away, the one before counts until its time is over (§5.1).
func (s *Store) Find(ctx context.Context, d mail.Domain) Known {
	if d.IsLiteral() {
		return Known{}
	}
	e := s.entry(d)
	e.lock()
	defer e.unlock()
	now := time.Now()
	s.load(ctx, e, d)
	return s.current(ctx, e, d, now, false)
}

// Cached gives the policy that is kept of d, without asking anybody.
func (s *Store) Cached(ctx context.Context, d mail.Domain) Known {
	var k Known
	e := s.entry(d)
	e.lock()
	defer e.unlock()
	s.load(ctx, e, d)
	if e.known.valid(time.Now()) {
		k = e.known
		k.Cached = true
	}
	return k
}

// current brings e up to date and gives what counts. With again a policy is
// fetched although its id is known.
func (s *Store) current(ctx context.Context, e *entry, d mail.Domain, now time.Time, again bool) Known {
	if !e.known.valid(now) {
		e.known = Known{}
	}
	kept := e.known
	kept.Cached = true
	a, err := s.o.Resolver.Lookup(ctx, mtasts.RecordName(d), dns.TypeTXT)
	var texts []string
	for _, rec := range a.Records {
		texts = append(texts, rec.Text)
	}
	id, ok := mtasts.RecordID(texts)
	switch {
	case err != nil || !ok:
		// Whoever can take the record away must not take the policy away.
		return s.use(ctx, e, d, kept, now)
	case kept.There() && id == kept.ID && !again:
		return s.use(ctx, e, d, kept, now)
	case now.Before(e.failed.Add(retryAfter)):
		kept.Trouble, kept.Reason = e.why.Trouble, e.why.Reason
		return s.use(ctx, e, d, kept, now)
	}
	fresh := s.fetch(ctx, d, id, now)
	if ctx.Err() != nil {
		return kept
	}
	if !fresh.There() {
		e.failed, e.why = now, fresh
		kept.Trouble, kept.Reason = fresh.Trouble, fresh.Reason
		return s.use(ctx, e, d, kept, now)
	}
	e.known, e.failed = fresh, time.Time{}
	if fresh.MaxAge > 0 {
		e.used = now
		s.write(ctx, d, e)
	}
	return fresh
}

// use notes, once a day, that a policy is still needed.
func (s *Store) use(ctx context.Context, e *entry, d mail.Domain, k Known, now time.Time) Known {
	if k.There() && now.Sub(e.used) > freshFor {
		e.used = now
		s.write(ctx, d, e)
	}
	return k
}

// fetch gets a policy (RFC 8461 §3.3).
func (s *Store) fetch(ctx context.Context, d mail.Domain, id string, now time.Time) Known {
	body, media, err := s.o.Fetch(ctx, mtasts.PolicyURL(d), mtasts.MaxPolicy)
	if err != nil {
		k := Known{Trouble: tlsrpt.PolicyFetch, Reason: reason(err)}
		if s.o.Untrusted != nil && s.o.Untrusted(err) {
			k.Trouble = tlsrpt.PolicyUntrusted
		}
		return k
	}
	p, err := mtasts.Parse(body)
	if err == nil && media != "text/plain" { // RFC 8461 §3.2
		err = fmt.Errorf("the policy is of type %.80q, not text/plain", media)
	}
	if err != nil {
		return Known{Trouble: tlsrpt.PolicyInvalid, Reason: reason(err)}
	}
	return Known{Policy: p, ID: id, Fetched: now}
}

// reason is an error in at most 200 octets, without our own words for it.
func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Err != nil {
		err = f.Err
	}
	s := err.Error()
	return s[:min(len(s), 200)]
}
