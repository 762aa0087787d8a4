// Package app makes a running server out of a configuration: it opens the
// store, wires the rooms together, opens the doors, and ends it all in order.
package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Config is what is needed before the store opens. All else is data in the
// directory, changed through the REST API.
type Config struct {
	Data     string   `toml:"data"`     // directory of everything that is kept
	Hostname string   `toml:"hostname"` // how the server calls itself; its reverse name should match
	Store    Store    `toml:"store"`
	TLS      TLS      `toml:"tls"`
	ACME     ACME     `toml:"acme"`
	Listen   Listen   `toml:"listen"`
	Log      Log      `toml:"log"`
	Auth     Auth     `toml:"auth"`
	OAuth    OAuth    `toml:"oauth"`
	LDAP     LDAP     `toml:"ldap"`
	Limits   Limits   `toml:"limits"`
	Proxy    Proxy    `toml:"proxy"`
	Outbound Outbound `toml:"outbound"`
	DNS      DNS      `toml:"dns"`
	Zones    Zones    `toml:"zones"`
	SMTP     SMTP     `toml:"smtp"`
	DKIM     DKIM     `toml:"dkim"`
	Checks   Checks   `toml:"checks"`
	Filters  []Filter `toml:"filter"`
	Lists    []List   `toml:"list"`

	SmartHosts []SmartHost `toml:"smart_host"`
	Sources    []Source    `toml:"source"`
	Sites      []Site      `toml:"site"`

	Mailboxes Mailboxes `toml:"mailboxes"`

	Sending  Sending        `toml:"sending"`
	Networks []RelayNetwork `toml:"relay_network"`
}

// Store is about what is kept.
type Store struct {
	Cache       int64    `toml:"cache"`        // octets of rows kept in memory
	Reserve     int64    `toml:"reserve"`      // octets of free disk below which no mail is taken; 0 means 536870912, or a quarter of a small disk
	KeepDeleted Duration `toml:"keep_deleted"` // how long deleted messages can be restored
	KeepHistory Duration `toml:"keep_history"` // how long is known what became of each message (`ekiden trace`)
}

// Listen holds the addresses of each door, as "host:port" or ":port". An empty
// list keeps the door shut.
type Listen struct {
	SMTP          []string `toml:"smtp"`           // from other servers
	LMTP          []string `toml:"lmtp"`           // from a trusted server in front: nothing that comes in here is checked
	Submission    []string `toml:"submission"`     // from users: STARTTLS, then AUTH
	SubmissionAlt []string `toml:"submission_alt"` // the same, for networks that block 587
	Submissions   []string `toml:"submissions"`    // from users: TLS at once, then AUTH
	POP3          []string `toml:"pop3"`           // STLS
	POP3S         []string `toml:"pop3s"`          // TLS at once
	IMAP          []string `toml:"imap"`           // STARTTLS
	IMAPS         []string `toml:"imaps"`          // TLS at once
	HTTP          []string `toml:"http"`           // leads to https, and answers ACME authorities
	HTTPS         []string `toml:"https"`          // a page that tells of the doors
	DNS           []string `toml:"dns"`            // answers for our own zones, by UDP and TCP
}

// Log says how much is written to standard error, and how.
type Log struct {
	Level  string `toml:"level"`  // debug, info, warn or error
	Format string `toml:"format"` // text or json
}

