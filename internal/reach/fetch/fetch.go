// Package fetch asks web servers whose names strangers publish: over HTTPS only,
// of bounded size and time, without redirects, proxies or cookies, and not behind
// our own firewall.
package fetch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Options of a client. Resolver must be given.
type Options struct {
	Resolver     dns.Resolver
	RootCAs      *x509.CertPool // nil: the system's
	Port         int            // of URLs that name none; 443
	AllowPrivate bool           // loopback, private and other special addresses may be asked
	Local        netip.Addr     // source address; zero: the system chooses
	Timeout      time.Duration  // of a whole request; 20 s
}

// maxAddrs is how many addresses of a host are tried.
const maxAddrs = 4

// Client asks. It may be used by several goroutines and keeps no connection.
type Client struct {
	o    Options
	http http.Client
}

// New makes a client.
func New(o Options) *Client {
	o.Port, o.Timeout = cmp.Or(o.Port, 443), cmp.Or(o.Timeout, 20*time.Second)
	c := &Client{o: o}
	c.http = http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{
			DialContext: c.dial, TLSClientConfig: &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Get gives the body at an https URL and its media type in lower case. Anything
// but status 200, and a body over limit octets, is an error.
func (c *Client) Get(ctx context.Context, at string, limit int64) (body []byte, media string, err error) {
	resp, err := c.do(ctx, http.MethodGet, at, "", nil)
	if err != nil {
		return nil, "", fault.As(fault.Unavailable, "fetch.Get", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("HTTP status %d", resp.StatusCode)
	case err == nil && int64(len(body)) > limit:
		err = fmt.Errorf("more than %d octets", limit)
	}
	if err != nil {
		return nil, "", fault.As(fault.Unavailable, "fetch.Get", err)
	}
	media, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return body, media, nil
}

// Post sends a body to an https URL. Any status but 2xx is an error.
func (c *Client) Post(ctx context.Context, at, media string, body []byte) error {
	resp, err := c.do(ctx, http.MethodPost, at, media, body)
	if err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			err = fmt.Errorf("HTTP status %d", resp.StatusCode)
		}
	}
	return fault.As(fault.Unavailable, "fetch.Post", err)
}

func (c *Client) do(ctx context.Context, method, at, media string, body []byte) (*http.Response, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, fmt.Errorf("%.200q is no https URL", at)
	}
	req, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "Ekiden")
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	return c.http.Do(req)
}

// dial connects to a host's addresses in turn, if they are of the public network.
// The name is looked up here, so that nothing else is connected to.
func (c *Client) dial(ctx context.Context, _, hostport string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	if port == "443" {
		port = strconv.Itoa(c.o.Port)
	}
	addrs, err := c.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: c.o.Timeout / 2}
	tried := 0
	for _, a := range addrs {
		local := c.o.Local
		if local.IsValid() && !local.IsUnspecified() {
			if local.Unmap().Is4() != a.Is4() {
				continue
			}
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
		}
		if tried++; tried > maxAddrs {
			break
		}
		var nc net.Conn
		if nc, err = d.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), port)); err == nil {
			return nc, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%s has no address of our source address's family", host)
	}
	return nil, err
}

// addresses are those of host that may be asked.
func (c *Client) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	var all []netip.Addr
	var failed error
	if a, err := netip.ParseAddr(host); err == nil {
		all = append(all, a)
	} else {
		for _, t := range []dns.Type{dns.TypeAAAA, dns.TypeA} {
			answer, err := c.o.Resolver.Lookup(ctx, host, t)
			failed = errors.Join(failed, err)
			for _, rec := range answer.Records {
				all = append(all, rec.Addr)
			}
		}
	}
	var good []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); dns.IsPublic(a) || c.o.AllowPrivate && !a.IsUnspecified() && !a.IsMulticast() {
			good = append(good, a)
		}
	}
	switch {
	case len(good) > 0:
		return good, nil
	case len(all) > 0:
		return nil, fmt.Errorf("%s has only addresses that are not asked", host)
	}
	return nil, fmt.Errorf("no address of %s: %w", host, failed)
}

// IsUntrusted says whether an error of Get or Post is that the server did not
// prove who it is.
func IsUntrusted(err error) bool {
	var bad *tls.CertificateVerificationError
	return errors.As(err, &bad)
}
