package smtpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// errStopped is what reading gives an idle session when the server stops.
var errStopped = errors.New("the server stops")

// link is the connection as its session sees it: lines in, replies out, and
// never a wait without an end.
type link struct {
	from netip.AddrPort // who connected, whoever XCLIENT makes the peer

	raw net.Conn // as accepted
	nc  net.Conn // raw, or TLS over it
	in  *line.Reader
	out *bufio.Writer

	writeTimeout time.Duration
	each         time.Duration // for a read; 0: until counts
	until        time.Time     // for all reads of a command
	patience     patience      // with content, and with the session

	since atomic.Int64 // since when we wait for the peer, in Unix nanoseconds; 0: we do not

	mu       sync.Mutex // what follows is shared with stop and yield
	stopping bool       // the server stops
	yielding bool       // others wait for the place
	idle     bool       // no transaction is in hand: reading may be cut short
}

func newLink(c net.Conn, writeTimeout time.Duration) *link {
	l := &link{from: door.PeerOf(c), raw: c, nc: c, writeTimeout: writeTimeout}
	l.in = line.NewReader(reader{l})
	l.out = bufio.NewWriterSize(writer{l}, 1024)
	return l
}

// command makes ready for reading a command, all of it within d. It says false
// if the server stops and nothing is in hand.
func (l *link) command(d time.Duration, idle bool) bool {
	now := time.Now()
	l.each, l.until = 0, l.patience.before(now, now.Add(d))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = idle
	return !(idle && l.stopping)
}

// content makes ready for reading content, each piece of it within d.
func (l *link) content(d time.Duration) {
	l.each = d
	l.mu.Lock()
	l.idle = false
	l.mu.Unlock()
}

// stop ends a wait for a command, now or when next it begins, unless a
// transaction is in hand.
func (l *link) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
	if l.idle {
		l.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// reader is what the line reader reads from. It is asked only when nothing is
// left to work on: then, and not before, replies go out, so that a group of
// commands gets its replies in one packet (RFC 2920 §3.2).
type reader struct{ *link }

func (l reader) Read(p []byte) (int, error) {
	if err := l.flush(); err != nil {
		return 0, err
	}
	begin := time.Now()
	until := l.until
	if l.each > 0 {
		until = l.patience.until(begin, l.each)
	}
	l.mu.Lock()
	if err := l.broken(); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	l.raw.SetReadDeadline(until)
	l.since.Store(begin.UnixNano())
	l.mu.Unlock()
	n, err := l.nc.Read(p)
	l.since.Store(0)
	if l.each > 0 {
		l.patience.came(n, time.Since(begin))
	}
	if err != nil && isTimeout(err) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if why := l.broken(); why != nil {
			err = why
		}
	}
	return n, err
}

// broken says why reading was cut short, if it was. mu is held.
func (l *link) broken() error {
	switch {
	case l.yielding:
		return errYielded
	case l.idle && l.stopping:
		return errStopped
	}
	return nil
}

type writer struct{ *link }

func (l writer) Write(p []byte) (int, error) {
	now, wait := time.Now(), l.writeTimeout
	l.mu.Lock()
	if l.yielding {
		wait = min(wait, lingerTime) // for the last words
	}
	l.raw.SetWriteDeadline(now.Add(wait))
	l.since.Store(now.UnixNano())
	l.mu.Unlock()
	defer l.since.Store(0)
	return l.nc.Write(p)
}

// flush sends the replies that wait.
func (l *link) flush() error {
	if l.out.Buffered() == 0 {
		return nil
	}
	return l.out.Flush()
}

// startTLS makes the rest of the connection TLS. Nothing that came in clear is
// left to be read (RFC 3207 §4.2).
func (l *link) startTLS(ctx context.Context, conf *tls.Config, timeout time.Duration) (*login.Secured, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l.raw.SetDeadline(time.Now().Add(timeout))
	c, secured, err := door.Handshake(ctx, l.raw, conf)
	if err != nil {
		return nil, err
	}
	l.nc = c
	l.in.Reset(reader{l})
	return secured, nil
}

// What the peer still sends when we close is read for a moment: a connection
// closed over unread octets is reset, and our last reply is lost with it.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 20
)

// close sends what waits and closes. With linger the last reply matters.
func (l *link) close(linger bool) {
	defer l.raw.Close()
	if l.flush() != nil {
		return
	}
	l.raw.SetDeadline(time.Now().Add(lingerTime))
	if t, ok := l.nc.(*tls.Conn); ok {
		t.CloseWrite()
	}
	if half, ok := l.raw.(interface{ CloseWrite() error }); ok && linger && half.CloseWrite() == nil {
		io.CopyN(io.Discard, l.raw, lingerBytes)
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
