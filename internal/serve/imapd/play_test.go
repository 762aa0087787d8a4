package imapd_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/imapd"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPlays runs the transcripts of testdata/plays, each in virtual time. Their
// directives are those of play.run; run with -rewrite to record what the server
// says, and read the difference.
func TestPlays(t *testing.T) {
	files, err := filepath.Glob("testdata/plays/*.play")
	if err != nil || len(files) == 0 {
		t.Fatal("no plays", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".play"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &play{t: t, clients: map[string]*client{}, capabilities: strings.HasSuffix(f, "capability.play")}
				defer p.close()
				datadriven.RunTest(t, f, p.run)
			})
		})
	}
}

// play is one transcript.
type play struct {
	t       *testing.T
	w       *world
	clients map[string]*client
	order   []string
	events  int

	capabilities bool // they are of interest
}

func (p *play) close() {
	if p.w == nil {
		return
	}
	for _, c := range p.clients {
		_ = c.conn.Close()
		<-c.done
	}
	p.w.close()
}

// run does one directive:
//
//	server [no-plaintext] [implicit-tls] [sharing] [quotaset] [limit NAME=N…]   begins the world
//	connect NAME          a client connects
//	c NAME                sends the lines of the input, each with CRLF
//	raw NAME              sends Go strings as they are; "x" * N is N times x
//	tls NAME              the client begins TLS
//	deflate NAME          the client begins compression
//	close NAME            the client goes away
//	deliver BOX [N]       N messages come in from elsewhere; the input is the content
//	file NAME TAG BOX F   APPENDs testdata/F
//	wait DURATION         time passes
//	quota N
//	disable LOCAL         an account is disabled
//	stop                  the server stops
//	events                what was emitted since, sorted
func (p *play) run(t *testing.T, d *datadriven.TestData) string {
	if p.w == nil && d.Cmd != "server" {
		p.w = newWorld(t, nil)
	}
	arg := func(i int) string { return d.CmdArgs[i].Key }
	switch d.Cmd {
	case "server":
		p.w = newWorld(t, func(o *imapd.Options) { configure(o, d) })
		return ""
	case "connect":
		p.clients[arg(0)] = p.w.connect()
		p.order = append(p.order, arg(0))
	case "c":
		p.send(arg(0), strings.ReplaceAll(d.Input, "\n", "\r\n")+"\r\n")
	case "raw":
		for _, l := range strings.Split(d.Input, "\n") {
			p.send(arg(0), unquote(t, l))
		}
	case "tls":
		if err := p.clients[arg(0)].startTLS(p.w.roots); err != nil {
			return err.Error()
		}
	case "deflate":
		p.clients[arg(0)].deflate()
	case "close":
		_ = p.clients[arg(0)].conn.Close()
	case "deliver":
		n := 1
		if len(d.CmdArgs) > 1 {
			n, _ = strconv.Atoi(arg(1))
		}
		for range n {
			p.w.deliver(arg(0), strings.ReplaceAll(d.Input, "\n", "\r\n")+"\r\n", 0)
		}
	case "file":
		p.appendFile(arg(0), arg(1), arg(2), arg(3))
	case "wait":
		pause, err := time.ParseDuration(arg(0))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(pause)
	case "quota":
		p.w.quota, _ = strconv.ParseInt(arg(0), 10, 64)
		return ""
	case "disable":
		err := p.w.dir.UpdateAccount(context.Background(), mail.Address{Local: arg(0), Domain: "example.test"}, func(a *directory.Account) error {
			a.Disabled = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	case "stop":
		p.w.stop()
	case "events":
		synctest.Wait()
		news := slices.Clone(p.w.sink.is[p.events:])
		p.events = len(p.w.sink.is)
		slices.Sort(news) // sessions may end at the same time
		return strings.Join(news, "\n") + "\n"
	default:
		t.Fatalf("unknown directive %s", d.Cmd)
	}
	return p.hear()
}

func unquote(t *testing.T, l string) string {
	n := 1
	if text, times, ok := strings.Cut(l, "\" * "); ok {
		l = text + "\""
		n, _ = strconv.Atoi(times)
	}
	s, err := strconv.Unquote(l)
	if err != nil {
		t.Fatal(l, err)
	}
	return strings.Repeat(s, n)
}

func configure(o *imapd.Options, d *datadriven.TestData) {
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "no-plaintext":
			o.PlaintextAuth = false
		case "implicit-tls":
			o.ImplicitTLS, o.PlaintextAuth = true, false
		case "jmap":
			o.JMAP = a.Vals[0]
		case "quotaset":
			o.SetQuota = func(context.Context, mail.AccountID, mail.AccountID, *mailbox.Quota) error { return nil }
		case "sharing":
			o.People = people{}
		case "no-tls":
			o.TLS = nil
		case "per-address":
			o.Limits.PerAddress, _ = strconv.Atoi(a.Vals[0])
		case "messages":
			o.Limits.Messages, _ = strconv.Atoi(a.Vals[0])
		case "message":
			o.Limits.Message, _ = strconv.ParseInt(a.Vals[0], 10, 64)
		}
	}
}

func (p *play) send(name, s string) {
	if _, err := p.clients[name].conn.Write([]byte(s)); err != nil {
		p.t.Logf("%s: %v", name, err)
	}
}

func (p *play) appendFile(name, tag, box, file string) {
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		p.t.Fatal(err)
	}
	b = []byte(strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n"))
	p.send(name, fmt.Sprintf("%s APPEND %s {%d+}\r\n%s\r\n", tag, box, len(b), b))
}

var (
	capabilityCode = regexp.MustCompile(`\[CAPABILITY [^]]*\]`)
	capabilityLine = regexp.MustCompile(`^\* CAPABILITY .*`)
)

// hear gives all that all clients got, once the server is at rest.
func (p *play) hear() string {
	synctest.Wait()
	var out strings.Builder
	for _, name := range p.order {
		got, closed := p.clients[name].take()
		got = strings.TrimSuffix(got, "\r\n")
		if got != "" {
			for _, l := range strings.Split(got, "\r\n") {
				// What is shown when is in capability.play.
				l = capabilityCode.ReplaceAllString(l, "[CAPABILITY …]")
				if !p.capabilities {
					l = capabilityLine.ReplaceAllString(l, "* CAPABILITY …")
				}
				fmt.Fprintf(&out, "%s: %s\n", name, shown.Replace(l))
			}
		}
		if closed {
			fmt.Fprintf(&out, "%s: (closed)\n", name)
		}
	}
	return out.String()
}

// shown makes visible what a text file should not hold.
var shown = strings.NewReplacer("\r", `\r`, "\x00", `\x00`)
