package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/state/certs"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

func rows(t *testing.T) *certs.Rows {
	db := memkv.New(memkv.Options{})
	t.Cleanup(func() { _ = db.Close() })
	return certs.NewRows(db, "")
}

// heard keeps events.
type heard chan event.Event

func (h heard) Emit(_ context.Context, e event.Event) { h <- e }

// TestStorage holds the adapter to what certmagic expects of its storage.
func TestStorage(t *testing.T) {
	s, ctx := storage{rows(t)}, t.Context()
	if _, err := s.Load(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v", err)
	}
	if _, err := s.Stat(ctx, "a"); !errors.Is(err, fs.ErrNotExist) || s.Exists(ctx, "a") {
		t.Errorf("Stat: %v", err)
	}
	for _, key := range []string{"a/b/1", "a/b/2", "a/c", "ab"} {
		if err := s.Store(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := s.Load(ctx, "a/b/2"); err != nil || string(b) != "a/b/2" {
		t.Errorf("Load: %q, %v", b, err)
	}
	for _, c := range []struct {
		path      string
		recursive bool
		want      []string
	}{
		{"a", false, []string{"a/b", "a/c"}}, {"a", true, []string{"a/b/1", "a/b/2", "a/c"}}, {"a/b", false, []string{"a/b/1", "a/b/2"}},
		{"", false, []string{"a", "ab"}}, {"x", false, nil},
	} {
		if got, err := s.List(ctx, c.path, c.recursive); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("List %q: %q, %v", c.path, got, err)
		}
	}
	file, err := s.Stat(ctx, "a/c")
	if err != nil || !file.IsTerminal || file.Size != 3 || time.Since(file.Modified) > time.Minute {
		t.Errorf("Stat: %+v, %v", file, err)
	}
	if dir, err := s.Stat(ctx, "a/b"); err != nil || dir.IsTerminal {
		t.Errorf("Stat: %+v, %v", dir, err)
	}
	if err := s.Delete(ctx, "a/b"); err != nil || s.Exists(ctx, "a/b/1") || !s.Exists(ctx, "a/c") {
		t.Errorf("Delete: %v", err)
	}
}

func TestPauses(t *testing.T) {
	if backOff(1) != time.Minute || backOff(6) != 4*time.Hour || backOff(7) != 6*time.Hour || backOff(100) != 6*time.Hour {
		t.Error("the pauses after failures are wrong")
	}
	now := time.Now()
	for life, want := range map[time.Duration]time.Duration{90 * 24 * time.Hour: time.Hour, 10 * time.Minute: 30 * time.Second, -time.Hour: time.Second} {
		if got := untilLook(&x509.Certificate{NotAfter: now.Add(life)}, now); got != want {
			t.Errorf("with %v left: %v", life, got)
		}
	}
}

// TestListenHost is the address at which certmagic finds our doors open.
func TestListenHost(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		http, https netip.AddrPort
		want        string
	}{
		{at("[::]:80"), at("[::]:443"), ""}, {at("192.0.2.1:80"), at("192.0.2.1:443"), "192.0.2.1"}, {netip.AddrPort{}, at("192.0.2.1:443"), "192.0.2.1"},
		{at("192.0.2.1:80"), at("192.0.2.2:443"), ""}, {at("192.0.2.1:80"), at("[::]:443"), ""},
	} {
		if got := New(Options{HTTP: c.http, HTTPS: c.https}).listenHost(); got != c.want {
			t.Errorf("%v and %v: %q", c.http, c.https, got)
		}
	}
	if AddrPort(&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 80}) != at("192.0.2.1:80") || AddrPort(&net.UnixAddr{}).IsValid() {
		t.Error("AddrPort is wrong")
	}
}

// TestOthers leaves to the doors what is not an authority's.
func TestOthers(t *testing.T) {
	c := New(Options{HTTPS: netip.MustParseAddrPort("127.0.0.1:443"), HTTP: netip.MustParseAddrPort("127.0.0.1:80"), Store: rows(t)})
	for _, protos := range [][]string{nil, {"h2", "http/1.1"}, {"h2", Protocol}} {
		if cert, err := c.Certificate(&tls.ClientHelloInfo{ServerName: "mx.example.test", SupportedProtos: protos}); cert != nil || err != nil {
			t.Errorf("%q: %v, %v", protos, cert, err)
		}
	}
	for _, path := range []string{"/", "/.well-known/acme-challenge/unknown"} {
		w := httptest.NewRecorder()
		if c.HandleHTTP(w, httptest.NewRequest("GET", "http://mx.example.test"+path, nil)) || w.Body.Len() > 0 {
			t.Errorf("%s was answered: %s", path, w.Body)
		}
	}
}

// authority is a client of a site that is no authority but does this.
func authority(t *testing.T, do http.HandlerFunc) (*Client, heard) {
	t.Helper()
	site := httptest.NewTLSServer(do)
	t.Cleanup(site.Close)
	roots := x509.NewCertPool()
	roots.AddCert(site.Certificate())
	sink := make(heard, 10)
	return New(Options{
		Directory: site.URL, Email: "postmaster@example.test", Agreed: true, Names: []string{"mx.example.test"}, Roots: roots, Store: rows(t),
		HTTP: netip.MustParseAddrPort("127.0.0.1:1"), Sink: sink, Changed: func([]*tls.Certificate) {},
	}), sink
}

// TestNoAuthority tells of a failure with its reason, and tries again when told.
func TestNoAuthority(t *testing.T) {
	c, sink := authority(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for range 2 {
		e, ok := (<-sink).(event.CertificateFailed)
		if !ok || e.Host != "mx.example.test" || e.Again != time.Minute || e.Renewal || e.Err == nil {
			t.Errorf("got %+v", e)
		}
		c.Again()
	}
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestEnd stops at once while an authority does not answer.
func TestEnd(t *testing.T) {
	asked, end := make(chan bool, 10), make(chan bool)
	c, sink := authority(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		select {
		case <-end:
		case <-r.Context().Done():
		}
	})
	defer close(end)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-asked
	stop()
	select {
	case err := <-done:
		if err != nil || len(sink) > 0 {
			t.Errorf("got %v and %d events", err, len(sink))
		}
	case <-time.After(5 * time.Second):
		t.Error("it does not end")
	}
}
