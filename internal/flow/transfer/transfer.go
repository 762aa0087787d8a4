// Package transfer carries whole mailboxes in and out: between an account, a
// parcel (a tar of messages, which the REST API speaks), mbox files and Maildirs.
//
// What is on disk is read and written where the command runs, with the rights
// of who gives it; the server sees parcels only.
package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Item is a mailbox, or a message in one, on its way.
type Item struct {
	Mailbox     string // all levels, "A/B", in UTF-8
	Box         bool   // the mailbox itself: only it and what follows it count
	UIDValidity uint32 // of a mailbox; 0 if it is not known
	UIDNext     uint32

	UID      uint32 // of a message; 0 if it is not known
	UIDL     string // by which POP3 clients know it; "" if it is not known
	Flags    mail.Flags
	Keywords []string
	Received time.Time // zero if it is not known
	Size     int64     // octets of what Content gives
	Content  io.Reader
	Where    string // where it was read, for complaints
	Lost     string // why its content is not here
}

// Problem is something that could not be carried, or not as it was.
type Problem struct {
	Where string `json:"where"`
	What  string `json:"what"`
}

// maxProblems is how many problems are listed; the rest is counted.
const maxProblems = 1_000

// Problems are those met on the way.
type Problems struct {
	Listed []Problem
	Count  int64
}

// Add lists one.
func (p *Problems) Add(where, what string) {
	if p.Count++; p.Count <= maxProblems {
		p.Listed = append(p.Listed, Problem{where, what})
	}
}

// fail lists an error.
func (p *Problems) fail(where string, err error) { p.Add(where, reason(err)) }

// reason is an error in words for the person who gave the command.
func reason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	if s, ok := fault.Sentence(err); ok {
		return s
	}
	return err.Error()
}

// spool keeps one message until its size is known: in memory, or in a file
// where it is large.
type spool struct {
	memory []byte
	file   *os.File
	size   int64
}

// maxMemory is what a spool keeps in memory, in octets.
const maxMemory = 1 << 20

// fill replaces what is kept by what r gives.
func (s *spool) fill(r io.Reader) error {
	s.memory, s.size = s.memory[:0], 0
	if s.memory == nil {
		s.memory = make([]byte, 0, maxMemory)
	}
	for len(s.memory) < maxMemory { // io.ReadFull would take a file cut short for its end
		n, err := r.Read(s.memory[len(s.memory):maxMemory])
		s.memory, s.size = s.memory[:len(s.memory)+n], s.size+int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	var err error
	if s.file == nil {
		if s.file, err = os.CreateTemp("", "ekiden-"); err != nil {
			return err
		}
		_ = os.Remove(s.file.Name()) // it goes with the process
	}
	if err = s.file.Truncate(0); err == nil {
		_, err = s.file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	more, err := io.Copy(s.file, r)
	s.size += more
	return err
}

// reader gives what is kept.
func (s *spool) reader() io.Reader {
	if s.size <= int64(len(s.memory)) {
		return bytes.NewReader(s.memory)
	}
	return io.MultiReader(bytes.NewReader(s.memory), io.NewSectionReader(s.file, 0, s.size-int64(len(s.memory))))
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

// crlf reads text with any line ends as a message has it: every line ends in
// CRLF, NUL (RFC 9051 §4.3 has no place for it) is 0x80, and the rest is as it is.
type crlf struct {
	r   *bufio.Reader
	out []byte
	cr  bool // a CR was read and not given out
}

func newCRLF(r io.Reader) *crlf { return &crlf{r: bufio.NewReaderSize(r, 32<<10)} }

// Read gives the text.
func (c *crlf) Read(b []byte) (int, error) {
	for len(c.out) == 0 {
		_, err := c.r.Peek(1)
		in, _ := c.r.Peek(c.r.Buffered())
		if len(in) == 0 {
			if c.cr {
				c.cr = false
				c.out = append(c.out, '\r')
				break
			}
			return 0, err
		}
		c.out = c.convert(c.out[:0:cap(c.out)], in)
		_, _ = c.r.Discard(len(in))
	}
	n := copy(b, c.out)
	c.out = c.out[n:]
	return n, nil
}

func (c *crlf) convert(out, in []byte) []byte {
	for _, x := range in {
		switch {
		case x == '\n':
			out = append(out, '\r')
			c.cr = false
		case c.cr && x == '\r': // CR CR LF is one line's end, broken on the way
			continue
		case c.cr:
			out = append(out, '\r')
			c.cr = false
		}
		switch x {
		case '\r':
			c.cr = true
		case 0:
			out = append(out, 0x80)
		default:
			out = append(out, x)
		}
	}
	return out
}

// lf writes a message with its lines' ends as files have them.
type lf struct {
	w  *bufio.Writer
	n  int64 // octets written
	cr bool  // a CR was taken and not written
}

// Write takes a part of the message.
func (l *lf) Write(b []byte) (int, error) {
	for _, x := range b {
		if l.cr && x != '\n' {
			l.put('\r')
		}
		if l.cr = x == '\r'; !l.cr {
			l.put(x)
		}
	}
	_, err := l.w.Write(nil)
	return len(b), err
}

func (l *lf) put(x byte) {
	_ = l.w.WriteByte(x) // an error stays
	l.n++
}

// close writes what is left.
func (l *lf) close() error {
	if l.cr {
		l.cr = false
		l.put('\r')
	}
	return l.w.Flush()
}
