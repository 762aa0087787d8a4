package imapd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// Before login a stranger gets little memory, in octets: a name and a password
// fit well.
const (
	preAuthLiterals = 4 << 10
	preAuthCommand  = 12 << 10
)

// reply is the tagged answer to a command.
type reply struct{ status, code, text string }

func ok(text string) reply  { return reply{"OK", "", text} }
func no(text string) reply  { return reply{"NO", "", text} }
func bad(text string) reply { return reply{"BAD", "", text} }

// answered is an error that has its reply.
type answered struct{ reply }

func (a *answered) Error() string { return a.status + " [" + a.code + "] " + a.text }

// ending is an error that ends the session; bye, if any, is said first.
type ending struct {
	reason string // for event.SessionEnded
	bye    string
}

func (e *ending) Error() string { return "session ended: " + e.reason }

// session is one connection. Its goroutine owns everything.
type session struct {
	s        *Server
	o        *Options
	stop     context.Context // ends when the server stops: nothing new is begun
	work     context.Context // ends with the grace time: nothing goes on
	peer     netip.AddrPort
	began    time.Time
	raw      net.Conn // the TCP connection
	tls      bool
	secured  *login.Secured // what tls is; nil without
	wire     *wire          // raw, or TLS over it, with deadlines
	deflated bool           // all is compressed below wire
	lines    *line.Reader
	dec      imap.Decoder
	enc      imap.Encoder
	who      login.Who
	in       bool      // somebody logged in
	held     time.Time // when the login was last known to hold
	sel      *view     // the selected mailbox, or nil
	enabled  extension // what the client has enabled
	idling   *idling   // nil: no IDLE is in hand
	notice   *notice   // what NOTIFY asked for; nil: there was none
	tag      string    // of the command in hand
	asked    time.Time // when it came, or progress was told of last

	commands, bads, failures int
}

func newSession(s *Server, stop, work context.Context, nc net.Conn, peer netip.AddrPort) *session {
	c := &session{s: s, o: &s.o, stop: stop, work: work, peer: peer, began: time.Now(), raw: nc}
	c.wire = &wire{Conn: nc, stop: stop, idle: s.o.Limits.Idle, write: s.o.Limits.Write}
	c.wire.until = c.began.Add(s.o.Limits.PreAuth)
	c.lines = line.NewReader(c.wire)
	c.dec = imap.Decoder{Lines: c.lines, Continue: c.goAhead, MaxLiterals: preAuthLiterals, MaxCommand: preAuthCommand, Closed: true}
	c.enc.W = c.wire
	c.wire.flush = c.flush
	return c
}

// serve holds the whole session. When the server stops, it ends a wait for a
// command, and what goes on beyond the grace time: see Server.Serve.
//
// It is parked where the session goes on without its goroutine: then waitIdle is
// called, and serve again.
func (c *session) serve() (parked bool) {
	reason := "panic"
	defer func() {
		if parked {
			return
		}
		if r := recover(); r != nil {
			c.emit(event.Failed{Where: "imapd", Peer: c.peer, Err: fmt.Errorf("panic: %v\n%s", r, debug.Stack())})
		}
		_ = c.raw.Close()
		if c.idling != nil {
			c.idling.end()
		}
		c.endNotify()
		c.emit(event.SessionEnded{
			Door: "imap", Peer: c.peer, User: c.who.Address, Duration: time.Since(c.began), Commands: c.commands, Reason: reason,
		})
	}()
	err := c.converse()
	if parked = errors.Is(err, errParked); parked {
		return parked
	}
	reason = c.end(err)
	c.leave()
	return false
}

// end says goodbye as err asks, and gives the reason for the event.
func (c *session) end(err error) string {
	var e *ending
	if !errors.As(err, &e) {
		e = c.endingOf(err)
	}
	if e.bye != "" {
		c.enc.Status("", "BYE", "", e.bye)
	}
	_ = c.enc.Flush()
	_ = c.wire.Conn.Close() // with TLS, its close_notify
	return e.reason
}

