package smtpd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"

	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTLS is a certificate of our own for mx.example.org.
var testTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.org"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}}
})

// play is one file of testdata: a server, and clients that talk to it.
type play struct {
	t       *testing.T
	h       *recorder
	j       *journal
	run     running
	clients map[string]*client

	mu      sync.Mutex
	refused []string
	refs    map[string]string // what references are shown as
}

type client struct {
	pipe *pipeEnd
	nc   net.Conn // pipe, or TLS over it
}

// TestPlays acts the transcripts of testdata (rewritten with -rewrite):
//
//	server MODE [tls] [implicit] [plaintext] [errors=N] [recipients=N] [refused=N] [size=N] [transactions=N]
//	       [peraddress=N] [drain=N] [nolimits] [xclient=NETWORK] [minby=SECONDS] [hold=SECONDS]
//	       [nosoliciting=KEYWORD] [refs], and the other limits of setLimit
//	connect [name=A] [from=ADDR]
//	greeted [name=A] [from=ADDR]    waits for the greeting, as who is watched should
//	say [name=A] [raw]     sends the lines in one packet, each with CRLF (raw: without), and shows every reply;
//	                       \r \n \x00 as in Go; {N*text} is text N times; {b64:text} is base64
//	tls [name=A]           makes the handshake
//	close [name=A]
//	handler                what the handler was asked
//	events                 what was told
//	refused                what was refused, with its reference
//	stop                   ends Serve
func TestPlays(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		p := &play{t: t, clients: map[string]*client{}}
		defer p.stop()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			p.t = t
			return p.act(d)
		})
	})
}

func (p *play) act(d *datadriven.TestData) string {
	name := "c"
	d.MaybeScanArgs(p.t, "name", &name)
	switch d.Cmd {
	case "server":
		p.stop()
		p.server(d)
		return ""
	case "connect", "greeted":
		from := "192.0.2.7:1234"
		d.MaybeScanArgs(p.t, "from", &from)
		if old := p.clients[name]; old != nil {
			old.pipe.leave()
		}
		pipe := p.run.l.dial(from)
		p.clients[name] = &client{pipe: pipe, nc: pipe}
		if d.Cmd == "greeted" {
			return p.clients[name].wait()
		}
		return p.clients[name].hear()
	case "say":
		return p.say(d, p.clients[name])
	case "tls":
		c := p.clients[name]
		t := tls.Client(c.pipe, &tls.Config{InsecureSkipVerify: true})
		if err := t.Handshake(); err != nil {
			return "handshake failed: " + err.Error()
		}
		c.nc = t
		return c.hear()
	case "close":
		p.clients[name].pipe.leave()
		delete(p.clients, name)
		return ""
	case "handler":
		return p.h.take()
	case "stop":
		p.stop()
		return ""
	case "refused":
		p.mu.Lock()
		defer p.mu.Unlock()
		defer func() { p.refused = nil }()
		return p.masked(strings.Join(p.refused, "\n"))
	case "events":
		p.stop()
		return p.j.take()
	}
	return "no such command"
}

// server starts one with the options of d.
func (p *play) server(d *datadriven.TestData) {
	p.h, p.j = &recorder{}, &journal{}
	o := Options{Hostname: "mx.example.org", Handler: p.h, Sink: p.j, Grace: time.Second}
	o.Limits.GreetDelay, o.Limits.TarpitDelay = -1, time.Microsecond
	o.Guards = door.Guards{Barred: barred, Allows: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.99") }}
	for i, a := range d.CmdArgs {
		switch {
		case i == 0:
			o.Mode = map[string]Mode{"relay": Relay, "submission": Submission, "lmtp": LMTP}[a.Key]
		case a.Key == "tls":
			o.TLS = testTLS()
		case a.Key == "implicit":
			o.ImplicitTLS = true
		case a.Key == "plaintext":
			o.PlaintextAuth = true
		case a.Key == "nolimits":
			o.NoLimits = true
		case a.Key == "listed":
			o.NoAuth = netip.MustParsePrefix(a.Vals[0]).Contains
		case a.Key == "xclient":
			o.XClient = []netip.Prefix{netip.MustParsePrefix(a.Vals[0])}
		case a.Key == "nosoliciting":
			o.NoSoliciting = a.Vals
		case a.Key == "refs":
			o.Refused = p.refusal
		default:
			n, err := strconv.Atoi(a.Vals[0])
			if err != nil {
				p.t.Fatal(err)
			}
			switch seconds := time.Duration(n) * time.Second; a.Key {
			case "minby":
				o.MinBy = seconds
			case "hold":
				o.MaxHold = seconds
			default:
				setLimit(p.t, &o.Limits, a.Key, n)
			}
		}
	}
	if o.Mode == Submission {
		o.Auth = newLogin(p.t)
	}
	p.run = start(New(o))
}

// barred has one address banned for a while and one for good.
func barred(_ time.Time, a netip.Addr) (time.Time, bool) {
	switch a.String() {
	case "203.0.113.1":
		return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), true
	case "203.0.113.2":
		return time.Time{}, true
	}
	return time.Time{}, false
}

