package filter

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// ClamdOptions say where clamd is.
type ClamdOptions struct {
	Network, Address string        // for net.Dial
	Timeout          time.Duration // for the connection, each piece of the message, and the answer
}

// Clamd asks clamd for viruses (INSTREAM).
type Clamd struct{ o ClamdOptions }

// NewClamd makes a Clamd.
func NewClamd(o ClamdOptions) *Clamd { return &Clamd{o} }

const (
	clamdChunk  = 64 << 10 // octets of a piece
	clamdAnswer = 4 << 10  // octets of an answer
)

// Ask streams the message to clamd.
func (c *Clamd) Ask(ctx context.Context, m *Message) Opinion {
	answer, err := c.scan(ctx, m)
	if err != nil {
		return failed(err)
	}
	return parseClamd(answer)
}

func (c *Clamd) scan(ctx context.Context, m *Message) (string, error) {
	body, err := m.Open()
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	conn, err := dial(ctx, c.o.Network, c.o.Address, c.o.Timeout)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	defer watch(ctx, conn)()
	written := c.send(ctx, body, func(b []byte) error {
		if err := extend(ctx, conn, c.o.Timeout); err != nil {
			return err
		}
		_, err := conn.Write(b)
		return err
	})
	var broken readError
	if errors.As(written, &broken) {
		return "", broken.error
	}
	// Where writing failed, clamd may have said why before it closed.
	if err := extend(ctx, conn, c.o.Timeout); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(io.LimitReader(conn, clamdAnswer)).ReadString(0)
	if err != nil {
		return "", errors.Join(written, err)
	}
	return strings.TrimSuffix(answer, "\x00"), nil
}

// readError is a failure of the message's, not of clamd's.
type readError struct{ error }

// send writes the command and the message in pieces, each with its length in
// front; one of length 0 ends them.
func (c *Clamd) send(ctx context.Context, body io.Reader, write func([]byte) error) error {
	if err := write([]byte("zINSTREAM\x00")); err != nil {
		return err
	}
	b := make([]byte, 4+clamdChunk)
	for {
		n, err := io.ReadFull(body, b[4:])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return readError{err}
		}
		if n > 0 {
			binary.BigEndian.PutUint32(b, uint32(n))
			if err := write(b[:4+n]); err != nil {
				return err
			}
		}
		if err != nil {
			return write([]byte{0, 0, 0, 0})
		}
	}
}

// parseClamd makes an opinion of "stream: OK", "stream: NAME FOUND" or
// "… ERROR".
func parseClamd(answer string) Opinion {
	switch rest, ok := strings.CutPrefix(answer, "stream: "); {
	case strings.HasSuffix(answer, "size limit exceeded. ERROR"):
		return failed(fmt.Errorf("%w: %s", ErrTooLarge, short(answer)))
	case ok && rest == "OK":
		return Opinion{}
	case ok && strings.HasSuffix(rest, " FOUND"):
		name := short(strings.TrimSuffix(rest, " FOUND"))
		return Opinion{Says: Reject, Reason: name, Reply: smtp.Answer(554, smtp.Enhanced{5, 7, 0}, "the message holds a virus: %s", name)}
	}
	return failed(fmt.Errorf("it answered %.100q", answer))
}
