package webd

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
)

func doors() []Door {
	return []Door{{"smtp", 25}, {"submission", 587}, {"submissions", 465}, {"imap", 143}, {"imaps", 993}, {"lmtp", 24}}
}

// ask asks the handler of a Server with these options.
func ask(o Options, method, url string, header ...string) *http.Response {
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s := New(o)
	s.guard(s.handler()).ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPage(t *testing.T) {
	o := Options{Hostname: "mx.example.com", TLS: &tls.Config{}, Doors: doors(), Strict: true}
	r := ask(o, "GET", "https://mx.example.com/", "Accept-Language", "de, en;q=0.5")
	text := body(t, r)
	for _, want := range []string{`<html lang="en">`, "mx.example.com", "<td>993</td><td>TLS</td>", "<td>587</td><td>STARTTLS</td>", "deliver to port 25"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, not := range []string{"<td>24</td>", "POP3", "ZgotmplZ"} {
		if strings.Contains(text, not) {
			t.Errorf("%q in\n%s", not, text)
		}
	}
	for key, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Content-Language": "en", "Vary": "Accept-Language",
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"Strict-Transport-Security": "max-age=31536000",
	} {
		if got := r.Header.Get(key); got != want {
			t.Errorf("%s: %q", key, got)
		}
	}
	if csp := r.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") {
		t.Errorf("policy: %s", csp)
	}
	if ja := body(t, ask(o, "GET", "https://mx.example.com/", "Accept-Language", "ja-JP,ja;q=0.9,en;q=0.8")); !strings.Contains(ja, "メールサーバー") || !strings.Contains(ja, `<html lang="ja">`) {
		t.Errorf("not Japanese:\n%s", ja)
	}
	if r := ask(o, "GET", "https://203.0.113.1/"); r.Header.Get("Strict-Transport-Security") != "" {
		t.Error("strict for a name that is not ours")
	}
	if r := ask(o, "GET", "https://mx.example.com/nothing"); r.StatusCode != 404 {
		t.Errorf("got %s", r.Status)
	}
	if r := ask(o, "POST", "https://mx.example.com/"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("got %s", r.Status)
	}
	if text := body(t, ask(Options{Hostname: "mx.example.com", TLS: &tls.Config{}}, "GET", "https://x/")); strings.Contains(text, "<table>") || strings.Contains(text, "deliver") {
		t.Errorf("tells of doors that are not there:\n%s", text)
	}
}

func TestLanguage(t *testing.T) {
	for field, want := range map[string]string{
		"": "en", "ja": "ja", "JA-jp": "ja", "en, ja": "en", "ja, en": "ja", "en;q=0.3, ja;q=0.7": "ja", "ja;q=0": "en", "fr, *": "en",
		"ja;q=x": "en", ";;;,,": "en", "en; q=0.1,ja; q=0.2": "ja", strings.Repeat("x,", 1000) + "ja": "en",
	} {
		if got := language([]string{field}); got != want {
			t.Errorf("%.40q: %s", field, got)
		}
	}
}

func TestLead(t *testing.T) {
	o := Options{Hostname: "mx.example.com", HTTPS: 443, Challenge: func(w http.ResponseWriter, r *http.Request) bool {
		known := r.URL.Path == challenges+"known"
		if known {
			fmt.Fprint(w, "answer")
		}
		return known
	}}
	for _, c := range []struct {
		method, url string
		port        int
		status      int
		to          string
	}{
		{"GET", "http://mx.example.com/a%2Fb?c=d", 443, 308, "https://mx.example.com/a%2Fb?c=d"},
		{"HEAD", "http://mx.example.com:80/", 443, 308, "https://mx.example.com/"},
		{"GET", "http://mx.example.com/", 10443, 308, "https://mx.example.com:10443/"},
		{"GET", "http://[2001:db8::1]:80/", 443, 308, "https://[2001:db8::1]/"},
		{"GET", "http://[2001:db8::1]/", 10443, 308, "https://[2001:db8::1]:10443/"},
		{"GET", "http://mx.example.com//evil.example/", 443, 308, "https://mx.example.com//evil.example/"},
		{"POST", "http://mx.example.com/", 443, 405, ""},
		{"GET", "http://mx.example.com/", 0, 404, ""},
		{"GET", "http://mx.example.com" + challenges + "unknown", 443, 404, ""},
		{"GET", "http://mx.example.com" + challenges + "known", 443, 200, ""},
	} {
		o.HTTPS = c.port
		r := ask(o, c.method, c.url)
		if r.StatusCode != c.status || r.Header.Get("Location") != c.to {
			t.Errorf("%s %s: %s, %q", c.method, c.url, r.Status, r.Header.Get("Location"))
		}
	}
	for host, want := range map[string]string{"": "", "a.example": "a.example", "a.example:80": "a.example", "a/b": "", "a@b": "", "a\r\nb": "", "[::1]:80": "::1"} {
		if got := bare(host); got != want {
			t.Errorf("%q: %q", host, got)
		}
	}
}

