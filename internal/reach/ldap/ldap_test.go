package ldap

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

const people = `dn: dc=example,dc=test
objectClass: domain
dc: example

dn: ou=people,dc=example,dc=test
objectClass: organizationalUnit
ou: people

dn: uid=carol,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: carol
cn: Carol
sn: Carol
mail: carol@example.test
employeeNumber: 5000000
userPassword: pencil

dn: uid=od\2Cd,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: od,d
cn: Odd
sn: Odd
mail: od(d*@example.test
userPassword: pencil

dn: uid=one,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: one
cn: One
sn: One
mail: twice@example.test
userPassword: pencil

dn: uid=two,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: two
cn: Two
sn: Two
mail: twice@example.test
userPassword: pencil
`

const conf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/pid
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
maxsize 10485760
suffix dc=example,dc=test
rootdn cn=admin,dc=example,dc=test
rootpw secret
directory %[1]s/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,dc=example,dc=test" read by users read by * none
`

// slapd runs OpenLDAP's server, a process of our own on loopback, and can end it.
type slapd struct {
	plain, secure string // URLs
	roots         *x509.CertPool
	start, stop   func()
}

func openSlapd(t *testing.T) *slapd {
	t.Helper()
	path, err := exec.LookPath("slapd")
	if err != nil {
		if path = "/usr/sbin/slapd"; os.Getenv("CI") == "" {
			if _, err := os.Stat(path); err != nil {
				t.Skip("slapd is not installed")
			}
		}
	}
	dir := t.TempDir()
	s := &slapd{roots: certify(t, dir)}
	write := func(name, text string) string {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := write("slapd.conf", fmt.Sprintf(conf, dir))
	if out, err := exec.Command(path, "-T", "add", "-f", config, "-l", write("people.ldif", people)).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	a, b := freePort(t), freePort(t)
	s.plain, s.secure = "ldap://127.0.0.1:"+a, "ldaps://127.0.0.1:"+b
	var cmd *exec.Cmd
	s.start = func() {
		cmd = exec.Command(path, "-d", "0", "-f", config, "-h", s.plain+"/ "+s.secure+"/")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			conn, err := net.Dial("tcp", "127.0.0.1:"+b)
			if err == nil {
				_ = conn.Close()
				return
			}
			if i > 200 {
				t.Fatal("slapd does not listen: ", err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	s.stop = func() {
		if cmd != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			cmd = nil
		}
	}
	t.Cleanup(s.stop)
	s.start()
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// certify makes a certificate for 127.0.0.1 in dir.
func certify(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "slapd"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

func address(local string) mail.Address { return mail.Address{Local: local, Domain: "example.test"} }

func TestSlapd(t *testing.T) {
	s := openSlapd(t)
	ctx := context.Background()
	search := Options{BindDN: "cn=admin,dc=example,dc=test", BindPassword: "secret", Base: "dc=example,dc=test", Filter: "(&(objectClass=person)(mail={address}))", QuotaAttr: "employeeNumber"}
	template := Options{Template: "uid={local},ou=people,dc=example,dc=test"}
	for _, c := range []struct {
		name string
		o    Options
		url  string
		tls  bool
	}{
		{"search", search, s.plain, false}, {"search by STARTTLS", search, s.plain, true}, {"search by ldaps", search, s.secure, false},
		{"template", template, s.plain, false}, {"template by ldaps", template, s.secure, false},
	} {
		c.o.URL, c.o.StartTLS, c.o.Roots = c.url, c.tls, s.roots
		l, err := New(c.o)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time over a connection that is there
			e, err := l.Check(ctx, address("carol"), "pencil")
			if err != nil || e.DN != "uid=carol,ou=people,dc=example,dc=test" || e.Quota != 5000000 && c.o.QuotaAttr != "" {
				t.Errorf("%s: %+v, %v", c.name, e, err)
			}
			for _, p := range []struct{ local, password string }{{"carol", "chalk"}, {"carol", ""}, {"nobody", "pencil"}, {"*", "pencil"}, {"carol,ou=people", "pencil"}, {"", "pencil"}} {
				if _, err := l.Check(ctx, address(p.local), p.password); !fault.Is(err, fault.Unauthenticated) {
					t.Errorf("%s, %q with %q: %v", c.name, p.local, p.password, err)
				}
			}
		}
		odd := "od(d*"
		if c.o.Template != "" {
			odd = "od,d"
		}
		if _, err := l.Check(ctx, address(odd), "pencil"); err != nil {
			t.Errorf("%s: odd characters: %v", c.name, err)
		}
		l.Close()
	}
}

// TestSlapdTrouble sees that what the directory cannot say is never taken for a
// wrong password.
func TestSlapdTrouble(t *testing.T) {
	s := openSlapd(t)
	ctx := context.Background()
	o := Options{URL: s.plain, BindDN: "cn=admin,dc=example,dc=test", BindPassword: "secret", Base: "dc=example,dc=test", Filter: "(mail={address})", Timeout: 2 * time.Second}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Find(ctx, address("carol")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Find(ctx, address("nobody")); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := l.Check(ctx, address("twice"), "pencil"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("two entries: %v", err)
	}
	var all sync.WaitGroup // more than there are connections
	for range 20 {
		all.Go(func() {
			if _, err := l.Check(ctx, address("carol"), "pencil"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.stop()
	if _, err := l.Check(ctx, address("carol"), "pencil"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a server: %v", err)
	}
	s.start()
	if _, err := l.Check(ctx, address("carol"), "pencil"); err != nil {
		t.Errorf("after it came back: %v", err)
	}
	s.stop()
	s.start() // the connections are stale, and nobody has noticed
	if _, err := l.Check(ctx, address("carol"), "pencil"); err != nil {
		t.Errorf("over stale connections: %v", err)
	}
	o.BindPassword = "wrong"
	if l, err = New(o); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Check(ctx, address("carol"), "pencil"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("our own password is wrong: %v", err)
	}
	o.URL = s.secure
	if l, err = New(o); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Check(ctx, address("carol"), "pencil"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
}

// TestSilent waits no longer than it should for a server that says nothing.
func TestSilent(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l, err := New(Options{URL: "ldap://" + ln.Addr().String(), Template: "uid={local}", Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := l.Check(context.Background(), address("carol"), "pencil"); !fault.Is(err, fault.Unavailable) || time.Since(begin) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.Check(ctx, address("carol"), "pencil"); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	good := Options{URL: "ldaps://ldap.example", Filter: "(mail={address})"}
	for name, change := range map[string]func(*Options){
		"":                      func(*Options) {},
		"no URL":                func(o *Options) { o.URL = "" },
		"http":                  func(o *Options) { o.URL = "http://ldap.example" },
		"a path":                func(o *Options) { o.URL = "ldaps://ldap.example/dc=x" },
		"in clear":              func(o *Options) { o.URL = "ldap://ldap.example" },
		"TLS twice":             func(o *Options) { o.StartTLS = true },
		"neither":               func(o *Options) { o.Filter = "" },
		"both":                  func(o *Options) { o.Template = "uid={local}" },
		"a filter that is none": func(o *Options) { o.Filter = "(mail={address}" },
	} {
		o := good
		change(&o)
		if _, err := New(o); fault.Is(err, fault.Invalid) != (name != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFill sees that no address changes what is asked.
func FuzzFill(f *testing.F) {
	f.Add("carol", "x.test")
	f.Add("*)(uid=*", "x")
	f.Add("a,ou=x\\2c", "\x00")
	f.Fuzz(func(t *testing.T, local, domain string) {
		a := mail.Address{Local: local, Domain: mail.Domain(domain)}
		if _, err := ldap.CompileFilter(fill("(&(objectClass=person)(mail={address})(uid={local}))", a, ldap.EscapeFilter)); err != nil {
			t.Errorf("%q: %v", a, err)
		}
		dn, err := ldap.ParseDN(fill("uid={local},ou=people,dc=example", a, ldap.EscapeDN))
		if err == nil && (len(dn.RDNs) != 3 || len(dn.RDNs[0].Attributes) != 1) {
			t.Errorf("%q became %v", a, dn)
		}
	})
}
