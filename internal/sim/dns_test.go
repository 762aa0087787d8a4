package sim

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Lookup answers for the whole world, as a resolver that validates does.
func (w *world) Lookup(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	name = dns.Normal(name)
	a, err := w.find(name, t)
	pause := path
	if errors.Is(err, errSlow) {
		pause, err = 15*time.Second, dns.ErrServer
	}
	select {
	case <-ctx.Done():
		return dns.Answer{}, ctx.Err()
	case <-time.After(pause):
	}
	a.Name = name
	return a, err
}

var errSlow = errors.New("nothing comes back")

// failure is what a mood makes of every question.
func (m dnsMood) failure() error {
	switch m {
	case dnsFails:
		return dns.ErrServer
	case dnsBogus:
		return dns.ErrBogus
	case dnsSlow:
		return errSlow
	case dnsGone:
		return dns.ErrNoName
	}
	return nil
}

func (w *world) find(name string, t dns.Type) (dns.Answer, error) {
	if d := w.zones[name]; d != nil {
		return w.ofDomain(d, t)
	}
	if h := w.names[name]; h != nil {
		return h.find(t)
	}
	if d := w.zones[strings.TrimPrefix(name, "_mta-sts.")]; d != nil {
		if err := d.now().failure(); err != nil {
			return dns.Answer{}, err
		}
		if d.sts == nil || t != dns.TypeTXT || d.now() == dnsPoison {
			return dns.Answer{}, dns.ErrNoName
		}
		return dns.Answer{Secure: d.signed, Records: []dns.Record{{Type: t, Text: "v=STSv1; id=" + d.sts.id + ";"}}}, nil
	}
	if h := w.names[strings.TrimPrefix(name, "_25._tcp.")]; h != nil {
		return h.tlsa()
	}
	return dns.Answer{}, dns.ErrNoName
}

func (w *world) ofDomain(d *domain, t dns.Type) (dns.Answer, error) {
	m := d.now()
	if m == dnsPoison && d.signed {
		m = dnsBogus
	}
	if err := m.failure(); err != nil {
		return dns.Answer{}, err
	}
	a := dns.Answer{Secure: d.signed}
	if t != dns.TypeMX || m == dnsEmpty {
		return a, dns.ErrNoData
	}
	s := d.site
	switch m {
	case dnsNull:
		a.Records = []dns.Record{{Type: t}}
		return a, nil
	case dnsMoved:
		s = d.moveTo
	case dnsPoison:
		s, a.Secure = w.evil, false
	}
	for i, h := range s.hosts {
		a.Records = append(a.Records, dns.Record{Type: t, Pref: uint16(10 * (i / 2)), Target: h.name})
	}
	return a, nil
}

func (h *host) find(t dns.Type) (dns.Answer, error) {
	h.site.mu.Lock()
	m := h.site.mood.dns
	h.site.mu.Unlock()
	if err := m.failure(); err != nil {
		return dns.Answer{}, err
	}
	a := dns.Answer{Secure: h.site.signed}
	for _, addr := range h.addr {
		if addr.Is4() == (t == dns.TypeA) && (t == dns.TypeA || t == dns.TypeAAAA) {
			a.Records = append(a.Records, dns.Record{Type: t, Addr: addr})
		}
	}
	if len(a.Records) == 0 {
		return a, dns.ErrNoData
	}
	return a, nil
}

// tlsa is the record of a host's key (RFC 7672 §3.1.1).
func (h *host) tlsa() (dns.Answer, error) {
	h.site.mu.Lock()
	m := h.site.mood.tlsa
	h.site.mu.Unlock()
	if err := m.failure(); err != nil {
		return dns.Answer{}, err
	}
	if !h.site.dane {
		return dns.Answer{Secure: h.site.signed}, dns.ErrNoName
	}
	sum := sha256.Sum256(ring().of(h.site).Leaf.RawSubjectPublicKeyInfo)
	return dns.Answer{Secure: true, Records: []dns.Record{{Type: dns.TypeTLSA, Data: append([]byte{3, 1, 1}, sum[:]...)}}}, nil
}

// sts is a domain's MTA-STS policy (RFC 8461), and what we have seen of it.
type sts struct {
	d      *domain
	id     string
	maxAge time.Duration

	mu    sync.Mutex
	away  bool
	since time.Time // we know it
	until time.Time // and must keep to it
	fresh time.Time // it was given to us last
}

func newSTS(d *domain) *sts {
	ages := []time.Duration{12 * time.Hour, 2 * day, 7 * day, 30 * day}
	n := d.site.w.rnd.IntN(len(ages))
	return &sts{d: d, id: fmt.Sprintf("id%d", n), maxAge: ages[n]}
}

func (p *sts) set(away bool) { p.mu.Lock(); p.away = away; p.mu.Unlock() }

// binds says whether we know of the policy, and have for at least so long.
func (p *sts) binds(for_ time.Duration) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	return !p.since.IsZero() && now.Sub(p.since) >= for_ && now.Before(p.until)
}

// forget is for a policy that was given to a process which died a moment later.
func (p *sts) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.fresh) < time.Second {
		p.since = time.Time{}
	}
}

var errAway = errors.New("the web server of the policy is away")

// fetch is the web, as far as policies are read there.
func (w *world) fetch(ctx context.Context, url string, _ int64) ([]byte, string, error) {
	select {
	case <-ctx.Done():
		return nil, "", ctx.Err()
	case <-time.After(2 * path):
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(url, "https://mta-sts."), "/")
	d := w.zones[name]
	if d == nil || d.sts == nil {
		return nil, "", errAway
	}
	p := d.sts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away || d.now().failure() != nil {
		return nil, "", errAway
	}
	now := time.Now()
	if p.since.IsZero() || now.After(p.until) {
		p.since = now
	}
	p.until, p.fresh = now.Add(p.maxAge), now
	return fmt.Appendf(nil, "version: STSv1\nmode: enforce\nmx: *.%s\nmax_age: %d\n", d.site.name, int(p.maxAge.Seconds())), "text/plain", nil
}