func setLimit(t *testing.T, l *Limits, key string, n int) {
	switch key {
	case "errors":
		l.Errors = n
	case "recipients":
		l.Recipients = n
	case "refused":
		l.Refused = n
	case "size":
		l.MessageSize = int64(n)
	case "transactions":
		l.Transactions = n
	case "peraddress":
		l.PerAddress = n
	case "connections":
		l.Connections = n
	case "drain":
		l.Drain = int64(n)
	case "authfailures":
		l.AuthFailures = n
	case "pernetwork":
		l.PerNetwork = n
	case "junk":
		l.Junk = n
	case "tarpit":
		l.Tarpit = n
	case "greet":
		l.GreetDelay = time.Duration(n) * time.Millisecond
	case "connects": // these in an hour
		l.Connects = limit.Rate{Burst: n, Per: time.Hour}
	case "netconnects":
		l.Network = limit.Rate{Burst: n, Per: time.Hour}
	case "messages":
		l.Messages = limit.Rate{Burst: n, Per: time.Hour}
	case "netmessages":
		l.NetworkMessages = limit.Rate{Burst: n, Per: time.Hour}
	case "rcpts":
		l.Rcpts = limit.Rate{Burst: n, Per: time.Hour}
	case "netrcpts":
		l.NetworkRcpts = limit.Rate{Burst: n, Per: time.Hour}
	case "unknown":
		l.Unknown = limit.Rate{Burst: n, Per: time.Hour}
	default:
		t.Fatalf("no limit %q", key)
	}
}

// stop ends the server. Clients that are there hear of it.
func (p *play) stop() {
	for _, c := range p.clients {
		c.pipe.leave()
	}
	clear(p.clients)
	if p.run.stop == nil {
		return
	}
	if err := p.run.stop(); err != nil {
		p.t.Errorf("Serve: %v", err)
	}
	if p.h.open != 0 {
		p.t.Errorf("%d transactions never ended", p.h.open)
		p.h.open = 0
	}
}

var repeated = regexp.MustCompile(`\{(\d+)\*([^}]*)\}`)
var encoded = regexp.MustCompile(`\{b64:([^}]*)\}`)

// unescape gives the octets that a line of a play stands for.
func unescape(t *testing.T, s string) string {
	if strings.Contains(s, `\`) {
		u, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		s = u
	}
	s = encoded.ReplaceAllStringFunc(s, func(m string) string {
		return base64.StdEncoding.EncodeToString([]byte(encoded.FindStringSubmatch(m)[1]))
	})
	return repeated.ReplaceAllStringFunc(s, func(m string) string {
		f := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(f[1])
		return strings.Repeat(f[2], n)
	})
}

// refusal is a server's Refused.
func (p *play) refusal(r Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = append(p.refused, fmt.Sprintf("%s %s %s <%s> <%s>: %s", r.Peer.Ref, r.Peer.Addr, r.Command, r.From, r.To, r.Reply))
}

var ref = regexp.MustCompile(`[0-9a-f]{32}`)
var moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// masked shows references by number, and dates not at all.
func (p *play) masked(s string) string {
	if p.refs == nil {
		p.refs = map[string]string{}
	}
	s = ref.ReplaceAllStringFunc(s, func(m string) string {
		if p.refs[m] == "" {
			p.refs[m] = fmt.Sprintf("REF%d", len(p.refs)+1)
		}
		return p.refs[m]
	})
	return moment.ReplaceAllString(s, "DATE")
}

// say sends the input and gives what is heard.
func (p *play) say(d *datadriven.TestData, c *client) string {
	end := "\r\n"
	if d.HasArg("raw") {
		end = ""
	}
	var b strings.Builder
	for l := range strings.SplitSeq(d.Input, "\n") {
		b.WriteString(unescape(p.t, l) + end)
	}
	if _, err := io.WriteString(c.nc, b.String()); err != nil {
		return "cannot write: " + err.Error()
	}
	return p.masked(c.hear())
}

// hear gives all that comes until the server waits for us.
func (c *client) hear() string {
	var b strings.Builder
	for {
		c.pipe.quiet()
		c.pipe.SetReadDeadline(time.Now())
		got, err := io.ReadAll(c.nc)
		c.pipe.SetReadDeadline(time.Time{})
		b.Write(got)
		switch {
		case isTimeout(err):
			return lines(b.String())
		case err != nil:
			return lines(b.String()) + fmt.Sprintf("(%v)", err)
		default:
			return lines(b.String()) + "(closed)"
		}
	}
}

// wait gives the first thing that comes.
func (c *client) wait() string {
	b := make([]byte, 1000)
	n, err := c.nc.Read(b)
	if err != nil {
		return err.Error()
	}
	return lines(string(b[:n]))
}

// lines shows replies; what is not lines that end in CRLF shows.
func lines(s string) string {
	var b strings.Builder
	counts := 1
	all := strings.SplitAfter(s, "\n")
	for i, l := range all {
		if l == "" {
			continue
		}
		if i+1 < len(all) && all[i+1] == l {
			counts++
			continue
		}
		if text, ok := strings.CutSuffix(l, "\r\n"); ok {
			b.WriteString(text)
		} else {
			fmt.Fprintf(&b, "%q", l)
		}
		if counts > 1 {
			fmt.Fprintf(&b, "  (%d times)", counts)
		}
		counts = 1
		b.WriteString("\n")
	}
	return b.String()
}
