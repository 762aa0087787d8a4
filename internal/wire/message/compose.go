package message

import (
	"encoding/base64"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Composer writes a message part by part. It takes ids, dates and boundaries
// from its caller. After the first error of the writer it does nothing more.
type Composer struct {
	w          io.Writer
	err        error
	boundaries []string
	begun      []bool // whether each open multipart has a part already
}

// NewComposer writes to w.
func NewComposer(w io.Writer) *Composer { return &Composer{w: w} }

// Err is the first error of the writer.
func (c *Composer) Err() error { return c.err }

func (c *Composer) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}

// Text writes a field of free text: what is not ASCII becomes RFC 2047 words.
func (c *Composer) Text(name, value string) { c.write(AppendText(nil, name, value)) }

// Field writes a structured field: it is folded at white space, else as given.
func (c *Composer) Field(name, value string) { c.write(AppendField(nil, name, value)) }

// Date writes a date field.
func (c *Composer) Date(name string, t time.Time) { c.Field(name, FormatDate(t)) }

// Addresses writes a field of addresses; none, no field.
func (c *Composer) Addresses(name string, list ...Addr) {
	if len(list) > 0 {
		c.write(AppendAddresses(nil, name, list))
	}
}

// Multipart ends the header with a Content-Type of multipart/subtype.
func (c *Composer) Multipart(subtype, boundary string, params ...Param) {
	params = append(params[:len(params):len(params)], Param{"boundary", boundary})
	c.Field("Content-Type", FormatParams("multipart/"+subtype, params...))
	c.write([]byte("\r\n"))
	c.boundaries, c.begun = append(c.boundaries, boundary), append(c.begun, false)
}

// Part begins the next part of the innermost multipart; its header follows.
func (c *Composer) Part() {
	n := len(c.boundaries) - 1
	if c.begun[n] {
		c.write([]byte("\r\n"))
	}
	c.begun[n] = true
	c.write([]byte("--" + c.boundaries[n] + "\r\n"))
}

// Close ends the innermost multipart.
func (c *Composer) Close() {
	n := len(c.boundaries) - 1
	c.write([]byte("\r\n--" + c.boundaries[n] + "--\r\n"))
	c.boundaries, c.begun = c.boundaries[:n], c.begun[:n]
}

// TextBody ends the header with the fields that text of that subtype needs and
// writes it, in the encoding that keeps it readable and within 7 bits.
func (c *Composer) TextBody(subtype, text string) {
	text = toCRLF(text)
	charset, encoding := "utf-8", "7bit"
	switch special, long := measure(text); {
	case special > len(text)/6:
		encoding = "base64"
	case special > 0 || long:
		encoding = "quoted-printable"
	default:
		charset = "us-ascii"
	}
	c.Field("Content-Type", FormatParams("text/"+subtype, Param{"charset", charset}))
	c.Body(strings.NewReader(text), encoding)
}

// Body ends the header with a Content-Transfer-Encoding and writes r in it:
// base64, quoted-printable, or as it is.
func (c *Composer) Body(r io.Reader, encoding string) {
	if encoding != "7bit" {
		c.Field("Content-Transfer-Encoding", encoding)
	}
	c.write([]byte("\r\n"))
	if c.err != nil {
		return
	}
	switch encoding {
	case "base64":
		lines := &lineWriter{w: c.w}
		enc := base64.NewEncoder(base64.StdEncoding, lines)
		_, c.err = io.Copy(enc, r)
		if err := enc.Close(); c.err == nil {
			c.err = err
		}
		if c.err == nil {
			c.err = lines.close()
		}
	case "quoted-printable":
		b, err := io.ReadAll(r)
		if c.err = err; err == nil {
			c.write(appendQP(nil, b))
		}
	default:
		_, c.err = io.Copy(c.w, r)
	}
}

// lineWriter breaks base64 into lines of 76 (RFC 2045 §6.8).
type lineWriter struct {
	w   io.Writer
	col int
}

// Write implements io.Writer.
func (l *lineWriter) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p)+len(p)/38+2)
	for _, c := range p {
		if l.col == 76 {
			out, l.col = append(out, '\r', '\n'), 0
		}
		out = append(out, c)
		l.col++
	}
	if _, err := l.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (l *lineWriter) close() error {
	if l.col == 0 {
		return nil
	}
	_, err := l.w.Write([]byte("\r\n"))
	return err
}

func toCRLF(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	return strings.ReplaceAll(s, "\n", "\r\n")
}

// measure counts what needs encoding and looks for lines over 998 octets.
func measure(s string) (special int, long bool) {
	col := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n':
			col = 0
			continue
		case c >= utf8.RuneSelf, c == 0:
			special++
		}
		if col++; col > 998 {
			long = true
		}
	}
	return special, long
}

// appendQP encodes text with CRLF line ends (RFC 2045 §6.7).
func appendQP(b, text []byte) []byte {
	const hex = "0123456789ABCDEF"
	col := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			b, col = append(b, '\r', '\n'), 0
			i++
			continue
		}
		plain := c > ' ' && c < 0x7f && c != '='
		if c == ' ' || c == '\t' {
			// White space before a line end would be lost.
			plain = i+1 < len(text) && text[i+1] != '\r' && text[i+1] != '\n'
		}
		if need := map[bool]int{true: 1, false: 3}[plain]; col+need > 75 {
			b, col = append(b, '=', '\r', '\n'), 0
		}
		if plain && !(col == 0 && c == '.') {
			b = append(b, c)
			col++
		} else {
			b = append(b, '=', hex[c>>4], hex[c&15])
			col += 3
		}
	}
	return b
}

// FormatParams writes a value with parameters, as Content-Type and
// Content-Disposition have them. What is not ASCII, or long, is written as
// RFC 2231 says.
func FormatParams(value string, params ...Param) string {
	var b strings.Builder
	b.WriteString(value)
	for _, p := range params {
		switch {
		case isASCII(p.Value) && len(p.Value) <= 70:
			b.WriteString("; " + p.Name + "=" + quoteParam(p.Value))
		default:
			for n, piece := range splitParam(p.Value) {
				b.WriteString("; " + p.Name + "*")
				if n > 0 || len(piece) < len(percentEncode(p.Value)) {
					b.WriteString(itoa(n) + "*")
				}
				b.WriteString("=")
				if n == 0 {
					b.WriteString("utf-8''")
				}
				b.WriteString(piece)
			}
		}
	}
	return b.String()
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func quoteParam(s string) string {
	if t, rest := cutToken(s); rest == "" && t != "" {
		return s
	}
	return quoteString(s)
}

func quoteString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' && c != '\t' || c == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + hex[c>>4:c>>4+1] + hex[c&15:c&15+1])
		}
	}
	return b.String()
}

// splitParam encodes s in pieces that fit on a line.
func splitParam(s string) []string {
	var pieces []string
	for e := percentEncode(s); ; {
		if len(e) <= 50 {
			return append(pieces, e)
		}
		n := 50
		for e[n-1] == '%' || e[n-2] == '%' {
			n--
		}
		pieces, e = append(pieces, e[:n]), e[n:]
	}
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Mailbox makes an Addr of an address and a display name.
func Mailbox(name string, a mail.Address) Addr {
	return Addr{Name: name, Mailbox: a.Local, Host: string(a.Domain)}
}
