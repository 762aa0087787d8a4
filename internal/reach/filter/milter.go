package filter

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/milter"
)

// MilterOptions say where a milter is.
type MilterOptions struct {
	Network, Address string        // for net.Dial
	Timeout          time.Duration // for the connection, and for each answer; "progress" begins it anew
}

// Milter is a program that speaks the milter protocol. It hears of a message
// command by command, and sees what those before it have changed.
type Milter struct {
	o       MilterOptions
	buffers sync.Pool // of *[milter.MaxChunk]byte
}

// NewMilter makes a Milter.
func NewMilter(o MilterOptions) *Milter {
	return &Milter{o: o, buffers: sync.Pool{New: func() any { return new([milter.MaxChunk]byte) }}}
}

// Talk is what a milter and we say about one message. One goroutine has it, and
// must Close it.
type Talk struct {
	m       *Milter
	conn    net.Conn
	in      *bufio.Reader
	packet  []byte // what was read last
	out     []byte // what is to be written
	options milter.Options
	over    bool // nothing more is asked: opinion is the whole
	opinion Opinion
	added   int // octets of header
	body    io.Writer
}

// Begin connects and tells of the session and of MAIL. A Talk that failed, or in
// which the milter has its opinion already, says so by Over.
func (m *Milter) Begin(ctx context.Context, msg *Message) *Talk {
	t := &Talk{m: m}
	if err := t.begin(ctx, msg); err != nil {
		t.fail(err)
	}
	return t
}

func (t *Talk) begin(ctx context.Context, msg *Message) error {
	conn, err := dial(ctx, t.m.o.Network, t.m.o.Address, t.m.o.Timeout)
	if err != nil {
		return err
	}
	return t.greet(ctx, msg, conn)
}

// greet agrees on the protocol, and says what is known at MAIL.
func (t *Talk) greet(ctx context.Context, msg *Message, conn net.Conn) error {
	t.conn, t.in = conn, bufio.NewReader(conn)
	defer watch(ctx, t.conn)()
	t.out = milter.AppendPacket(t.out[:0], milter.Negotiate, milter.Offer())
	code, data, err := t.exchange(ctx)
	if err != nil {
		return err
	}
	if milter.Command(code) != milter.Negotiate {
		return fmt.Errorf("%w: it answered %q to the options", milter.ErrSyntax, code)
	}
	if t.options, err = milter.ParseOptions(data); err != nil {
		return err
	}
	for _, step := range []struct {
		c    milter.Command
		data []byte
	}{
		{milter.Connect, connectData(msg.Peer)},
		{milter.Helo, milter.AppendStrings(nil, msg.Peer.Helo)},
		{milter.Mail, milter.AppendStrings(nil, append([]string{"<" + msg.Envelope.From.String() + ">"}, mailParams(msg.Envelope)...)...)},
	} {
		if err := t.say(ctx, msg, nil, step.c, step.data); err != nil || t.over {
			return err
		}
	}
	return nil
}

// connectData is the peer as SMFIC_CONNECT has it: its name, its family, its
// port and address. Who has no name is called by its address in brackets.
func connectData(p *mail.Peer) []byte {
	peer := p.Addr
	addr := peer.Addr().Unmap().WithZone("")
	if !addr.IsValid() {
		return append(milter.AppendStrings(nil, "localhost"), 'U')
	}
	b := milter.AppendStrings(nil, cmp.Or(p.Name, "["+addr.String()+"]"))
	family := byte('4')
	if addr.Is6() {
		family = '6'
	}
	b = append(b, family, byte(peer.Port()>>8), byte(peer.Port()))
	return milter.AppendStrings(b, addr.String())
}

// mailParams are the parameters of MAIL that filters go by.
func mailParams(e *mail.Envelope) []string {
	var all []string
	if e.EightBit {
		all = append(all, "BODY=8BITMIME") // RFC 6152
	}
	if e.UTF8 {
		all = append(all, "SMTPUTF8") // RFC 6531
	}
	return all
}

// Over says whether the milter has no more to hear, and gives what it said.
func (t *Talk) Over() (Opinion, bool) { return t.opinion, t.over }

// Rcpt tells of one more recipient. The opinion is about it alone, unless the
// talk is over.
func (t *Talk) Rcpt(ctx context.Context, msg *Message, to mail.Recipient) Opinion {
	if t.over {
		return Opinion{}
	}
	defer watch(ctx, t.conn)()
	path := "<" + to.Address.String() + ">"
	answer, err := t.ask(ctx, msg, &to, milter.Rcpt, milter.AppendStrings(nil, path))
	if err != nil {
		return t.fail(err)
	}
	switch answer.Kind {
	case milter.Reject, milter.TempFail, milter.ReplyCode:
		return refusal(answer)
	}
	if err := t.take(answer); err != nil {
		return t.fail(err)
	}
	return Opinion{}
}

// Content shows the message and gives the milter's opinion of it. The talk is
// over then.
func (t *Talk) Content(ctx context.Context, msg *Message) Opinion {
	if t.over {
		return t.opinion
	}
	defer watch(ctx, t.conn)()
	if err := t.content(ctx, msg); err != nil {
		return t.fail(err)
	}
	t.over = true
	t.opinion = bound(t.opinion)
	return t.opinion
}

func (t *Talk) content(ctx context.Context, msg *Message) error {
	if err := t.say(ctx, msg, nil, milter.Data, nil); err != nil || t.over {
		return err
	}
	for _, f := range msg.Fields {
		if err := t.say(ctx, msg, nil, milter.Header, milter.AppendStrings(nil, f.Name, t.shown(f.Value))); err != nil || t.over {
			return err
		}
	}
	if err := t.say(ctx, msg, nil, milter.EndHeader, nil); err != nil || t.over {
		return err
	}
	if err := t.sendBody(ctx, msg); err != nil || t.over {
		return err
	}
	return t.end(ctx, msg)
}

