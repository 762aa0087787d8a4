package search

import (
	"bufio"
	"bytes"
	"html"
	"io"
)

// htmlReader gives the text of HTML: without tags, comments, scripts and styles,
// with its entities as what they stand for. A tag that ends a line on the screen
// is a line end; other tags are nothing, as a word may have a bold letter in it.
type htmlReader struct {
	r    *bufio.Reader
	out  []byte // not read yet
	mem  []byte
	skip string // name of the element whose content is being left out
	err  error
}

func newHTML(r io.Reader) *htmlReader { return &htmlReader{r: bufio.NewReader(r)} }

// maxTag is how much of a tag or an entity is looked at, in octets.
const maxTag = 16

// Read implements io.Reader.
func (h *htmlReader) Read(p []byte) (int, error) {
	for len(h.out) == 0 {
		if h.err != nil {
			return 0, h.err
		}
		h.out, h.mem = h.mem[:0], h.mem[:0]
		h.fill()
		h.mem = h.out[:0]
	}
	n := copy(p, h.out)
	h.out = h.out[n:]
	return n, nil
}

// fill takes text up to the next mark, and that mark.
func (h *htmlReader) fill() {
	// Peek never takes more than is there already, unless there is nothing.
	if _, h.err = h.r.Peek(1); h.err != nil {
		return
	}
	b, _ := h.r.Peek(h.r.Buffered())
	i := bytes.IndexAny(b, "<&")
	if i != 0 {
		if i < 0 {
			i = len(b)
		}
		h.text(b[:i])
		_, _ = h.r.Discard(i)
		return
	}
	_, _ = h.r.Discard(1)
	if b[0] == '&' {
		h.entity()
		return
	}
	h.tag()
}

func (h *htmlReader) text(b []byte) {
	if h.skip == "" {
		h.out = append(h.out, b...)
	}
}

// entity reads what follows an ampersand.
func (h *htmlReader) entity() {
	name := []byte{'&'}
	for len(name) < maxTag {
		c, err := h.r.ReadByte()
		if err != nil {
			break
		}
		if !isAlnum(c) && c != '#' {
			if c == ';' {
				name = append(name, c)
			} else {
				_ = h.r.UnreadByte()
			}
			break
		}
		name = append(name, c)
	}
	h.text([]byte(html.UnescapeString(string(name))))
}

func isAlnum(c byte) bool { return c >= '0' && c <= '9' || c|32 >= 'a' && c|32 <= 'z' }

// tag reads what follows a "<".
func (h *htmlReader) tag() {
	b, _ := h.r.Peek(3)
	if bytes.Equal(b, []byte("!--")) {
		_, _ = h.r.Discard(3)
		h.comment()
		return
	}
	if len(b) == 0 || !isAlnum(b[0]) && b[0] != '/' && b[0] != '!' && b[0] != '?' {
		h.text([]byte{'<'})
		return
	}
	var name []byte
	for quote, before, named := byte(0), byte(0), false; ; {
		c, err := h.r.ReadByte()
		if err != nil {
			return
		}
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '>':
			h.element(string(bytes.ToLower(name)))
			return
		case before == '=' && (c == '"' || c == '\''):
			quote = c
		case !isAlnum(c) && !(c == '/' && len(name) == 0):
			named = true
		case !named && len(name) < maxTag:
			name = append(name, c)
		}
		if c > ' ' {
			before = c
		}
	}
}

func (h *htmlReader) comment() {
	for dashes := 0; ; {
		c, err := h.r.ReadByte()
		switch {
		case err != nil || c == '>' && dashes >= 2:
			return
		case c == '-':
			dashes++
		default:
			dashes = 0
		}
	}
}

// element takes the effect of a tag.
func (h *htmlReader) element(name string) {
	if h.skip != "" {
		if name == "/"+h.skip {
			h.skip = ""
		}
		return
	}
	switch name {
	case "script", "style":
		h.skip = name
		return
	}
	switch bare := name[min(len(name), b2i(len(name) > 0 && name[0] == '/')):]; bare {
	case "b", "i", "u", "s", "a", "em", "strong", "font", "span", "small", "big", "sub", "sup", "wbr", "tt", "code", "mark", "ruby", "rb", "strike", "ins", "del", "bdo", "abbr":
	default:
		h.out = append(h.out, '\n')
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
