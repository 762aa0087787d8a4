package message

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// View is what Marshal wrote, looked into without being taken apart: what lists
// need lies there as it goes out. It shares the memory it was opened over.
type View struct {
	envelope, structure []byte
	preview, fields     []byte // from there on
}

// OpenView looks at the beginning of b. It is false for a view that keeps no
// finished texts: a Partial one, an old one, one that is damaged. Then Unmarshal,
// or the message itself, tells.
func OpenView(b []byte) (View, bool) {
	var v View
	var flags, size uint64
	form, b, ok := cutInt(b)
	if !ok || form < viewTexts || form > viewVersion {
		return v, false
	}
	if flags, b, ok = cutInt(b); !ok || flags&2 != 0 {
		return v, false
	}
	if size, b, ok = cutInt(b); !ok || size > 1<<62 {
		return v, false
	}
	if v.envelope, b, ok = cutText(b); !ok || len(v.envelope) == 0 {
		return v, false
	}
	if v.structure, b, ok = cutText(b); !ok {
		return v, false
	}
	v.preview = b
	if _, b, ok = cutString(b); !ok {
		return v, false
	}
	v.fields = b
	return v, true
}

// Envelope is ENVELOPE as IMAP writes it.
func (v View) Envelope() []byte { return v.envelope }

// Structure is BODYSTRUCTURE as IMAP writes it.
func (v View) Structure() []byte { return v.structure }

// Preview is Index.Preview.
func (v View) Preview() string {
	p, _, _ := cutString(v.preview)
	return p
}

// ViewKeeps says whether every View holds all header fields of each of these names.
func ViewKeeps(names []string) bool {
	for _, n := range names {
		if !keptBy(viewTexts, n) {
			return false
		}
	}
	return true
}

// AppendFields writes the header fields of these names behind b, in their order
// and each with its line end. It is false if the view is damaged.
func (v View) AppendFields(b []byte, names []string) ([]byte, bool) {
	ok := v.each(names, func(_, raw []byte) {
		if b = append(b, raw...); raw[len(raw)-1] != '\n' {
			b = append(b, "\r\n"...)
		}
	})
	return b, ok
}

// Header is the header fields of these names, in memory of their own, without their
// offsets. It is false if the view is damaged.
func (v View) Header(names []string) (h Header, ok bool) {
	ok = v.each(names, func(name, raw []byte) {
		f := Field{Raw: string(raw)}
		f.Name = f.Raw[:len(name)]
		h.fields = append(h.fields, f)
	})
	return h, ok
}

// each calls fn with the header fields of these names, in their order.
func (v View) each(names []string, fn func(name, raw []byte)) bool {
	n, rest, ok := cutInt(v.fields)
	for ; ok && n > 0; n-- {
		var raw []byte
		if _, rest, ok = cutInt(rest); !ok {
			break
		}
		if raw, rest, ok = cutField(rest); !ok {
			break
		}
		colon := bytes.IndexByte(raw, ':')
		if colon < 0 {
			return false
		}
		name := raw[:colon]
		if colon > 0 && name[colon-1] <= ' ' {
			name = bytes.TrimRight(name, " \t")
		}
		if isNamed(name, names) {
			fn(name, raw)
		}
	}
	return ok
}

func isNamed(name []byte, names []string) bool {
	for _, n := range names {
		if len(n) == len(name) && n != "" && n[0]|0x20 == name[0]|0x20 && strings.EqualFold(n, string(name)) {
			return true
		}
	}
	return false
}

// cutInt takes a number off the front.
func cutInt(b []byte) (n uint64, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, nil, false
	}
	return n, b[size:], true
}

func cutText(b []byte) (text, rest []byte, ok bool) {
	n, b, ok := cutInt(b)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// cutField takes a string off that is no word of viewWords, as a field never is.
func cutField(b []byte) (s, rest []byte, ok bool) {
	n, b, ok := cutInt(b)
	if !ok || n&1 != 0 || n>>1 > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n>>1], b[n>>1:], true
}

// cutString takes a string off.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	n, after, ok := cutInt(b)
	if ok && n&1 != 0 && n>>1 < uint64(len(viewWords)) {
		return viewWords[n>>1], after, true
	}
	text, rest, ok := cutField(b)
	return string(text), rest, ok
}
