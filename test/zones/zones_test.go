// Package zones has programs of others read what the DNS door serves: validators, the
// checkers of zone files, and a secondary.
package zones

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// bed is a running server with what is asked of it.
type bed struct {
	t   *testing.T
	s   *blackbox.Server
	dir string
}

func open(t *testing.T) *bed {
	t.Helper()
	return &bed{t, blackbox.Start(t, blackbox.Options{}), t.TempDir()}
}

// ekiden runs a command of ours against the server.
func (b *bed) ekiden(args ...string) string {
	b.t.Helper()
	return blackbox.Run(b.t, b.dir, "", blackbox.Binary(b.t), append(args, "--data", b.s.Data)...)
}

// dig asks the server.
func (b *bed) dig(args ...string) string {
	b.t.Helper()
	return blackbox.Run(b.t, b.dir, "", "dig", append([]string{"@" + b.s.Bind, "-p", b.s.Port("dns"), "+tries=1"}, args...)...)
}

// anchor writes a file that has delv trust the zone as its parent would.
func (b *bed) anchor() string {
	b.t.Helper()
	var z struct {
		DS []string `json:"ds"`
	}
	if err := json.Unmarshal([]byte(b.ekiden("zone", "show", b.s.Domain, "--json")), &z); err != nil || len(z.DS) != 1 {
		b.t.Fatalf("the zone has %d DS records: %v", len(z.DS), err)
	}
	f := strings.Fields(z.DS[0])
	path := filepath.Join(b.dir, "anchor")
	text := fmt.Sprintf("trust-anchors { %s. static-ds %s %s %s %q; };\n", b.s.Domain, f[4], f[5], f[6], f[7])
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// TestValidates: BIND's validator follows every kind of answer to the zone's key.
func TestValidates(t *testing.T) {
	blackbox.Need(t, "delv", "dig")
	b := open(t)
	b.ekiden("zone", "write", b.s.Domain, "*.wild", "TXT", `"any"`)
	b.ekiden("zone", "write", b.s.Domain, "sub", "NS", "ns.elsewhere.example.")
	anchor := b.anchor()
	for _, c := range []struct{ name, typ, want string }{
		{"example.test", "MX", "fully validated"},
		{"example.test", "SOA", "fully validated"},
		{"example.test", "DNSKEY", "fully validated"},
		{"example.test", "CDS", "fully validated"},
		{"_25._tcp.mx.example.test", "TLSA", "fully validated"},
		{"_mta-sts.example.test", "TXT", "fully validated"},
		{"mta-sts.example.test", "A", "fully validated"},
		{"a.b.wild.example.test", "TXT", "fully validated"},
		{"a.b.wild.example.test", "A", "negative response, fully validated"},
		{"nope.example.test", "A", "negative response, fully validated"},
		{"mx.example.test", "HINFO", "negative response, fully validated"},
		{"sub.example.test", "DS", "negative response, fully validated"},
	} {
		out, _ := blackbox.Try(t, b.dir, "", "delv", "@"+b.s.Bind, "-p", b.s.Port("dns"), "-a", anchor, "+root="+b.s.Domain, c.name, c.typ)
		if !strings.Contains(out, c.want) {
			t.Errorf("%s %s is not %s:\n%s", c.name, c.typ, c.want, out)
		}
	}
	if out := b.dig("elsewhere.example", "A"); !strings.Contains(out, "status: REFUSED") {
		t.Errorf("a stranger's question about a stranger's name:\n%s", out)
	}
}

// TestGreen: a domain whose zone is here is as it should be in its own check, with
// nothing written by hand: signed, with DANE, MTA-STS, SPF, DKIM and DMARC.
func TestGreen(t *testing.T) {
	b := open(t)
	var z struct {
		DS []string `json:"ds"`
	}
	var keys struct {
		Items []struct{ Selector string }
	}
	for command, to := range map[string]any{"zone show": &z, "key list": &keys} {
		if err := json.Unmarshal([]byte(b.ekiden(append(strings.Fields(command), b.s.Domain, "--json")...)), to); err != nil {
			t.Fatal(command, err)
		}
	}
	anchor := filepath.Join(b.dir, "anchor")
	if err := os.WriteFile(anchor, []byte(strings.Join(z.DS, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"check", "domain", b.s.Domain, "--resolver", b.s.Addr("dns"), "--trust-anchor", anchor, "--trust-ca", b.s.CA,
		"--smtp-port", b.s.Port("smtp"), "--https-port", b.s.Port("https"), "--no-lists"}
	for _, k := range keys.Items {
		args = append(args, "--selector", k.Selector)
	}
	out := blackbox.Run(t, b.dir, "", blackbox.Binary(t), args...)
	for _, want := range []string{
		"the zone is signed, and its parent vouches for it", "strangers are refused (-all)", "2048 bits", "256 bits", "forgeries are to be put aside",
		"TLS 1.3", "its certificate is good until", "one of 2 TLSA records fits", "the policy's mode is testing",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not among\n%s", want, out)
		}
	}
	if strings.Contains(out, "warn ") || strings.Contains(out, "BAD ") {
		t.Errorf("not all is well:\n%s", out)
	}
}

// TestWhole: the whole zone, as a secondary gets it, is sound to two checkers of others.
func TestWhole(t *testing.T) {
	blackbox.Need(t, "dig", "ldns-verify-zone", "named-checkzone")
	b := open(t)
	if out := b.dig("example.test", "AXFR"); !strings.Contains(out, "Transfer failed") {
		t.Fatalf("a stranger got the zone:\n%s", out)
	}
	b.ekiden("zone", "set", b.s.Domain, "--transfer", b.s.Bind)
	zone := b.dig("-b", b.s.Bind, "+nocmd", "+noall", "+answer", "+onesoa", b.s.Domain, "AXFR")
	path := filepath.Join(b.dir, "zone")
	if err := os.WriteFile(path, []byte(zone), 0o600); err != nil {
		t.Fatal(err)
	}
	out := blackbox.Run(t, b.dir, "", "ldns-verify-zone", "-V", "3", path)
	if !strings.Contains(out, "Zone is verified and complete") {
		t.Errorf("ldns-verify-zone:\n%s", out)
	}
	out = blackbox.Run(t, b.dir, "", "named-checkzone", "-i", "local", b.s.Domain, path)
	if !strings.Contains(out, "OK") || !strings.Contains(out, "DNSSEC signed") {
		t.Errorf("named-checkzone:\n%s", out)
	}
}

// TestSecondary: NSD takes the zone with a shared key, and each change once it is told.
func TestSecondary(t *testing.T) {
	blackbox.Need(t, "nsd", "dig")
	b := open(t)
	var key struct{ Secret string }
	if err := json.Unmarshal([]byte(b.ekiden("zone", "key", "add", "second", "--json")), &key); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(b.s.PortBase + 5300)
	b.ekiden("zone", "set", b.s.Domain, "--transfer", "key:second", "--notify", net.JoinHostPort(b.s.Bind, port))
	b.nsd(port, key.Secret)
	ask := func(name, typ string) string {
		out, _ := blackbox.Try(t, b.dir, "", "dig", "@"+b.s.Bind, "-p", port, "+short", "+tries=1", "+time=1", name, typ)
		return strings.TrimSpace(out)
	}
	blackbox.Eventually(t, 30*time.Second, "NSD has the zone", func() bool { return ask(b.s.Domain, "MX") == "10 mx.example.test." })
	b.ekiden("zone", "write", b.s.Domain, "new", "TXT", `"seen"`)
	blackbox.Eventually(t, 30*time.Second, "NSD has the change", func() bool { return ask("new."+b.s.Domain, "TXT") == `"seen"` })
	if ours, theirs := strings.Fields(b.dig("+short", b.s.Domain, "SOA")), strings.Fields(ask(b.s.Domain, "SOA")); len(ours) < 3 || len(theirs) < 3 || ours[2] != theirs[2] {
		t.Errorf("the serials differ: %v and %v", ours, theirs)
	}
}

// nsd starts NSD as a secondary at the server's address.
func (b *bed) nsd(port, secret string) {
	b.t.Helper()
	conf := fmt.Sprintf(`server:
  ip-address: %[1]s@%[2]s
  username: ""
  chroot: ""
  zonesdir: %[3]q
  database: ""
  pidfile: ""
  xfrdfile: %[4]q
  zonelistfile: %[5]q
  xfrdir: %[3]q
  server-count: 1
  xfrd-reload-timeout: 0
remote-control:
  control-enable: no
key:
  name: "second"
  algorithm: hmac-sha256
  secret: %[6]q
zone:
  name: %[7]q
  zonefile: "secondary.zone"
  request-xfr: AXFR %[1]s@%[8]s second
  allow-notify: %[1]s NOKEY
`, b.s.Bind, port, b.dir, filepath.Join(b.dir, "xfrd"), filepath.Join(b.dir, "zonelist"), secret, b.s.Domain, b.s.Port("dns"))
	path := filepath.Join(b.dir, "nsd.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		b.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(b.dir, "nsd.log"))
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command("nsd", "-d", "-c", path)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		_ = log.Close()
		if b.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			b.t.Logf("nsd: %s", text)
		}
	})
}
