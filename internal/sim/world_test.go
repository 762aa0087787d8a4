package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// world is everybody else: sites with their hosts, domains with their name
// servers, and the network between them and us.
type world struct {
	rnd     *rand.Rand // of the director alone
	book    *book
	sites   []*site
	domains []*domain
	hosts   map[netip.Addr]*host
	names   map[string]*host
	zones   map[string]*domain
	evil    *site // an attacker's
	smart   *site // a smart host that is ours to use

	wg sync.WaitGroup // of sessions

	mu      sync.Mutex
	open    map[*conn]bool // our ends
	cutOff  atomic.Bool    // the process is dead
	blocked bool           // nothing leaves to port 25
}

// security is what a site's hosts have to secure lines with.
type security uint8

const (
	clear     security = iota // no STARTTLS
	selfMade                  // a certificate that nobody has signed
	certified                 // one of an authority
	requiring                 // and REQUIRETLS
)

// site is the hosts that one operator runs.
type site struct {
	w       *world
	number  int
	name    string
	hosts   []*host
	secure  security
	signed  bool        // its hosts' names
	dane    bool        // and they have TLSA records
	steady  bool        // always well
	rule    *queue.Rule // that we know
	domains []*domain

	mu     sync.Mutex
	mood   mood
	since  time.Time // it has this mood
	rnd    *rand.Rand
	open   map[*session]string // and what was said last
	grey   map[string]time.Time
	last   window // of what it takes while it is rate-limited
	probes window
	ruled  window // of what it takes at all
	peeks  int    // transactions since the mood began
}

// host is one machine.
type host struct {
	site *site
	name string
	addr []netip.Addr
}

// domain is one that mail is sent to.
type domain struct {
	name   string
	site   *site
	moveTo *site
	signed bool // DNSSEC
	sts    *sts // nil: none

	mu      sync.Mutex
	dns     dnsMood
	healthy time.Time // it is well since
}

func (s *site) set(m mood) {
	s.mu.Lock()
	old, lasted, n := s.mood, time.Since(s.since), s.peeks
	s.mood, s.since, s.peeks = m, time.Now(), 0
	s.mu.Unlock()
	// At first as many as there are connections, and a few until three have said no;
	// then one each minute, two, four … and each hour. Each may ask three addresses.
	addrs := 0
	for _, h := range s.hosts {
		addrs += len(h.addr)
	}
	if bound := min(addrs, 3) * (s.connections() + 4 + 7 + int(lasted.Hours())); old.storms() && n > bound {
		s.w.book.wrong("%s, which %s, was pressed %d times within %s, not %d", s.name, old, n, lasted, bound)
	}
}

func (d *domain) set(m dnsMood) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dns, d.healthy = m, time.Now()
}

func (d *domain) now() dnsMood {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dns
}

// sizes of the world.
const (
	manyDomains = 1000
	manySites   = 150
	providers   = 12 // sites of many domains
	ruled       = 6  // of them have a rule
)

func newWorld(seed uint64, b *book) *world {
	w := &world{
		rnd: rand.New(rand.NewPCG(seed, 1)), book: b, hosts: map[netip.Addr]*host{}, names: map[string]*host{}, zones: map[string]*domain{},
		open: map[*conn]bool{},
	}
	for n := range manySites {
		w.sites = append(w.sites, w.newSite(n, fmt.Sprintf("s%d.example", n)))
	}
	w.evil, w.smart = w.newSite(manySites, "evil.example"), w.newSite(manySites+1, "smart.example")
	w.evil.secure, w.evil.dane, w.smart.secure, w.smart.dane = selfMade, false, certified, false
	for n := range manyDomains {
		s := w.sites[n%manySites]
		if n >= manySites {
			s = w.sites[int(float64(providers)*w.rnd.Float64()*w.rnd.Float64())] // the first have the most
		}
		w.addDomain(fmt.Sprintf("d%d.example", n), s)
	}
	return w
}

func (w *world) newSite(n int, name string) *site {
	s := &site{w: w, number: n, name: name, rnd: rand.New(rand.NewPCG(w.rnd.Uint64(), 2)), grey: map[string]time.Time{}, open: map[*session]string{}}
	s.secure = []security{clear, clear, clear, selfMade, certified, requiring}[w.rnd.IntN(6)]
	s.signed = w.rnd.IntN(3) > 0
	s.dane = s.secure >= selfMade && s.signed && w.rnd.IntN(3) > 0
	s.steady = n%8 == 5
	if n < ruled {
		s.rule = &queue.Rule{Connections: 1 + w.rnd.IntN(4), PerConnection: 2 + w.rnd.IntN(10)}
		if n%2 == 0 {
			s.rule.PerMinute = 12 * (1 + w.rnd.IntN(5))
		}
	}
	for i := range 1 + w.rnd.IntN(3) {
		h := &host{site: s, name: fmt.Sprintf("mx%d.%s", i+1, name)}
		h.addr = []netip.Addr{netip.AddrFrom4([4]byte{20, byte(n), byte(i), 1})}
		if w.rnd.IntN(3) == 0 {
			h.addr = append(h.addr, netip.AddrFrom16([16]byte{0x2a, byte(n), byte(i), 15: 1}))
		}
		s.hosts = append(s.hosts, h)
		w.names[h.name] = h
		for _, a := range h.addr {
			w.hosts[a] = h
		}
	}
	return s
}

