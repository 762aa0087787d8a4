package pop3d

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// conn is one session. Its goroutine owns everything but what mu guards.
type conn struct {
	s     *Server
	o     *Options
	peer  netip.AddrPort
	began time.Time

	in      *line.Reader
	out     *bufio.Writer
	raw     net.Conn // the TCP connection
	net     net.Conn // raw, or TLS over it
	tls     bool
	secured *login.Secured // what tls is; nil without
	utf8    bool           // UTF8 was given (RFC 6856 §2.1)
	user    string         // as USER said it
	drop    *maildrop
	who     login.Who
	held    time.Time // when who was last known to hold
	reason  string    // why the session ended

	commands, errors int

	line  []byte // what a line is made in
	alone bool   // LIST or UIDL was asked for one message

	mu      sync.Mutex
	known   bool   // somebody has logged in
	closing string // why the session is to end; "" while it goes on
}

func (s *Server) newConn(nc net.Conn, peer netip.AddrPort) *conn {
	return &conn{s: s, o: &s.o, peer: peer, raw: nc, net: nc, began: s.o.Now()}
}

// refuse turns a connection away (RFC 3206 §4).
func (s *Server) refuse(nc net.Conn, why door.Refusal) {
	if !s.o.ImplicitTLS {
		code := "SYS/TEMP"
		if !why.Temporary() {
			code = "SYS/PERM"
		}
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(nc, "-ERR ["+code+"] "+why.Text+"\r\n")
	}
	_ = nc.Close()
}

// stopReading ends the session at its next look for a command.
func (c *conn) stopReading(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = reason
	_ = c.raw.SetReadDeadline(time.Unix(1, 0))
}

// cut ends the session whatever it does.
func (c *conn) cut() { _ = c.raw.Close() }

// serve holds the whole session. ctx is the server's: work in hand outlives it
// by the grace time.
func (c *conn) serve(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	defer func() {
		if p := recover(); p != nil {
			c.reason = "panic"
			c.o.Sink.Emit(ctx, event.Failed{Where: "pop3d", Peer: c.peer, Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())})
		}
		c.closeMaildrop(ctx)
		_ = c.net.Close()
		c.o.Sink.Emit(ctx, event.SessionEnded{
			Door: "pop3", Peer: c.peer, User: c.who.Address, Duration: c.o.Now().Sub(c.began),
			Commands: c.commands, Reason: c.reason,
		})
	}()
	if c.o.ImplicitTLS {
		if err := c.startTLS(ctx); err != nil {
			c.reason = "TLS: " + err.Error()
			return
		}
	}
	c.setStreams()
	c.reply("+OK %s POP3 server ready", printable(c.o.Hostname))
	for c.reason == "" {
		c.step(ctx)
	}
	_ = c.flush()
}

// setStreams reads and writes c.net from now on; what was buffered is gone.
func (c *conn) setStreams() {
	c.in = line.NewReader(c.net)
	c.out = bufio.NewWriterSize(deadlineWriter{c}, 4096)
}

// deadlineWriter gives each write of the buffer a time of its own.
type deadlineWriter struct{ c *conn }

func (w deadlineWriter) Write(p []byte) (int, error) {
	if err := w.c.raw.SetWriteDeadline(time.Now().Add(w.c.o.Limits.Write)); err != nil {
		return 0, err
	}
	return w.c.net.Write(p)
}

// startTLS makes the handshake.
func (c *conn) startTLS(ctx context.Context) error {
	if c.o.TLS == nil {
		return errors.New("not configured")
	}
	if why := c.readWithin(c.o.Limits.Handshake); why != "" {
		return errors.New(why)
	}
	_ = c.raw.SetWriteDeadline(time.Now().Add(c.o.Limits.Handshake))
	t, secured, err := door.Handshake(ctx, c.raw, c.o.TLS)
	if err != nil {
		return err
	}
	c.net, c.tls, c.secured = t, true, secured
	return nil
}

