package blackbox

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"time"
)

// POP3 is a client of one POP3 connection.
type POP3 struct{ *Wire }

// DialPOP3 connects and logs in.
func DialPOP3(addr string, c *tls.Config, user, password string) (*POP3, error) {
	w, err := Dial(addr, c)
	if err != nil {
		return nil, err
	}
	p := &POP3{w}
	_, err = p.status()
	for _, command := range []string{"USER " + user, "PASS " + password} {
		if err == nil {
			_, err = p.Do(command)
		}
	}
	if err != nil {
		_ = w.Close()
	}
	return p, err
}

func (p *POP3) status() (string, error) {
	l, err := p.Line()
	if err == nil && !strings.HasPrefix(l, "+OK") {
		err = fmt.Errorf("POP3: %s", l)
	}
	return l, err
}

// Do sends a command and reads its one-line answer.
func (p *POP3) Do(command string) (string, error) {
	if err := p.Send(command + "\r\n"); err != nil {
		return "", err
	}
	return p.status()
}

// Multi sends a command and reads a multi-line answer, unstuffed.
func (p *POP3) Multi(command string) ([]byte, error) {
	if _, err := p.Do(command); err != nil {
		return nil, err
	}
	var body bytes.Buffer
	for {
		_ = p.SetReadDeadline(time.Now().Add(patience))
		l, err := p.R.ReadBytes('\n')
		switch {
		case err != nil:
			return nil, err
		case string(l) == ".\r\n":
			return body.Bytes(), nil
		case l[0] == '.':
			l = l[1:]
		}
		body.Write(l)
	}
}

// Quit ends the session; only now the marked messages go.
func (p *POP3) Quit() error {
	_, err := p.Do("QUIT")
	_ = p.Close()
	return err
}
