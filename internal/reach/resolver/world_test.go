package resolver

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
)

// world is name servers by their address, on a network in memory whose time may be
// that of a bubble.
type world struct {
	mu      sync.Mutex
	servers map[string]*actor
	log     []string // "server question"
	latency time.Duration
	now     func() time.Time
}

// actor is one server: its zones, and how it misbehaves.
type actor struct {
	zones []*zone
	act   func(q *dns.Msg, tcp bool, good func() *dns.Msg) []*dns.Msg // nil: as it should
	raw   func(q []byte) [][]byte
}

func newWorld() *world {
	return &world{servers: map[string]*actor{}, latency: 5 * time.Millisecond, now: time.Now}
}

// dial is Options.Dial.
func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	a := netip.MustParseAddrPort(addr)
	w.mu.Lock()
	s := w.servers[a.Addr().String()]
	w.mu.Unlock()
	if a.Addr().Is6() && s == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", errNoRoute)}
	}
	if s == nil {
		s = &actor{act: func(*dns.Msg, bool, func() *dns.Msg) []*dns.Msg { return nil }} // silence
	}
	return &wire{w: w, s: s, at: a.Addr().String(), tcp: network == "tcp", in: make(chan []byte, 300), late: make(chan struct{})}, nil
}

// wire is a connection to an actor.
type wire struct {
	w    *world
	s    *actor
	at   string
	tcp  bool
	in   chan []byte
	rest []byte // of a TCP stream
	out  []byte // of a message that is not whole

	mu    sync.Mutex
	late  chan struct{}
	timer *time.Timer
}

func (c *wire) Write(b []byte) (int, error) {
	if !c.tcp {
		c.deliver(b)
		return len(b), nil
	}
	c.out = append(c.out, b...)
	for len(c.out) >= 2 && len(c.out) >= 2+int(binary.BigEndian.Uint16(c.out)) {
		n := 2 + int(binary.BigEndian.Uint16(c.out))
		c.deliver(c.out[2:n])
		c.out = c.out[n:]
	}
	return len(b), nil
}

// deliver gives a question to the actor and brings its answers back.
func (c *wire) deliver(b []byte) {
	q := new(dns.Msg)
	if err := q.Unpack(b); err != nil {
		panic(err)
	}
	how := ""
	if c.tcp {
		how = " by TCP"
	}
	c.w.mu.Lock()
	c.w.log = append(c.w.log, fmt.Sprintf("%s %s %s%s", c.at, strings.ToLower(q.Question[0].Name), dns.Type(q.Question[0].Qtype), how))
	c.w.mu.Unlock()
	var packets [][]byte
	if c.s.raw != nil {
		packets = c.s.raw(b)
	} else {
		good := func() *dns.Msg { return serveZones(c.s.zones, q, c.w.now()) }
		answers := []*dns.Msg{}
		if c.s.act == nil {
			answers = append(answers, good())
		} else {
			answers = c.s.act(q, c.tcp, good)
		}
		for _, m := range answers {
			p, err := m.Pack()
			if err != nil {
				panic(err)
			}
			if limit := int(sizeOf(q)); !c.tcp && len(p) > limit {
				m = &dns.Msg{MsgHdr: m.MsgHdr, Question: m.Question}
				m.Truncated = true
				p, _ = m.Pack()
			}
			packets = append(packets, p)
		}
	}
	time.AfterFunc(c.w.latency, func() {
		for _, p := range packets {
			if c.tcp {
				p = append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...)
			}
			select {
			case c.in <- p:
			default:
			}
		}
	})
}

func sizeOf(q *dns.Msg) uint16 {
	if o := q.IsEdns0(); o != nil {
		return o.UDPSize()
	}
	return 512
}

func (c *wire) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		c.mu.Lock()
		late := c.late
		c.mu.Unlock()
		select {
		case c.rest = <-c.in:
		case <-late:
			return 0, os.ErrDeadlineExceeded
		}
	}
	n := copy(b, c.rest)
	if c.rest = c.rest[n:]; !c.tcp {
		c.rest = nil
	}
	return n, nil
}

func (c *wire) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	late := c.late
	end := sync.OnceFunc(func() {
		select {
		case <-late:
		default:
			close(late)
		}
	})
	if d := time.Until(t); d <= 0 {
		end()
	} else {
		c.timer = time.AfterFunc(d, end)
	}
	return nil
}

func (c *wire) Close() error                       { return c.SetDeadline(time.Unix(1, 0)) }
func (c *wire) LocalAddr() net.Addr                { return &net.UDPAddr{} }
func (c *wire) RemoteAddr() net.Addr               { return &net.UDPAddr{} }
func (c *wire) SetReadDeadline(t time.Time) error  { return c.SetDeadline(t) }
func (c *wire) SetWriteDeadline(t time.Time) error { return nil }

