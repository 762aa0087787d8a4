package smtpd

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// discard takes everything and keeps nothing.
type discard struct{}

func (discard) Begin(context.Context, *mail.Peer, mail.Address, smtp.MailOptions) (Transaction, smtp.Reply) {
	return discard{}, smtp.Answer(250, smtp.Enhanced{2, 1, 0}, "Ok")
}
func (discard) Rcpt(context.Context, mail.Address, smtp.RcptOptions) smtp.Reply {
	return smtp.Answer(250, smtp.Enhanced{2, 1, 5}, "Ok")
}
func (discard) Data(_ context.Context, content io.Reader) []smtp.Reply {
	if _, err := io.Copy(io.Discard, content); err != nil {
		return nil
	}
	return []smtp.Reply{smtp.Answer(250, smtp.Enhanced{2, 0, 0}, "Ok")}
}
func (discard) Abort() {}

func recipient(local string) smtpc.Recipient {
	return smtpc.Recipient{Address: mail.Address{Local: local, Domain: "foo.example"}}
}

func roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(testTLS().Certificates[0].Leaf)
	return p
}

// TestClient sends with our own client to our own server, in every mode.
func TestClient(t *testing.T) {
	ctx := t.Context()
	from := mail.Address{Local: "alice", Domain: "example.org"}
	secured := smtpc.Options{Hostname: "client.example", TLS: smtpc.Required, ServerName: "mx.example.org", VerifyCA: true, RootCAs: roots()}
	with := func(change func(*smtpc.Options)) smtpc.Options {
		o := secured
		change(&o)
		return o
	}
	user := func(o *smtpc.Options) { o.User, o.Password = "alice@example.org", "secret" }
	for name, c := range map[string]struct {
		server Options
		client smtpc.Options
		lmtp   bool
	}{
		"relay in clear":    {Options{}, smtpc.Options{Hostname: "client.example"}, false},
		"relay, TLS":        {Options{TLS: testTLS()}, secured, false},
		"submission, SCRAM": {Options{Mode: Submission, TLS: testTLS()}, with(user), false},
		"submissions, PLAIN": {Options{Mode: Submission, TLS: testTLS(), ImplicitTLS: true},
			with(func(o *smtpc.Options) {
				o.TLS = smtpc.Implicit
				o.Auth = sasl.PlainClient("alice@example.org", "secret")
			}), false},
		"submission, LOGIN in clear": {Options{Mode: Submission, PlaintextAuth: true},
			smtpc.Options{Hostname: "client.example", Auth: sasl.LoginClient("alice@example.org", "secret")}, false},
		"LMTP": {Options{Mode: LMTP}, smtpc.Options{Hostname: "client.example", LMTP: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := &recorder{}
			c.server.Hostname, c.server.Handler = "mx.example.org", h
			if c.server.Mode == Submission {
				c.server.Auth = newLogin(t)
			}
			conn, err := smtpc.Dial(ctx, overTCP(t, c.server), c.client)
			if err != nil {
				t.Fatal(err)
			}
			m := smtpc.Message{From: from, Options: smtp.MailOptions{EightBit: true},
				To: []smtpc.Recipient{recipient("b"), recipient("unknown"), recipient("late")}}
			content := ".dot\r\n..\r\ncaf\xc3\xa9\r\n.\r\n"
			for range 2 { // one connection, several messages
				res, err := conn.Send(ctx, m, strings.NewReader(content), int64(len(content)))
				if err != nil {
					t.Fatal(err)
				}
				want := "250 2.0.0 Accepted|550 5.1.1 No such recipient here|250 2.0.0 Accepted"
				if c.lmtp {
					want = "250 2.0.0 Accepted|550 5.1.1 No such recipient here|452 4.2.2 Full after all"
				}
				if got := replies(res); got != want || res.Unknown {
					t.Errorf("%s", got)
				}
				if noted := h.take(); !strings.HasSuffix(noted, `content ".dot\r\n..\r\ncafé\r\n.\r\n"`) || !strings.Contains(noted, "BODY=8BITMIME") {
					t.Errorf("%s", noted)
				}
			}
			nobody := smtpc.Message{From: from, To: []smtpc.Recipient{recipient("unknown"), recipient("full")}}
			res, err := conn.Send(ctx, nobody, strings.NewReader(content), 0)
			if err != nil || replies(res) != "550 5.1.1 No such recipient here|452 4.2.2 The mailbox is full" {
				t.Errorf("%s, %v", replies(res), err)
			}
			if res, err = conn.Send(ctx, m, strings.NewReader(content), 0); err != nil || !res.Rcpt[0].OK() {
				t.Errorf("after it: %s, %v", replies(res), err)
			}
			if err := conn.Quit(); err != nil {
				t.Error(err)
			}
		})
	}
}

