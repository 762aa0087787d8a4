package sendmail

import (
	"bufio"
	"io"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

func isAtext(c byte) bool { return mail.IsAtext(c) }

// Lines reads what a program wrote, with LF or CRLF at the ends of lines, and
// gives content as SMTP has it: each line ends in CRLF, the last one too, and CR
// and LF stand nowhere else. A NUL, a CR within a line, a line of more than
// smtp.MaxTextLine octets and more than max octets are a *smtp.ContentError. With
// dot, a line with a dot alone ends the content.
type Lines struct {
	in   *bufio.Reader
	dot  bool
	max  int64 // 0: any size
	size int64
	out  []byte // what is ready
	buf  []byte
	line int // octets of the line that has begun
	err  error
}

// NewLines reads r.
func NewLines(r io.Reader, max int64, dot bool) *Lines {
	return &Lines{in: bufio.NewReaderSize(r, 16<<10), dot: dot, max: max}
}

// Err says why the content ended early; nil where it ended well.
func (l *Lines) Err() error {
	if l.err == io.EOF {
		return nil
	}
	return l.err
}

// Read gives content.
func (l *Lines) Read(p []byte) (int, error) {
	for len(l.out) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		l.fill()
	}
	n := copy(p, l.out)
	l.out = l.out[n:]
	return n, nil
}

// fill takes a line, or a piece of a long one.
func (l *Lines) fill() {
	piece, err := l.in.ReadSlice('\n')
	whole := err == nil
	if err == bufio.ErrBufferFull {
		err = nil
	}
	if err == io.EOF && len(piece) > 0 {
		whole = true // the last line has no end
	}
	if whole {
		piece = trimEnd(piece)
		if l.dot && l.line == 0 && len(piece) == 1 && piece[0] == '.' {
			l.err = io.EOF
			return
		}
	}
	for _, c := range piece {
		if c == 0 || c == '\r' {
			l.err = smtp.ErrBare
			return
		}
	}
	l.line += len(piece)
	l.buf = append(l.buf[:0], piece...)
	if l.line > smtp.MaxTextLine {
		l.err = smtp.ErrLongLine
		return
	}
	if whole {
		l.buf = append(l.buf, '\r', '\n')
		l.line = 0
	}
	if l.size += int64(len(l.buf)); l.max > 0 && l.size > l.max {
		l.err = smtp.ErrTooLarge
		return
	}
	l.out, l.err = l.buf, err
}

// trimEnd takes the line end off.
func trimEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b
}
