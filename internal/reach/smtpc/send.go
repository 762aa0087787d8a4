package smtpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// flight is how many recipients are sent before their answers are read. More
// could fill the buffers both ways, and both sides would wait (RFC 2920 §3.1).
const flight = 50

// lastWords is how long to listen for a reply after a write failed.
const lastWords = 2 * time.Second

// Send carries one message of size octets (0: unknown). An error means that the
// connection is of no more use; Result holds what was decided before. If content
// fails, is shorter or longer than size, or is not lines that end in CRLF, the
// connection is cut before the final dot, so that no part is ever taken for the
// whole, and the error says so: its kind is fault.Invalid where the content is
// to blame (*smtp.ContentError), fault.Corrupt where its reader is, and
// fault.Unavailable where the connection is.
func (c *Conn) Send(ctx context.Context, m Message, content io.Reader, size int64) (Result, error) {
	t := &transaction{Conn: c, m: m, size: size, whole: size, skip: make([]bool, len(m.To))}
	t.res.Rcpt = make([]smtp.Reply, len(m.To))
	if len(m.To) == 0 {
		return t.res, fault.New(fault.Invalid, "smtpc.Send", "a message without recipients")
	}
	content, err := t.converted(content)
	if err != nil {
		c.Close()
		return t.res, fault.As(fault.Corrupt, "smtpc.Send", err)
	}
	if r := t.impossible(content); !r.IsZero() {
		t.settle(r)
		return t.res, nil
	}
	content = t.prioritized(content)
	defer c.guard(ctx)()
	err = t.run(content)
	if err != nil {
		c.Close()
		if c.last.Code == 421 && !t.res.Unknown { // it told us that it closes (RFC 5321 §3.8)
			t.settle(c.last)
		}
		if ctx.Err() != nil {
			err = lost(ctx.Err())
		}
	}
	return t.res, err
}

// transaction is one message on its way.
type transaction struct {
	*Conn
	m    Message
	size int64 // of what is sent; 0: unknown
	utf8 bool  // SMTPUTF8 is said
	bdat bool  // the content goes by BDAT

	whole int64 // size of the content as it was given
	res   Result
	skip  []bool // recipients that are not sent, by our own refusal
	ok    int    // recipients that were taken
}

// settle gives r to every recipient that has no reply.
func (t *transaction) settle(r smtp.Reply) {
	for i := range t.res.Rcpt {
		if t.res.Rcpt[i].IsZero() {
			t.res.Rcpt[i] = r
		}
	}
}

// impossible is our own refusal of what this server cannot take. A recipient who
// alone is the obstacle is refused alone.
func (t *transaction) impossible(content io.Reader) smtp.Reply {
	o := &t.m.Options
	if limit, err := strconv.ParseInt(t.ext["SIZE"], 10, 64); err == nil && limit > 0 && t.size > limit { // RFC 1870 §5
		return smtp.Answer(552, smtp.Enhanced{5, 3, 4}, "The message has %d octets, the next server takes %d", t.size, limit)
	}
	if r := t.unkept(); !r.IsZero() {
		return r
	}
	has := t.Has("SMTPUTF8")
	t.utf8 = o.UTF8 || !t.m.From.IsASCII()
	if o.UTF8 && !has && t.m.From.IsASCII() && t.hasNarrowHeaders(content) {
		t.utf8 = false // it was said, and nothing needs it
	}
	if t.utf8 && !has { // RFC 6531 §3.2, §3.5
		return smtp.Answer(550, smtp.Enhanced{5, 6, 7}, "The message needs SMTPUTF8, which the next server does not have")
	}
	refused := 0
	for i, rcpt := range t.m.To {
		if rcpt.Address.IsASCII() {
			continue
		}
		if t.utf8 = true; !has {
			t.res.Rcpt[i] = smtp.Answer(553, smtp.Enhanced{5, 6, 7}, "The address needs SMTPUTF8, which the next server does not have")
			t.skip[i] = true
			refused++
		}
	}
	t.utf8 = t.utf8 && has
	if refused == len(t.m.To) {
		return t.res.Rcpt[0]
	}
	if o.EightBit && !t.Has("8BITMIME") {
		if !isSevenBit(content) { // RFC 6152 §3
			return smtp.Answer(554, smtp.Enhanced{5, 6, 3}, "The message needs 8BITMIME, which the next server does not have, and it cannot be converted")
		}
		o.EightBit = false
	}
	return smtp.Reply{}
}

