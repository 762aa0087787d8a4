package smtp

import (
	"strings"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// maxLocal is the longest local part taken from the wire, in octets. RFC 5321
// §4.5.3.1.1 promises 64 and bids us set no limit we can do without; reverse-paths
// that carry another address inside are often longer.
const maxLocal = 255

func parseMail(c Command, arg string, x Extensions) (Command, Reply) {
	rest, ok := cutFold(arg, "FROM:")
	if !ok {
		return c, Answer(501, Enhanced{5, 5, 4}, "Say MAIL FROM:<address>")
	}
	var params string
	c.Path, params, ok = parsePath(strings.TrimLeft(rest, " \t"))
	if !ok || c.Path.Domain == "" && c.Path.Local != "" {
		return c, Answer(501, Enhanced{5, 1, 7}, "That is no address a message can come from")
	}
	path := rest[:len(rest)-len(params)]
	c.NonASCII, c.Mail.Quoted = !isASCII(path), c.Path.OddDots() && strings.Contains(path, `"`)
	return c, c.Mail.parse(params, x)
}

func parseRcpt(c Command, arg string, x Extensions) (Command, Reply) {
	rest, ok := cutFold(arg, "TO:")
	if !ok {
		return c, Answer(501, Enhanced{5, 5, 4}, "Say RCPT TO:<address>")
	}
	var params string
	c.Path, params, ok = parsePath(strings.TrimLeft(rest, " \t"))
	if !ok || c.Path.IsNull() || c.Path.Domain == "" && !strings.EqualFold(c.Path.Local, "postmaster") {
		return c, Answer(501, Enhanced{5, 1, 3}, "That is no address a message can go to")
	}
	path := rest[:len(rest)-len(params)]
	c.NonASCII, c.Rcpt.Quoted = !isASCII(path), c.Path.OddDots() && strings.Contains(path, `"`)
	return c, c.Rcpt.parse(params, x)
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// parsePath reads a reverse-path or forward-path (RFC 5321 §4.1.2, RFC 6531
// §3.3) off the front of s and gives what follows it. A source route is read and
// forgotten (RFC 5321 §4.1.1.3, appendix C).
func parsePath(s string) (a mail.Address, rest string, ok bool) {
	inner, bracket := strings.CutPrefix(s, "<")
	if bracket && strings.HasPrefix(inner, ">") {
		return a, inner[1:], endOfPath(inner[1:])
	}
	if bracket && strings.HasPrefix(inner, "@") {
		if inner, ok = cutRoute(inner); !ok {
			return a, s, false
		}
	}
	a.Local, rest, ok = cutLocal(inner)
	if !ok || a.Local == "" || len(a.Local) > maxLocal || !utf8.ValidString(a.Local) {
		return a, s, false
	}
	if after, has := strings.CutPrefix(rest, "@"); has {
		end := strings.IndexAny(after, "> \t")
		if end < 0 {
			end = len(after)
		}
		d, err := mail.ParseDomain(after[:end])
		if err != nil || !utf8.ValidString(after[:end]) || strings.HasSuffix(after[:end], ".") {
			return a, s, false
		}
		a.Domain, rest = d, after[end:]
	}
	if bracket {
		if rest, ok = strings.CutPrefix(rest, ">"); !ok {
			return a, s, false
		}
	}
	return a, rest, endOfPath(rest)
}

// endOfPath says whether what follows a path is nothing or parameters.
func endOfPath(rest string) bool { return rest == "" || rest[0] == ' ' || rest[0] == '\t' }

// cutRoute takes "@a,@b:" off the front of s.
func cutRoute(s string) (string, bool) {
	route, rest, ok := strings.Cut(s, ":")
	// An address literal in a route holds colons of its own.
	for ok && strings.Count(route, "[") > strings.Count(route, "]") {
		var more string
		more, rest, ok = strings.Cut(rest, ":")
		route += ":" + more
	}
	if !ok {
		return s, false
	}
	for hop := range strings.SplitSeq(route, ",") {
		d, at := strings.CutPrefix(hop, "@")
		if _, err := mail.ParseDomain(d); !at || err != nil {
			return s, false
		}
	}
	return rest, true
}

// cutLocal takes a local part off the front of s and gives it without quotes.
func cutLocal(s string) (local, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		i := 0
		for i < len(s) && (s[i] == '.' || mail.IsAtext(s[i])) {
			i++
		}
		return s[:i], s[i:], i > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c < ' ' || c == 0x7f:
			return "", s, false
		case c == '\\':
			if i++; i == len(s) || s[i] < ' ' || s[i] >= 0x7f {
				return "", s, false
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", s, false
}
