package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/certs"
)

// TLS says where certificates come from: files, an own authority below the data
// directory (for trying things out), or an authority that speaks ACME. Each
// client is shown the one for the name it asks for, or else the first of these.
type TLS struct {
	CertFile     string `toml:"cert_file"`     // PEM: the certificate and the chain behind it; looked at again each minute and at SIGHUP
	KeyFile      string `toml:"key_file"`      // PEM: its key
	Certificates []Pair `toml:"certificates"`  // more of them: [[tls.certificates]] with cert_file and key_file
	OwnAuthority bool   `toml:"own_authority"` // make a certificate for hostname and localhost; clients trust it by ca.pem in the data directory
	MinVersion   string `toml:"min_version"`   // 1.2 or 1.3
}

// Pair is a certificate with its key.
type Pair struct {
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
}

// certPaths are the files that are about certificates.
func (c *Config) certPaths() []*string {
	t := &c.TLS
	all := []*string{&t.CertFile, &t.KeyFile, &c.ACME.EABKeyFile, &c.ACME.TrustCAFile}
	for i := range t.Certificates {
		all = append(all, &t.Certificates[i].CertFile, &t.Certificates[i].KeyFile)
	}
	return all
}

// pairs are the files of all pairs, the first one first.
func (t *TLS) pairs() []certs.Files {
	var all []certs.Files
	if t.CertFile != "" {
		all = append(all, certs.Files{Cert: t.CertFile, Key: t.KeyFile})
	}
	for _, p := range t.Certificates {
		all = append(all, certs.Files{Cert: p.CertFile, Key: p.KeyFile})
	}
	return all
}

func (c *Config) checkTLS() error {
	t := &c.TLS
	if (t.CertFile == "") != (t.KeyFile == "") {
		return errors.New("tls: cert_file and key_file go together")
	}
	for _, p := range t.Certificates {
		if p.CertFile == "" || p.KeyFile == "" {
			return errors.New("tls.certificates: each wants cert_file and key_file")
		}
	}
	if len(t.pairs()) == 0 && !t.OwnAuthority && !c.ACME.on() {
		return errors.New("tls: cert_file and key_file are needed (or [acme], or own_authority = true, for trying things out)")
	}
	if t.version() == 0 {
		return fmt.Errorf("tls.min_version: %q is neither 1.2 nor 1.3", t.MinVersion)
	}
	return nil
}

// version is the oldest version of TLS that is spoken.
func (t *TLS) version() uint16 {
	switch t.MinVersion {
	case "1.2":
		return tls.VersionTLS12
	case "1.3":
		return tls.VersionTLS13
	}
	return 0
}

// certificates opens the doors' certificates. more are names of ours besides those in
// the configuration.
func (c *Config) certificates(sink event.Sink, more func() []string) (*certs.Set, error) {
	o := certs.Options{Files: c.TLS.pairs(), Hostname: c.Hostname, Sink: sink}
	if c.TLS.OwnAuthority {
		o.Own, o.OwnNames, o.OwnMore = c.Data, c.ownNames(), more
	}
	return certs.New(o)
}

// ownNames are what the own authority certifies: also the addresses at which a
// web door listens, since a lab has no names for them.
func (c *Config) ownNames() []string {
	names := []string{c.Hostname, "localhost", "127.0.0.1"}
	for _, l := range c.Listen.HTTPS {
		host, _, _ := net.SplitHostPort(l)
		if a, err := netip.ParseAddr(host); err == nil && !a.IsUnspecified() && !slices.Contains(names, a.String()) {
			names = append(names, a.String())
		}
	}
	return names
}

// use says what a door does with TLS. The names of protocols are those that
// IANA has; mail clients that offer any use "smtp" for submission, which it has
// not.
func (c *Config) use(door string) certs.Use {
	switch strings.TrimSuffix(door, "s") {
	case "imap":
		return certs.Use{ALPN: []string{"imap"}}
	case "pop3":
		return certs.Use{ALPN: []string{"pop3"}}
	case "submission", "submission_alt":
		return certs.Use{ALPN: []string{"smtp", "esmtp"}}
	case "http":
		return certs.Use{ALPN: []string{"h2", "http/1.1"}}
	}
	return certs.Use{Strangers: true}
}

// CheckFiles looks at what the configuration names: certificates with their
// keys, and authorities to trust. It tells what somebody may trip over, and its
// error is what cannot work.
func (c *Config) CheckFiles(now time.Time) (told []string, err error) {
	for _, path := range []string{c.Outbound.TrustCAFile, c.ACME.TrustCAFile, c.OAuth.TrustCAFile, c.LDAP.TrustCAFile} {
		if _, err := trusted(path); err != nil {
			return nil, err
		}
	}
	if _, err := c.clientCAs(); err != nil {
		return nil, err
	}
	names, err := c.DNS.resolver()
	if err != nil {
		return nil, err
	}
	names.Close()
	if err := c.ACME.readEAB(); err != nil {
		return nil, fault.As(fault.Invalid, "app.CheckFiles", err)
	}
	var all []*x509.Certificate
	for _, f := range c.TLS.pairs() {
		leaf, more, err := certs.Check(f, nil, now)
		told = append(told, more...)
		if err != nil {
			return told, err
		}
		all = append(all, leaf)
	}
	if !c.ordered(c.Hostname) && !c.TLS.OwnAuthority && !certs.Covered(all, c.Hostname) {
		told = append(told, fmt.Sprintf("no certificate is good for the host name %s, by which other servers know this one", c.Hostname))
	}
	return told, nil
}
