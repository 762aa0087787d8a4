package mbox

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Limits of reading, in octets.
const (
	maxHeader = 1 << 20 // what is looked at for fields; the rest is body
	window    = 64 << 10
	maxFrom   = 1 << 10 // of a From line
)

// Reader gives the messages of a file. It reads it once to find where each one
// ends, and again as it is opened, with a window of 64 KiB and one header in
// memory.
type Reader struct {
	r       io.ReaderAt
	size    int64
	dialect Dialect
	lines   *bufio.Reader
	pos     int64 // of the next line
	started bool
	trust   bool // Content-Length is believed where it fits
	next    *line
}

// NewReader reads size octets of r.
func NewReader(r io.ReaderAt, size int64, d Dialect) *Reader {
	f := &Reader{r: r, size: size, dialect: d, trust: d == MboxCL || d == MboxCL2}
	f.seek(0)
	return f
}

// Message is one message of a file.
type Message struct {
	Facts
	Offset int64 // of its From line

	r          io.ReaderAt
	header     []byte // as in the file, without what is own
	start, end int64  // of the body
	quoting    Dialect
}

// line is a line's beginning: long ones are not kept whole.
type line struct {
	at, end int64
	text    []byte // up to window octets, with its end if that is within
}

func (l *line) blank() bool {
	return len(l.text) > 0 && len(bytes.TrimRight(l.text, "\r\n")) == 0
}

func (f *Reader) seek(pos int64) {
	f.pos, f.next = pos, nil
	section := io.NewSectionReader(f.r, pos, f.size-pos)
	if f.lines == nil {
		f.lines = bufio.NewReaderSize(section, window)
		return
	}
	f.lines.Reset(section)
}

// read gives the next line; its text is good until the next call. io.EOF at the
// end.
func (f *Reader) read() (line, error) {
	if l := f.next; l != nil {
		f.next = nil
		return *l, nil
	}
	text, err := f.lines.ReadSlice('\n')
	l := line{at: f.pos, end: f.pos + int64(len(text)), text: text}
	if errors.Is(err, bufio.ErrBufferFull) {
		l.text = bytes.Clone(text)
		for errors.Is(err, bufio.ErrBufferFull) {
			text, err = f.lines.ReadSlice('\n')
			l.end += int64(len(text))
		}
	}
	f.pos = l.end
	if errors.Is(err, io.EOF) && l.end > l.at {
		err = nil
	}
	return l, err
}

// unread puts a line back.
func (f *Reader) unread(l line) {
	l.text = bytes.Clone(l.text)
	f.next = &l
}

// Junk is what stands in front of the first message, or all there is.
type Junk struct{ Length int64 }

// Error says so.
func (j *Junk) Error() string {
	return strconv.FormatInt(j.Length, 10) + ` octets before the first "From " line are no message`
}

// Next gives the next message; io.EOF at the end. After a *Junk one may go on.
func (f *Reader) Next() (*Message, error) {
	if !f.started {
		f.started = true
		if err := f.first(); err != nil {
			return nil, err
		}
	}
	for {
		m, pseudo, err := f.message()
		if err != nil || !pseudo {
			return m, err
		}
	}
}

// first finds the first From line.
func (f *Reader) first() error {
	var lost int64
	before := true
	for {
		l, err := f.read()
		if errors.Is(err, io.EOF) && lost > 0 {
			return &Junk{lost}
		} else if err != nil {
			return err
		}
		switch {
		case lost == 0 && bytes.HasPrefix(l.text, []byte("From ")):
			f.unread(l)
			return nil
		case f.separates(&l, before):
			f.unread(l)
			return &Junk{lost}
		case l.blank() && lost == 0:
			continue
		}
		before = l.blank()
		lost += l.end - l.at
	}
}

// separates says whether a line begins a message. Two of three have to speak
// for it: a blank line in front, a date in it, a header field behind.
func (f *Reader) separates(l *line, blank bool) bool {
	if !bytes.HasPrefix(l.text, []byte("From ")) || len(l.text) > maxFrom {
		return false
	}
	votes := 0
	if blank {
		votes++
	}
	if _, _, ok := fromDate(string(l.text[5:])); ok {
		votes++
	}
	return votes == 2 || votes == 1 && f.fieldAt(l.end)
}

// fieldAt says whether a header field begins at an offset.
func (f *Reader) fieldAt(at int64) bool {
	b := make([]byte, 100)
	n, _ := f.r.ReadAt(b, at)
	name, _, ok := bytes.Cut(b[:n], []byte(":"))
	return ok && isName(name) || bytes.HasPrefix(b[:n], []byte(">From "))
}

func isName(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return len(b) > 0
}

// message reads one. Pseudo is one in which a program keeps its own records.
func (f *Reader) message() (m *Message, pseudo bool, err error) {
	l, err := f.read()
	if err != nil {
		return nil, false, err
	}
	m = &Message{Offset: l.at, r: f.r, quoting: f.dialect}
	m.From, m.Date, _ = fromDate(string(bytes.TrimPrefix(l.text[:min(len(l.text), maxFrom)], []byte("From "))))
	length, records, ended, err := f.header(m)
	if err != nil {
		return nil, false, err
	}
	if ended {
		return m, false, nil
	}
	m.start = f.pos
	if f.dialect == Auto && !records && length >= 0 && !f.trust && f.fits(m.start+length) {
		f.trust, f.dialect, m.quoting = true, MboxCL2, MboxCL2
	} else if f.dialect == Auto && !records {
		f.dialect, m.quoting = MboxRD, MboxRD
	}
	if f.trust && length >= 0 && f.fits(m.start+length) {
		m.end = m.start + length
		f.seek(m.end)
		return m, records, f.skipBlank()
	}
	if m.quoting == MboxCL2 { // a message without what should say where it ends
		m.quoting = MboxRD
	}
	return m, records, f.body(m)
}

