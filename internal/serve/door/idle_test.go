package door_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/imapd"
	"github.com/ekiden-mail/ekiden/internal/serve/pop3d"
	"github.com/ekiden-mail/ekiden/internal/serve/smtpd"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// The most that an idle connection may hold, in octets, with TLS or without.
const (
	mostTLS   = 40 << 10
	mostPlain = 20 << 10
)

// TestIdle opens many connections to each door, says hello, and weighs what the
// server holds while they idle. The clients are another process. With
// EKIDEN_LONG=1 there are 20,000 to each door, as far as the system lets us.
func TestIdle(t *testing.T) {
	if addr := os.Getenv("EKIDEN_IDLE"); addr != "" {
		idleClients(addr)
		return
	}
	n := 300
	if os.Getenv("EKIDEN_LONG") != "" {
		n = 20_000
	}
	n = min(n, moreFiles(n+50)-50)
	conf := certificate(t)
	for _, c := range []struct {
		name, hello string
		most        int64
		server      func(*testing.T) serving
	}{
		{"smtp", "EHLO x\r\n", mostPlain, func(*testing.T) serving {
			return smtpd.New(smtpd.Options{Hostname: "mx.example.org", TLS: conf, Limits: few(n)})
		}},
		{"smtp over TLS", "EHLO x\r\n", mostTLS, func(*testing.T) serving {
			return smtpd.New(smtpd.Options{Hostname: "mx.example.org", TLS: conf, ImplicitTLS: true, Limits: few(n)})
		}},
		{"submissions", "EHLO x\r\n", mostTLS, func(t *testing.T) serving {
			l, _ := rooms(t)
			return smtpd.New(smtpd.Options{Hostname: "mx.example.org", Mode: smtpd.Submission, Auth: l, TLS: conf, ImplicitTLS: true, Limits: few(n)})
		}},
		{"imaps", "a login alice@example.org secret\r\n", mostTLS, func(t *testing.T) serving {
			l, m := rooms(t)
			return imapd.New(imapd.Options{Hostname: "mx.example.org", Login: l, Mailbox: m, TLS: conf, ImplicitTLS: true, Limits: imapd.Limits{Connections: n}})
		}},
		{"pop3s", "CAPA\r\n", mostTLS, func(t *testing.T) serving {
			l, m := rooms(t)
			return pop3d.New(pop3d.Options{
				Hostname: "mx.example.org", Login: l, Mailbox: m, TLS: conf, ImplicitTLS: true,
				Limits: pop3d.Limits{Connections: n, PreAuth: time.Hour},
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			weigh(t, c.server(t), n, c.most, c.hello, strings.Contains(c.name, "TLS") || strings.HasSuffix(c.name, "s"))
		})
	}
}

type serving = interface {
	Serve(context.Context, net.Listener) error
}

// few bears n connections, and no peer that speaks before its turn.
func few(n int) smtpd.Limits { return smtpd.Limits{Connections: n + n/10, GreetDelay: -1} }

// weigh opens n connections and says what each costs.
func weigh(t *testing.T, s serving, n int, most int64, hello string, secure bool) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	before := held()
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdle$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("EKIDEN_IDLE=%s %d %t %s", ln.Addr(), n, secure, hello))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, _ := bufio.NewReader(out).ReadString('\n')
	each := (held() - before) / int64(n)
	t.Logf("%d connections, %s: %d octets each", n, strings.TrimSpace(ready), each)
	if each > most {
		t.Errorf("more than %d octets", most)
	}
	if ready != "ready\n" {
		t.Errorf("the clients said %q", ready)
	}
	_ = in.Close()
	_ = cmd.Wait()
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// held is the memory in use, when what is not needed has been given back.
func held() int64 {
	for range 5 { // a stack shrinks by half each time
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// idleClients opens the connections that order asks for, from many addresses,
// says so, and holds them until its input ends.
func idleClients(order string) {
	var addr string
	var n int
	var secure bool
	addr, order, _ = strings.Cut(order, " ")
	number, order, _ := strings.Cut(order, " ")
	tlsWord, hello, _ := strings.Cut(order, " ")
	n, _ = strconv.Atoi(number)
	secure = tlsWord == "true"
	moreFiles(n + 50)
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	var failed sync.Map
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				c, err := idleClient(addr, i, secure, hello)
				if err != nil {
					failed.Store(err.Error(), true)
					return
				}
				conns[i] = c
			}
		})
	}
	wg.Wait()
	word := "ready"
	failed.Range(func(k, _ any) bool { word = k.(string); return false })
	fmt.Println(word)
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

func idleClient(addr string, i int, secure bool, hello string) (net.Conn, error) {
	source := netip.AddrFrom4([4]byte{127, 1, byte(i / 50 / 250), byte(1 + i/50%250)})
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), Timeout: time.Minute}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	in := bufio.NewReaderSize(c, 512)
	if _, err := in.ReadString('\n'); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, hello); err != nil {
		return nil, err
	}
	_, err = in.ReadString('\n')
	return c, err
}

// moreFiles asks for n descriptors and says how many there are.
func moreFiles(n int) int {
	want := syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}
	var have syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have) == nil && have.Cur < want.Cur {
		if have.Max >= want.Cur {
			want.Max = have.Max
		}
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want)
		_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have)
	}
	return int(have.Cur)
}

// rooms are a directory with alice and her mailbox.
func rooms(t *testing.T) (*login.Login, *mailbox.Store) {
	t.Helper()
	db := memkv.New(memkv.Options{})
	t.Cleanup(func() { db.Close() })
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	d, small := directory.New(db), login.Params{Memory: 64, Time: 1, Threads: 1, Iterations: 4096}
	c, err := login.Hash("secret", small)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.AddDomain(t.Context(), "example.org"); err != nil {
		t.Fatal(err)
	}
	acct, err := d.AddAccount(t.Context(), mail.Address{Local: "alice", Domain: "example.org"}, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := mailbox.New(mailbox.Options{DB: db, Blobs: blobs})
	if err := m.Update(t.Context(), acct.ID, acct.ID, func(tx *mailbox.Tx) error { return tx.Provision() }); err != nil {
		t.Fatal(err)
	}
	return login.New(login.Options{Directory: d, Params: small, NoLimits: true}), m
}

// certificate is one of our own, ECDSA P-256.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.org"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}}
}
