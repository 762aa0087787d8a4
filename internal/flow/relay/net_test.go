package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
)

// network is the hosts that a test's relay can reach, by host:port.
type network struct {
	mu    sync.Mutex
	hosts map[string]*host
	wg    sync.WaitGroup
}

// host is a scripted SMTP server. Its answers may be changed while it runs.
type host struct {
	mu       sync.Mutex
	greet    string            // "220 …" if empty
	ext      []string          // what EHLO offers
	rcpt     map[string]string // answers to RCPT, by address; else any, else 250
	any      string            // the answer to any other RCPT
	data     string            // the answer to the final dot; "cut" breaks the connection instead
	pause    time.Duration     // before the answer to the final dot
	onDot    func()            // is called at the final dot
	received []string          // "from > to1,to2: subject"
	contents []string
	conns    int
	open     int
	most     int           // connections at once
	perConn  int           // most messages on one connection
	limit    int           // messages on one connection, then 421
	slowQuit time.Duration // before QUIT is answered
	hang     time.Duration // before the next command is answered, once; negative: the connection ends
	command  []string
	tls      *tls.Config // nil: no STARTTLS
	clear    bool        // and that is no fiction
}

func newNetwork() *network { return &network{hosts: map[string]*host{}} }

func (n *network) add(addr string, h *host) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[addr] = h
	return h
}

// dial is the relay's Dial.
func (n *network) dial(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error) {
	n.mu.Lock()
	h := n.hosts[addr]
	n.mu.Unlock()
	if h == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	gone := h.enter()
	n.wg.Go(func() { h.serve(theirs, gone) })
	if h.tls == nil && !h.clear {
		o.TLS = smtpc.None
	}
	return smtpc.Open(ctx, &closing{ours, gone}, o)
}

// closing is a connection that the host counts no more from the moment in which
// it is closed: who closed it may open another one before the host looks.
type closing struct {
	net.Conn
	gone func()
}

func (c *closing) Close() error {
	c.gone()
	return c.Conn.Close()
}

// set changes a host under its lock.
func (h *host) set(fn func(h *host)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn(h)
}

// got lists what the host has taken.
func (h *host) got() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.received, "; ")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// enter counts a connection, until gone is called.
func (h *host) enter() (gone func()) {
	h.set(func(h *host) { h.conns++; h.open++; h.most = max(h.most, h.open) })
	return sync.OnceFunc(func() { h.set(func(h *host) { h.open-- }) })
}

func (h *host) serve(c net.Conn, gone func()) {
	defer c.Close()
	defer gone()
	in := bufio.NewReaderSize(c, 1<<20)
	say := func(s string) { _, _ = fmt.Fprintf(c, "%s\r\n", s) }
	var greet string
	h.set(func(h *host) { greet = or(h.greet, "220 ready") })
	say(greet)
	var from, subject string
	var to []string
	sent := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		var reply string
		var hang time.Duration
		h.set(func(h *host) { hang, h.hang = h.hang, 0 })
		if hang < 0 {
			return
		}
		time.Sleep(hang)
		h.set(func(h *host) {
			h.command = append(h.command, line)
			reply = h.answer(line, &from, &to)
		})
		if strings.HasPrefix(line, "QUIT") {
			time.Sleep(h.slowQuit)
			gone() // before who hears the answer opens another connection
			say(reply)
			return
		}
		say(reply)
		if line == "STARTTLS" {
			c = tls.Server(c, h.tls)
			in = bufio.NewReaderSize(c, 1<<20)
		}
		if reply != "354 go" {
			continue
		}
		content, err := readContent(in)
		if err != nil {
			return
		}
		if reply = h.dot(from, to, subject, content, &sent); reply == "cut" {
			return
		}
		say(reply)
	}
}

// answer is the reply to one command.
func (h *host) answer(line string, from *string, to *[]string) string {
	verb, _, _ := strings.Cut(line, " ")
	path := ""
	if i, j := strings.IndexByte(line, '<'), strings.IndexByte(line, '>'); i >= 0 && j > i {
		path = line[i+1 : j]
	}
	switch strings.ToUpper(verb) {
	case "STARTTLS":
		return "220 go"
	case "EHLO":
		if h.tls != nil {
			return "250-host\r\n250-STARTTLS\r\n250-" + strings.Join(append(h.ext, "8BITMIME"), "\r\n250-") + "\r\n250 PIPELINING"
		}
		return "250-host\r\n250-" + strings.Join(append(h.ext, "8BITMIME"), "\r\n250-") + "\r\n250 PIPELINING"
	case "MAIL":
		*from, *to = path, nil
	case "RCPT":
		if r := or(h.rcpt[path], h.any); r != "" && !strings.HasPrefix(r, "2") {
			return r
		}
		*to = append(*to, path)
	case "DATA":
		if len(*to) == 0 {
			return "503 5.5.1 no recipients"
		}
		return "354 go"
	}
	return "250 2.0.0 ok"
}

// dot is the reply to the final dot.
func (h *host) dot(from string, to []string, subject, content string, sent *int) string {
	var pause time.Duration
	var onDot func()
	h.set(func(h *host) { pause, onDot = h.pause, h.onDot })
	time.Sleep(pause)
	if onDot != nil {
		onDot()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range strings.Lines(content) {
		if s, ok := strings.CutPrefix(line, "Subject: "); ok {
			subject = strings.TrimSpace(s)
			break
		}
	}
	*sent++
	h.perConn = max(h.perConn, *sent)
	if h.limit > 0 && *sent > h.limit {
		return "421 4.7.0 enough"
	}
	if h.data == "" || strings.HasPrefix(h.data, "2") || h.data == "cut" {
		h.received = append(h.received, fmt.Sprintf("%s > %s: %s", from, strings.Join(to, ","), subject))
		h.contents = append(h.contents, content)
	}
	return or(h.data, "250 2.0.0 taken")
}

func readContent(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\r\n" {
			return b.String(), nil
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

func TestNetwork(t *testing.T) {
	n := newNetwork()
	h := n.add("a:25", &host{})
	c, err := n.dial(t.Context(), "a:25", smtpc.Options{Hostname: "me.test"})
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Send(t.Context(), smtpc.Message{To: []smtpc.Recipient{{}}}, io.Reader(strings.NewReader("Subject: x\r\n\r\n")), 0)
	if err != nil || !res.Rcpt[0].OK() || h.got() != " > : x" {
		t.Errorf("%v %v %q", res, err, h.got())
	}
	_ = c.Quit()
	n.wg.Wait()
}
