package smtpc

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// unkept is our own refusal of a message whose sender demands what this server
// does not promise to keep.
func (t *transaction) unkept() smtp.Reply {
	d, needs := t.m.Demands, t.m.Options.RequireTLS && !t.m.From.IsNull() // a report goes all the same (RFC 8689 §5)
	switch {
	case needs && t.tls == nil: // RFC 8689 §4.2.1
		return smtp.Answer(550, smtp.Enhanced{5, 7, 10}, "The message must go over TLS, which the next server does not speak")
	case needs && !t.Has("REQUIRETLS"):
		return smtp.Answer(550, smtp.Enhanced{5, 7, 30}, "The message must go over TLS all the way, which the next server does not promise (REQUIRETLS)")
	case d.Binary && (t.size == 0 || !t.Has("BINARYMIME") || !t.Has("CHUNKING")): // RFC 3030 §3
		return smtp.Answer(554, smtp.Enhanced{5, 6, 1}, "The message is binary, and the next server does not have BINARYMIME")
	case d.By.Return && !t.Has("DELIVERBY"): // RFC 2852 §4.1.4.1
		return smtp.Answer(550, smtp.Enhanced{5, 3, 3}, "The message must be delivered in time or returned, which the next server does not promise (DELIVERBY)")
	case d.By.Return && time.Until(d.By.At) < time.Duration(max(1, smtp.MinBy(t.ext["DELIVERBY"])))*time.Second:
		return smtp.Answer(550, smtp.Enhanced{5, 4, 7}, "The message must be delivered sooner than the next server can promise")
	}
	if no := smtp.Unsolicited(d.Solicit, strings.Split(t.ext["NO-SOLICITING"], ",")); no != "" { // RFC 3865 §2.7
		return smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "The next server does not want mail of this kind: SOLICIT=%s", no)
	}
	return smtp.Reply{}
}

// converted is the content as a server takes it: lines, of a binary message,
// where it does not know BINARYMIME (RFC 3030 §3), and lines of ASCII where it
// does not know 8BITMIME (RFC 6152 §3). What cannot become that, and content that
// cannot be read twice, stays as it is.
func (t *transaction) converted(content io.Reader) (io.Reader, error) {
	whole, ok := content.(io.ReaderAt)
	binary := t.m.Demands.Binary && !(t.Has("BINARYMIME") && t.Has("CHUNKING"))
	wide := t.m.Options.EightBit || t.m.Options.UTF8 && !t.Has("SMTPUTF8") // its bodies may be
	narrow := (wide || binary) && !t.Has("8BITMIME")
	convert := message.Textual
	if narrow {
		convert = message.SevenBit
	}
	if !ok || t.size == 0 || !binary && !narrow {
		return content, nil
	}
	text, size, err := convert(whole, t.size)
	if errors.Is(err, message.ErrNotSevenBit) {
		return content, nil
	}
	if err != nil {
		return nil, err
	}
	t.size, t.m.Demands.Binary, t.m.Options.EightBit = size, false, !narrow
	return &again{Reader: text, open: func() (io.Reader, error) {
		r, _, err := convert(whole, t.whole)
		return r, err
	}}, nil
}

// again is a reader that can begin again.
type again struct {
	io.Reader
	open func() (io.Reader, error)
}

// Seek goes to the beginning, wherever it is told to go.
func (a *again) Seek(int64, int) (n int64, err error) {
	a.Reader, err = a.open()
	return 0, err
}

// Limits are what the server says it takes (RFC 9422); zero fields are not said.
// What its last EHLO said counts.
func (c *Conn) Limits() smtp.Limits { return smtp.ParseLimits(c.ext["LIMITS"]) }

// Room says how many of the recipients, from the first on, one transaction may
// carry now by the server's Limits; none if the session is used up.
func (c *Conn) Room(to []Recipient) int {
	l := c.Limits()
	if l.Mails > 0 && c.mails >= l.Mails {
		return 0
	}
	if l.Rcpts > 0 {
		to = to[:min(len(to), l.Rcpts)]
	}
	if l.Domains == 0 {
		return len(to)
	}
	fresh := map[mail.Domain]bool{}
	for i, r := range to {
		if d := r.Address.Domain; !c.domains[d] && !fresh[d] {
			if len(c.domains)+len(fresh) >= l.Domains {
				return i
			}
			fresh[d] = true
		}
	}
	return len(to)
}

// count notes what goes into a transaction, for Room.
func (c *Conn) count(to []Recipient) {
	c.mails++
	if c.Limits().Domains == 0 {
		return
	}
	for _, r := range to {
		if c.domains == nil {
			c.domains = map[mail.Domain]bool{}
		}
		c.domains[r.Address.Domain] = true
	}
}

// prioritized is the content as a server has it that does not know MT-PRIORITY:
// the priority stands in the header, in place of what was there (RFC 6758 §3.3).
// Content of which no size is known, or that cannot be read twice, stays as it is.
func (t *transaction) prioritized(content io.Reader) io.Reader {
	whole, ok := content.(io.ReaderAt)
	if !ok || t.size == 0 || !t.m.Demands.Prioritized || t.Has("MT-PRIORITY") {
		return content
	}
	var head message.HeaderScanner
	r, buf := io.NewSectionReader(whole, 0, t.size), make([]byte, 16<<10)
	for !head.Done() && !head.TooLong() {
		n, err := r.Read(buf)
		_, _ = head.Write(buf[:n])
		if err != nil {
			break // who sends the content will see it too
		}
	}
	field := fmt.Sprintf("MT-Priority: %d\r\n", t.m.Demands.Priority)
	rest, left := message.Without(whole, t.size, head.Header().Spans("MT-Priority"))
	t.size = left + int64(len(field))
	return io.MultiReader(strings.NewReader(field), rest)
}
