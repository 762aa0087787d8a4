// Package resolver answers questions about the domain name system: by its own
// recursion from the root, or by other servers, validated either way, and remembered.
package resolver

import (
	"cmp"
	"context"
	"crypto/x509"
	_ "embed"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Options of a resolver. The zero value recurses from the root of the Internet.
type Options struct {
	// Servers that look further for us, in this order: "address:port",
	// "tls://address#name", "https://address/path#name" or SystemServers. None: we
	// recurse ourselves.
	Servers    []string
	ResolvConf string // where the system names its servers; /etc/resolv.conf
	NoSystem   bool   // they do not serve where the root is out of reach
	TrustAD    bool   // believe the AD bit of servers on loopback, and validate nothing
	RootCAs    *x509.CertPool

	Hints        string // text of another root hints file
	Anchors      string // text of another trust anchor file: DS and DNSKEY records
	NoValidation bool
	Keep         Keeper // of trust anchors as they roll; nil: they start anew

	CacheOctets int           // what is remembered takes about so much memory; 32 MiB
	MaxTTL      time.Duration // an answer is remembered no longer; 24 h
	MaxNegative time.Duration // nor is the lack of one; 1 h (RFC 2308 §5 allows 3 h)

	Sink event.Sink
	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the system's
}

// Keeper keeps a few octets over restarts. Load gives nil where nothing was kept.
type Keeper interface {
	Load() ([]byte, error)
	Save([]byte) error
}

// How long things take or last.
const (
	maxTime     = 20 * time.Second // for one question, whatever its context allows
	failureTTL  = 5 * time.Second  // a failure is remembered (RFC 9520 §3.2)
	staleFor    = 24 * time.Hour   // an answer that cannot be had anew serves on (RFC 8767 §5)
	staleTTL    = 30 * time.Second // with this TTL, and is not asked for again meanwhile (RFC 8767 §4)
	staleAfter  = 1800 * time.Millisecond
	prefetchMin = 30 * time.Second // answers of a shorter life are not asked for ahead
	maxBehind   = 32               // questions that are asked ahead at the same time
	sweepEach   = 10 * time.Minute
)

// Resolver is a words.Resolver. It may be used by several goroutines. Close ends those
// that it has itself.
type Resolver struct {
	o       Options
	hints   *cut
	anchors []*dnssec.Anchors
	given   []upstream
	systems []upstream // the system's servers
	read    time.Time  // when they were

	steps   *store[question, *step]
	cuts    *store[string, *cut]
	replies *store[replyKey, *reply]
	packets *store[string, *packet]
	links   *bounded[string, *link]
	failed  *bounded[question, error]

	knowRoot *bounded[string, bool] // the system's servers do
	peers    *peers
	gaps     gaps
	wires    wires
	webs     map[upstream]*http.Client

	asks    flights[zoneQuestion, *answer]
	asked   flights[replyKey, *reply]
	priming flights[string, *cut]

	mu        sync.Mutex
	primed    *cut      // the root, as its servers gave it
	unreached time.Time // until when the root is not tried again
	out       bool      // the root is out of reach
	signed    bool      // forwarders hand on signatures
	unsigned  time.Time // they did not; until when that is believed
	said      atomic.Bool
	told      atomic.Bool

	life   context.Context // of what goes on behind
	end    context.CancelFunc
	behind chan struct{}
	all    sync.WaitGroup
}

//go:embed root.hints
var rootHints string

// rootAnchors are the digests of the keys of the root of the Internet: of 2017 and of
// 2024 (https://data.iana.org/root-anchors/root-anchors.xml).
const rootAnchors = `. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
`

// New makes a resolver. An error says what cannot work of the options.
func New(o Options) (*Resolver, error) {
	def(&o.CacheOctets, 32<<20)
	def(&o.MaxTTL, 24*time.Hour)
	def(&o.MaxNegative, time.Hour)
	o.ResolvConf = cmp.Or(o.ResolvConf, "/etc/resolv.conf")
	o.NoSystem = o.NoSystem || o.Hints != "" // a lab's root has no other door
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	r := &Resolver{
		o: o, links: newBounded[string, *link](maxLinks), failed: newBounded[question, error](maxLinks), knowRoot: newBounded[string, bool](1), peers: newPeers(), webs: map[upstream]*http.Client{}, behind: make(chan struct{}, maxBehind),
	}
	seed := maphash.MakeSeed()
	byName := func(s string) uint64 { return maphash.String(seed, s) }
	r.steps = newStore[question, *step](o.CacheOctets/16*6, func(q question) uint64 { return maphash.Comparable(seed, q) })
	r.replies = newStore[replyKey, *reply](o.CacheOctets/16*6, func(k replyKey) uint64 { return maphash.Comparable(seed, k) })
	r.cuts, r.packets = newStore[string, *cut](o.CacheOctets/16, byName), newStore[string, *packet](o.CacheOctets/16*3, byName)
	r.packets.hashBytes = func(b []byte) uint64 { return maphash.Bytes(seed, b) }
	r.life, r.end = context.WithCancel(context.Background())
	var err error
	if r.hints, err = parseHints(cmp.Or(o.Hints, rootHints)); err != nil {
		return nil, err
	}
	if r.anchors, err = parseAnchors(cmp.Or(o.Anchors, rootAnchors)); err != nil {
		return nil, err
	}
	for _, s := range o.Servers {
		if s == SystemServers {
			continue
		}
		up, err := parseUpstream(s)
		if err != nil {
			return nil, err
		}
		r.given = append(r.given, up)
	}
	r.load()
	return r, nil
}

func def[T ~int | ~int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// parseAnchors reads a trust anchor file.
func parseAnchors(text string) ([]*dnssec.Anchors, error) {
	p := dns.NewZoneParser(strings.NewReader(text), ".", "")
	p.SetDefaultTTL(3600)
	var rrs []dns.RR
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		rrs = append(rrs, rr)
	}
	if err := p.Err(); err != nil {
		return nil, fault.As(fault.Invalid, "resolver.parseAnchors", err)
	}
	return dnssec.NewAnchors(rrs)
}

// Close ends what goes on behind, and waits for it.
func (r *Resolver) Close() {
	r.end()
	r.all.Wait()
	r.wires.close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.webs {
		c.CloseIdleConnections()
	}
}

// behindTheScenes runs something for nobody in particular. It is false where too much of
// that is going on already.
func (r *Resolver) behindTheScenes(f func(context.Context)) bool {
	select {
	case r.behind <- struct{}{}:
	default:
		return false
	}
	if r.life.Err() != nil {
		<-r.behind
		return false
	}
	r.all.Go(func() {
		defer func() { <-r.behind }()
		ctx, cancel := context.WithTimeout(r.life, maxTime)
		defer cancel()
		f(ctx)
	})
	return true
}

// Lookup asks for the records of one type at a name, following aliases unless
// the type is CNAME. It gives words.ErrNoName, ErrNoData, ErrBogus or ErrServer, or the
// context's error. Equal questions at the same time are asked once.
func (r *Resolver) Lookup(ctx context.Context, name string, t words.Type) (words.Answer, error) {
	name = words.Normal(name)
	if !words.IsName(name) {
		return words.Answer{Name: name}, words.ErrNoName
	}
	rep, err := r.find(ctx, dns.CanonicalName(name), uint16(t), false)
	if err != nil {
		return words.Answer{Name: name}, err
	}
	last := rep.steps[len(rep.steps)-1]
	a := words.Answer{Name: words.Normal(last.q.name), Secure: rep.secure(), Expires: rep.expires}
	if rep.err != nil {
		return a, rep.err
	}
	if a.Records, err = records(last, time.Now()); err != nil {
		return words.Answer{}, fmt.Errorf("%w: %s %s: %v", words.ErrServer, name, t, err)
	}
	return a, nil
}

// raw gives what servers say to one question, aliases not followed and nothing
// validated, from the cache or by asking.
func (r *Resolver) raw(ctx context.Context, q question, w *work) (*step, error) {
	now := time.Now()
	if s, ok := r.steps.get(q); ok && now.Before(s.until()) && !s.made.Before(w.since(q)) {
		return s, nil
	}
	if s := r.local(q, now); s != nil {
		return s, nil
	}
	if s := r.gaps.denies(q, now); s != nil && w.since(q).IsZero() {
		return s, nil
	}
	if err, ok := r.failed.get(q, now); ok {
		return nil, err
	}
	s, err := r.fetch(ctx, q, w)
	if err != nil && ctx.Err() == nil && !isSpent(err) && len(w.avoid) == 0 {
		r.failed.put(q, err, now.Add(failureTTL))
	}
	return s, err
}

// fetch asks.
func (r *Resolver) fetch(ctx context.Context, q question, w *work) (*step, error) {
	if len(r.given) > 0 {
		return r.forward(ctx, r.given, q, w)
	}
	now := time.Now()
	if len(r.o.Servers) == 0 {
		r.mu.Lock()
		out, again := r.out, !now.Before(r.unreached)
		r.mu.Unlock()
		switch {
		case !out:
			s, err := r.iterate(ctx, q, w)
			r.mu.Lock()
			out = r.out
			r.mu.Unlock()
			if err == nil || !out || r.o.NoSystem {
				return s, err
			}
		case r.o.NoSystem:
			return r.iterate(ctx, q, w)
		case again:
			r.behindTheScenes(func(ctx context.Context) {
				_, _ = r.priming.once(ctx, ".", func() (*cut, error) { return r.prime(ctx) })
			})
		}
	}
	servers, err := r.system(now)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: the root servers are out of reach, and %w", words.ErrServer, q, err)
	}
	if err := r.sane(ctx, servers, w); err != nil {
		return nil, err
	}
	return r.forward(ctx, servers, q, w)
}

// sane sees now and then that the system's servers know the root. Where nobody chose
// them, and they deny that it exists, they would deny any name: a network that wants a
// login first does so, and mail must wait for that, not fail.
func (r *Resolver) sane(ctx context.Context, servers []upstream, w *work) error {
	now := time.Now()
	if sane, known := r.knowRoot.get(".", now); known && sane {
		return nil
	}
	s, err := r.forward(ctx, servers, question{".", dns.TypeNS}, w)
	if err == nil && s.kind == noName {
		err = fmt.Errorf("%w: the root servers are out of reach, and the system's servers deny that there is a root", words.ErrServer)
	}
	if err == nil {
		r.knowRoot.put(".", true, now.Add(probeAgain))
	}
	return err
}

// Root says whether questions are answered from the root down, and, if that was wanted,
// whether the root is out of reach, so that the system's servers answer instead.
func (r *Resolver) Root(ctx context.Context) (recursive bool, err error) {
	if len(r.o.Servers) > 0 {
		return false, nil
	}
	_, err = r.root(ctx, &work{})
	return true, err
}
