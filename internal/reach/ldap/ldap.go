// Package ldap asks an LDAP directory (RFC 4511) who has an address, and whether
// a password is his, by binding as him.
package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Options say where the directory is and how it is laid out. In Filter and
// Template {address}, {local} and {domain} stand for the parts of an address;
// they are escaped. One of the two is needed.
type Options struct {
	URL          string         // ldap://host:389 or ldaps://host:636
	StartTLS     bool           // with ldap://
	Roots        *x509.CertPool // who may sign the directory's certificate; nil: the system's
	BindDN       string         // who searches; "": nobody in particular
	BindPassword string
	Base         string // below which is searched
	Filter       string // such as (mail={address}) (RFC 4515)
	Template     string // instead of a search: such as uid={local},ou=people,dc=example,dc=com (RFC 4514)
	QuotaAttr    string // attribute that holds the quota in octets; "": none

	Timeout     time.Duration // of connecting, and of each question; zero: 5 s
	Connections int           // at once, of those that search and of those that bind; zero: 4
}

// Client asks the directory. It may be used by many goroutines at once.
type Client struct {
	o        Options
	searches *pool // bound as BindDN
	binds    *pool // bound as whoever came last
}

// Entry is what the directory knows of an address.
type Entry struct {
	DN    string
	Quota int64 // octets; 0: none
}

// New makes a Client; it connects when it is asked first. fault.Invalid for
// options that cannot work.
func New(o Options) (*Client, error) {
	const op = "ldap.New"
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Host == "" || u.Path != "" && u.Path != "/" {
		return nil, fault.Newf(fault.Invalid, op, "%q is not ldap://host or ldaps://host", o.URL)
	}
	if u.Scheme == "ldap" && !o.StartTLS && !isLoopback(u.Hostname()) {
		return nil, fault.New(fault.Invalid, op, "passwords do not go over the network in clear: use ldaps:// or starttls")
	}
	if u.Scheme == "ldaps" && o.StartTLS {
		return nil, fault.New(fault.Invalid, op, "either ldaps:// or starttls, not both")
	}
	if (o.Filter == "") == (o.Template == "") {
		return nil, fault.New(fault.Invalid, op, "either a filter or a template of names is needed")
	}
	if o.Filter != "" {
		if _, err := ldap.CompileFilter(fill(o.Filter, mail.Address{Local: "a", Domain: "b"}, ldap.EscapeFilter)); err != nil {
			return nil, fault.Newf(fault.Invalid, op, "the filter: %v", err)
		}
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Connections == 0 {
		o.Connections = 4
	}
	c := &Client{o: o}
	c.searches = newPool(o.Connections, func(ctx context.Context) (*ldap.Conn, error) {
		conn, err := c.dial(ctx)
		if err == nil && o.BindDN != "" {
			if err = conn.Bind(o.BindDN, o.BindPassword); err != nil {
				_ = conn.Close()
				err = fmt.Errorf("bind as %s: %w", o.BindDN, err)
			}
		}
		return conn, err
	})
	c.binds = newPool(o.Connections, c.dial)
	return c, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fill puts an address into a filter or a name, as it is written there: without
// the quotes that odd characters need in mail.
func fill(s string, a mail.Address, escape func(string) string) string {
	return strings.NewReplacer("{address}", escape(a.Local+"@"+string(a.Domain)), "{local}", escape(a.Local), "{domain}", escape(string(a.Domain))).Replace(s)
}

func (c *Client) dial(ctx context.Context) (*ldap.Conn, error) {
	u, err := url.Parse(c.o.URL)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{ServerName: u.Hostname(), RootCAs: c.o.Roots, MinVersion: tls.VersionTLS12}
	d := &net.Dialer{Timeout: c.o.Timeout}
	d.Deadline, _ = ctx.Deadline()
	conn, err := ldap.DialURL(c.o.URL, ldap.DialWithDialer(d), ldap.DialWithTLSConfig(conf))
	if err != nil {
		return nil, err
	}
	conn.SetTimeout(c.o.Timeout)
	if c.o.StartTLS {
		if err := conn.StartTLS(conf); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// Close ends the connections that nobody uses.
func (c *Client) Close() {
	c.searches.close()
	c.binds.close()
}

// Find gives the entry of an address. fault.NotFound; fault.Unavailable if the
// directory cannot say, as where two entries have the address. With a template
// it gives the name that the address has, whether the entry can be read or not.
func (c *Client) Find(ctx context.Context, a mail.Address) (Entry, error) {
	const op = "ldap.Find"
	base, filter, scope := c.o.Base, "", ldap.ScopeWholeSubtree
	if c.o.Template != "" {
		base, filter, scope = fill(c.o.Template, a, ldap.EscapeDN), "(objectClass=*)", ldap.ScopeBaseObject
	} else {
		filter = fill(c.o.Filter, a, ldap.EscapeFilter)
	}
	attributes := []string{"1.1"} // RFC 4511 §4.5.1.8: none
	if c.o.QuotaAttr != "" {
		attributes = []string{c.o.QuotaAttr}
	}
	var found []*ldap.Entry
	err := c.searches.use(ctx, func(conn *ldap.Conn) error {
		res, err := conn.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 2, int(c.o.Timeout/time.Second), false, filter, attributes, nil))
		if res != nil {
			found = res.Entries
		}
		return err
	})
	switch {
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject) || err == nil && len(found) == 0:
		return Entry{}, fault.Newf(fault.NotFound, op, "%s has no entry", a)
	case len(found) > 1 || ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded):
		return Entry{}, fault.Newf(fault.Unavailable, op, "%s has more than one entry", a)
	case err != nil:
		return Entry{}, fault.As(fault.Unavailable, op, err)
	}
	e := Entry{DN: found[0].DN}
	if c.o.QuotaAttr != "" {
		if n, err := strconv.ParseInt(found[0].GetAttributeValue(c.o.QuotaAttr), 10, 64); err == nil && n > 0 {
			e.Quota = n
		}
	}
	return e, nil
}

