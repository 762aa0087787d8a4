package message

import (
	"io"
	"strings"
	"unicode/utf8"
)

const (
	previewRead  = 8 << 10 // octets of the part that are looked at
	previewRunes = 200     // RFC 8970 §3.1 allows 256 octets or 200 characters
)

// preview reads the beginning of the first text that is no attachment; plain
// text is better than HTML.
func preview(r io.ReaderAt, root *Part) (string, error) {
	p := firstText(root, "plain")
	if p == nil {
		p = firstText(root, "html")
	}
	if p == nil {
		return "", nil
	}
	raw := make([]byte, min(p.Size(), previewRead))
	if n, err := r.ReadAt(raw, p.BodyStart); n < len(raw) {
		return "", err
	}
	text := decodeCharset(p.Param("charset"), wholeRunes(decodeBytes(raw, p.Encoding)))
	if p.Subtype == "html" {
		text = stripHTML(text)
	} else {
		text = stripQuotes(text)
	}
	return shorten(text), nil
}

// wholeRunes leaves out a character of UTF-8 that the end of the bytes cuts.
func wholeRunes(b []byte) []byte {
	for cut := 0; cut < utf8.UTFMax && cut <= len(b); cut++ {
		if utf8.Valid(b[:len(b)-cut]) {
			return b[:len(b)-cut]
		}
	}
	return b
}

func firstText(p *Part, subtype string) *Part {
	if p.Type == "text" && p.Subtype == subtype && p.Disposition != "attachment" && p.Size() > 0 {
		return p
	}
	for _, child := range p.Parts {
		if t := firstText(child, subtype); t != nil {
			return t
		}
	}
	return nil
}

// stripQuotes leaves out the lines that quote another message.
func stripQuotes(s string) string {
	if !strings.HasPrefix(s, ">") && !strings.Contains(s, "\n>") {
		return s
	}
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, ">") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// stripHTML is crude: it is for one line of a list, not for display.
func stripHTML(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		b.WriteByte(' ')
		s = skipTag(s[i:])
	}
	return entities.Replace(b.String())
}

// skipTag goes past a tag; of what no person sees, past the content too.
func skipTag(s string) string {
	end := ">"
	for _, hidden := range [...]string{"style", "script", "head", "title"} {
		if n := len(hidden); len(s) > n+1 && strings.EqualFold(s[1:1+n], hidden) && (s[1+n] == '>' || s[1+n] <= ' ') {
			end = "</" + hidden
		}
	}
	if strings.HasPrefix(s, "<!--") {
		end = "-->"
	}
	i := indexFold(s[1:], end)
	if i < 0 {
		return ""
	}
	s = s[1+i+len(end):]
	if end[0] == '<' {
		_, s, _ = strings.Cut(s, ">")
	}
	return s
}

func indexFold(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

// entities are the named ones that text is full of.
var entities = strings.NewReplacer("&nbsp;", " ", "&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", `"`, "&#39;", "'", "&zwnj;", "", "&#8203;", "")

// shorten makes one line of at most previewRunes characters.
func shorten(s string) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range s {
		switch {
		case r <= ' ' || r == '\u00a0' || r == '\u3000' || r == '\u2028':
			space = n > 0
			continue
		case r == utf8.RuneError || r < 0xa0 && r > 0x7e || r == '\u200b' || r == '\ufeff':
			continue
		}
		if space && n < previewRunes {
			b.WriteByte(' ')
			n++
		}
		if n >= previewRunes {
			break
		}
		space = false
		b.WriteRune(r)
		n++
	}
	return strings.TrimRight(b.String(), " ")
}
