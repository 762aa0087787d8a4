package resolver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// transport is how a forwarder is spoken to.
type transport uint8

const (
	plain     transport = iota // UDP and TCP
	overTLS                    // RFC 7858
	overHTTPS                  // RFC 8484
)

// upstream is a server that looks further for us.
type upstream struct {
	how  transport
	addr netip.AddrPort
	name string // on its certificate; "": its address
	path string // of HTTPS
}

// SystemServers in Options.Servers stands for those of the system.
const SystemServers = "system"

// CheckServer says what is wrong with a name of a server to forward to.
func CheckServer(s string) error {
	if s == SystemServers {
		return nil
	}
	_, err := parseUpstream(s)
	return err
}

// parseUpstream reads ADDRESS:PORT, tls://ADDRESS[:853][#NAME] or
// https://ADDRESS[:443]/PATH[#NAME].
func parseUpstream(s string) (upstream, error) {
	bad := func() (upstream, error) {
		return upstream{}, fault.New(fault.Invalid, "resolver.parseUpstream", fmt.Sprintf("%q is not ADDRESS:PORT, tls://ADDRESS#NAME or https://ADDRESS/PATH#NAME", s))
	}
	if !strings.Contains(s, "://") {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return bad()
		}
		return upstream{addr: a}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.RawQuery != "" {
		return bad()
	}
	up := upstream{name: u.Fragment, path: u.Path}
	port := map[string]uint16{"tls": 853, "https": 443}[u.Scheme]
	a, err := netip.ParseAddr(u.Hostname())
	if err != nil || port == 0 || u.Scheme == "tls" && u.Path != "" {
		return bad()
	}
	up.addr = netip.AddrPortFrom(a, port)
	if p := u.Port(); p != "" {
		if up.addr, err = netip.ParseAddrPort(net.JoinHostPort(u.Hostname(), p)); err != nil {
			return bad()
		}
	}
	up.how = overTLS
	if u.Scheme == "https" {
		up.how = overHTTPS
	}
	return up, nil
}

func (u upstream) String() string {
	return [...]string{"", "tls://", "https://"}[u.how] + u.addr.String()
}

// local says whether nobody can stand between us and the server.
func (u upstream) local() bool { return u.addr.Addr().Unmap().IsLoopback() }

// Rounds over all servers, and how long an answer may take.
const (
	forwardRounds  = 2
	securedTimeout = 4 * time.Second // by TLS and HTTPS
)

// forward puts a question to servers that look further, in turn, until one knows.
func (r *Resolver) forward(ctx context.Context, servers []upstream, q question, w *work) (*step, error) {
	var why trouble
	as := asking{recurse: true, secure: r.validates(), ad: r.o.TrustAD}
	for range forwardRounds {
		for _, up := range servers {
			if w.avoid[up.String()] {
				continue
			}
			m, err := r.ask(ctx, up, q, as, w)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if isSpent(err) {
				return nil, err
			}
			var steps []*step
			if err == nil {
				steps, err = r.forwarded(m, q, up)
			}
			if err != nil {
				why.add(up.String() + ": " + short(err))
				continue
			}
			for _, s := range steps {
				s.from, s.forwarded = up.addr, true
				s.ad = s.ad && up.local()
				r.keep(s)
			}
			return steps[0], nil
		}
	}
	return nil, fmt.Errorf("%w: %s: %s", words.ErrServer, q, why.String())
}

// forwarded takes the meaning of a forwarder's answer.
func (r *Resolver) forwarded(m *dns.Msg, q question, up upstream) ([]*step, error) {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		text := rcode(m.Rcode)
		if o := m.IsEdns0(); o != nil {
			for _, x := range o.Option {
				if e, ok := x.(*dns.EDNS0_EDE); ok {
					text += fmt.Sprintf(" (%s)", strings.TrimSpace(dns.ExtendedErrorCodeToString[e.InfoCode]+" "+e.ExtraText))
				}
			}
		}
		return nil, errors.New(text)
	}
	now := time.Now()
	if c := referral(m, ".", q.name, now); c != nil && !m.Authoritative && !hasSOA(m.Ns) {
		return nil, errors.New("refers to other servers")
	}
	steps := extract(m, q, ".", now, &r.o)
	if len(steps) == 0 {
		return nil, errors.New("does not answer what was asked")
	}
	return steps, nil
}

// ask puts a question to one forwarder.
func (r *Resolver) ask(ctx context.Context, up upstream, q question, as asking, w *work) (*dns.Msg, error) {
	switch up.how {
	case overTLS:
		return r.askTLS(ctx, up, q, as, w)
	case overHTTPS:
		return r.askHTTPS(ctx, up, q, as, w)
	}
	m, err := r.exchange(ctx, up.addr, q, as, w)
	if err != nil && !isSpent(err) && ctx.Err() == nil {
		r.peers.failed(up.addr, err, time.Now())
	}
	return m, err
}

