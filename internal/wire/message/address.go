package message

import "strings"

// ParseAddressList reads the addresses of a field (RFC 5322 §3.4, §4.4), at
// most MaxAddresses, and makes sense of what is not quite one: unquoted dots,
// 8-bit octets, missing brackets, an address as its own display name. What
// stays a mere word is an address without a Host. A group without a name
// leaves its members only.
func ParseAddressList(s string) []Addr {
	p := &addrParser{s: s}
	for p.s != "" && len(p.list) < MaxAddresses {
		p.step()
	}
	p.flush()
	if p.inGroup {
		p.list = append(p.list, Addr{IsGroup: true})
	}
	return p.list
}

// maxSpec is where joining the pieces of an odd address ends, so that its time
// stays linear.
const maxSpec = 2000

// addrParser reads words until it knows what they were.
type addrParser struct {
	s       string
	list    []Addr
	words   []string // display name or local part, as far as known
	comment string   // the last one: a name in the oldest style
	bare    *Addr    // an address without brackets, which may turn out to be a name
	inGroup bool
}

// step takes one token off the front.
func (p *addrParser) step() {
	switch c := p.s[0]; c {
	case ' ', '\t', '\r', '\n', '>', ')', ']', '\\':
		p.s = p.s[1:]
	case '(':
		p.comment, p.s = cutComment(p.s)
	case ',':
		p.s = p.s[1:]
		p.flush()
	case ';':
		p.s = p.s[1:]
		p.flush()
		if p.inGroup {
			p.inGroup = false
			p.list = append(p.list, Addr{IsGroup: true})
		}
	case ':':
		p.s = p.s[1:]
		p.group()
	case '<':
		p.angle()
	case '@':
		p.s = p.s[1:]
		p.at()
	default:
		if p.bare != nil {
			p.flush()
		}
		p.words = append(p.words, p.word())
	}
}

// word takes a quoted-string, a domain-literal or a run of what is no special.
// Dots are part of it, and what touches it without white space is too.
func (p *addrParser) word() string {
	var whole strings.Builder
	for p.s != "" {
		var w string
		switch p.s[0] {
		case '"':
			w, p.s = cutQuoted(p.s)
		case '[':
			w, p.s = cutLiteral(p.s)
		default:
			i := strings.IndexAny(p.s, " \t\r\n()<>[]:;@\\,\"")
			if i < 0 {
				i = len(p.s)
			}
			w, p.s = p.s[:i], p.s[i:]
			if i == 0 {
				return whole.String()
			}
		}
		whole.WriteString(w)
	}
	return whole.String()
}