// zone is an authoritative zone, which is signed if it has a key.
type zone struct {
	name    string
	records map[string]map[uint16][]dns.RR
	key     *dnssec.Key
	nsec3   *dnssec.Hashing // nil: NSEC
	life    time.Duration   // of signatures
	break_  func(set []dns.RR, sig *dns.RRSIG)
	sigs    map[string]*dns.RRSIG
	chain   []dns.RR
}

// newZone reads a zone; algorithm 0 leaves it unsigned.
func newZone(name, text string, algorithm uint8) *zone {
	z := &zone{name: dns.CanonicalName(name), records: map[string]map[uint16][]dns.RR{}, life: 10 * 24 * time.Hour, sigs: map[string]*dns.RRSIG{}}
	z.add("@ 3600 IN SOA ns." + strings.TrimPrefix(z.name, ".") + " root. 1 3600 600 86400 300\n" + text)
	if algorithm != 0 {
		k, err := dnssec.Generate(z.name, algorithm, true)
		if err != nil {
			panic(err)
		}
		z.key = &k
		z.put(k.DNSKEY)
	}
	return z
}

func (z *zone) add(text string) {
	p := dns.NewZoneParser(strings.NewReader(text+"\n"), z.name, "")
	p.SetDefaultTTL(300)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		z.put(rr)
	}
	if err := p.Err(); err != nil {
		panic(err)
	}
}

func (z *zone) put(rr dns.RR) {
	name := dns.CanonicalName(rr.Header().Name)
	rr.Header().Name = name
	if z.records[name] == nil {
		z.records[name] = map[uint16][]dns.RR{}
	}
	z.records[name][rr.Header().Rrtype] = append(z.records[name][rr.Header().Rrtype], rr)
	z.chain = nil
}

// vouch puts the child's digest into the zone.
func (z *zone) vouch(child *zone) { z.put(child.key.ToDS(dns.SHA256)) }

// cut is the delegation that a name lies at or below, "" if none.
func (z *zone) cut(name string) string {
	found := ""
	for up := name; up != z.name && dns.IsSubDomain(z.name, up); up = dnssec.Parent(up) {
		if z.records[up][dns.TypeNS] != nil {
			found = up
		}
	}
	return found
}

// denials is the zone's chain of NSEC or NSEC3.
func (z *zone) denials() []dns.RR {
	if z.chain != nil || z.key == nil {
		return z.chain
	}
	types := map[string][]uint16{}
	for name, sets := range z.records {
		if at := z.cut(name); at != "" && at != name {
			continue
		}
		for t := range sets {
			if at := z.cut(name); at == "" || t == dns.TypeNS || t == dns.TypeDS {
				types[name] = append(types[name], t)
			}
		}
	}
	if z.nsec3 != nil {
		for _, rr := range dnssec.NSEC3s(z.name, types, 300, *z.nsec3) {
			z.chain = append(z.chain, rr)
		}
	} else {
		for _, rr := range dnssec.NSECs(z.name, types, 300) {
			z.chain = append(z.chain, rr)
		}
	}
	return z.chain
}

// sign gives a set with its signature.
func (z *zone) sign(set []dns.RR, now time.Time, do bool) []dns.RR {
	out := slices.Clone(set)
	if z.key == nil || !do || len(set) == 0 {
		return out
	}
	h := set[0].Header()
	id := fmt.Sprint(h.Name, h.Rrtype, now.Unix()/3600)
	sig := z.sigs[id]
	if sig == nil {
		var err error
		from := now.Truncate(time.Hour).Add(-time.Hour)
		if sig, err = z.key.Sign(set, from, from.Add(z.life)); err != nil {
			panic(err)
		}
		z.sigs[id] = sig
	}
	sig = dns.Copy(sig).(*dns.RRSIG)
	if z.break_ != nil {
		z.break_(out, sig)
	}
	if sig.TypeCovered == 0 {
		return out
	}
	return append(out, sig)
}

// prove gives what of the chain matches or covers names that matter for one.
func (z *zone) prove(name string, now time.Time) []dns.RR {
	var names, out []dns.RR
	for up := name; dns.IsSubDomain(z.name, up); up = dnssec.Parent(up) {
		wild := "*." + strings.TrimPrefix(up, ".")
		for _, rr := range z.denials() {
			ok := false
			switch rr := rr.(type) {
			case *dns.NSEC3:
				ok = rr.Match(up) || rr.Cover(up) || rr.Match(wild) || rr.Cover(wild)
			case *dns.NSEC:
				for _, n := range []string{up, wild} {
					last := dnssec.Order(rr.NextDomain, rr.Hdr.Name) <= 0
					ok = ok || rr.Hdr.Name == n || dnssec.Order(rr.Hdr.Name, n) < 0 && (last || dnssec.Order(n, rr.NextDomain) < 0)
				}
			}
			if ok && !slices.Contains(names, rr) {
				names = append(names, rr)
			}
		}
		if up == "." {
			break
		}
	}
	for _, rr := range names {
		out = append(out, z.sign([]dns.RR{rr}, now, true)...)
	}
	return out
}