// hasNarrowHeaders says whether all headers are ASCII: bodies that are not need
// 8BITMIME and no more.
func (t *transaction) hasNarrowHeaders(content io.Reader) bool {
	if isSevenBit(content) {
		return true
	}
	whole, ok := content.(io.ReaderAt)
	if !ok || t.size == 0 {
		return false
	}
	wide, err := message.WideHeaders(whole, t.size)
	t.m.Options.EightBit = t.m.Options.EightBit || !wide
	return !wide && err == nil
}

// isSevenBit looks whether content is ASCII, where it can be read twice.
func isSevenBit(content io.Reader) bool {
	s, ok := content.(io.ReadSeeker)
	if !ok {
		return false
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := s.Read(buf)
		for _, b := range buf[:n] {
			if b >= 0x80 {
				_, _ = s.Seek(0, io.SeekStart)
				return false
			}
		}
		if err != nil {
			_, again := s.Seek(0, io.SeekStart)
			return err == io.EOF && again == nil
		}
	}
}

// run is the conversation. What it returns is the end of the connection.
func (t *transaction) run(content io.Reader) error {
	if t.unclosed {
		if err := t.reset(); err != nil {
			return err
		}
	}
	t.unclosed = true
	t.count(t.m.To)
	if t.bdat = t.m.Demands.Binary || t.size > 0 && t.Has("CHUNKING"); t.bdat {
		return t.runChunk(content)
	}
	r, err := t.envelope()
	if err != nil {
		return lost(err)
	}
	switch {
	case t.ok == 0 && r.Code == 354:
		// Everything was refused, and yet it waits for content: an empty one
		// ends the matter (RFC 2920 §3.1).
		t.out.WriteString(".\r\n")
		if err := t.out.Flush(); err != nil {
			return lost(err)
		}
		_, err := t.read(t.o.Timeouts.DataEnd)
		return lost(err)
	case t.ok == 0:
		return nil
	case r.Code != 354 && r.OK():
		return lost(fmt.Errorf("%w: to DATA: %s", smtp.ErrReply, r))
	case r.Code != 354:
		t.settle(r)
		return nil
	}
	if err := t.content(content); err != nil {
		return err
	}
	return t.finish()
}

// runChunk sends a message by BDAT, in one chunk of its size (RFC 3030 §2). It is
// said only where somebody takes the message: a server that did not throw away
// the chunk of one that it refused would read it as commands.
func (t *transaction) runChunk(content io.Reader) error {
	if _, err := t.envelope(); err != nil {
		return lost(err)
	}
	if t.ok == 0 {
		return nil
	}
	fmt.Fprintf(t.out, "BDAT %d LAST\r\n", t.size)
	if err := t.chunk(content); err != nil {
		return err
	}
	return t.finish()
}

func lost(err error) error { return fault.As(fault.Unavailable, "smtpc.Send", err) }

