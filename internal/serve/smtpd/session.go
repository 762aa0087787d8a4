package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
	"github.com/ekiden-mail/ekiden/internal/wire/line"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// state is how far a session has come.
type state uint8

const (
	connected state = 1 << iota // nothing was said, or TLS has begun
	greeted                     // EHLO, HELO or LHLO
	opened                      // MAIL was taken
	addressed                   // a RCPT was taken
	chunking                    // BDAT has begun

	always = connected | greeted | opened | addressed | chunking
)

// legal says in which states a verb may come (RFC 5321 §4.1.4, RFC 3030 §2,
// RFC 3207 §4, RFC 4954 §4). DATA without a recipient and BDAT out of place are
// there too, since they have words and duties of their own.
var legal = [smtp.NumVerbs]state{
	smtp.Helo:     always,
	smtp.Ehlo:     always,
	smtp.Lhlo:     always,
	smtp.Mail:     greeted,
	smtp.Rcpt:     opened | addressed,
	smtp.Data:     addressed,
	smtp.Bdat:     always,
	smtp.Rset:     always,
	smtp.Noop:     always,
	smtp.Quit:     always,
	smtp.Vrfy:     always,
	smtp.Expn:     always,
	smtp.Help:     always,
	smtp.StartTLS: greeted,
	smtp.Auth:     greeted,
}

// outOfPlace says why a command may not come now.
func (s *session) outOfPlace() string {
	switch s.state {
	case connected:
		return "Say " + s.hello().String() + " first"
	case greeted:
		return "Say MAIL first"
	case opened:
		return "No recipient was taken, or that cannot come within a mail transaction"
	case chunking:
		return "The message has begun with BDAT; go on with BDAT, or say RSET"
	}
	return "That cannot come within a mail transaction"
}

// session is one connection's conversation. One goroutine owns it; only link's
// stop is called from elsewhere.
type session struct {
	srv  *Server
	ctx  context.Context
	link *link
	peer mail.Peer

	state   state
	txn     Transaction
	from    mail.Address
	opts    smtp.MailOptions
	taken   int           // recipients of txn
	now     smtp.Command  // what is being answered
	pending *smtp.Command // was read, but is for the next to answer

	commands, transactions, errors, junk, refused, authFailures int

	secured *login.Secured // the TLS below; nil without
	who     login.Who      // came in, if peer.User is somebody
	held    time.Time      // when the login was last known to hold

	proxied smtp.XClient // what a trusted proxy said of its client
	leave   func()       // gives the place at the door back

	scratch []byte
	reason  string // why the session ends; "" while it goes on
}

func newSession(srv *Server, ctx context.Context, c net.Conn) *session {
	return &session{
		srv: srv, ctx: ctx, link: newLink(c, srv.limits.Write), state: connected,
		peer: mail.Peer{
			Addr: door.PeerOf(c), Local: door.AddrPort(c.LocalAddr()), LMTP: srv.o.Mode == LMTP,
		},
	}
}

// stop ends the session as soon as nothing is in hand.
func (s *session) stop() { s.link.stop() }

// end lets the session end, for the first reason given.
func (s *session) end(reason string) {
	if s.reason == "" {
		s.reason = reason
	}
}

// answer writes a reply; it goes out when there is nothing left to work on.
func (s *session) answer(code int, enhanced smtp.Enhanced, format string, args ...any) {
	s.send(smtp.Answer(code, enhanced, format, args...))
}

func (s *session) send(r smtp.Reply) {
	s.scratch = s.refer(r).AppendTo(s.scratch[:0])
	s.link.out.Write(s.scratch) // an error stays with out, and the next read gives it
}

// flush lets the answers go out. An error stays with the link, and the next read
// gives it.
func (s *session) flush() { _ = s.link.flush() }

// fail answers a command that is none or is out of place. A peer that makes too
// many of these is no mail client.
func (s *session) fail(r smtp.Reply) {
	s.send(r)
	if s.errors++; s.errors >= s.srv.limits.Errors {
		s.answer(421, smtp.Enhanced{4, 7, 0}, "%s Too many errors; goodbye", s.srv.o.Hostname)
		s.end("too many errors")
	}
}

// serve is the whole conversation.
func (s *session) serve() {
	defer s.abort()
	if !s.open() {
		return
	}
	for s.reason == "" {
		c, err := s.next()
		if err != nil {
			s.lost(err)
			return
		}
		if c.Verb != smtp.Unknown && s.still() {
			s.do(c)
		}
	}
}

