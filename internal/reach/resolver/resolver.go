// Package resolver asks recursive name servers, and remembers what they said
// for as long as they allow.
package resolver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Options of a resolver. The zero value asks the system's servers.
type Options struct {
	Servers     []string      // host:port, asked in this order; none: those of ResolvConf
	ResolvConf  string        // /etc/resolv.conf; read again every minute
	Timeout     time.Duration // of one try at one server; 2 s
	Tries       int           // rounds over all servers; 2
	TrustAD     bool          // believe the servers' AD bit: only for one on this machine
	MixCase     bool          // spell names in random case as a further nonce (draft-vixie-dnsext-dns0x20)
	CacheSize   int           // answers that are remembered; 10,000
	MaxTTL      time.Duration // an answer is remembered no longer; 6 h
	MaxNegative time.Duration // nor is the lack of one; 15 min (RFC 2308 §5 allows 3 h)
}

// failureTTL is how long a failure is remembered (RFC 9520 §3.2: at least 1 s).
const failureTTL = time.Second

// maxAliases is how many CNAMEs are followed.
const maxAliases = 8

// Resolver is a words.Resolver. It may be used by several goroutines, and
// leaves none behind.
type Resolver struct {
	o     Options
	cache *cache

	mu     sync.Mutex
	flight map[question]*flight
	system []string  // the system's servers
	read   time.Time // when they were
}

type question struct {
	name string
	t    words.Type
}

// flight is a question that is being asked.
type flight struct {
	done   chan struct{}
	answer outcome
}

// outcome is an answer, or the lack of one.
type outcome struct {
	words.Answer
	err error
}

// New makes a resolver.
func New(o Options) *Resolver {
	def(&o.Timeout, 2*time.Second)
	def(&o.Tries, 2)
	def(&o.CacheSize, 10_000)
	def(&o.MaxTTL, 6*time.Hour)
	def(&o.MaxNegative, 15*time.Minute)
	return &Resolver{o: o, cache: newCache(o.CacheSize), flight: map[question]*flight{}}
}

func def[T ~int | ~int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// servers are those to ask. Where they are the system's they may change.
func (r *Resolver) servers(now time.Time) ([]string, error) {
	if len(r.o.Servers) > 0 {
		return r.o.Servers, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.read) < time.Minute && len(r.system) > 0 {
		return r.system, nil
	}
	file := cmp.Or(r.o.ResolvConf, "/etc/resolv.conf")
	c, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, err
	}
	if len(c.Servers) == 0 {
		return nil, fmt.Errorf("%s names no server", file)
	}
	r.system, r.read = nil, now
	for _, s := range c.Servers {
		r.system = append(r.system, net.JoinHostPort(s, c.Port))
	}
	return r.system, nil
}

// Lookup asks for the records of one type at a name, following aliases unless
// the type is CNAME. It gives words.ErrNoName, ErrNoData or ErrServer, or the
// context's error. Equal questions at the same time are asked once.
func (r *Resolver) Lookup(ctx context.Context, name string, t words.Type) (words.Answer, error) {
	name = words.Normal(name)
	if !words.IsName(name) {
		return words.Answer{Name: name}, words.ErrNoName
	}
	secure, expires := true, time.Time{}
	seen := map[string]bool{}
	for range maxAliases + 1 {
		if seen[name] {
			return words.Answer{}, fmt.Errorf("%w: aliases of %s run in a circle", words.ErrServer, name)
		}
		seen[name] = true
		o, err := r.once(ctx, question{name, t})
		if err != nil {
			return words.Answer{}, err
		}
		secure = secure && o.Secure
		if expires.IsZero() || o.Expires.Before(expires) {
			expires = o.Expires
		}
		o.Secure, o.Expires = secure, expires
		if !errors.Is(o.err, errAlias) {
			return o.Answer, o.err
		}
		name = o.Name
	}
	return words.Answer{}, fmt.Errorf("%w: more than %d aliases", words.ErrServer, maxAliases)
}

// errAlias says that an answer ends in a name that must be asked for itself.
var errAlias = errors.New("alias")

// once answers one question from the cache, from another caller who is asking
// it just now, or by asking.
func (r *Resolver) once(ctx context.Context, q question) (outcome, error) {
	for {
		if o, ok := r.cache.get(q, time.Now()); ok {
			return o, nil
		}
		r.mu.Lock()
		f := r.flight[q]
		if f == nil {
			f = &flight{done: make(chan struct{})}
			r.flight[q] = f
			r.mu.Unlock()
			return r.lead(ctx, q, f)
		}
		r.mu.Unlock()
		select {
		case <-f.done:
			if f.answer.err == nil || !isContext(f.answer.err) {
				return f.answer, nil
			}
			// Whoever asked went away; ask again.
		case <-ctx.Done():
			return outcome{}, ctx.Err()
		}
	}
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// lead asks q for itself and for those who wait.
func (r *Resolver) lead(ctx context.Context, q question, f *flight) (outcome, error) {
	f.answer = outcome{err: context.Canceled} // should ask panic
	defer func() {
		r.mu.Lock()
		delete(r.flight, q)
		r.mu.Unlock()
		close(f.done)
	}()
	o := r.ask(ctx, q)
	if o.err != nil && ctx.Err() != nil {
		f.answer = outcome{err: ctx.Err()}
		return outcome{}, ctx.Err()
	}
	r.cache.put(q, o, time.Now())
	f.answer = o
	return o, nil
}

// ask tries the servers in turn until one knows.
func (r *Resolver) ask(ctx context.Context, q question) outcome {
	var why []string
	servers, err := r.servers(time.Now())
	if err != nil {
		why = append(why, err.Error())
	}
	for range r.o.Tries {
		for _, server := range servers {
			m, err := r.exchange(ctx, server, q)
			if err == nil {
				var o outcome
				if o, err = r.understand(m, q, time.Now()); err == nil {
					o.Secure = o.Secure && onLoopback(server)
					return o
				}
			}
			if ctx.Err() != nil {
				return outcome{err: ctx.Err()}
			}
			if s := server + ": " + err.Error(); len(why) < 4 {
				why = append(why, s)
			}
		}
	}
	err = fmt.Errorf("%w: %s %s: %s", words.ErrServer, q.name, q.t, strings.Join(why, "; "))
	return outcome{Answer: words.Answer{Name: q.name, Expires: time.Now().Add(failureTTL)}, err: err}
}

// onLoopback says whether nobody can stand between us and a server.
func onLoopback(server string) bool {
	a, err := netip.ParseAddrPort(server)
	return err == nil && a.Addr().Unmap().IsLoopback()
}
