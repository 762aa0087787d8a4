package fetch

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

func serve(t *testing.T, h http.HandlerFunc) (int, *x509.CertPool) {
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	return int(netip.MustParseAddrPort(s.Listener.Addr().String()).Port()), pool(s)
}

func pool(s *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.Certificate())
	return p
}

// zone names the test server: its certificate is for example.com.
const zone = `
example.com A 127.0.0.1
evil.test   A 127.0.0.1
`

func TestGet(t *testing.T) {
	slow := make(chan struct{})
	port, roots := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			w.Header().Set("Content-Type", "Text/Plain; charset=utf-8")
			_, _ = io.WriteString(w, "hello")
		case "/away":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("x", 1001))
		case "/slow":
			<-slow
		default:
			http.NotFound(w, r)
		}
	})
	defer close(slow)
	r := dnstest.New(zone)
	good := Options{Resolver: r, RootCAs: roots, Port: port, AllowPrivate: true, Timeout: time.Second}
	public, untrusting := good, good
	public.AllowPrivate, untrusting.RootCAs = false, x509.NewCertPool()
	v6 := good
	v6.Local = netip.MustParseAddr("::1")
	for _, c := range []struct {
		o         Options
		url, want string // want: the media type and the body, or a part of the error
	}{
		{good, "https://example.com/ok", "text/plain hello"},
		{good, "https://example.com/away", "HTTP status 302"},
		{good, "https://example.com/none", "HTTP status 404"},
		{good, "https://example.com/large", "more than 1000 octets"},
		{good, "https://example.com/slow", "exceeded"},
		{good, "https://evil.test/ok", "not evil.test"},
		{good, "https://gone.test/ok", "no such name"},
		{good, "http://example.com/ok", "is no https URL"},
		{good, "https://user@example.com/ok", "is no https URL"},
		{public, "https://example.com/ok", "only addresses that are not asked"},
		{public, "https://127.0.0.1/ok", "only addresses that are not asked"},
		{public, "https://[::ffff:10.0.0.1]/ok", "only addresses that are not asked"},
		{untrusting, "https://example.com/ok", "unknown authority"},
		{v6, "https://example.com/ok", "no address of our source address's family"},
	} {
		body, media, err := New(c.o).Get(t.Context(), c.url, 1000)
		got := media + " " + string(body)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.url, got, c.want)
		}
		if IsUntrusted(err) != (strings.Contains(c.want, "evil.test") || strings.Contains(c.want, "authority")) {
			t.Errorf("%s: untrusted: %v", c.url, IsUntrusted(err))
		}
	}
}

func TestPost(t *testing.T) {
	var got string
	port, roots := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.Header.Get("Content-Type") + " " + string(b)
		if r.URL.Path != "/ok" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	c := New(Options{Resolver: dnstest.New(zone), RootCAs: roots, Port: port, AllowPrivate: true})
	if err := c.Post(t.Context(), "https://example.com/ok", "application/json", []byte("{}")); err != nil || got != "POST application/json {}" {
		t.Errorf("%q, %v", got, err)
	}
	if err := c.Post(t.Context(), "https://example.com/no", "application/json", nil); err == nil || !strings.Contains(err.Error(), "status 403") {
		t.Error(err)
	}
}