// cutQuoted takes a quoted-string and undoes its escapes.
func cutQuoted(s string) (value, rest string) {
	i := strings.IndexAny(s[1:], `"\`)
	if i >= 0 && s[1+i] == '"' {
		return s[1 : 1+i], s[i+2:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:]
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

func cutLiteral(s string) (value, rest string) {
	if i := strings.IndexByte(s, ']'); i >= 0 {
		return s[:i+1], s[i+1:]
	}
	return s, ""
}

// flush makes an address of what was read.
func (p *addrParser) flush() {
	switch {
	case p.bare != nil:
		if p.bare.Name == "" {
			p.bare.Name = strings.TrimSpace(p.comment)
		}
		p.list = append(p.list, *p.bare)
	case len(p.words) > 0:
		if w := strings.Join(p.words, " "); w != "" {
			p.list = append(p.list, Addr{Name: strings.TrimSpace(p.comment), Mailbox: w})
		}
	}
	p.words, p.comment, p.bare = p.words[:0], "", nil
}

// group takes what was read as a group's name.
func (p *addrParser) group() {
	if p.bare != nil || p.inGroup || len(p.words) == 0 {
		return
	}
	name := strings.Join(p.words, " ")
	if name == "" {
		return
	}
	p.inGroup = true
	p.list = append(p.list, Addr{Mailbox: name, IsGroup: true})
	p.words, p.comment = p.words[:0], ""
}

// at knows that what was read last is a local part. In "a . b @ c", which
// RFC 5322 §4.4 allows, it is several words; other words before it are a name.
func (p *addrParser) at() {
	local := ""
	switch n := len(p.words); {
	case p.bare != nil:
		local = p.bare.Mailbox + "@" + p.bare.Host // the last @ counts
		local = local[max(0, len(local)-maxSpec):]
	case n > 0:
		local = p.words[n-1]
		for n--; n > 0 && len(local) < maxSpec && (strings.HasPrefix(local, ".") || strings.HasSuffix(p.words[n-1], ".")); n-- {
			local = p.words[n-1] + local
		}
		p.words = p.words[:n]
	}
	a := &Addr{Mailbox: local, Host: p.domain()}
	if p.bare != nil {
		a.Name = p.bare.Name
	} else {
		a.Name = strings.Join(p.words, " ")
	}
	p.words, p.bare = p.words[:0], a
	if a.Mailbox == "" && a.Host == "" {
		p.bare = nil
	}
}

// domain reads a domain; white space and comments may stand around its dots.
func (p *addrParser) domain() string {
	var d string
	for {
		p.skip()
		if p.s == "" || len(d) > maxSpec || strings.IndexByte(",;:<>@\")]\\", p.s[0]) >= 0 {
			return d
		}
		if d != "" && !strings.HasSuffix(d, ".") && p.s[0] != '.' {
			return d
		}
		d += p.word()
	}
}

// skip goes past white space and comments, and remembers the comment.
func (p *addrParser) skip() {
	for p.s != "" {
		switch p.s[0] {
		case ' ', '\t', '\r', '\n':
			p.s = p.s[1:]
		case '(':
			p.comment, p.s = cutComment(p.s)
		default:
			return
		}
	}
}

// angle reads <address>; what came before is its display name.
func (p *addrParser) angle() {
	a := Addr{Name: strings.Join(p.words, " ")}
	if p.bare != nil {
		a.Name = strings.TrimSpace(p.bare.Name + " " + p.bare.Mailbox + "@" + p.bare.Host)
	}
	p.words, p.comment, p.bare = p.words[:0], "", nil
	p.s = p.s[1:]
	p.skip()
	if strings.HasPrefix(p.s, "@") {
		a.Route = p.route()
	}
	at := -1
	var spec []byte
	for p.s != "" && p.s[0] != '>' && p.s[0] != ',' && p.s[0] != '<' {
		switch p.s[0] {
		case '@':
			at = len(spec)
			spec = append(spec, '@')
			p.s = p.s[1:]
		case ' ', '\t', '\r', '\n', '(':
			p.skip()
		case ')', ']', '\\', ':', ';':
			spec = append(spec, p.s[0])
			p.s = p.s[1:]
		default:
			spec = append(spec, p.word()...)
		}
	}
	p.s = strings.TrimPrefix(p.s, ">")
	a.Mailbox = string(spec)
	if at >= 0 {
		a.Mailbox, a.Host = string(spec[:at]), string(spec[at+1:])
	}
	p.comment = ""
	if a.Name != "" || a.Mailbox != "" || a.Host != "" {
		p.list = append(p.list, a)
	}
}

// route reads the obsolete source route, "@a,@b:", without its colon. Where
// there is no colon before the bracket it was none.
func (p *addrParser) route() string {
	i := strings.IndexAny(p.s[:min(len(p.s), maxSpec)], ":><")
	if i < 0 || p.s[i] != ':' {
		return ""
	}
	r := strings.Join(strings.Fields(p.s[:i]), "")
	p.s = p.s[i+1:]
	return r
}

// String is the address without its name, local@domain. The local part is
// not quoted again.
func (a Addr) String() string {
	if a.Host == "" {
		return a.Mailbox
	}
	return a.Mailbox + "@" + a.Host
}

// OddAddresses is the addresses of a field that do not stand in it as local@domain,
// but with comments, quotes or white space in them, each on a line; "" if there are
// none. Who looks for an address finds it there.
func OddAddresses(value string) string {
	if !strings.ContainsAny(value, "(\\\"") && !strings.Contains(value, " @") && !strings.Contains(value, "@ ") {
		return ""
	}
	var odd []string
	for _, a := range ParseAddressList(value) {
		if a.Host != "" && !strings.Contains(value, a.String()) {
			odd = append(odd, a.String())
		}
	}
	return strings.Join(odd, "\n")
}

// Envelope is the header in IMAP's terms. Sender and Reply-To are From where
// the header has none or empty ones (RFC 9051 §7.5.2).
func (i *Index) Envelope() Envelope {
	h := i.Header
	e := Envelope{
		Date: h.Get("Date"), Subject: h.Get("Subject"),
		From: h.Addresses("From"), Sender: h.Addresses("Sender"), ReplyTo: h.Addresses("Reply-To"),
		To: h.Addresses("To"), Cc: h.Addresses("Cc"), Bcc: h.Addresses("Bcc"),
		InReplyTo: h.Get("In-Reply-To"), MessageID: h.Get("Message-ID"),
	}
	if len(e.Sender) == 0 {
		e.Sender = e.From
	}
	if len(e.ReplyTo) == 0 {
		e.ReplyTo = e.From
	}
	return e
}

// Addresses is the addresses of all fields of that name together.
func (h Header) Addresses(name string) []Addr {
	var list []Addr
	for _, f := range h.fields {
		if strings.EqualFold(f.Name, name) && len(list) < MaxAddresses {
			list = append(list, ParseAddressList(f.Value())...)
		}
	}
	return list
}
