package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// pebble is an ACME authority.
type pebble struct {
	directory string // URL
	ca        string // file: by whom its web site is certified
	manage    string // URL
	log       string
	cmd       *exec.Cmd
	client    *http.Client
}

// soon is how long the authority may take to open.
const soon = 30 * time.Second

// build makes Pebble once, beside the other programs that suites build. The
// first time its source comes from the module proxy.
var build = sync.OnceValues(func() (string, error) {
	root, err := blackbox.Root()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	path := filepath.Join(cache, "ekiden-test", "pebble")
	cmd := exec.Command("go", "build", "-o", path, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	cmd.Dir = filepath.Join(root, "test", "interop")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build pebble: %w: %s", err, out)
	}
	return path, nil
})

// startPebble runs an authority until the test ends. It asks names for the
// addresses of hosts, and looks at these ports there.
func startPebble(t *testing.T, names *blackbox.DNS, web *blackbox.Served, more map[string]any) *pebble {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir, bind := t.TempDir(), blackbox.FreeAddress(t)
	blackbox.Need(t, "openssl")
	blackbox.Run(t, dir, "", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=authority", "-addext", "subjectAltName=IP:"+bind, "-keyout", "key.pem", "-out", "cert.pem")
	at := func(port int) string { return net.JoinHostPort(bind, strconv.Itoa(port)) }
	config := map[string]any{
		"listenAddress": at(14000), "managementListenAddress": at(15000),
		"certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": web.Port("http"), "tlsPort": web.Port("https"), "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{
			"default": map[string]any{"description": "usual", "validityPeriod": 90 * 24 * 3600},
			"brief":   map[string]any{"description": "for a minute", "validityPeriod": 60},
		},
	}
	for k, v := range more {
		config[k] = v
	}
	b, err := json.Marshal(map[string]any{"pebble": config})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pebble.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &pebble{directory: "https://" + at(14000) + "/dir", ca: filepath.Join(dir, "cert.pem"), manage: "https://" + at(15000), log: filepath.Join(dir, "log")}
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(binary, "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", names.Addr)
	p.cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			b, _ := os.ReadFile(p.log)
			t.Logf("pebble:\n%.8000s", b)
		}
	})
	own, err := os.ReadFile(p.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(own)
	p.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	for end := time.Now().Add(soon); ; time.Sleep(20 * time.Millisecond) {
		r, err := p.client.Get(p.directory)
		if err == nil {
			_ = r.Body.Close()
			return p
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// stop ends the authority; a second time it does nothing.
func (p *pebble) stop() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// roots are by whom its certificates are signed.
func (p *pebble) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	r, err := p.client.Get(p.manage + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(b) {
		t.Fatal("no root", err)
	}
	return pool
}

// shown gives the certificate that a door with TLS at once shows for a name, or
// why it is not to be trusted.
func shown(ctx context.Context, addr, name string, roots *x509.CertPool) (*x509.Certificate, error) {
	d := tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: roots}}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	certs := c.(*tls.Conn).ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return nil, errors.New("no certificate")
	}
	return certs[0], nil
}
