package message

import (
	"strings"
)

// AuthResult is what one check of a message found (RFC 8601 §2.2).
type AuthResult struct {
	Method, Result string
	Comment        string // for human readers; "" if there is none
	Reason         string // why the result is what it is; "" if there is none
	Props          []AuthProp
}

// AuthProp is what a check looked at: type, name and value, such as smtp, mailfrom
// and the address. Those without a value are left out.
type AuthProp struct{ Type, Name, Value string }

// AuthResultsField is the name of the field.
const AuthResultsField = "Authentication-Results"

// maxAuthText is how much of a comment, a reason or a value is written, in octets.
const maxAuthText = 256

// AppendAuthResults writes an Authentication-Results field (RFC 8601 §2.2) that
// says what the server named id found.
func AppendAuthResults(dst []byte, id string, results []AuthResult) []byte {
	dst = append(dst, AuthResultsField+": "...)
	dst = append(dst, id...)
	if len(results) == 0 {
		dst = append(dst, "; none"...)
	}
	for _, r := range results {
		line := r.Method + "=" + r.Result
		add := func(word string) {
			if word == "" {
				return
			}
			if len(line)-strings.LastIndexByte(line, '\n')+len(word) > maxFolded {
				line += "\r\n\t "
			} else {
				line += " "
			}
			line += word
		}
		if r.Comment != "" {
			add("(" + commented(r.Comment) + ")")
		}
		if r.Reason != "" {
			add("reason=" + quoted(r.Reason))
		}
		for _, p := range r.Props {
			if p.Value != "" {
				add(p.Type + "." + p.Name + "=" + pvalue(p.Value))
			}
		}
		dst = append(dst, ";\r\n\t"...)
		dst = append(dst, line...)
	}
	return append(dst, '\r', '\n')
}

// maxFolded is where a line is folded, in octets (RFC 5322 §2.1.1).
const maxFolded = 76

// authText makes text of others fit for a field: no control characters, not too
// long, and valid UTF-8.
func authText(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > maxAuthText {
		s = strings.ToValidUTF8(s[:maxAuthText], "")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

var (
	escapeQuoted  = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	escapeComment = strings.NewReplacer(`\`, `\\`, `(`, `\(`, `)`, `\)`)
)

func quoted(s string) string { return `"` + escapeQuoted.Replace(authText(s)) + `"` }

func commented(s string) string { return escapeComment.Replace(authText(s)) }

// pvalue is a value as RFC 8601 §2.2 has it: a token (RFC 2045 §5.1), or an address,
// or else quoted.
func pvalue(s string) string {
	local, domain, at := strings.Cut(s, "@")
	if !at {
		domain, local = local, ""
	}
	if domain != "" && isToken(domain) && (local == "" || isDotAtom(local)) && len(s) <= maxAuthText {
		return s
	}
	return quoted(s)
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return true
}

func isDotAtom(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`()<>@,;:\"[]`, c) >= 0 {
			return false
		}
	}
	return s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

// AuthServID is whose findings the value of an Authentication-Results field says
// that it holds; "" if that cannot be made out.
func AuthServID(value string) string {
	value = skipComments(value)
	if strings.HasPrefix(value, `"`) {
		var b strings.Builder
		for i := 1; i < len(value); i++ {
			switch c := value[i]; {
			case c == '"':
				return b.String()
			case c == '\\' && i+1 < len(value):
				i++
				b.WriteByte(value[i])
			default:
				b.WriteByte(c)
			}
		}
		return ""
	}
	end := strings.IndexAny(value, " \t\r\n;(")
	if end < 0 {
		end = len(value)
	}
	if !isToken(value[:end]) {
		return ""
	}
	return value[:end]
}

// skipComments takes white space and comments off the beginning of s.
func skipComments(s string) string {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && depth > 0:
			i++
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0 && !strings.ContainsRune(" \t\r\n", rune(c)):
			return s[i:]
		}
	}
	return ""
}

// ResultOf is the first result of a method in the value of an
// Authentication-Results field, in lower case; "" if there is none. What stands in
// comments and quoted strings is no result.
func ResultOf(value, method string) string {
	var bare strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && (quoted || depth > 0):
			i++
		case quoted:
			quoted = c != '"'
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '"':
			quoted = true
		default:
			bare.WriteByte(c)
		}
	}
	for part := range strings.SplitSeq(bare.String(), ";") {
		name, rest, _ := strings.Cut(part, "=")
		if words := strings.Fields(rest); strings.EqualFold(strings.TrimSpace(name), method) && len(words) > 0 {
			return strings.ToLower(words[0])
		}
	}
	return ""
}

// ForgedResults is where the Authentication-Results fields lie that say to be ours,
// by one of the names, or whose author cannot be made out. They have to go before
// a reader may believe what we write (RFC 8601 §5).
func (h Header) ForgedResults(ours ...string) []Span {
	var spans []Span
	for _, f := range h.fields {
		if !strings.EqualFold(f.Name, AuthResultsField) {
			continue
		}
		id := strings.TrimSuffix(AuthServID(f.Value()), ".")
		forged := id == ""
		for _, name := range ours {
			forged = forged || strings.EqualFold(id, name)
		}
		if forged {
			spans = append(spans, f.Span())
		}
	}
	return spans
}
