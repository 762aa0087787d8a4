package imapd_test

import (
	"compress/flate"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/imapd"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// events keeps what was emitted; a failure of ours fails the test.
type events struct {
	t  testing.TB
	mu sync.Mutex
	is []string
	// expected failures are noted and not held against the test.
	expected bool
}

func (s *events) Emit(_ context.Context, e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := e.(event.Failed); ok && !s.expected {
		s.t.Errorf("%s: %v", f.Where, f.Err)
	}
	if e, ok := e.(event.SessionEnded); ok {
		s.is = append(s.is, fmt.Sprintf("session ended: user=%s commands=%d reason=%s", e.User, e.Commands, e.Reason))
	}
}

// world is a server with three accounts over a store in memory, two of them of
// one domain.
type world struct {
	t       testing.TB
	db      kv.DB
	blobs   *blob.Store
	boxes   *mailbox.Store
	dir     *directory.Store
	alice   mail.AccountID
	quota   int64
	limits  mailbox.Quota // of all accounts, which alice may change
	sink    *events
	options imapd.Options
	ln      *listener
	stop    context.CancelFunc
	served  chan error
	roots   *x509.CertPool
	rnd     *mathrand.Rand // of a random test
}

// params make logins cheap.
func params() login.Params {
	return login.Params{Memory: 64, Time: 1, Threads: 1, Iterations: 4096}
}

func newWorld(t testing.TB, change func(*imapd.Options)) *world {
	return newWorldOn(t, memkv.New(memkv.Options{}), "", change)
}

// newWorldOn is newWorld over another store, with large bodies in dir.
func newWorldOn(t testing.TB, db kv.DB, dir string, change func(*imapd.Options)) *world {
	ctx := context.Background()
	w := &world{t: t, db: db, sink: &events{t: t}, ln: newListener(), served: make(chan error, 1)}
	var err error
	if w.blobs, err = blob.Open(blob.Options{DB: w.db, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	users := directory.New(w.db)
	w.dir = users
	w.boxes = mailbox.New(mailbox.Options{DB: w.db, Blobs: w.blobs, Circle: people{users}.circle})
	l := login.New(login.Options{Directory: users, Params: params()})
	for _, d := range []mail.Domain{"example.test", "other.test"} {
		if err := users.AddDomain(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"alice", "bob", "carol@other.test"} {
		addr := mail.Address{Local: name, Domain: "example.test"}
		if local, domain, ok := strings.Cut(name, "@"); ok {
			addr = mail.Address{Local: local, Domain: mail.Domain(domain)}
		}
		c, err := l.NewCredentials("secret")
		if err != nil {
			t.Fatal(err)
		}
		a, err := users.AddAccount(ctx, addr, c, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.boxes.Update(ctx, 0, a.ID, func(tx *mailbox.Tx) error { return tx.Provision() }); err != nil {
			t.Fatal(err)
		}
		if name == "alice" {
			w.alice = a.ID
		}
	}
	w.options = imapd.Options{
		Hostname: "mx.example.test", PlaintextAuth: true, TLS: w.certificate(), Login: l, Mailbox: w.boxes, Sink: w.sink,
		Quota: func(context.Context, mail.AccountID) (mailbox.Quota, error) {
			q := w.limits
			q.Octets = max(q.Octets, w.quota)
			return q, nil
		},
	}
	if change != nil {
		change(&w.options)
	}
	if w.options.SetQuota != nil {
		w.options.SetQuota = w.setQuota
	}
	if w.options.People != nil {
		w.options.People = people{users}
	}
	serving, stop := context.WithCancel(ctx)
	w.stop = stop
	srv := imapd.New(w.options)
	go func() { w.served <- srv.Serve(serving, w.ln) }()
	return w
}

func (w *world) setQuota(_ context.Context, who, _ mail.AccountID, q *mailbox.Quota) error {
	if who != w.alice {
		return fault.New(fault.Denied, "test", "only alice sets quotas")
	}
	if q != nil {
		w.limits = *q
	}
	return nil
}

// people are the accounts of the directory.
type people struct{ *directory.Store }

func (p people) Find(ctx context.Context, a mail.Address) (mail.AccountID, error) {
	acct, err := p.Account(ctx, a)
	return acct.ID, err
}

func (p people) Address(ctx context.Context, a mail.AccountID) (mail.Address, error) {
	acct, err := p.AccountByID(ctx, a)
	return acct.Address, err
}

func (p people) circle(ctx context.Context, a mail.AccountID) (string, error) {
	addr, err := p.Address(ctx, a)
	return string(addr.Domain), err
}

// close stops the server and waits for all its goroutines.
func (w *world) close() {
	w.stop()
	if err := <-w.served; err != nil {
		w.t.Error(err)
	}
	w.served <- nil
	_ = w.blobs.Close()
	_ = w.db.Close()
}

// deliver puts a message into a mailbox of alice's, as another session would.
func (w *world) deliver(box, content string, flags mail.Flags, keywords ...string) {
	ctx := context.Background()
	h, err := w.blobs.Put(ctx, []byte(content))
	if err != nil {
		w.t.Fatal(err)
	}
	ix, err := message.Parse(strings.NewReader(content), int64(len(content)))
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.boxes.Update(ctx, 0, w.alice, func(tx *mailbox.Tx) error {
		b, err := tx.BoxByName(box)
		if err != nil {
			return err
		}
		_, err = tx.Add(b.ID, mailbox.NewMessage{Content: h, Index: ix, Received: time.Now(), Flags: flags, Keywords: keywords})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// certificate is a fresh one for the server that only roots trust.
func (w *world) certificate() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		w.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	w.roots = x509.NewCertPool()
	w.roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// client is a connection whose reading side is always read.
type client struct {
	conn net.Conn
	done chan struct{} // the reading goroutine ended

	mu   sync.Mutex
	got  []byte
	over bool // the server closed
	told bool
}

func (w *world) connect() *client {
	conn := w.ln.dial()
	if conn == nil {
		w.t.Fatal("the server does not listen")
	}
	c := &client{conn: conn}
	c.read()
	return c
}

// read takes all that comes.
func (c *client) read() {
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		buf := make([]byte, 4096)
		for {
			n, err := c.conn.Read(buf)
			c.mu.Lock()
			c.got = append(c.got, buf[:n]...)
			if err != nil {
				var ne net.Error
				c.over = !errors.As(err, &ne) || !ne.Timeout()
			}
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

// take gives what came since the last time.
func (c *client) take() (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := string(c.got)
	c.got = nil
	closed := c.over && !c.told
	c.told = c.told || closed
	return s, closed
}

// startTLS shakes hands and goes on in TLS.
func (c *client) startTLS(roots *x509.CertPool) error {
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	<-c.done
	_ = c.conn.SetReadDeadline(time.Time{})
	t := tls.Client(c.conn, &tls.Config{RootCAs: roots, ServerName: "mx.example.test"})
	if err := t.Handshake(); err != nil {
		return err
	}
	c.conn = t
	c.read()
	return nil
}

// deflate goes on compressed.
func (c *client) deflate() {
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	<-c.done
	_ = c.conn.SetReadDeadline(time.Time{})
	w, err := flate.NewWriter(c.conn, flate.BestCompression)
	if err != nil {
		panic(err)
	}
	c.conn = &deflatedClient{c.conn, flate.NewReader(c.conn), w}
	c.read()
}

// deflatedClient is the other side of COMPRESS.
type deflatedClient struct {
	net.Conn
	r io.Reader
	w *flate.Writer
}

func (c *deflatedClient) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c *deflatedClient) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err == nil {
		err = c.w.Flush()
	}
	return n, err
}