// readWithin gives the next read its time, or says why there is to be none.
func (c *conn) readWithin(d time.Duration) (closing string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == "" {
		_ = c.raw.SetReadDeadline(time.Now().Add(d))
	}
	return c.closing
}

// readLine reads a line of at most limit octets. Replies go out first, unless
// more commands are here already (PIPELINING, RFC 2449 §6.6). After an error
// that the session does not survive, reason is set.
func (c *conn) readLine(limit int) ([]byte, error) {
	if c.in.Buffered() == 0 {
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	if c.reason = c.readWithin(c.patience()); c.reason != "" {
		return nil, os.ErrDeadlineExceeded
	}
	l, err := c.in.ReadLine(limit)
	switch {
	case err == nil, errors.Is(err, line.ErrTooLong), errors.Is(err, line.ErrBare):
	case errors.Is(err, os.ErrDeadlineExceeded):
		// RFC 1939 §3: closed, nothing removed, nothing said.
		c.reason = cmp.Or(c.readWithin(0), "timeout")
	default:
		c.reason = "closed"
	}
	return l, err
}

// patience is how long the next command may take: whoever has not logged in
// cannot stay by saying one now and then.
func (c *conn) patience() time.Duration {
	d := c.o.Limits.Idle
	if c.drop == nil {
		d = min(d, max(0, c.o.Limits.PreAuth-c.o.Now().Sub(c.began)))
	}
	return d
}

func (c *conn) flush() error {
	err := c.out.Flush()
	if err != nil && c.reason == "" {
		c.reason = "closed"
	}
	return err
}

func (c *conn) reply(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, format+"\r\n", args...)
}

// fail answers with err's line of the table. What is our own fault is told to
// the operator.
func (c *conn) fail(ctx context.Context, err error) {
	c.report(ctx, err)
	c.reply("%s", negative(err))
}

// report tells the operator of what is our own fault.
func (c *conn) report(ctx context.Context, err error) {
	if err == nil {
		return
	}
	switch fault.KindOf(err) {
	case fault.Internal, fault.Corrupt, fault.CrossShard:
		c.o.Sink.Emit(ctx, event.Failed{Where: "pop3d", Peer: c.peer, Err: err})
	}
}

// mistake answers what is no command, or none at this time. Too many end the
// session.
func (c *conn) mistake(text string) {
	if c.errors++; c.errors >= c.o.Limits.Errors {
		c.reason = "too many errors"
		text += "; that was one mistake too many"
	}
	c.reply("-ERR %s", text)
}

// step reads one command and answers it.
func (c *conn) step(ctx context.Context) {
	l, err := c.readLine(c.o.Limits.AuthLine)
	if c.reason != "" {
		return
	}
	c.commands++
	cmd, ok := parse(l)
	switch {
	case errors.Is(err, line.ErrTooLong), err == nil && len(l) > c.o.Limits.Line && cmd.Keyword != "AUTH":
		c.mistake("line too long")
	case errors.Is(err, line.ErrBare):
		c.mistake("a line ends in CR LF, and has no NUL, CR or LF in it")
	case err != nil:
		c.reason = "closed"
	case !ok:
		c.mistake("not a command")
	case c.still(ctx):
		c.dispatch(ctx, cmd)
	}
}

// action answers one command.
type action func(*conn, context.Context, command)

// dispatch is the table of commands and states (RFC 1939 §4, §5).
func (c *conn) dispatch(ctx context.Context, cmd command) {
	switch cmd.Keyword {
	case "CAPA":
		c.capa()
		return
	case "QUIT":
		c.quit(ctx, cmd)
		return
	}
	now, later := authorization, transaction
	if c.drop != nil {
		now, later = transaction, authorization
	}
	if do, ok := now[cmd.Keyword]; ok {
		do(c, ctx, cmd)
		return
	}
	if _, ok := later[cmd.Keyword]; ok {
		c.mistake("not at this time")
		return
	}
	c.mistake("unknown command")
}