// shown is a field's value as milters have it: lines end in LF, and the space
// in front is there only if they asked for it.
func (t *Talk) shown(value string) string {
	value = strings.ReplaceAll(value, "\r\n", "\n")
	if t.options.Protocol&milter.LeadingSpace == 0 {
		value = strings.TrimPrefix(value, " ")
	}
	return value
}

// sendBody shows the body until the milter has seen enough.
func (t *Talk) sendBody(ctx context.Context, msg *Message) error {
	if t.options.Protocol&milter.NoBody != 0 {
		return nil
	}
	r, err := msg.OpenBody()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	b := t.m.buffers.Get().(*[milter.MaxChunk]byte)
	defer t.m.buffers.Put(b)
	for {
		n, err := io.ReadFull(r, b[:])
		if n > 0 {
			answer, err := t.ask(ctx, msg, nil, milter.Body, b[:n])
			if err != nil || answer.Kind == milter.Skip {
				return err
			}
			if err := t.take(answer); err != nil || t.over {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// end says that this was the whole message, and takes the changes that come
// before the answer.
func (t *Talk) end(ctx context.Context, msg *Message) error {
	t.out = t.appendMacros(t.out[:0], msg, nil, milter.EndBody)
	t.out = milter.AppendPacket(t.out, milter.EndBody)
	code, data, err := t.exchange(ctx)
	for ; err == nil; code, data, err = t.read(ctx) {
		answer, err := milter.ParseResponse(code, data)
		switch {
		case err != nil:
			return err
		case answer.Kind == milter.Progress:
			// read gives it the time it asks for.
		case answer.Kind.IsChange():
			if err := t.change(msg, answer); err != nil {
				return err
			}
		default:
			return t.take(answer)
		}
	}
	return err
}

// say asks, and takes an answer that is about the whole message.
func (t *Talk) say(ctx context.Context, msg *Message, to *mail.Recipient, c milter.Command, data []byte) error {
	answer, err := t.ask(ctx, msg, to, c, data)
	if err != nil {
		return err
	}
	return t.take(answer)
}

// ask says one command, with its macros in front, and gives the answer. What the
// milter does not want to hear, or does not answer, is answered Continue.
func (t *Talk) ask(ctx context.Context, msg *Message, to *mail.Recipient, c milter.Command, data []byte) (milter.Response, error) {
	goOn := milter.Response{Kind: milter.Continue}
	if t.options.Protocol&c.Unwanted() != 0 {
		return goOn, nil
	}
	t.out = t.appendMacros(t.out[:0], msg, to, c)
	t.out = milter.AppendPacket(t.out, c, data)
	if t.options.Protocol&c.Unanswered() != 0 {
		return goOn, t.write(ctx)
	}
	code, data, err := t.exchange(ctx)
	for ; err == nil; code, data, err = t.read(ctx) {
		answer, err := milter.ParseResponse(code, data)
		if err != nil || answer.Kind != milter.Progress {
			return answer, err
		}
	}
	return goOn, err
}

// take makes of an answer what it means for the whole message.
func (t *Talk) take(answer milter.Response) error {
	switch answer.Kind {
	case milter.Continue:
	case milter.Accept:
		t.over = true
	case milter.Discard:
		t.over, t.opinion.Says = true, max(t.opinion.Says, Discard)
	case milter.Reject, milter.TempFail, milter.ReplyCode, milter.Shutdown:
		t.over, t.opinion = true, refusal(answer)
	case milter.ConnFailed:
		return errors.New("it asks for the connection to fail")
	default:
		return fmt.Errorf("%w: %q cannot come here", milter.ErrSyntax, byte(answer.Kind))
	}
	return nil
}

func (t *Talk) write(ctx context.Context) error {
	if err := extend(ctx, t.conn, t.m.o.Timeout); err != nil {
		return err
	}
	_, err := t.conn.Write(t.out)
	return err
}

func (t *Talk) read(ctx context.Context) (code byte, data []byte, err error) {
	if err := extend(ctx, t.conn, t.m.o.Timeout); err != nil {
		return 0, nil, err
	}
	code, data, err = milter.ReadPacket(t.in, t.packet)
	if cap(data) > cap(t.packet) && cap(data) <= milter.MaxChunk {
		t.packet = data
	}
	return code, data, err
}

func (t *Talk) exchange(ctx context.Context) (code byte, data []byte, err error) {
	if err := t.write(ctx); err != nil {
		return 0, nil, err
	}
	return t.read(ctx)
}

// fail ends the talk without an opinion.
func (t *Talk) fail(err error) Opinion {
	t.over, t.opinion = true, failed(err)
	return t.opinion
}

// goodbye is how long a milter is given to hear the end of a talk.
const goodbye = time.Second

// Close ends the talk, whatever its state.
func (t *Talk) Close() {
	if t.conn == nil {
		return
	}
	if t.opinion.Err == nil {
		t.out = t.out[:0]
		if !t.over {
			t.out = milter.AppendPacket(t.out, milter.Abort)
		}
		t.out = milter.AppendPacket(t.out, milter.Quit)
		_ = t.conn.SetDeadline(time.Now().Add(goodbye))
		_, _ = t.conn.Write(t.out)
	}
	_ = t.conn.Close()
	t.conn, t.over = nil, true
}
