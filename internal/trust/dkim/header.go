package dkim

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// AppendField adds a field in its canonical form (RFC 6376 §3.4.1, §3.4.2).
func AppendField(dst []byte, raw string, c Canon) []byte {
	if c == Simple {
		dst = append(dst, raw...)
		if !strings.HasSuffix(raw, "\n") {
			dst = append(dst, '\r', '\n')
		}
		return dst
	}
	name, value, _ := strings.Cut(raw, ":")
	for i := 0; i < len(name); i++ {
		if ch := name[i]; ch != ' ' && ch != '\t' {
			if ch >= 'A' && ch <= 'Z' {
				ch |= 0x20
			}
			dst = append(dst, ch)
		}
	}
	dst = append(dst, ':')
	begin, space := len(dst), false
	for i := 0; i < len(value); i++ {
		switch ch := value[i]; ch {
		case ' ', '\t', '\r', '\n':
			space = true
		default:
			if space && len(dst) > begin {
				dst = append(dst, ' ')
			}
			dst, space = append(dst, ch), false
		}
	}
	return append(dst, '\r', '\n')
}

// Unsigned is a signature field as it was signed: without the value of its tag b,
// and without its line end (RFC 6376 §3.7).
func Unsigned(raw string) string {
	name, value, _ := strings.Cut(strings.TrimRight(raw, "\r\n"), ":")
	parts := strings.Split(value, ";")
	for i, part := range parts {
		if tag, _, ok := strings.Cut(part, "="); ok && strings.Trim(tag, " \t\r\n") == "b" {
			parts[i] = tag + "="
		}
	}
	return name + ":" + strings.Join(parts, ";")
}

// Fields finds fields by their names as signatures list them.
type Fields map[string][]string

// NewFields collects the fields of a header.
func NewFields(h message.Header) Fields {
	all := make(Fields, len(h.Fields()))
	for _, f := range h.Fields() {
		name := strings.ToLower(f.Name)
		all[name] = append(all[name], f.Raw)
	}
	return all
}

// AppendSigned adds the fields that names lists: of those with one name the last
// first, and nothing where there are no more (RFC 6376 §5.4.2).
func (all Fields) AppendSigned(dst []byte, names []string, c Canon) []byte {
	taken := make(map[string]int, len(names))
	for _, name := range names {
		same := all[name]
		n := len(same) - 1 - taken[name]
		if n < 0 {
			continue
		}
		taken[name]++
		dst = AppendField(dst, same[n], c)
	}
	return dst
}
