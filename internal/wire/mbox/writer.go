package mbox

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Writer writes mboxrd with LF line ends: Status, X-Status and X-Keywords hold
// the facts, and fields of that kind that are in a message's header give way.
type Writer struct {
	w  *bufio.Writer
	cr bool // a CR was read that may belong to a line's end
}

// NewWriter writes to w; Flush comes last.
func NewWriter(w io.Writer) *Writer { return &Writer{w: bufio.NewWriterSize(w, window)} }

// Flush writes what is still in memory.
func (w *Writer) Flush() error { return w.w.Flush() }

// Add appends a message of any size. Its lines end in CRLF, or in LF.
func (w *Writer) Add(f Facts, content io.Reader) error {
	r := bufio.NewReaderSize(content, window)
	if f.From == "" {
		head, _ := r.Peek(window)
		f.From = returnPath(head)
	}
	w.put("From " + f.From + " " + f.Date.UTC().Format(time.ANSIC) + "\n")
	header, skipped, begin, ended := true, false, true, true
	for {
		text, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if len(text) == 0 {
			break
		}
		if begin && header {
			switch n, _, ok := bytes.Cut(text, []byte(":")); {
			case len(bytes.TrimRight(text, "\r\n")) == 0:
				w.facts(f)
				header, skipped = false, false
			case text[0] != ' ' && text[0] != '\t':
				skipped = ok && own(n)
			}
		}
		if !skipped {
			w.line(text, begin)
			ended = text[len(text)-1] == '\n'
		}
		begin = text[len(text)-1] == '\n'
	}
	if w.cr = false; !ended {
		w.put("\n")
	}
	if header { // it never ended
		w.facts(f)
		w.put("\n")
	}
	w.put("\n")
	_, err := w.w.Write(nil) // what went wrong before stays
	return err
}

func (w *Writer) put(s string) { _, _ = w.w.WriteString(s) }

// line writes a line, or a part of one.
func (w *Writer) line(text []byte, begin bool) {
	if begin && bytes.HasPrefix(bytes.TrimLeft(text, ">"), []byte("From ")) {
		w.put(">")
	}
	if w.cr && text[0] != '\n' {
		w.put("\r")
	}
	n := len(text)
	if w.cr = text[n-1] == '\r'; w.cr {
		text = text[:n-1]
	} else if n > 1 && text[n-1] == '\n' && text[n-2] == '\r' {
		text = append(text[:n-2], '\n')
	}
	_, _ = w.w.Write(text)
}

// facts writes the fields that hold them.
func (w *Writer) facts(f Facts) {
	var x strings.Builder
	for _, b := range []struct {
		flag   mail.Flags
		letter byte
	}{{mail.FlagAnswered, 'A'}, {mail.FlagFlagged, 'F'}, {mail.FlagDeleted, 'D'}, {mail.FlagDraft, 'T'}} {
		if f.Flags.Has(b.flag) {
			x.WriteByte(b.letter)
		}
	}
	if f.Flags.Has(mail.FlagSeen) {
		w.put("Status: RO\n")
	} else {
		w.put("Status: O\n")
	}
	if x.Len() > 0 {
		w.put("X-Status: " + x.String() + "\n")
	}
	if len(f.Keywords) > 0 {
		w.put("X-Keywords: " + strings.Join(f.Keywords, " ") + "\n")
	}
}

// returnPath is who a message is said to come from, in the form a From line
// takes (RFC 4155): without spaces.
func returnPath(head []byte) string {
	for len(head) > 0 {
		text, rest, _ := bytes.Cut(head, []byte("\n"))
		if len(bytes.TrimRight(text, "\r")) == 0 {
			break
		}
		if n, v, ok := strings.Cut(string(text), ":"); ok && strings.EqualFold(n, "Return-Path") {
			v = strings.Trim(strings.TrimSpace(v), "<>")
			if v != "" && isName([]byte(v)) && len(v) <= 320 {
				return v
			}
			break
		}
		head = rest
	}
	return "MAILER-DAEMON"
}