// open secures the line if that comes first, and greets, unless the peer spoke
// before it was greeted.
func (s *session) open() bool {
	o, l := s.srv.o, s.srv.limits
	if o.ImplicitTLS {
		if err := s.secure(); err != nil {
			return false
		}
	}
	if s.watches() {
		s.link.command(l.GreetDelay, true)
		switch err := s.link.in.More(); {
		case err == nil:
			s.answer(554, smtp.Enhanced{5, 5, 1}, "You spoke before you were greeted")
			s.end("early talker")
			return false
		case !isTimeout(err):
			s.lost(err)
			return false
		}
	}
	s.welcome()
	return true
}

// secure begins TLS.
func (s *session) secure() error {
	secured, err := s.link.startTLS(s.ctx, s.srv.o.TLS, s.srv.limits.Handshake)
	if err != nil {
		s.end("TLS: " + err.Error())
		return err
	}
	s.secured, s.peer.TLS = secured, true
	s.peer.TLSInfo = strings.ReplaceAll(tls.VersionName(secured.State.Version), " ", "") + " " + tls.CipherSuiteName(secured.State.CipherSuite)
	return nil
}

// next gives the next command, after answering what is none. The verb Unknown
// means that there was only such. An error is the connection's.
func (s *session) next() (smtp.Command, error) {
	if c := s.pending; c != nil {
		s.pending, s.now = nil, *c
		return *c, nil
	}
	if !s.link.command(s.srv.limits.Command, s.state <= greeted) {
		return smtp.Command{}, errStopped
	}
	limit := smtp.MaxCommandLine
	if s.srv.o.Mode == Submission {
		limit = smtp.MaxAuthLine
	}
	text, err := s.link.in.ReadLine(limit)
	s.commands++
	s.now = smtp.Command{}
	switch {
	case errors.Is(err, line.ErrBare):
		s.bare()
		return smtp.Command{}, nil
	case errors.Is(err, line.ErrTooLong):
		s.fail(smtp.Answer(500, smtp.Enhanced{5, 5, 2}, "That line is too long"))
		return smtp.Command{}, nil
	case err != nil:
		s.commands--
		return smtp.Command{}, err
	}
	if isXClient(text) && s.mayXClient() {
		s.xclient(string(text))
		return smtp.Command{}, nil
	}
	c, refusal := smtp.ParseCommand(text, s.extensions())
	if c.Verb != smtp.Auth && len(text) > smtp.MaxCommandLine {
		refusal = smtp.Answer(500, smtp.Enhanced{5, 5, 2}, "That line is too long")
	}
	s.now = c
	if refusal.IsZero() {
		return c, nil
	}
	s.fail(refusal)
	if c.Verb == smtp.Unknown { // RFC 2920 §3.2: this does not wait either
		s.flush()
	}
	switch {
	case c.Verb == smtp.Bdat: // nobody knows where its chunk ends
		s.end("BDAT without a size")
	case c.Verb == smtp.Unknown && isHTTP(c.Arg): // CVE-2021-28965 and its like: a browser made to speak to us
		s.end("HTTP")
	}
	return smtp.Command{}, nil
}

// bare ends the session of a client whose line holds a CR, LF or NUL that is no
// part of its end. What follows in the line looks like a command, and may be
// another's, whom the client lets speak through it.
func (s *session) bare() {
	s.send(smtp.Answer(500, smtp.Enhanced{5, 5, 2}, "A line ends in CRLF and holds no other CR, LF or NUL; goodbye"))
	s.end("a bare line end")
}

func isHTTP(word string) bool {
	switch word {
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "PATCH", "DELETE":
		return true
	}
	return false
}

// lost says goodbye where a connection does not go on, as far as it still hears.
func (s *session) lost(err error) {
	host := s.srv.o.Hostname
	switch {
	case errors.Is(err, errStopped):
		s.answer(421, smtp.Enhanced{4, 3, 2}, "%s The server stops; please come back later", host)
		s.end("shutdown")
	case errors.Is(err, errYielded):
		s.answer(421, smtp.Enhanced{4, 3, 2}, "%s Others wait for your place; please come back later", host)
		s.end("yielded")
	case isTimeout(err):
		s.link.writeTimeout = time.Second
		s.answer(421, smtp.Enhanced{4, 4, 2}, "%s That took too long; goodbye", host)
		s.end("timeout")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		s.end("closed")
	default:
		s.end(err.Error())
	}
}

// abort ends the transaction, if there is one.
func (s *session) abort() {
	if txn := s.txn; txn != nil {
		s.txn = nil
		txn.Abort()
	}
	s.from, s.opts, s.taken = mail.Address{}, smtp.MailOptions{}, 0
	if s.state != connected {
		s.state = greeted
	}
}