// envelope sends MAIL, RCPT and DATA and gives DATA's answer; zero if DATA was
// not said. With PIPELINING they go in flights, DATA in the last (RFC 2920 §3.1).
// Where the content goes by BDAT, DATA is not said.
func (t *transaction) envelope() (smtp.Reply, error) {
	pipelining := t.Has("PIPELINING")
	t.out.WriteString(t.mailLine())
	refused := false // MAIL was
	if !pipelining {
		if err := t.mailAnswer(&refused); err != nil || refused {
			return smtp.Reply{}, err
		}
	}
	for from := 0; from < len(t.m.To) && !refused; {
		to := from + 1
		if pipelining {
			to = min(from+flight, len(t.m.To))
		}
		for i := from; i < to; i++ {
			if !t.skip[i] {
				t.out.WriteString(t.rcptLine(t.m.To[i]))
			}
		}
		last := pipelining && to == len(t.m.To) && !t.bdat
		if last {
			t.out.WriteString("DATA\r\n")
		}
		if pipelining && from == 0 {
			if err := t.mailAnswer(&refused); err != nil {
				return smtp.Reply{}, err
			}
		}
		if err := t.rcptAnswers(from, to, refused); err != nil {
			return smtp.Reply{}, err
		}
		if last {
			return t.read(t.o.Timeouts.DataInit)
		}
		from = to
	}
	if t.ok == 0 || t.bdat {
		return smtp.Reply{}, nil
	}
	t.out.WriteString("DATA\r\n")
	if err := t.out.Flush(); err != nil {
		return smtp.Reply{}, err
	}
	return t.read(t.o.Timeouts.DataInit)
}

// mailAnswer reads the answer to MAIL. If it is a refusal it is every
// recipient's.
func (t *transaction) mailAnswer(refused *bool) error {
	if err := t.out.Flush(); err != nil {
		return err
	}
	r, err := t.read(t.o.Timeouts.Command)
	if err != nil {
		return err
	}
	if r.Code/100 != 2 {
		if r.OK() {
			return fmt.Errorf("%w: to MAIL: %s", smtp.ErrReply, r)
		}
		*refused = true
		t.settle(r)
	}
	return nil
}

// rcptAnswers reads the answers to the recipients of one flight. Those that were
// refused have their reply; where MAIL was, it stays what it is. The others wait
// for the final dot.
func (t *transaction) rcptAnswers(from, to int, refused bool) error {
	if err := t.out.Flush(); err != nil {
		return err
	}
	for i := from; i < to; i++ {
		if t.skip[i] {
			continue
		}
		r, err := t.read(t.o.Timeouts.Command)
		switch {
		case err != nil:
			return err
		case refused:
		case r.Code/100 == 2:
			t.ok++
		case r.OK():
			return fmt.Errorf("%w: to RCPT: %s", smtp.ErrReply, r)
		default:
			t.res.Rcpt[i] = r
		}
	}
	return nil
}

func (t *transaction) mailLine() string {
	o, d := t.m.Options, t.m.Demands
	said := smtp.MailOptions{EightBit: o.EightBit && !d.Binary, Binary: d.Binary, UTF8: t.utf8}
	if t.Has("SIZE") {
		said.Size = t.size
	}
	if t.Has("DSN") { // RFC 3461 §5.2.1
		said.HeadersOnly, said.Full, said.EnvelopeID = o.HeadersOnly, d.Full && !o.HeadersOnly, o.EnvelopeID
	}
	if t.Has("DELIVERBY") { // RFC 2852 §4.1.4
		said.By = smtp.Remaining(d.By, time.Now())
	}
	if t.Has("MT-PRIORITY") { // RFC 6710 §4.2
		said.Priority, said.Prioritized = d.Priority, true
	}
	if t.Has("NO-SOLICITING") { // RFC 3865 §2.7
		said.Solicit = d.Solicit
	}
	said.RequireTLS = o.RequireTLS && t.Has("REQUIRETLS") && t.tls != nil // RFC 8689 §4.2.1
	return "MAIL FROM:<" + written(t.m.From, o.Quoted) + ">" + said.String() + "\r\n"
}

// written is a path in the form in which it came.
func written(a mail.Address, quoted bool) string {
	if quoted {
		return a.Strict()
	}
	return a.String()
}

func (t *transaction) rcptLine(r Recipient) string {
	s := "RCPT TO:<" + written(r.Address, r.Options.Quoted) + ">"
	if t.Has("DSN") {
		s += t.asked(r.Options).String()
	}
	return s + "\r\n"
}

// asked is what a recipient's sender wants to be told. To a server that does not
// know the deliver-by-time it is that the message is late, too (RFC 2852
// §4.1.4.2).
func (t *transaction) asked(o smtp.RcptOptions) smtp.RcptOptions {
	by := t.m.Demands.By
	if by.IsZero() || by.Return || t.Has("DELIVERBY") || o.Notify&mail.NotifyNever != 0 || by.Passed(time.Now()) {
		return o
	}
	if o.Notify == 0 {
		o.Notify = mail.NotifyFailure
	}
	o.Notify |= mail.NotifyDelay
	return o
}