// padding makes questions of equal length, so that who sees them encrypted does not
// learn much (RFC 8467 §4.1).
func padding(m *dns.Msg) {
	const block = 128
	o := m.IsEdns0()
	pad := &dns.EDNS0_PADDING{}
	o.Option = append(o.Option, pad)
	pad.Padding = make([]byte, (block-m.Len()%block)%block)
}

// wires are connections that are kept open to forwarders by TLS.
type wires struct {
	mu   sync.Mutex
	idle map[upstream][]net.Conn
}

// maxIdle is how many connections to one forwarder are kept.
const maxIdle = 4

func (c *wires) take(up upstream) net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[up]
	if len(list) == 0 {
		return nil
	}
	c.idle[up] = list[:len(list)-1]
	return list[len(list)-1]
}

func (c *wires) give(up upstream, conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == nil {
		c.idle = map[upstream][]net.Conn{}
	}
	if len(c.idle[up]) >= maxIdle {
		_ = conn.Close()
		return
	}
	c.idle[up] = append(c.idle[up], conn)
}

func (c *wires) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, list := range c.idle {
		for _, conn := range list {
			_ = conn.Close()
		}
	}
	c.idle = nil
}

func (r *Resolver) tlsConfig(up upstream) *tls.Config {
	name := up.name
	if name == "" {
		name = up.addr.Addr().String()
	}
	return &tls.Config{ServerName: name, RootCAs: r.o.RootCAs, MinVersion: tls.VersionTLS12}
}

// askTLS asks by TLS (RFC 7858), through a connection that is open or a new one: one
// that was kept may have been closed by the other side meanwhile.
func (r *Resolver) askTLS(ctx context.Context, up upstream, q question, as asking, w *work) (*dns.Msg, error) {
	m := message(q, as, true, false)
	padding(m)
	ctx, cancel := context.WithTimeout(ctx, securedTimeout)
	defer cancel()
	for {
		if err := w.send(); err != nil {
			return nil, err
		}
		conn := r.wires.take(up)
		kept := conn != nil
		if !kept {
			raw, err := r.o.Dial(ctx, "tcp", up.addr.String())
			if err != nil {
				return nil, err
			}
			secured := tls.Client(raw, r.tlsConfig(up))
			if err := secured.HandshakeContext(ctx); err != nil {
				return nil, errors.Join(err, raw.Close())
			}
			conn = secured
		}
		deadline, _ := ctx.Deadline()
		_ = conn.SetDeadline(deadline)
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		a, err := stream(conn, m)
		if stop() && err == nil {
			r.wires.give(up, conn)
			return a, nil
		}
		_ = conn.Close()
		if err == nil || !kept || ctx.Err() != nil {
			return a, err
		}
	}
}

// maxHTTP is how long an answer by HTTPS may be, in octets.
const maxHTTP = dns.MaxMsgSize

// askHTTPS asks by HTTPS (RFC 8484 §4.1).
func (r *Resolver) askHTTPS(ctx context.Context, up upstream, q question, as asking, w *work) (*dns.Msg, error) {
	if err := w.send(); err != nil {
		return nil, err
	}
	m := message(q, as, true, false)
	m.Id = 0 // so that caches on the way can tell equal questions
	padding(m)
	out, err := m.Pack()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, securedTimeout)
	defer cancel()
	name := up.name
	if name == "" {
		name = up.addr.Addr().String()
	}
	where := url.URL{Scheme: "https", Host: net.JoinHostPort(name, fmt.Sprint(up.addr.Port())), Path: up.path}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, where.String(), bytes.NewReader(out))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/dns-message")
	req.Header.Set("Accept", "application/dns-message")
	resp, err := r.web(up).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/dns-message" {
		return nil, fmt.Errorf("HTTP %s", resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxHTTP+1))
	if err != nil {
		return nil, err
	}
	return parse(b, m)
}

// web is the HTTP client for one forwarder, which knows its address without asking.
func (r *Resolver) web(up upstream) *http.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.webs[up]; c != nil {
		return c
	}
	c := &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return r.o.Dial(ctx, "tcp", up.addr.String())
			},
			TLSClientConfig: r.tlsConfig(up), ForceAttemptHTTP2: true, MaxIdleConns: maxIdle, IdleConnTimeout: time.Minute,
			MaxResponseHeaderBytes: 1 << 14,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r.webs[up] = c
	return c
}

// validates says whether answers of forwarders are validated here: where they once
// gave us the keys of a trust anchor, they must from then on. One that cannot is used
// as it is, and what it says counts as unsigned.
func (r *Resolver) validates() bool {
	return len(r.anchors) > 0 && !r.o.TrustAD && !r.o.NoValidation
}
