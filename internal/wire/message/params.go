package message

import (
	"strconv"
	"strings"
)

// describe fills in what a part's header says about it (RFC 2045, 2183, 3282).
func (p *Part) describe(h Header, digest bool) {
	p.Type, p.Subtype, p.Encoding = "text", "plain", "7bit"
	if digest {
		p.Type, p.Subtype = "message", "rfc822" // RFC 2046 §5.1.5
	}
	var seen [8]bool
	once := func(i int) bool {
		first := !seen[i]
		seen[i] = true
		return first
	}
	for _, f := range h.fields {
		name := strings.ToLower(f.Name)
		if !strings.HasPrefix(name, "content-") {
			continue
		}
		switch v := f.Value(); {
		case name == "content-type" && once(0):
			p.setType(v)
		case name == "content-transfer-encoding" && once(1):
			if e, _ := cutToken(skipCFWS(v)); e != "" {
				p.Encoding = strings.ToLower(e)
			}
		case name == "content-id" && once(2):
			p.ID = v
		case name == "content-description" && once(3):
			p.Description = v
		case name == "content-md5" && once(4):
			p.MD5 = v
		case name == "content-location" && once(5):
			p.Location = v
		case name == "content-disposition" && once(6):
			d, rest := cutToken(skipCFWS(v))
			p.Disposition, p.DispParams = strings.ToLower(d), parseParams(rest)
		case name == "content-language" && once(7):
			p.Language = parseTokens(v)
		}
	}
}

// setType reads a Content-Type. One that is no type/subtype is text/plain if
// it begins like text (RFC 2045 §5.2), else application/octet-stream, and
// keeps its parameters: most are attachments with a name.
func (p *Part) setType(v string) {
	typ, rest := cutToken(skipCFWS(v))
	rest = skipCFWS(rest)
	if typ == "" {
		return
	}
	p.Type, p.Subtype = strings.ToLower(typ), ""
	if strings.HasPrefix(rest, "/") {
		var sub string
		sub, rest = cutToken(skipCFWS(rest[1:]))
		p.Subtype = strings.ToLower(sub)
	}
	p.Params = parseParams(rest)
	if p.Subtype != "" {
		return
	}
	switch p.Type {
	case "text":
		p.Subtype = "plain"
	case "multipart":
		p.Subtype = "mixed"
	default:
		p.Type, p.Subtype = "application", "octet-stream"
	}
}

// cutToken takes a token (RFC 2045 §5.1) off the front of s.
func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && s[i] > ' ' && s[i] != 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) < 0 {
		i++
	}
	return s[:i], s[i:]
}

// skipCFWS goes past white space and comments (RFC 5322 §3.2.2).
func skipCFWS(s string) string {
	for s != "" {
		switch s[0] {
		case ' ', '\t':
			s = s[1:]
		case '(':
			_, s = cutComment(s)
		default:
			return s
		}
	}
	return s
}

// cutComment takes a comment off the front of s and gives what is inside the
// outer parentheses. One that does not end goes to the end of s.
func cutComment(s string) (inside, rest string) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:]
			}
		}
	}
	return s[1:], ""
}

// parseParams reads "; name=value; …", forgiving missing semicolons at the
// front, unquoted values with spaces in them and quotes that do not end.
func parseParams(s string) []Param {
	var params []Param
	for s = skipCFWS(s); s != "" && len(params) < MaxParams; s = skipCFWS(s) {
		if s[0] == ';' {
			s = s[1:]
			continue
		}
		name, rest := cutToken(s)
		rest = skipCFWS(rest)
		if name == "" || !strings.HasPrefix(rest, "=") {
			// Not a parameter: go on behind the next semicolon.
			i := strings.IndexByte(s, ';')
			if i < 0 {
				break
			}
			s = s[i+1:]
			continue
		}
		var value string
		value, s = cutParamValue(skipCFWS(rest[1:]))
		params = append(params, Param{Name: strings.ToLower(name), Value: value})
	}
	return params
}

