package blackbox

import (
	"crypto/tls"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// IMAP is a client of one IMAP connection.
type IMAP struct {
	*Wire
	tag int
}

// Response is one untagged response: its text with each literal replaced by
// {n}, and the literals in order.
type Response struct {
	Text     string
	Literals [][]byte
}

// DialIMAP connects and logs in.
func DialIMAP(addr string, c *tls.Config, user, password string) (*IMAP, error) {
	w, err := Dial(addr, c)
	if err != nil {
		return nil, err
	}
	i := &IMAP{Wire: w}
	if l, err := i.Line(); err != nil || !strings.HasPrefix(l, "* OK") {
		_ = w.Close()
		return nil, fmt.Errorf("greeting %q: %w", l, err)
	}
	if _, err := i.Do(fmt.Sprintf("LOGIN %q %q", user, password)); err != nil {
		_ = w.Close()
		return nil, err
	}
	return i, nil
}

var literalEnd = regexp.MustCompile(`\{(\d+)\}$`)

// response reads one response with its literals.
func (i *IMAP) response() (Response, error) {
	var r Response
	for {
		l, err := i.Line()
		if err != nil {
			return r, err
		}
		r.Text += l
		m := literalEnd.FindStringSubmatch(l)
		if m == nil {
			return r, nil
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return r, err
		}
		b := make([]byte, n)
		_ = i.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(i.R, b); err != nil {
			return r, err
		}
		r.Literals = append(r.Literals, b)
	}
}

// Do runs a command and gives the untagged responses; anything but OK is an
// error.
func (i *IMAP) Do(command string) ([]Response, error) {
	i.tag++
	tag := fmt.Sprintf("a%d", i.tag)
	if err := i.Send(tag + " " + command + "\r\n"); err != nil {
		return nil, err
	}
	return i.finish(tag, command)
}

// finish reads up to the tagged response.
func (i *IMAP) finish(tag, command string) ([]Response, error) {
	var all []Response
	for {
		r, err := i.response()
		if err != nil {
			return all, fmt.Errorf("%.80s: %w", command, err)
		}
		if rest, ok := strings.CutPrefix(r.Text, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") {
				return all, fmt.Errorf("%.80s: %s", command, rest)
			}
			return append(all, r), nil
		}
		all = append(all, r)
	}
}

// Append puts a message into a mailbox.
func (i *IMAP) Append(box, flags string, content []byte) error {
	i.tag++
	tag := fmt.Sprintf("a%d", i.tag)
	if err := i.Send(fmt.Sprintf("%s APPEND %q (%s) {%d}\r\n", tag, box, flags, len(content))); err != nil {
		return err
	}
	if r, err := i.response(); err != nil || !strings.HasPrefix(r.Text, "+") {
		return fmt.Errorf("APPEND: %q, %w", r.Text, err)
	}
	if err := i.Send(string(content) + "\r\n"); err != nil {
		return err
	}
	_, err := i.finish(tag, "APPEND")
	return err
}

var exists = regexp.MustCompile(`^\* (\d+) EXISTS$`)

// Select opens a mailbox and gives its number of messages.
func (i *IMAP) Select(box string) (int, error) {
	all, err := i.Do(fmt.Sprintf("SELECT %q", box))
	n := 0
	for _, r := range all {
		if m := exists.FindStringSubmatch(r.Text); m != nil {
			n, _ = strconv.Atoi(m[1])
		}
	}
	return n, err
}

// Bodies fetches all messages of the open mailbox whole, in order.
func (i *IMAP) Bodies() ([][]byte, error) {
	all, err := i.Do("FETCH 1:* BODY.PEEK[]")
	var bodies [][]byte
	for _, r := range all {
		if strings.Contains(r.Text, " FETCH ") && len(r.Literals) == 1 {
			bodies = append(bodies, r.Literals[0])
		}
	}
	return bodies, err
}

// Logout ends the connection.
func (i *IMAP) Logout() {
	_, _ = i.Do("LOGOUT")
	_ = i.Close()
}

// Messages logs in by IMAPS and gives all messages of a mailbox.
func (s *Server) Messages(local, box string) [][]byte {
	s.t.Helper()
	i, err := DialIMAP(s.Addr("imaps"), s.TLS(), s.Address(local), Password)
	if err != nil {
		s.t.Fatal(err)
	}
	defer i.Logout()
	n, err := i.Select(box)
	if err != nil {
		s.t.Fatal(err)
	}
	if n == 0 {
		return nil
	}
	bodies, err := i.Bodies()
	if err != nil || len(bodies) != n {
		s.t.Fatalf("FETCH gave %d of %d messages: %v", len(bodies), n, err)
	}
	return bodies
}

// WaitFor waits until a message with the given text in it is in a mailbox, and
// gives it. It stays logged in meanwhile.
func (s *Server) WaitFor(local, box, text string, d time.Duration) []byte {
	s.t.Helper()
	i, err := DialIMAP(s.Addr("imaps"), s.TLS(), s.Address(local), Password)
	if err != nil {
		s.t.Fatal(err)
	}
	defer i.Logout()
	last := -1
	for end := time.Now().Add(d); ; time.Sleep(50 * time.Millisecond) {
		n, err := i.Select(box)
		if err != nil {
			s.t.Fatal(err)
		}
		if n != last && n > 0 {
			bodies, err := i.Bodies()
			if err != nil {
				s.t.Fatal(err)
			}
			for _, b := range bodies {
				if strings.Contains(string(b), text) {
					return b
				}
			}
		}
		last = n
		if time.Now().After(end) {
			s.t.Fatalf("not after %v: a message with %q in %s of %s, which has %d", d, text, box, s.Address(local), n)
		}
	}
}
