package app

import (
	"crypto/tls"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoadCertificates(t *testing.T) {
	path := write(t, least+`
[tls]
min_version = "1.3"
own_authority = true
cert_file = "a.pem"
key_file = "a-key.pem"
[[tls.certificates]]
cert_file = "b.pem"
key_file = "/etc/b-key.pem"
[acme]
agree_terms = true
email = "postmaster@example.com"
names = ["mx.example.com", "メール.example.com", "mx.example.com"]
trust_ca_file = "ca.pem"
`)
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	pairs := c.TLS.pairs()
	if len(pairs) != 2 || pairs[0].Cert != filepath.Join(dir, "a.pem") || pairs[1].Cert != filepath.Join(dir, "b.pem") || pairs[1].Key != "/etc/b-key.pem" {
		t.Errorf("pairs: %q", pairs)
	}
	if c.TLS.version() != tls.VersionTLS13 || c.ACME.TrustCAFile != filepath.Join(dir, "ca.pem") {
		t.Errorf("%+v %+v", c.TLS, c.ACME)
	}
	if names, err := c.acmeNames(); err != nil || !slices.Equal(names, []string{"mx.example.com", "xn--4dkua4c.example.com"}) {
		t.Errorf("names: %q, %v", names, err)
	}
}

func TestLoadRefusesCertificates(t *testing.T) {
	const agreed = least + "[acme]\nagree_terms = true\n"
	for text, want := range map[string]string{
		least + "[tls]\ncert_file = \"x\"\n":                                             "go together",
		least + "[tls]\nown_authority = true\n[[tls.certificates]]\ncert_file = \"x\"\n": "tls.certificates",
		least + "[tls]\nown_authority = true\nmin_version = \"1.1\"\n":                   "tls.min_version",
		least + "[tls]\nown_authority = true\n[[tls.certificates]]\ncert = \"x\"\n":      "unknown key",
		least + "[tls]\nown_authority = true\n[acme]\nemail = \"a@example.com\"\n":       "agree_terms",
		agreed: "acme.email",
		agreed + "email = \"a@example.com\"\ndirectory = \"http://x/\"\n":       "acme.directory",
		agreed + "email = \"a@example.com\"\nnames = [\"mx\"]\n":                "acme.names",
		agreed + "email = \"a@example.com\"\nnames = [\"a b.example\"]\n":       "acme.names",
		agreed + "email = \"a@example.com\"\neab_key_id = \"x\"\n":              "go together",
		agreed + "email = \"a@example.com\"\n[listen]\nhttp = []\nhttps = []\n": "listen.http or listen.https",
	} {
		_, err := Load(write(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q\n got %v\nwant %q", text, err, want)
		}
	}
}

func TestOwnNames(t *testing.T) {
	c := Default()
	c.Hostname = "mx.example.test"
	c.ListenAt(netip.MustParseAddr("192.0.2.1"), 10000)
	if got := c.ownNames(); !slices.Equal(got, []string{"mx.example.test", "localhost", "127.0.0.1", "192.0.2.1"}) {
		t.Errorf("got %q", got)
	}
	c.Listen.HTTPS = []string{":443", "127.0.0.1:8443", "[::1]:443"}
	if got := c.ownNames(); !slices.Equal(got, []string{"mx.example.test", "localhost", "127.0.0.1", "::1"}) {
		t.Errorf("got %q", got)
	}
}

// TestUse holds each door to the kind of clients that come there.
func TestUse(t *testing.T) {
	c := Default()
	for _, d := range c.doors() {
		if d.name == "dns" {
			continue // it speaks no TLS
		}
		use := c.use(d.name)
		strangers := d.name == "smtp" || d.name == "lmtp"
		if use.Strangers != strangers || strangers == (len(use.ALPN) > 0) {
			t.Errorf("%s: %+v", d.name, use)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	c := Default()
	c.Hostname, c.TLS.OwnAuthority = "mx.example.test", true
	if told, err := c.CheckFiles(time.Now()); err != nil || len(told) > 0 {
		t.Errorf("got %q, %v", told, err)
	}
	c.ACME.EABKeyFile = "/nonexistent/key"
	if _, err := c.CheckFiles(time.Now()); err == nil {
		t.Error("a missing key of the outside account")
	}
	c.ACME.EABKeyFile, c.ACME.TrustCAFile = "", "/nonexistent/ca"
	if _, err := c.CheckFiles(time.Now()); err == nil {
		t.Error("a missing authority")
	}
}
