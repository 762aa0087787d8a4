package smtpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/line"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Conn is a connection to a server. It is used by one goroutine.
type Conn struct {
	o        Options
	raw, nc  net.Conn // nc is raw, or TLS over it
	in       *line.Reader
	out      *bufio.Writer
	ext      map[string]string // by keyword in upper case
	tls      *tls.ConnectionState
	last     smtp.Reply // what the server said last
	unclosed bool       // a transaction may be open: RSET before the next
	clear    error      // why the line is, although TLS was tried

	mails   int                  // transactions begun
	domains map[mail.Domain]bool // of their recipients, where the server limits them
}

// handshakeError is a TLS handshake that failed.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// IsTLS says whether an error of Dial, or the reason of Clear, is about TLS: it is
// not offered, refused, or the handshake failed.
func IsTLS(err error) bool {
	var failed *handshakeError
	var no *Refusal
	return errors.As(err, &failed) || errors.As(err, &no) && no.Command == "STARTTLS"
}

// Dial connects to addr (host:port) and says EHLO, STARTTLS and AUTH as o wants.
// A server that refuses, or lacks what must be, gives a *Refusal; else the error
// is the connection's, of kind fault.Unavailable. Where TLS is opportunistic and
// does not come about, a second connection without it is made, unless there is
// a password to be said.
func Dial(ctx context.Context, addr string, o Options) (*Conn, error) {
	c, err := dial(ctx, addr, o)
	var failed *handshakeError
	if errors.As(err, &failed) && o.TLS == Opportunistic && o.Auth == nil && o.User == "" {
		o.TLS = None
		if c, err = dial(ctx, addr, o); err == nil {
			c.clear = failed
		}
	}
	return c, err
}

func dial(ctx context.Context, addr string, o Options) (*Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fault.As(fault.Invalid, "smtpc.Dial", err)
	}
	if o.ServerName == "" {
		o.ServerName = strings.TrimSuffix(host, ".")
	}
	nc, err := o.connect(ctx, addr)
	if err != nil {
		return nil, fault.As(fault.Unavailable, "smtpc.Dial", err)
	}
	return Open(ctx, nc, o)
}

// Open does what Dial does over a connection that is there; it closes it if it
// fails. ServerName must be given if TLS may be.
func Open(ctx context.Context, nc net.Conn, o Options) (*Conn, error) {
	o.Timeouts = o.Timeouts.withDefaults()
	c := &Conn{o: o, raw: nc, nc: nc, ext: map[string]string{}}
	c.in = line.NewReader(connReader{c})
	c.out = bufio.NewWriterSize(connWriter{c}, 16<<10)
	done := c.guard(ctx)
	err := c.begin(ctx)
	done()
	if err == nil {
		return c, nil
	}
	var refused *Refusal
	if errors.As(err, &refused) {
		c.Quit()
		return nil, err
	}
	c.Close()
	return nil, fault.As(fault.Unavailable, "smtpc.Dial", err)
}

type connReader struct{ *Conn }

func (c connReader) Read(p []byte) (int, error) { return c.nc.Read(p) }

type connWriter struct{ *Conn }

// Write gives the peer time for each piece (RFC 5321 §4.5.3.2.5).
func (c connWriter) Write(p []byte) (int, error) {
	c.raw.SetWriteDeadline(time.Now().Add(c.o.Timeouts.Block))
	return c.nc.Write(p)
}

// guard cuts the connection when ctx ends before the function it gives is called.
func (c *Conn) guard(ctx context.Context) (done func()) {
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		c.raw.Close()
	})
	return func() {
		if !stop() {
			<-cut
		}
	}
}

// begin is the conversation up to the first message.
func (c *Conn) begin(ctx context.Context) error {
	if c.o.TLS == Implicit {
		if err := c.handshake(ctx); err != nil {
			return err
		}
	}
	r, err := c.read(c.o.Timeouts.Command)
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return &Refusal{Command: "connect", Reply: r}
	}
	if err := c.hello(); err != nil {
		return err
	}
	if err := c.startTLS(ctx); err != nil {
		return err
	}
	return c.auth()
}

// hello says EHLO and, to a server that does not know it, HELO (RFC 5321 §3.2);
// in LMTP there is but LHLO.
func (c *Conn) hello() error {
	verb := "EHLO"
	if c.o.LMTP {
		verb = "LHLO"
	}
	clear(c.ext)
	r, err := c.command("%s %s", verb, c.o.Hostname)
	if err != nil {
		return err
	}
	if r.Permanent() && !c.o.LMTP {
		if r, err = c.command("HELO %s", c.o.Hostname); err != nil {
			return err
		}
		if r.Code == 250 {
			return nil
		}
	}
	if r.Code != 250 {
		return &Refusal{Command: verb, Reply: r}
	}
	for _, s := range r.Text[1:] {
		name, params, _ := strings.Cut(strings.TrimSpace(s), " ")
		c.ext[strings.ToUpper(name)] = strings.TrimSpace(params)
	}
	return nil
}

// startTLS secures the line as far as it must be or can be.
func (c *Conn) startTLS(ctx context.Context) error {
	mode := c.o.TLS
	if mode == None || mode == Implicit {
		return nil
	}
	if !c.Has("STARTTLS") {
		c.clear = lacking("STARTTLS", 451, smtp.Enhanced{4, 7, 10}, "the server does not offer STARTTLS, which it must")
		if mode == Required {
			return c.clear
		}
		return nil
	}
	r, err := c.command("STARTTLS")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		c.clear = &Refusal{Command: "STARTTLS", Reply: r}
		if mode == Required {
			return c.clear
		}
		return nil
	}
	// What came in clear behind the 220 is not the server's (RFC 3207 §4.2).
	if c.in.Buffered() > 0 {
		return &handshakeError{errors.New("octets in clear behind the answer to STARTTLS")}
	}
	if err := c.handshake(ctx); err != nil {
		return err
	}
	return c.hello()
}