// Outbound is about mail that leaves.
type Outbound struct {
	Port         int      `toml:"port"`                     // where other servers are reached
	Source       string   `toml:"source_address"`           // of outgoing connections; empty: the system chooses
	AllowPrivate bool     `toml:"allow_private"`            // relay to loopback and private addresses
	SmartHost    string   `toml:"smart_host"`               // "host:port"; all outside mail goes there
	User         string   `toml:"smart_host_user"`          // empty: no login there
	PasswordFile string   `toml:"smart_host_password_file"` // holds the password, and a line end that does not count
	SOCKS5       string   `toml:"socks5"`                   // "host:port" of a proxy (RFC 1928) that all mail leaves through; names are looked up here
	TrustCAFile  string   `toml:"trust_ca_file"`            // PEM: an authority to trust beside the system's, for the certificates of smart hosts and of hosts and web servers under MTA-STS
	HTTPSPort    int      `toml:"https_port"`               // where MTA-STS policies are fetched; anything but 443 is for labs
	Reports      bool     `toml:"tls_reports"`              // tell domains that ask for it daily how TLS to them went (TLSRPT)
	ReportsFrom  string   `toml:"tls_reports_from"`         // the address such reports come from; empty: postmaster at hostname
	RetryFirst   Duration `toml:"retry_first"`              // the pause after the first failure
	WarnAfter    Duration `toml:"warn_after"`               // when the sender is told of a delay
	GiveUpAfter  Duration `toml:"give_up_after"`            // when the sender is told of a failure

	// Password is read from PasswordFile; the demo gives it directly.
	Password string `toml:"-"`
}

// Duration is a time.Duration written as "5m" or "4h".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration takes.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err == nil && v < 0 {
		err = errors.New("a duration cannot be negative")
	}
	*d = Duration(v)
	return err
}

// MarshalText writes the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Default is the configuration of a server that nobody configured, but for its
// host name and its certificate. It is the only source of defaults.
func Default() Config {
	return Config{
		Data: "/var/lib/ekiden",
		Listen: Listen{
			SMTP: []string{":25"}, Submission: []string{":587"}, SubmissionAlt: []string{":2525"}, Submissions: []string{":465"},
			POP3: []string{":110"}, POP3S: []string{":995"}, IMAP: []string{":143"}, IMAPS: []string{":993"},
			HTTP: []string{":80"}, HTTPS: []string{":443"},
		},
		Store:   Store{Cache: 64 << 20, KeepDeleted: Duration(30 * 24 * time.Hour), KeepHistory: Duration(30 * 24 * time.Hour)},
		TLS:     TLS{MinVersion: "1.2"},
		ACME:    defaultACME(),
		Log:     Log{Level: "info", Format: "text"},
		Auth:    defaultAuth(),
		OAuth:   defaultOAuth(),
		LDAP:    defaultLDAP(),
		DNS:     defaultDNS(),
		Zones:   defaultZones(),
		SMTP:    defaultSMTP(),
		Limits:  defaultLimits(),
		Sending: defaultSending(),
		DKIM:    DKIM{Sign: true},
		Checks:  Checks{Budget: Duration(2 * time.Minute), Senders: true, DMARC: true, JunkAt: judge.DefaultJunkAt},
		Outbound: Outbound{
			Port: 25, HTTPSPort: 443, Reports: true, RetryFirst: Duration(5 * time.Minute), WarnAfter: Duration(4 * time.Hour), GiveUpAfter: Duration(5 * 24 * time.Hour),
		},
	}
}

// Load reads a TOML file over the defaults and checks the whole. It is strict:
// an unknown key is an error that names the nearest known one. Relative paths
// are relative to the file.
func Load(path string) (Config, error) {
	const op = "app.Load"
	c := Default()
	meta, err := toml.DecodeFile(path, &c)
	if err != nil {
		return c, fault.Newf(fault.Invalid, op, "%s: %v", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0].String()
		return c, fault.Newf(fault.Invalid, op, "%s: unknown key %q%s", path, key, didYouMean(key, knownKeys(reflect.TypeOf(c), "")))
	}
	dir := filepath.Dir(path)
	paths := append(append(append(c.certPaths(), c.filterPaths()...), c.loginPaths()...), c.smartHostPaths()...)
	for _, p := range append(paths, &c.Data, &c.Outbound.PasswordFile, &c.Outbound.TrustCAFile, &c.DNS.TrustAnchorFile, &c.DNS.RootHintsFile) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if err := c.readSecrets(); err != nil {
		return c, fault.Newf(fault.Invalid, op, "%s: %v", path, err)
	}
	if err := c.Check(); err != nil {
		return c, fault.Newf(fault.Invalid, op, "%s: %s", path, err)
	}
	return c, nil
}

