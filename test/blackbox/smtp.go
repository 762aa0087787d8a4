package blackbox

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// patience is how long a client waits for a server's next word.
const patience = 30 * time.Second

// Wire is a line protocol seen from the client, without any cleverness: what
// is written goes out as it is.
type Wire struct {
	net.Conn
	R *bufio.Reader
}

// Dial connects; with a configuration it speaks TLS at once.
func Dial(addr string, c *tls.Config) (*Wire, error) {
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	w := &Wire{nc, bufio.NewReaderSize(nc, 64<<10)}
	if c != nil {
		return w, w.StartTLS(c)
	}
	return w, nil
}

// StartTLS makes the handshake on an open connection.
func (w *Wire) StartTLS(c *tls.Config) error {
	t := tls.Client(w.Conn, c)
	_ = w.SetDeadline(time.Now().Add(patience))
	if err := t.Handshake(); err != nil {
		return err
	}
	w.Conn, w.R = t, bufio.NewReaderSize(t, 64<<10)
	return nil
}

// Send writes octets.
func (w *Wire) Send(s string) error {
	_ = w.SetDeadline(time.Now().Add(patience))
	_, err := w.Write([]byte(s))
	return err
}

// Line reads one line, without its end.
func (w *Wire) Line() (string, error) {
	_ = w.SetReadDeadline(time.Now().Add(patience))
	s, err := w.R.ReadString('\n')
	return strings.TrimRight(s, "\r\n"), err
}

// SMTP is a client of one SMTP connection.
type SMTP struct{ *Wire }

// DialSMTP connects, reads the greeting and says EHLO.
func DialSMTP(addr string, c *tls.Config) (*SMTP, error) {
	w, err := Dial(addr, c)
	if err != nil {
		return nil, err
	}
	s := &SMTP{w}
	if err = s.want(220, ""); err == nil {
		err = s.want(250, "EHLO client.example\r\n")
	}
	if err != nil {
		_ = w.Close()
	}
	return s, err
}

// Reply reads a whole reply.
func (s *SMTP) Reply() (code int, text string, err error) {
	var all []string
	for {
		l, err := s.Line()
		if err != nil {
			return 0, strings.Join(all, "\n"), err
		}
		if len(l) < 3 {
			return 0, l, fmt.Errorf("not a reply: %q", l)
		}
		all = append(all, l)
		if len(l) == 3 || l[3] == ' ' {
			code, err = strconv.Atoi(l[:3])
			return code, strings.Join(all, "\n"), err
		}
	}
}

// Do sends one command and reads its reply.
func (s *SMTP) Do(command string) (int, string, error) {
	if err := s.Send(command + "\r\n"); err != nil {
		return 0, "", err
	}
	return s.Reply()
}

// want sends octets and expects a code.
func (s *SMTP) want(code int, send string) error {
	if send != "" {
		if err := s.Send(send); err != nil {
			return err
		}
	}
	got, text, err := s.Reply()
	if err == nil && got != code {
		err = fmt.Errorf("after %q: %s", send, text)
	}
	return err
}

// Login is AUTH PLAIN.
func (s *SMTP) Login(user, password string) error {
	return s.want(235, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))+"\r\n")
}

// Mail is one whole transaction. The content must be lines with CRLF; it is
// dot-stuffed here.
func (s *SMTP) Mail(from string, to []string, content []byte) error {
	if err := s.want(250, "MAIL FROM:<"+from+">\r\n"); err != nil {
		return err
	}
	for _, r := range to {
		if err := s.want(250, "RCPT TO:<"+r+">\r\n"); err != nil {
			_, _, _ = s.Do("RSET")
			return err
		}
	}
	if err := s.want(354, "DATA\r\n"); err != nil {
		return err
	}
	return s.want(250, string(Stuff(content))+".\r\n")
}

// Quit ends the connection.
func (s *SMTP) Quit() {
	_, _, _ = s.Do("QUIT")
	_ = s.Close()
}

// Stuff makes content transparent for DATA (RFC 5321 §4.5.2).
func Stuff(content []byte) []byte {
	out := bytes.ReplaceAll(content, []byte("\r\n."), []byte("\r\n.."))
	if bytes.HasPrefix(out, []byte(".")) {
		out = append([]byte("."), out...)
	}
	return out
}

// CRLF gives every line its CRLF and takes NUL out, as a mail program does
// before it sends.
func CRLF(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte{0}, nil)
	if len(b) > 0 && b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}