// fits says whether a message can end at an offset.
func (f *Reader) fits(at int64) bool {
	if at < 0 || at >= f.size {
		return at == f.size
	}
	b := make([]byte, maxFrom)
	n, _ := f.r.ReadAt(b, at)
	rest := bytes.TrimLeft(b[:n], "\r\n")
	if len(rest) == 0 {
		return at+int64(n) == f.size
	}
	first, _, _ := bytes.Cut(rest, []byte("\n"))
	from, ok := bytes.CutPrefix(first, []byte("From "))
	_, _, dated := fromDate(string(from))
	return ok && dated
}

func (f *Reader) skipBlank() error {
	for {
		l, err := f.read()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if !l.blank() {
			f.unread(l)
			return nil
		}
	}
}

// header reads a message's header into m. Length is its Content-Length, or -1;
// ended says that the next message begins within it.
func (f *Reader) header(m *Message) (length int64, records, ended bool, err error) {
	length = -1
	var name, value []byte
	mine := false
	field := func() {
		if name == nil {
			return
		}
		m.learn(string(name), string(value))
		switch strings.ToLower(string(name)) {
		case "content-length":
			if n, err := strconv.ParseInt(strings.TrimSpace(string(value)), 10, 63); err == nil && n >= 0 {
				length = n
			}
		case "x-imap":
			records = true
		}
		name = nil
	}
	defer func() { field() }()
	for read := 0; read < maxHeader; {
		l, err := f.read()
		if errors.Is(err, io.EOF) {
			m.start, m.end = f.pos, f.pos
			return length, records, true, nil
		} else if err != nil {
			return length, records, false, err
		}
		read += int(l.end - l.at)
		whole := l.end-l.at == int64(len(l.text))
		switch n, v, ok := bytes.Cut(l.text, []byte(":")); {
		case f.separates(&l, false):
			f.unread(l)
			m.start, m.end = l.at, l.at
			return length, records, true, nil
		case l.blank():
			m.header = append(m.header, l.text...)
			return length, records, false, nil
		case l.text[0] == ' ' || l.text[0] == '\t':
			value = append(value, l.text...)
		default:
			field()
			mine = ok && own(n)
			if name = nil; ok {
				name, value = bytes.Clone(bytes.TrimRight(n, " \t")), bytes.Clone(v)
			}
		}
		switch {
		case mine:
		case whole:
			m.header = append(m.header, l.text...)
		default: // too long to be kept: the body begins here
			f.seek(l.at)
			return length, records, false, nil
		}
	}
	return length, records, false, nil
}

// body finds the end of a message by the next From line. The blank line in
// front of that is no part of the message.
func (f *Reader) body(m *Message) error {
	end, blank := f.pos, true
	for {
		l, err := f.read()
		if errors.Is(err, io.EOF) {
			m.end = end
			if !blank {
				m.end = f.pos
			}
			return nil
		} else if err != nil {
			return err
		}
		if f.separates(&l, blank) {
			f.unread(l)
			m.end = end
			if !blank {
				m.end = l.at
			}
			return nil
		}
		if blank = l.blank(); blank {
			end = l.at
		} else {
			end = l.end
		}
	}
}

// Open gives the message's content, with the lines' ends as they are in the
// file and From lines as they were before they were quoted.
func (m *Message) Open() io.Reader {
	body := io.Reader(io.NewSectionReader(m.r, m.start, m.end-m.start))
	all := io.MultiReader(bytes.NewReader(m.header), body)
	if m.quoting == MboxCL2 {
		return all
	}
	return &unquoter{r: bufio.NewReaderSize(all, window), once: m.quoting == MboxO || m.quoting == MboxCL, begin: true}
}

// unquoter takes a ">" off the lines that were quoted.
type unquoter struct {
	r     *bufio.Reader
	once  bool // only ">From "
	begin bool // at the beginning of a line
	rest  []byte
}

// maxQuotes is how many ">" in front of "From " are taken for quoting.
const maxQuotes = 1 << 10

// Read gives what was there before.
func (u *unquoter) Read(b []byte) (int, error) {
	if len(u.rest) == 0 {
		if u.begin {
			if first, err := u.r.Peek(1); err == nil && first[0] == '>' && u.quoted() {
				_, _ = u.r.Discard(1)
			}
		}
		var err error
		u.rest, err = u.r.ReadSlice('\n')
		u.begin = err == nil
		if len(u.rest) == 0 {
			return 0, err
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
	n := copy(b, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

func (u *unquoter) quoted() bool {
	if u.once {
		b, _ := u.r.Peek(len(">From "))
		return string(b) == ">From "
	}
	for n := 16; ; n *= 4 {
		b, err := u.r.Peek(n)
		rest := bytes.TrimLeft(b, ">")
		if len(rest) >= len("From ") || err != nil || n > maxQuotes {
			return bytes.HasPrefix(rest, []byte("From "))
		}
	}
}