func replies(r smtpc.Result) string {
	var all []string
	for _, x := range r.Rcpt {
		all = append(all, x.String())
	}
	return strings.Join(all, "|")
}

// TestClientRefused: a login that fails and a certificate that is not good.
func TestClientRefused(t *testing.T) {
	ctx := t.Context()
	addr := overTCP(t, Options{Hostname: "mx.example.org", Mode: Submission, TLS: testTLS(), Auth: newLogin(t), Handler: discard{}})
	_, err := smtpc.Dial(ctx, addr, smtpc.Options{Hostname: "c.example", TLS: smtpc.Required, User: "alice@example.org", Password: "wrong"})
	var refused *smtpc.Refusal
	if !errors.As(err, &refused) || refused.Command != "AUTH" || refused.Reply.Code != 535 || refused.Local {
		t.Errorf("a wrong password: %v", err)
	}
	_, err = smtpc.Dial(ctx, addr, smtpc.Options{Hostname: "c.example", TLS: smtpc.Required, VerifyCA: true, ServerName: "mx.example.org"})
	if err == nil || errors.As(err, &refused) && refused.Command != "AUTH" {
		t.Errorf("an unknown CA: %v", err)
	}
	_, err = smtpc.Dial(ctx, addr, smtpc.Options{Hostname: "c.example", TLS: smtpc.Required, VerifyCA: true, RootCAs: roots(), ServerName: "other.example"})
	if err == nil {
		t.Error("a certificate of another name")
	}
}

// TestCutContent: a reader that fails in the middle never makes a message.
func TestCutContent(t *testing.T) {
	h := &recorder{}
	addr := overTCP(t, Options{Hostname: "mx.example.org", Handler: h})
	broken := errors.New("the disk is gone")
	for name, c := range map[string]struct {
		content io.Reader
		size    int64
	}{
		"a reader that fails":      {io.MultiReader(strings.NewReader("text\r\n"), failing{broken}), 0},
		"shorter than it says":     {strings.NewReader("text\r\n"), 100},
		"longer than it says":      {strings.NewReader("text\r\ntext\r\n"), 6},
		"lines that do not end":    {strings.NewReader("te\nxt\r\n"), 0},
		"a final dot in a bare LF": {strings.NewReader("te\r\n.\n"), 0},
	} {
		conn, err := smtpc.Dial(t.Context(), addr, smtpc.Options{Hostname: "c.example"})
		if err != nil {
			t.Fatal(err)
		}
		res, err := conn.Send(t.Context(), smtpc.Message{From: mail.Address{}, To: []smtpc.Recipient{recipient("b")}}, c.content, c.size)
		if err == nil || res.Unknown || !res.Rcpt[0].IsZero() {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
		if _, err := conn.Send(t.Context(), smtpc.Message{To: []smtpc.Recipient{recipient("b")}}, strings.NewReader(""), 0); err == nil {
			t.Errorf("%s: the connection lives on", name)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lines {
		if strings.HasPrefix(l, "content") {
			t.Errorf("taken: %s", l)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// BenchmarkMessage is one 4 KiB message through a session, over loopback, the
// client pipelining as ours does.
func BenchmarkMessage(b *testing.B) {
	addr := overTCP(b, Options{Hostname: "mx.example.org", Handler: discard{}, NoLimits: true})
	conn, err := smtpc.Dial(b.Context(), addr, smtpc.Options{Hostname: "c.example"})
	if err != nil {
		b.Fatal(err)
	}
	content := strings.Repeat(strings.Repeat("abcdefg ", 8)+"\r\n", 62)
	m := smtpc.Message{From: mail.Address{Local: "a", Domain: "b.example"}, To: []smtpc.Recipient{recipient("b")}}
	r := strings.NewReader(content)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(content)
		if res, err := conn.Send(b.Context(), m, r, int64(len(content))); err != nil || !res.Rcpt[0].OK() {
			b.Fatal(res, err)
		}
	}
	b.StopTimer()
	if err := conn.Quit(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSession is the same message through a session alone, in memory: a
// transaction a packet, as a loader sends them.
func BenchmarkSession(b *testing.B) {
	run := start(New(Options{Hostname: "mx", Handler: discard{}, NoLimits: true}))
	c := run.l.dial("127.0.0.1:1")
	x := &client{c, c}
	x.tell("EHLO x\r\n")
	content := strings.Repeat(strings.Repeat("abcdefg ", 8)+"\r\n", 62)
	message := []byte("MAIL FROM:<a@b.example>\r\nRCPT TO:<b@foo.example>\r\nDATA\r\n" + content + ".\r\n")
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Write(message)
		c.quiet()
		if n, _ := c.Read(buf); n < 80 {
			b.Fatalf("%q", buf[:n])
		}
	}
	b.StopTimer()
	c.Close()
	if err := run.stop(); err != nil {
		b.Fatal(err)
	}
}