func (c *Config) readSecrets() error {
	if err := c.readFilters(); err != nil {
		return err
	}
	if err := c.readSmartHosts(); err != nil {
		return err
	}
	if err := c.readLogin(); err != nil {
		return err
	}
	if c.Outbound.PasswordFile == "" {
		return nil
	}
	b, err := os.ReadFile(c.Outbound.PasswordFile)
	c.Outbound.Password = strings.TrimRight(string(b), "\r\n")
	return err
}

// Check says what in c cannot work, in the words of the file's keys.
func (c *Config) Check() error {
	if d, err := mail.ParseDomain(c.Hostname); err != nil || d.IsLiteral() || !strings.Contains(string(d), ".") {
		return fmt.Errorf("hostname: %q is not a full host name such as mx.example.com", c.Hostname)
	}
	if c.Data == "" {
		return errors.New("data: no directory given")
	}
	if c.Store.Cache < 1<<20 || c.Store.KeepDeleted <= 0 || c.Store.KeepHistory <= 0 || c.Store.Reserve < 0 {
		return errors.New("store: cache wants at least 1048576 octets, keep_deleted and keep_history some time, and reserve is not negative")
	}
	if err := errors.Join(c.checkTLS(), c.checkACME(), c.checkZones()); err != nil {
		return err
	}
	for _, d := range c.doors() {
		for _, a := range d.addrs {
			if err := checkListen(a); err != nil {
				return fmt.Errorf("listen.%s: %w", d.name, err)
			}
		}
	}
	if err := c.checkLogin(); err != nil {
		return err
	}
	if _, err := c.Log.level(); err != nil {
		return err
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return fmt.Errorf("log.format: %q is neither text nor json", c.Log.Format)
	}
	if err := c.checkLimits(); err != nil {
		return err
	}
	if err := c.checkSending(); err != nil {
		return err
	}
	if err := errors.Join(c.checkFilters(), c.checkLists()); err != nil {
		return err
	}
	if err := errors.Join(c.SMTP.check(), c.Mailboxes.check()); err != nil {
		return err
	}
	if err := c.checkSources(); err != nil {
		return err
	}
	if err := c.checkSmartHosts(); err != nil {
		return err
	}
	if _, err := c.siteRules(); err != nil {
		return err
	}
	return errors.Join(c.DNS.check(), c.checkOutbound())
}

func (c *Config) checkOutbound() error {
	o := c.Outbound
	if o.Port < 1 || o.Port > 65535 {
		return fmt.Errorf("outbound.port: %d is not a port", o.Port)
	}
	if o.Source != "" {
		if _, err := netip.ParseAddr(o.Source); err != nil {
			return fmt.Errorf("outbound.source_address: %q is not an IP address", o.Source)
		}
	}
	if err := o.checkTrust(); err != nil {
		return err
	}
	if o.SmartHost != "" {
		if err := checkHostPort(o.SmartHost); err != nil {
			return fmt.Errorf("outbound.smart_host: %w", err)
		}
	}
	if (o.User == "") != (o.Password == "") {
		return errors.New("outbound: smart_host_user and smart_host_password_file go together")
	}
	if o.RetryFirst <= 0 || o.GiveUpAfter <= 0 {
		return errors.New("outbound: retry_first and give_up_after must be longer than nothing")
	}
	return nil
}

// knownKeys lists the keys of the file in dotted form.
func knownKeys(t reflect.Type, prefix string) []string {
	var keys []string
	for f := range t.Fields() {
		name := f.Tag.Get("toml")
		if name == "-" {
			continue
		}
		keys = append(keys, prefix+name)
		inner := f.Type
		if inner.Kind() == reflect.Slice { // of tables
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			keys = append(keys, knownKeys(inner, prefix+name+".")...)
		}
	}
	return keys
}

// roots are the authorities that certificates of others are verified by; nil
// means the system's alone.
func (c *Config) roots() (*x509.CertPool, error) {
	return trusted(c.Outbound.TrustCAFile)
}

// trusted are the system's authorities and the one in a file; "" gives nil.
func trusted(path string) (*x509.CertPool, error) {
	const op = "app.trusted"
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.As(fault.Invalid, op, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Newf(fault.Invalid, op, "%s holds no certificate", path)
	}
	return pool, nil
}