func cutParamValue(s string) (value, rest string) {
	if strings.HasPrefix(s, `"`) {
		return cutParamQuoted(s)
	}
	i := strings.IndexByte(s, ';')
	if i < 0 {
		i = len(s)
	}
	value, rest = s[:i], s[i:]
	// A comment begins behind white space only: "a(1).pdf" is a name.
	for j := 1; j < len(value); j++ {
		if value[j] == '(' && (value[j-1] == ' ' || value[j-1] == '\t') {
			_, rest = cutComment(s[j:])
			value = value[:j]
			if k := strings.IndexByte(rest, ';'); k >= 0 {
				rest = rest[k:]
			} else {
				rest = ""
			}
			break
		}
	}
	return strings.Trim(value, " \t"), rest
}

// cutParamQuoted takes a quoted-string. A backslash that quotes neither a
// quote nor a backslash stays: it is more often a path than an escape.
func cutParamQuoted(s string) (value, rest string) {
	plain := strings.IndexAny(s[1:], `"\`)
	if plain >= 0 && s[1+plain] == '"' {
		return s[1 : 1+plain], s[plain+2:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:]
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// parseTokens reads a list of tokens between commas.
func parseTokens(s string) []string {
	var tokens []string
	for item := range strings.SplitSeq(s, ",") {
		if t, _ := cutToken(skipCFWS(item)); t != "" && len(tokens) < MaxParams {
			tokens = append(tokens, t)
		}
	}
	return tokens
}

// joinParam puts a parameter together from its RFC 2231 pieces. extended says
// that it has a charset, in which the value still is.
func joinParam(params []Param, name string) (value, charset string, extended bool) {
	var plain string
	var isPlain bool
	pieces := map[int]Param{}
	for _, p := range params {
		rest, ok := strings.CutPrefix(p.Name, name)
		switch {
		case !ok:
		case rest == "" && !isPlain:
			plain, isPlain = p.Value, true
		case rest == "*":
			value, charset = cutCharset(p.Value)
			return percentDecode(value), charset, true
		case len(rest) > 1 && rest[0] == '*':
			n, err := strconv.Atoi(strings.TrimSuffix(rest[1:], "*"))
			if _, again := pieces[n]; err == nil && !again {
				pieces[n] = Param{Name: rest, Value: p.Value}
			}
		}
	}
	first, ok := pieces[0]
	if !ok {
		return plain, "", false
	}
	var b strings.Builder
	if extended = strings.HasSuffix(first.Name, "*"); extended {
		value, charset = cutCharset(first.Value)
		b.WriteString(percentDecode(value))
	} else {
		b.WriteString(first.Value)
	}
	for n := 1; ; n++ {
		piece, ok := pieces[n]
		if !ok {
			return b.String(), charset, extended
		}
		if strings.HasSuffix(piece.Name, "*") {
			b.WriteString(percentDecode(piece.Value))
		} else {
			b.WriteString(piece.Value)
		}
	}
}

// cutCharset takes "charset'language'" off the front, if it is there.
func cutCharset(s string) (value, charset string) {
	if charset, rest, ok := strings.Cut(s, "'"); ok {
		if _, value, ok := strings.Cut(rest, "'"); ok {
			return value, charset
		}
	}
	return s, ""
}

func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, ok := unhex(s[i+1], s[i+2]); ok {
				b = append(b, c)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(hi, lo byte) (byte, bool) {
	h, ok1 := nibble(hi)
	l, ok2 := nibble(lo)
	return h<<4 | l, ok1 && ok2
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}

// decodeParam makes a parameter readable: RFC 2231, or the RFC 2047 words
// that many put into quotes against its §5.
func decodeParam(params []Param, name string) string {
	value, charset, extended := joinParam(params, name)
	if !extended {
		return DecodeHeader(value)
	}
	return printable(decodeCharset(charset, []byte(value)))
}

// Param is a decoded Content-Type parameter, or "": its RFC 2231 pieces
// joined and its charset turned into UTF-8. The name is in lower case.
func (p *Part) Param(name string) string { return decodeParam(p.Params, name) }

// DispParam is a decoded parameter of Content-Disposition, or "".
func (p *Part) DispParam(name string) string { return decodeParam(p.DispParams, name) }

// Charset is the charset parameter in lower case; "" where there is none.
func (p *Part) Charset() string { return strings.ToLower(p.Param("charset")) }

// Filename is the part's name from its disposition or else its type, decoded.
// It is what the sender wrote: a path may be in it.
func (p *Part) Filename() string {
	if name := p.DispParam("filename"); name != "" {
		return name
	}
	return p.Param("name")
}