// content streams the message and its final dot.
func (t *transaction) content(content io.Reader) error {
	w := smtp.NewDotWriter(t.out)
	room := int64(32 << 10)
	if t.size > 0 {
		room = min(room, t.size+1) // one more, to see that there is no more
	}
	buf := make([]byte, room)
	total := int64(0)
	for {
		n, err := content.Read(buf)
		total += int64(n)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return t.cut(werr)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fault.As(fault.Corrupt, "smtpc.Send", err)
		}
	}
	if t.size > 0 && total != t.size {
		return fault.As(fault.Corrupt, "smtpc.Send", fmt.Errorf("content of %d octets has %d", t.size, total))
	}
	if err := t.still(); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return t.cut(err)
	}
	if err := t.out.Flush(); err != nil {
		return t.cut(err)
	}
	return nil
}

var errTakenBack = errors.New("the message was taken back before its end")

// still asks the caller whether the message is to be ended, and so to be taken.
func (t *transaction) still() error {
	if t.m.Still != nil && !t.m.Still() {
		return lost(errTakenBack)
	}
	return nil
}

// chunk streams the message as one chunk. What is shorter or longer than it was
// said to be, or no lines where it should be, is cut off before anybody can take
// it for whole.
func (t *transaction) chunk(content io.Reader) error {
	buf := make([]byte, min(32<<10, t.size+1))
	lines := smtp.NewDotWriter(bufio.NewWriterSize(io.Discard, 16)) // for what it refuses
	for total := int64(0); ; {
		n, err := content.Read(buf)
		total += int64(n)
		ended := err == io.EOF
		if err != nil && !ended || total > t.size || ended && total < t.size {
			return fault.As(fault.Corrupt, "smtpc.Send", fmt.Errorf("content of %d octets, %d read: %w", t.size, total, err))
		}
		if total == t.size && !ended { // is there more?
			if n, _ := io.ReadFull(content, make([]byte, 1)); n > 0 {
				return fault.As(fault.Corrupt, "smtpc.Send", fmt.Errorf("content of %d octets has more", t.size))
			}
			ended = true
		}
		if !t.m.Demands.Binary {
			_, err = lines.Write(buf[:n])
			if err == nil && ended {
				err = lines.Close()
			}
			if err != nil {
				return t.cut(err)
			}
		}
		if ended {
			if err := t.still(); err != nil {
				return err
			}
		}
		if _, err := t.out.Write(buf[:n]); err != nil {
			return t.cut(err)
		}
		if ended {
			break
		}
	}
	if err := t.out.Flush(); err != nil {
		return t.cut(err)
	}
	return nil
}

// cut is content that did not get through. A server that gives up in the middle
// often says why before it closes.
func (t *transaction) cut(err error) error {
	var unfit *smtp.ContentError
	if errors.As(err, &unfit) {
		return fault.As(fault.Invalid, "smtpc.Send", err)
	}
	if r, rerr := t.read(lastWords); rerr == nil && !r.OK() {
		t.settle(r)
	}
	return lost(err)
}

// finish reads the answer to the final dot; in LMTP one for each recipient that
// was taken, in order (RFC 2033 §4.2).
func (t *transaction) finish() error {
	for i := range t.res.Rcpt {
		if !t.res.Rcpt[i].IsZero() {
			continue
		}
		r, err := t.read(t.o.Timeouts.DataEnd)
		if err == nil && r.Code/100 == 3 {
			err = fmt.Errorf("%w: to the final dot: %s", smtp.ErrReply, r)
		}
		if err != nil {
			t.res.Unknown = true
			return lost(err)
		}
		if !t.o.LMTP {
			t.settle(r)
			break
		}
		t.res.Rcpt[i] = r
	}
	t.unclosed = false
	return nil
}
