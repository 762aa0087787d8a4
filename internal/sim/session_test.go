package sim

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/line"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// session is one connection as a host of the world sees it.
type session struct {
	site *site
	host *host
	conn *conn
	nc   net.Conn // conn, or TLS over it
	in   *line.Reader
	life int // of ours, in which it was made
	mood mood
	born time.Time

	secured bool // by TLS
	bad     bool // with another's certificate
	count   int  // transactions

	mail smtp.Command
	to   []mail.Address
	data *smtp.ChunkReader
	body bytes.Buffer
}

// patience is how long hosts wait for the next command.
func (s *site) patience() time.Duration {
	return []time.Duration{3 * time.Second, 40 * time.Second, 5 * time.Minute}[s.number%3]
}

// draw is the mood as one connection meets it.
func (s *site) draw() mood {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mood.chance > 0 && s.rnd.Float64() >= s.mood.chance {
		return mood{}
	}
	return s.mood
}

func (v *session) serve() {
	defer v.conn.Close()
	v.mood, v.nc = v.site.draw(), v.conn
	v.in = line.NewReader(reader{v})
	if v.mood.cut == atBanner {
		v.conn.cut()
		return
	}
	time.Sleep(path + v.mood.pause)
	if v.mood.greet != "" {
		v.say(v.mood.greet)
		_, _ = v.in.ReadLine(smtp.MaxCommandLine)
		return
	}
	v.say("220 " + v.host.name + " ready")
	for {
		flight := v.in.Buffered() > 0
		_ = v.conn.SetReadDeadline(time.Now().Add(v.site.patience()))
		text, err := v.in.ReadLine(smtp.MaxCommandLine)
		if err != nil {
			var slow net.Error
			if errors.As(err, &slow) && slow.Timeout() {
				v.say("421 4.4.2 you are too slow")
			}
			return
		}
		v.site.hear(v, string(text))
		if !flight {
			time.Sleep(path)
		}
		time.Sleep(v.mood.pause)
		if !v.obey(string(text)) {
			return
		}
	}
}

// reader reads over whatever the line has become.
type reader struct{ *session }

func (r reader) Read(p []byte) (int, error) { return r.nc.Read(p) }

func (v *session) say(s string) bool {
	_, err := io.WriteString(v.nc, s+"\r\n")
	return err == nil
}

// offers is what EHLO lists.
func (v *session) offers() (x smtp.Extensions) {
	if v.mood.bare || v.mood.plain {
		return x
	}
	old := v.site.number%5 == 0
	x = smtp.Extensions{Size: true, EightBit: !old, UTF8: v.site.number%3 == 0, DSN: v.site.number%2 == 0}
	x.TLS = v.site.secure > clear && !v.mood.noTLS
	x.RequireTLS = x.TLS && v.secured && v.site.secure == requiring
	x.DeliverBy, x.Priority = v.site.number%7 == 0, v.site.number%4 == 0
	return x
}