var zoneLock sync.Mutex

// serveZones answers as a server of some zones does.
func serveZones(zones []*zone, q *dns.Msg, now time.Time) *dns.Msg {
	zoneLock.Lock()
	defer zoneLock.Unlock()
	m := new(dns.Msg).SetReply(q)
	o := q.IsEdns0()
	do := o != nil && o.Do()
	if o != nil {
		m.SetEdns0(1232, do)
	}
	name, t := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	var z *zone
	for _, have := range zones {
		in := dns.IsSubDomain(have.name, name) && (t != dns.TypeDS || have.name != name || name == ".")
		if in && (z == nil || len(have.name) > len(z.name)) {
			z = have
		}
	}
	if z == nil {
		m.Rcode = dns.RcodeRefused
		return m
	}
	m.Authoritative = true
	for range 8 {
		if at := z.cut(name); at != "" && (at != name || t != dns.TypeDS) {
			z.refer(m, at, now, do)
			return m
		}
		next := z.answer(m, name, t, now, do)
		if next == "" || !dns.IsSubDomain(z.name, next) {
			return m
		}
		name = next
	}
	return m
}

// exists says whether a name is there, if only because of one below it.
func (z *zone) exists(name string) bool {
	for have := range z.records {
		if dns.IsSubDomain(name, have) {
			return true
		}
	}
	return false
}

func (z *zone) refer(m *dns.Msg, at string, now time.Time, do bool) {
	m.Authoritative = len(m.Answer) > 0
	m.Ns = append(m.Ns, z.records[at][dns.TypeNS]...)
	if ds := z.records[at][dns.TypeDS]; ds != nil && do {
		m.Ns = append(m.Ns, z.sign(ds, now, do)...)
	} else if do && z.key != nil {
		m.Ns = append(m.Ns, z.prove(at, now)...)
	}
	for _, rr := range z.records[at][dns.TypeNS] {
		for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
			m.Extra = append(m.Extra, z.records[rr.(*dns.NS).Ns][t]...)
		}
	}
}

// answer adds what the zone says of a name and gives the name at the end of an alias.
func (z *zone) answer(m *dns.Msg, name string, t uint16, now time.Time, do bool) string {
	sets, exists := z.records[name], z.exists(name)
	for up := dnssec.Parent(name); !exists && dns.IsSubDomain(z.name, up); up = dnssec.Parent(up) {
		if d := z.records[up][dns.TypeDNAME]; d != nil {
			m.Answer = append(m.Answer, z.sign(d, now, do)...)
			target := substitute(name, d[0].(*dns.DNAME))
			m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 300}, Target: target})
			return target
		}
		if up == "." {
			break
		}
	}
	wild := ""
	if !exists {
		up := dnssec.Parent(name)
		for !z.exists(up) {
			up = dnssec.Parent(up)
		}
		if wild = "*." + up; z.records[wild] != nil {
			sets, exists = z.records[wild], true
		} else {
			wild = ""
		}
	}
	give := func(set []dns.RR) {
		for _, rr := range z.sign(set, now, do) {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			m.Answer = append(m.Answer, rr)
		}
		if wild != "" && do && z.key != nil {
			m.Ns = append(m.Ns, z.prove(name, now)...)
		}
	}
	switch {
	case sets[t] != nil:
		give(sets[t])
		return ""
	case sets[dns.TypeCNAME] != nil && exists:
		give(sets[dns.TypeCNAME])
		return dns.CanonicalName(sets[dns.TypeCNAME][0].(*dns.CNAME).Target)
	case !exists:
		m.Rcode = dns.RcodeNameError
	}
	m.Ns = append(m.Ns, z.sign(z.records[z.name][dns.TypeSOA], now, do)...)
	if do && z.key != nil {
		m.Ns = append(m.Ns, z.prove(name, now)...)
	}
	return ""
}

var errNoRoute = syscall.ENETUNREACH

// hints and anchors are what a resolver starts with in this world.
func (w *world) hints(addr string) string {
	return ". 3600 NS ns.root.\nns.root. 3600 A " + addr + "\n"
}

func (z *zone) anchor() string {
	return z.key.ToDS(dns.SHA256).String() + "\n"
}

func (w *world) resolver(t testing.TB, o Options) *Resolver {
	t.Helper()
	o.Dial = w.dial
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