func (c *Conn) handshake(ctx context.Context) error {
	t := tls.Client(c.raw, &tls.Config{
		ServerName: c.o.ServerName, RootCAs: c.o.RootCAs,
		InsecureSkipVerify: !c.o.VerifyCA || c.o.Verify != nil, // any key is better than none (RFC 7435)
		VerifyConnection:   c.judge(),
	})
	c.raw.SetDeadline(time.Now().Add(c.o.Timeouts.Handshake))
	if err := t.HandshakeContext(ctx); err != nil {
		return &handshakeError{err}
	}
	state := t.ConnectionState()
	c.nc, c.tls = t, &state
	c.in.Reset(connReader{c})
	return nil
}

// judge lets the caller decide about the server's certificate.
func (c *Conn) judge() func(tls.ConnectionState) error {
	if c.o.Verify == nil {
		return nil
	}
	return func(s tls.ConnectionState) error {
		if err := c.o.Verify(s); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
		return nil
	}
}

func lacking(command string, code int, e smtp.Enhanced, text string) *Refusal {
	return &Refusal{Command: command, Reply: smtp.Answer(code, e, "%s", text), Local: true}
}

// auth logs in, if there is somebody to (RFC 4954 §4).
func (c *Conn) auth() error {
	client := c.o.Auth
	if client == nil {
		if c.o.User == "" {
			return nil
		}
		offered := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
		if client = sasl.ClientFor(offered, c.o.User, c.o.Password, c.bindings()); client == nil {
			return lacking("AUTH", 504, smtp.Enhanced{5, 7, 4}, "the server offers no way to log in that we know")
		}
	}
	mechanism, initial, err := client.Start()
	if err != nil {
		return err
	}
	if c.tls == nil && sasl.Tells(mechanism) && !c.mayTell() {
		return lacking("AUTH", 451, smtp.Enhanced{4, 7, 11}, "the line is in clear, and a password does not go over it")
	}
	command := "AUTH " + mechanism
	switch {
	case initial != nil && len(initial) == 0:
		command += " ="
	case initial != nil:
		command += " " + base64.StdEncoding.EncodeToString(initial)
	}
	r, err := c.command("%s", command)
	for err == nil && r.Code == 334 {
		r, err = c.respond(client, r)
	}
	if err != nil {
		return err
	}
	if r.Code != 235 {
		return &Refusal{Command: "AUTH", Reply: r}
	}
	if err := client.Finish(); err != nil {
		return fmt.Errorf("AUTH: %w", err)
	}
	return nil
}

// bindings is what the exchange can be bound to.
func (c *Conn) bindings() []sasl.Binding {
	if c.tls == nil || len(c.tls.PeerCertificates) == 0 {
		return nil
	}
	return sasl.Bindings(c.tls, c.tls.PeerCertificates[0])
}

// respond answers a challenge, or gives up if it makes no sense.
func (c *Conn) respond(client sasl.Client, r smtp.Reply) (smtp.Reply, error) {
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.Join(r.Text, "")))
	if err == nil {
		var response []byte
		if response, err = client.Next(challenge); err == nil {
			return c.command("%s", base64.StdEncoding.EncodeToString(response))
		}
	}
	c.command("*")
	return smtp.Reply{}, fmt.Errorf("AUTH: %w", err)
}

// mayTell says whether a password may go over this line in clear.
func (c *Conn) mayTell() bool {
	if c.o.PlaintextAuth || c.o.SOCKS5 != "" {
		return c.o.PlaintextAuth
	}
	a, ok := c.raw.RemoteAddr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// command says one line and reads the reply to it.
func (c *Conn) command(format string, args ...any) (smtp.Reply, error) {
	fmt.Fprintf(c.out, format+"\r\n", args...)
	if err := c.out.Flush(); err != nil {
		return smtp.Reply{}, err
	}
	return c.read(c.o.Timeouts.Command)
}

// read reads one reply, all of it within d.
func (c *Conn) read(d time.Duration) (smtp.Reply, error) {
	c.raw.SetReadDeadline(time.Now().Add(d))
	r, err := smtp.ReadReply(c.in)
	if err == nil {
		c.last = r
	}
	return r, err
}

// Has says whether the server offers an extension, by its keyword in upper case.
func (c *Conn) Has(extension string) bool {
	_, ok := c.ext[extension]
	return ok
}

// Extensions are what the server offers: parameters by keyword in upper case.
// The map is c's.
func (c *Conn) Extensions() map[string]string { return c.ext }

// TLS is the state of the secured line, nil if it is in clear.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Clear says why the line is in clear although TLS was to be tried: a *Refusal
// or the handshake's error; nil if it is not, or TLS was not wanted.
func (c *Conn) Clear() error { return c.clear }

// Reset gives up a transaction (RSET). An error means that the connection is of
// no more use.
func (c *Conn) Reset(ctx context.Context) error {
	defer c.guard(ctx)()
	return c.reset()
}

func (c *Conn) reset() error {
	r, err := c.command("RSET")
	if err == nil && r.Code != 250 {
		err = fmt.Errorf("RSET: %s", r)
	}
	c.unclosed = c.unclosed && err != nil
	return fault.As(fault.Unavailable, "smtpc.Reset", err)
}

// Quit says QUIT, waits shortly for the answer, and closes.
func (c *Conn) Quit() error {
	c.o.Timeouts.Command = c.o.Timeouts.Quit
	_, err := c.command("QUIT")
	return errors.Join(err, c.nc.Close())
}

// Close cuts the connection.
func (c *Conn) Close() error { return c.raw.Close() }