// Check gives the entry of an address whose password this is (RFC 4513 §5.1.3).
// fault.Unauthenticated if there is none or it is wrong; fault.Unavailable if
// the directory cannot say.
func (c *Client) Check(ctx context.Context, a mail.Address, password string) (Entry, error) {
	const op = "ldap.Check"
	if password == "" { // a bind without one succeeds, as nobody (RFC 4513 §5.1.2)
		return Entry{}, fault.New(fault.Unauthenticated, op, "")
	}
	e := Entry{DN: fill(c.o.Template, a, ldap.EscapeDN)}
	if c.o.Template == "" {
		var err error
		if e, err = c.Find(ctx, a); fault.Is(err, fault.NotFound) {
			return e, fault.New(fault.Unauthenticated, op, "")
		} else if err != nil {
			return e, fault.Wrap(op, err)
		}
	}
	err := c.binds.use(ctx, func(conn *ldap.Conn) error { return conn.Bind(e.DN, password) })
	switch {
	case err == nil:
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultConstraintViolation):
		return e, fault.New(fault.Unauthenticated, op, "")
	default:
		return e, fault.As(fault.Unavailable, op, err)
	}
	if c.o.Template != "" && c.o.QuotaAttr != "" {
		if known, err := c.Find(ctx, a); err == nil { // who may not be read has no quota
			e = known
		}
	}
	return e, nil
}

// pool keeps connections that are idle, and bounds how many there are.
type pool struct {
	dial  func(context.Context) (*ldap.Conn, error)
	slots chan struct{}
	idle  chan *ldap.Conn
}

func newPool(n int, dial func(context.Context) (*ldap.Conn, error)) *pool {
	return &pool{dial: dial, slots: make(chan struct{}, n), idle: make(chan *ldap.Conn, n)}
}

// use runs fn with a connection when one is free. What fails with a connection
// that was idle, for the connection's sake, is tried once more with a new one.
func (p *pool) use(ctx context.Context, fn func(*ldap.Conn) error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var conn *ldap.Conn
	select {
	case conn = <-p.idle:
		if broken, err := p.try(ctx, conn, fn); !broken || ctx.Err() != nil {
			return err
		}
	default:
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	_, err = p.try(ctx, conn, fn)
	return err
}

// try runs fn and keeps the connection if it is still good.
func (p *pool) try(ctx context.Context, conn *ldap.Conn, fn func(*ldap.Conn) error) (broken bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = fn(conn)
	var answer *ldap.Error
	broken = err != nil && (!errors.As(err, &answer) || answer.ResultCode >= ldap.ErrorNetwork ||
		answer.ResultCode == ldap.LDAPResultUnavailable || answer.ResultCode == ldap.LDAPResultBusy)
	if !stop() || broken {
		_ = conn.Close()
		return broken, err
	}
	p.idle <- conn // there are no more connections than slots
	return false, err
}

func (p *pool) close() {
	for {
		select {
		case conn := <-p.idle:
			_ = conn.Close()
		default:
			return
		}
	}
}