func (v *session) ehlo() string {
	x := v.offers()
	words := []string{v.host.name}
	for word, is := range map[string]bool{
		"SIZE 1000000": x.Size, "8BITMIME": x.EightBit, "SMTPUTF8": x.UTF8, "DSN": x.DSN, "STARTTLS": x.TLS && !v.secured, "REQUIRETLS": x.RequireTLS,
		"DELIVERBY": x.DeliverBy, "MT-PRIORITY": x.Priority, "PIPELINING": v.site.number%10 > 0 && x.Size, "CHUNKING": v.chunks(),
	} {
		if is {
			words = append(words, word)
		}
	}
	var b strings.Builder
	for i, word := range words {
		mark := "-"
		if i == len(words)-1 {
			mark = " "
		}
		b.WriteString("250" + mark + word)
		if mark == "-" {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

func (v *session) chunks() bool { return v.site.number%6 == 1 && !v.mood.bare && !v.mood.plain }

// obey does what a line says, and says whether the session goes on.
func (v *session) obey(text string) bool {
	c, reply := smtp.ParseCommand([]byte(text), v.offers())
	if !reply.IsZero() {
		v.site.w.book.wrong("%s was told %q, and does not understand it: %s", v.host.name, text, reply)
		return v.say(reply.String())
	}
	if v.mood.cut == atMail && (c.Verb == smtp.Mail || c.Verb == smtp.Rcpt) {
		v.conn.cut()
		return false
	}
	switch c.Verb {
	case smtp.Ehlo:
		if v.mood.plain {
			return v.say("502 5.5.1 what?")
		}
		return v.say(v.ehlo())
	case smtp.Helo, smtp.Noop, smtp.Rset:
		v.to, v.mail, v.data = nil, smtp.Command{}, nil
		return v.say("250 2.0.0 fine")
	case smtp.Quit:
		if v.site.number%4 == 0 { // it takes leave slowly
			time.Sleep(2 * time.Second)
		}
		v.conn.gone() // who hears the answer may open another at once
		v.say("221 2.0.0 bye")
		return false
	case smtp.StartTLS:
		return v.start()
	case smtp.Mail:
		return v.begin(c)
	case smtp.Rcpt:
		r := v.rcpt(c)
		if r == "" {
			v.to, r = append(v.to, c.Path), "250 2.1.5 fine"
		}
		return v.say(r)
	case smtp.Data, smtp.Bdat:
		return v.content(c)
	}
	return v.say("502 5.5.1 not here")
}

func (v *session) start() bool {
	if v.mood.noStart {
		return v.say("454 4.7.0 TLS is not available")
	}
	if !v.say("220 2.0.0 go") {
		return false
	}
	t := tls.Server(v.conn, ring().config(v.site, v.mood.badCert, v.site.number))
	_ = v.conn.SetReadDeadline(time.Now().Add(time.Minute))
	if err := t.Handshake(); err != nil {
		return false
	}
	v.nc, v.secured, v.bad = t, true, v.mood.badCert
	v.in.Reset(reader{v})
	return true
}

func (v *session) begin(c smtp.Command) bool {
	v.site.mu.Lock()
	v.count++
	v.site.peeks++
	v.site.mu.Unlock()
	if r := v.site.rule; r != nil && v.count > r.PerConnection {
		v.site.w.book.wrong("%s is given %d messages over one connection, %d are allowed", v.site.name, v.count, r.PerConnection)
	}
	v.mail, v.to, v.data = smtp.Command{}, nil, nil
	v.body.Reset()
	switch m := v.mood; {
	case m.lines > 0 && v.count > m.lines:
		v.say("421 4.7.0 enough over this connection")
		return false
	case m.mail != "":
		v.say(m.mail)
		return m.mail[:3] != "421"
	}
	v.mail = c
	return v.say("250 2.1.0 fine")
}

// rcpt is the answer to RCPT; "" is yes.
func (v *session) rcpt(c smtp.Command) string {
	m := v.mood
	switch {
	case v.mail.Verb != smtp.Mail:
		return "503 5.5.1 from whom?"
	case m.rcpt != "":
		return m.rcpt
	case strings.HasPrefix(c.Path.Local, "nobody"):
		return "550 5.1.1 no such user here"
	case strings.HasPrefix(c.Path.Local, "full"):
		return "452 4.2.2 mailbox full"
	case m.some != "" && odd(c.Path.Local):
		return m.some
	case m.grey > 0 && v.site.isNew(v.mail.Path.String()+" "+c.Path.String(), m.grey):
		return "450 4.2.0 greylisted, come back"
	}
	return ""
}

func odd(s string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()%2 == 1
}

func (s *site) isNew(who string, wait time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, known := s.grey[who]
	if !known {
		s.grey[who] = time.Now()
	}
	return !known || time.Since(first) < wait
}

// content reads a message, by DATA or BDAT.
func (v *session) content(c smtp.Command) bool {
	if len(v.to) == 0 {
		if c.Verb == smtp.Bdat {
			_ = v.in.Discard(c.Size)
		}
		return v.say("503 5.5.1 nobody to send it to")
	}
	var src io.Reader
	if c.Verb == smtp.Data {
		if !v.say("354 go on") {
			return false
		}
		src = smtp.NewDataReader(v.in, 0)
	} else {
		if v.data == nil {
			v.data = smtp.NewChunkReader(v.in, 0)
		}
		v.data.Begin(c.Size, c.Last)
		src = v.data
	}
	_ = v.conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
	if v.mood.cut == inContent {
		_, _ = io.CopyN(&v.body, src, 10)
		v.conn.cut()
		return false
	}
	if _, err := io.Copy(&v.body, src); err != nil {
		if errors.Is(err, smtp.ErrNextChunk) {
			return v.say("250 2.0.0 so far")
		}
		var unfit *smtp.ContentError
		if errors.As(err, &unfit) {
			v.site.w.book.wrong("%s was sent content that is unfit: %v", v.host.name, err)
		}
		return false
	}
	return v.dot()
}

// dot decides about a whole message.
func (v *session) dot() bool {
	m := v.mood
	time.Sleep(path)
	switch {
	case m.cut == beforeTake:
		v.conn.cut()
		return false
	case m.dot != "":
		v.say(m.dot)
		return m.dot[:3] != "421"
	case m.rate > 0 && v.site.over(&v.site.last, m.rate):
		return v.say("451 4.7.0 try later: rate limit exceeded")
	}
	taken := v.site.w.book.take(v)
	if m.cut == behindDot {
		v.conn.cut()
		return false
	}
	time.Sleep(m.late)
	if !v.say(fmt.Sprintf("250 2.0.0 taken by %s", v.site.name)) {
		return false
	}
	v.site.w.book.answered(taken)
	v.to, v.mail, v.data = nil, smtp.Command{}, nil
	return true
}

// window is when messages came within the last minute.
type window []time.Time

// over counts a message, and says whether more came within a minute than bound.
func (s *site) over(w *window, bound int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for len(*w) > 0 && now.Sub((*w)[0]) >= time.Minute {
		*w = (*w)[1:]
	}
	if len(*w) >= bound {
		return true
	}
	*w = append(*w, now)
	return false
}
