package app

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/prove"
	"github.com/ekiden-mail/ekiden/internal/reach/resolver"
	"github.com/ekiden-mail/ekiden/internal/trust/spf"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Examination is what is known of a message that is looked at by hand.
type Examination struct {
	Resolver string // "host:port"; "" means our own recursion
	Anchor   string // file of DNSSEC trust anchors; "" means the root's
	Hints    string // file of root servers; "" means the Internet's
	IP       netip.Addr
	Helo     string
	From     string    // the reverse-path; "" is the null one
	Time     time.Time // zero means now
}

// resolver is to be closed.
func (x *Examination) resolver() (*resolver.Resolver, error) {
	d := defaultDNS()
	if x.Resolver != "" {
		d.Resolvers = []string{x.Resolver}
	}
	d.TrustAnchorFile, d.RootHintsFile = x.Anchor, x.Hints
	return d.resolver()
}

func (x *Examination) now() time.Time {
	if x.Time.IsZero() {
		return time.Now()
	}
	return x.Time
}

// Message finds out about a message, whose lines may end in LF, and gives what was
// found as an Authentication-Results field.
func (x *Examination) Message(ctx context.Context, r io.Reader) (string, error) {
	const op = "app.Examination"
	names, err := x.resolver()
	if err != nil {
		return "", err
	}
	defer names.Close()
	p := prove.New(prove.Options{Resolver: names, Hostname: hostname()})
	g := p.Begin(ctx, prove.Peer{IP: x.IP, Helo: x.Helo, From: x.From}, x.now())
	defer g.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadSlice('\n')
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = line[:n-1]
			if n > 1 && line[n-2] == '\r' {
				line = line[:n-2]
			}
			_, _ = g.Write(append(line[:len(line):len(line)], '\r', '\n'))
		} else {
			_, _ = g.Write(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil && err != bufio.ErrBufferFull {
			return "", fault.As(fault.Unavailable, op, err)
		}
	}
	return string(message.AppendAuthResults(nil, hostname(), g.End(ctx, x.now()).Results())), nil
}

// SPF evaluates a policy.
func (x *Examination) SPF(ctx context.Context) (spf.Result, error) {
	names, err := x.resolver()
	if err != nil {
		return spf.Result{}, err
	}
	defer names.Close()
	q := spf.Identity(x.IP, x.Helo, x.From)
	q.Receiver, q.Now, q.Explain = hostname(), x.now(), true
	ctx, cancel := context.WithTimeout(ctx, prove.DefaultBudget)
	defer cancel()
	return spf.Check(ctx, names, q), nil
}

// hostname is this machine's name, as the author of what is found.
func hostname() string {
	name, _ := os.Hostname()
	return cmp.Or(name, "localhost")
}