// heard keeps events.
type heard chan event.Event

func (h heard) Emit(_ context.Context, e event.Event) { h <- e }

func TestPanic(t *testing.T) {
	sink := make(heard, 1)
	func() {
		defer func() { _ = recover() }()
		ask(Options{Sink: sink, Challenge: func(http.ResponseWriter, *http.Request) bool { panic("oops") }}, "GET", "http://x/")
		t.Error("went on")
	}()
	if e, ok := (<-sink).(event.Failed); !ok || !strings.Contains(e.Err.Error(), "oops") {
		t.Errorf("got %v", e)
	}
}

// run serves on loopback until the test ends, and gives the address.
func run(t *testing.T, o Options) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- New(o).Serve(ctx, ln) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// TestHTTPS shows the page by HTTP/2 and by HTTP/1.1.
func TestHTTPS(t *testing.T) {
	own := httptest.NewUnstartedServer(nil)
	own.StartTLS()
	defer own.Close()
	cert := own.TLS.Certificates[0]
	pool := x509.NewCertPool()
	pool.AddCert(own.Certificate())
	addr := run(t, Options{
		Hostname: "example.com", Doors: doors(),
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}},
	})
	for _, two := range []bool{true, false} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: two}
		r, err := (&http.Client{Transport: tr}).Get("https://" + addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		if text := body(t, r); r.ProtoMajor == 2 != two || !strings.Contains(text, "IMAP") {
			t.Errorf("%s: %s", r.Proto, text)
		}
		tr.CloseIdleConnections()
	}
}

// TestSlow lets nobody hold a connection who does not ask, or not to the end.
func TestSlow(t *testing.T) {
	addr := run(t, Options{HTTPS: 443, Limits: Limits{Header: 100 * time.Millisecond, Request: 200 * time.Millisecond, Idle: 100 * time.Millisecond}})
	for what, begin := range map[string]string{
		"says nothing": "", "stops in the header": "GET / HTTP/1.1\r\nHost: x\r\nX", "stays after an answer": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"stops in the body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
	} {
		c := dial(t, addr)
		start := time.Now()
		_, _ = io.WriteString(c, begin)
		if _, err := io.Copy(io.Discard, c); err != nil || time.Since(start) > 5*time.Second {
			t.Errorf("who %s: %v after %v", what, err, time.Since(start))
		}
	}
	c := dial(t, addr)
	_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 100<<10))
	if r, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large header: %s", r.Status)
	}
}

// TestSlowHandshake lets nobody hold a connection who never gets to TLS, or who
// asks for nothing behind it, by either version of HTTP.
func TestSlowHandshake(t *testing.T) {
	own := httptest.NewUnstartedServer(nil)
	own.StartTLS()
	defer own.Close()
	addr := run(t, Options{
		Limits: Limits{Header: 200 * time.Millisecond, Request: 400 * time.Millisecond, Idle: 200 * time.Millisecond},
		TLS:    &tls.Config{Certificates: own.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}},
	})
	start := time.Now()
	raw := dial(t, addr)
	_, _ = raw.Write([]byte{22, 3, 1, 2, 0}) // a record that never comes
	if _, err := io.Copy(io.Discard, raw); err != nil {
		t.Errorf("who stops in the handshake: %v", err)
	}
	for _, proto := range []string{"h2", "http/1.1"} {
		c := tls.Client(dial(t, addr), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if proto == "h2" {
			_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00") // and empty settings
		}
		if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("who asks for nothing by %s: %v", proto, err)
		}
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("after %v", took)
	}
}

// TestCrowd turns away who is one too many, and lets in again when one has left.
func TestCrowd(t *testing.T) {
	addr := run(t, Options{HTTPS: 443, Limits: Limits{PerAddress: 2}})
	get := func(c net.Conn) error {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err
	}
	first, second := dial(t, addr), dial(t, addr)
	if get(first) != nil || get(second) != nil {
		t.Fatal("the first two did not come in")
	}
	if get(dial(t, addr)) == nil {
		t.Error("the third came in")
	}
	_ = first.Close()
	for end := time.Now().Add(5 * time.Second); get(dial(t, addr)) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody comes in any more")
		}
	}
	sink := make(heard, 1)
	addr = run(t, Options{Sink: sink, Guards: door.Guards{Barred: func(_ time.Time, a netip.Addr) (time.Time, bool) { return time.Time{}, a.IsLoopback() }}})
	if get(dial(t, addr)) == nil {
		t.Error("who is banned came in")
	}
	if e, ok := (<-sink).(event.ConnectionRefused); !ok || e.Door != "web" {
		t.Errorf("got %v", e)
	}
}