// endingOf says how a connection's error ends the session.
func (c *session) endingOf(err error) *ending {
	var fatal *imap.FatalError
	switch {
	case errors.As(err, &fatal):
		return &ending{"bad input", fatal.Text}
	case c.stop.Err() != nil:
		return &ending{"shutdown", "the server is going down; please come back soon"}
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.in:
		return &ending{"timeout", "too long without a login"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &ending{"timeout", "too long without a command"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return &ending{reason: "closed"}
	}
	return &ending{reason: err.Error()}
}

func (c *session) emit(e event.Event) { c.o.Sink.Emit(c.work, e) }

// flush sends what was written, and gives its memory back: a session is idle
// most of its life. Answers to pipelined commands go out together.
func (c *session) flush() error {
	err := c.enc.Flush()
	if lent := c.enc.Release(); lent != nil {
		c.s.buffers.put(lent)
	}
	return err
}

// goAhead asks for a literal.
func (c *session) goAhead() error {
	c.enc.Raw("+ go ahead\r\n")
	return c.enc.Flush()
}

// converse reads commands and answers them until something ends the session,
// which is never nil.
func (c *session) converse() error {
	command := c.command
	next := command
	switch {
	case c.idling != nil:
		next = c.resume
	case c.o.ImplicitTLS:
		if err := c.startTLS(); err != nil {
			return &ending{reason: "TLS: " + err.Error()}
		}
		fallthrough
	default:
		c.enc.Untagged().Raw("OK [CAPABILITY ").Raw(c.capabilities()).Raw("] ").Raw(c.o.Hostname).Raw(" Ekiden IMAP ready\r\n")
	}
	for {
		if err := next(); err != nil {
			return err
		}
		if c.stop.Err() != nil {
			return c.endingOf(c.stop.Err())
		}
		next = command
	}
}

// command reads a command and answers it.
func (c *session) command() error {
	c.wire.wait(true)
	var req imap.Request
	err := c.await()
	if err == nil {
		req, err = c.dec.Read()
	}
	c.wire.wait(false)
	if err == nil {
		return c.answer(req)
	}
	return c.badInput(err)
}

// badInput answers what is no command.
func (c *session) badInput(err error) error {
	var b *imap.BadError
	if !errors.As(err, &b) {
		return err
	}
	c.commands++
	if b.TooBig && b.Tag != "" {
		c.enc.Status(b.Tag, "NO", "TOOBIG", b.Text)
	} else {
		c.enc.Status(b.Tag, "BAD", "", b.Text)
	}
	return c.countBad()
}

func (c *session) countBad() error {
	if c.bads++; c.bads >= c.o.Limits.Bad {
		return &ending{"bad commands", "too many bad commands"}
	}
	return nil
}

// answer does one command and says its tagged reply. An error ends the session.
func (c *session) answer(req imap.Request) error {
	c.commands++
	c.tag, c.asked = req.Tag, time.Now()
	if err := c.still(); err != nil {
		return err
	}
	r, err := c.do(req)
	if errors.Is(err, errParked) {
		return err
	}
	return c.finish(req, r, err)
}

// finish says the reply to a command that is done.
func (c *session) finish(req imap.Request, r reply, err error) error {
	var e *ending
	if errors.As(err, &e) {
		if r.status != "" {
			c.enc.Status(req.Tag, r.status, r.code, r.text)
		}
		return err
	}
	if err != nil {
		if c.enc.Err() != nil || c.work.Err() != nil {
			return err
		}
		if r, err = c.failed(err); err != nil {
			return err
		}
	}
	cmd := commands[req.Command.Name()]
	if c.sel != nil && (cmd.removes || c.hears(messageNew)) {
		if err := c.fold(cmd.mayExpunge(req.Command)); err != nil {
			return err
		}
	}
	if names := changedNames(req.Command); names != nil {
		if err := c.tellOthers(names); err != nil {
			return err
		}
	}
	if r.status == "" { // said already
		return c.enc.Err()
	}
	if r.code == highestModSeq {
		r.code += " " + decimal(c.sel.highest)
	}
	c.enc.Status(req.Tag, r.status, r.code, r.text)
	if r.status == "BAD" {
		return c.countBad()
	}
	c.bads = 0
	return c.enc.Err()
}

// failed turns an error into a reply; one of the connection comes back.
func (c *session) failed(err error) (reply, error) {
	var f *fault.Error
	var b *imap.BadError
	var a *answered
	switch {
	case errors.As(err, &a):
		return a.reply, nil
	case errors.As(err, &b):
		return bad(b.Text), nil
	case !errors.As(err, &f):
		return reply{}, err
	}
	if ours(err) {
		c.emit(event.Failed{Where: "imapd", Peer: c.peer, Err: err})
	}
	return refusal(err), nil
}

// do does one command. Errors of kind fault.Error are answered by the table of
// fault.go; others end the session.
func (c *session) do(req imap.Request) (reply, error) {
	name := req.Command.Name()
	cmd, known := commands[name]
	r := bad("unknown command")
	if known {
		r = c.wrongState(name, cmd.when)
	}
	if r.status == "" && c.has(uidOnly) && imap.ByNumber(req.Command) {
		r = uidRequired()
	}
	if r.status == "" {
		return cmd.do(c, req)
	}
	if a, ok := req.Command.(*imap.AppendCommand); ok && !c.dec.Closed {
		return r, c.dec.Refuse(a, c.discard())
	}
	return r, nil
}

// read runs fn over one moment of the account.
func (c *session) read(fn func(*mailbox.Tx) error) error {
	return c.o.Mailbox.View(c.work, c.who.Account, fn)
}

// readIn runs fn over one moment of an account, in the name of who logged in.
func (c *session) readIn(a mail.AccountID, fn func(*mailbox.Tx) error) error {
	return c.o.Mailbox.ViewAs(c.work, c.who.Account, a, fn)
}

// readSelected runs fn over one moment of the account of the selected mailbox.
func (c *session) readSelected(fn func(*mailbox.Tx) error) error {
	return c.readIn(c.sel.account, fn)
}

// update runs fn in one transaction on the account.
func (c *session) update(fn func(*mailbox.Tx) error) error {
	return c.o.Mailbox.Update(c.work, c.who.Account, c.who.Account, fn)
}

func (c *session) account() mail.AccountID { return c.who.Account }

// startTLS shakes hands. What was read in clear before is thrown away.
func (c *session) startTLS() error {
	ctx, cancel := context.WithTimeout(c.work, c.o.Limits.Handshake)
	defer cancel()
	_ = c.raw.SetDeadline(time.Time{})
	t, secured, err := door.Handshake(ctx, c.raw, c.o.TLS)
	if err != nil {
		return err
	}
	c.tls, c.secured = true, secured
	c.wire.replace(t)
	c.lines.Reset(c.wire)
	return nil
}