func (w *world) addDomain(name string, s *site) {
	d := &domain{name: name, site: s, moveTo: w.sites[w.rnd.IntN(len(w.sites))], signed: s.signed && w.rnd.IntN(4) > 0}
	if s.secure >= certified && w.rnd.IntN(3) == 0 {
		d.sts = newSTS(d)
	}
	s.domains = append(s.domains, d)
	w.domains = append(w.domains, d)
	w.zones[name] = d
}

// rules are what we know of the ruled sites.
func (w *world) rules() (all []route.SiteRule) {
	for _, s := range w.sites {
		if s.rule != nil {
			all = append(all, route.SiteRule{Name: s.name, MX: []string{"." + s.name}, Rule: *s.rule})
		}
	}
	return all
}

// live begins a life of our process: the network is there again.
func (w *world) live() { w.cutOff.Store(false) }

// die ends it: its connections are gone, and nothing more is heard of it.
func (w *world) die() {
	w.mu.Lock()
	w.cutOff.Store(true)
	var all []*conn
	for c := range w.open {
		all = append(all, c)
	}
	w.mu.Unlock()
	for _, c := range all {
		c.cut()
	}
}

func (w *world) block(is bool) { w.mu.Lock(); w.blocked = is; w.mu.Unlock() }

// path is how long a word takes to a host and back.
const path = 30 * time.Millisecond

// connect is the network as smtpc has it. A probe is a connection without mail, to
// find out whether there is a way out at all; it counts by itself.
func (w *world) connect(ctx context.Context, addr string, probe bool) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	remote := net.TCPAddrFromAddrPort(to)
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: remote, Err: err}
	}
	h := w.hosts[to.Addr()]
	w.mu.Lock()
	dead, blocked := w.cutOff.Load(), w.blocked && to.Port() == 25
	w.mu.Unlock()
	how := answers
	if h != nil {
		how = h.site.opens()
	}
	switch {
	case dead || h == nil:
		return fail(syscall.ENETUNREACH)
	case blocked, how == silent:
		<-ctx.Done()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fail(timeout{})
		}
		return fail(ctx.Err())
	case how == refuses:
		return fail(syscall.ECONNREFUSED)
	}
	select {
	case <-ctx.Done():
		return fail(ctx.Err())
	case <-time.After(path):
	}
	ours, theirs := pair(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9999}, remote)
	v := &session{site: h.site, host: h, conn: theirs, life: w.book.life(), born: time.Now()}
	gone := sync.OnceFunc(func() { w.mu.Lock(); delete(w.open, ours); w.mu.Unlock(); h.site.leave(v) })
	ours.gone, theirs.gone = gone, gone
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cutOff.Load() {
		return fail(syscall.ENETUNREACH)
	}
	w.open[ours] = true
	if probe {
		h.site.probed()
	} else {
		h.site.enter(v)
	}
	w.wg.Go(v.serve)
	return ours, nil
}

type timeout struct{}

func (timeout) Error() string   { return "i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// opens says what becomes of a connection.
func (s *site) opens() reach {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mood.chance > 0 && s.rnd.Float64() >= s.mood.chance {
		return answers
	}
	return s.mood.reach
}

// enter counts a connection, and looks whether it is one too many.
func (s *site) enter(v *session) {
	s.mu.Lock()
	s.open[v] = "connects"
	s.w.book.talk("%s is connected to (%d)", v.host.name, len(s.open))
	n, all := len(s.open), ""
	for v, last := range s.open {
		all += fmt.Sprintf(" [%s since %s, message %d, %q]", v.host.name, time.Since(v.born), v.count, last)
	}
	s.mu.Unlock()
	if bound := s.connections(); n > bound && s != s.w.evil {
		s.w.book.wrong("%s has %d connections of ours, %d are allowed:%s", s.name, n, bound, all)
	}
}

// probed looks whether a site is asked too often whether it is there.
func (s *site) probed() {
	if s.over(&s.probes, 2) { // each of our lives may
		s.w.book.wrong("%s is probed thrice in a minute", s.name)
	}
}

func (s *site) leave(v *session) {
	s.w.book.talk("%s is left", v.host.name)
	s.mu.Lock()
	delete(s.open, v)
	s.mu.Unlock()
}

// hear notes what a client says.
func (s *site) hear(v *session, text string) {
	s.w.book.talk("%s is told %s", v.host.name, text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, is := s.open[v]; is {
		s.open[v] = text
	}
}

// perSite is how many connections a site gets that has no rule (queue.Limits).
const perSite = 8

func (s *site) connections() int {
	if s.rule != nil {
		return s.rule.Connections
	}
	return perSite
}

// domain finds one by its name; nil if it is none of the world's.
func (w *world) domain(d mail.Domain) *domain { return w.zones[strings.ToLower(string(d))] }
