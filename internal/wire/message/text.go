package message

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// base64Value gives a letter's value; 64 for what is no letter, 65 for '='.
var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = 64
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	t['='] = 65
	return t
}()

// DecodeBody undoes a transfer encoding (RFC 2045 §6) and nothing more. It
// forgives everything: what is wrong in base64 is passed over, what is wrong
// in quoted-printable stays as it is, and an unknown encoding is none. Errors
// come from r only.
func DecodeBody(r io.Reader, encoding string) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return &decodeReader{r: r, codec: &base64Decoder{}}
	case "quoted-printable":
		return &decodeReader{r: r, codec: &qpDecoder{}}
	}
	return r
}

// decodeBytes is DecodeBody of what is in memory already.
func decodeBytes(b []byte, encoding string) []byte {
	var c codec
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		c = &base64Decoder{}
	case "quoted-printable":
		c = &qpDecoder{}
	default:
		return b
	}
	return c.finish(c.decode(make([]byte, 0, len(b)), b))
}

// DecodeText is DecodeBody and then the charset turned into UTF-8. An unknown
// charset, or none, is guessed from the first 4 KiB. Line ends stay as they
// are.
func DecodeText(r io.Reader, encoding, charsetName string) io.Reader {
	r = DecodeBody(r, encoding)
	if isUTF7(charsetName) {
		return newUTF7(r)
	}
	if e := charset(charsetName); e != nil {
		return e.NewDecoder().Reader(r)
	}
	b := bufio.NewReaderSize(r, 4<<10)
	head, _ := b.Peek(4 << 10)
	switch declared := isUnicodeText(charsetName); {
	case !declared && hasJISEscape(head):
		return iso2022{}.NewDecoder().Reader(b)
	case declared || utf8.Valid(head) || len(head) == b.Size() && validPrefix(head):
		return unicode.UTF8BOM.NewDecoder().Reader(b)
	}
	return charmap.Windows1252.NewDecoder().Reader(b)
}

func isUnicodeText(name string) bool { return isUnicodeName(charsetName(name)) }

// validPrefix says whether b is UTF-8, except that it may end in mid-character.
func validPrefix(b []byte) bool {
	for cut := 0; cut < utf8.UTFMax && cut <= len(b); cut++ {
		if utf8.Valid(b[:len(b)-cut]) {
			return cut == 0 || !utf8.FullRune(b[len(b)-cut:])
		}
	}
	return false
}

// codec decodes octets piece by piece, appending to dst.
type codec interface {
	decode(dst, src []byte) []byte
	finish(dst []byte) []byte
}

// decodeReader drives a codec.
type decodeReader struct {
	r     io.Reader
	codec codec
	in    []byte
	buf   []byte
	out   []byte // decoded, not yet read
	err   error
}

// Read implements io.Reader.
func (d *decodeReader) Read(p []byte) (int, error) {
	if d.in == nil {
		d.in = make([]byte, 16<<10)
	}
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		n, err := d.r.Read(d.in)
		d.buf = d.codec.decode(d.buf[:0], d.in[:n])
		if err != nil {
			d.err = err
			d.buf = d.codec.finish(d.buf)
		}
		d.out = d.buf
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// base64Decoder keeps up to three letters between pieces. Padding in the
// middle, where two encoded texts were put together, starts a new quantum.
type base64Decoder struct {
	bits uint32
	n    int
}

func (b *base64Decoder) decode(dst, src []byte) []byte {
	for i := 0; i < len(src); i++ {
		// Four letters in a row are nearly all there is.
		for b.n == 0 && i+4 <= len(src) {
			v0, v1, v2, v3 := base64Value[src[i]], base64Value[src[i+1]], base64Value[src[i+2]], base64Value[src[i+3]]
			if (v0|v1|v2|v3)&64 != 0 {
				break
			}
			v := uint32(v0)<<18 | uint32(v1)<<12 | uint32(v2)<<6 | uint32(v3)
			dst = append(dst, byte(v>>16), byte(v>>8), byte(v))
			i += 4
		}
		if i == len(src) {
			break
		}
		switch v := base64Value[src[i]]; v {
		case 64:
		case 65:
			dst = b.finish(dst)
		default:
			b.bits = b.bits<<6 | uint32(v)
			if b.n++; b.n == 4 {
				dst = append(dst, byte(b.bits>>16), byte(b.bits>>8), byte(b.bits))
				b.n = 0
			}
		}
	}
	return dst
}

func (b *base64Decoder) finish(dst []byte) []byte {
	switch b.n {
	case 2:
		dst = append(dst, byte(b.bits>>4))
	case 3:
		dst = append(dst, byte(b.bits>>10), byte(b.bits>>2))
	}
	b.n, b.bits = 0, 0
	return dst
}

// qpDecoder undoes quoted-printable (RFC 2045 §6.7). White space at the end of
// a line was added on the way and goes; = before it or before a line end joins
// lines; = before anything else is itself.
type qpDecoder struct {
	held []byte // begins with = or white space: not known yet what it is
}

// maxHeld is how much white space may wait for a line end.
const maxHeld = 1000

func (q *qpDecoder) decode(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if len(q.held) == 0 {
			from := i
			for i < len(src) && src[i] != '=' && src[i] != ' ' && src[i] != '\t' {
				i++
			}
			dst = append(dst, src[from:i]...)
			if i < len(src) {
				q.held = append(q.held, src[i])
				i++
			}
			continue
		}
		var used bool
		if dst, used = q.next(dst, src[i]); used {
			i++
		}
	}
	return dst
}

// next decides about what is held, seeing c; used says that c is done with.
func (q *qpDecoder) next(dst []byte, c byte) ([]byte, bool) {
	equals, last := q.held[0] == '=', q.held[len(q.held)-1]
	if equals && len(q.held) == 2 {
		if _, ok := nibble(last); ok {
			v, ok := unhex(last, c)
			if !ok {
				return q.release(dst), false
			}
			q.held = q.held[:0]
			return append(dst, v), true
		}
	}
	switch {
	case c == '\n':
		q.held = q.held[:0]
		if equals {
			return dst, true // soft line break
		}
		if last == '\r' {
			dst = append(dst, '\r')
		}
		return append(dst, '\n'), true
	case last == '\r':
		// A CR that ends no line.
	case c == '\r' || (c == ' ' || c == '\t') && len(q.held) < maxHeld:
		q.held = append(q.held, c)
		return dst, true
	case equals && len(q.held) == 1:
		if _, ok := nibble(c); ok {
			q.held = append(q.held, c)
			return dst, true
		}
	}
	return q.release(dst), false
}

// release gives what is held as it is.
func (q *qpDecoder) release(dst []byte) []byte {
	dst = append(dst, q.held...)
	q.held = q.held[:0]
	return dst
}

func (q *qpDecoder) finish(dst []byte) []byte {
	if len(q.held) > 0 && q.held[0] == '=' && (len(q.held) == 1 || q.held[1] == '\r' || q.held[1] == ' ') {
		q.held = q.held[:0] // a soft line break at the very end
		return dst
	}
	return q.release(dst)
}
