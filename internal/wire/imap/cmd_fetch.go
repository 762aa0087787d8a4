package imap

import (
	"strconv"
	"strings"
)

// FetchCommand is FETCH or UID FETCH (RFC 3501 §6.4.5). Macros are expanded.
type FetchCommand struct {
	UID   bool
	Set   Set
	Items []FetchItem

	ChangedSince *uint64 // RFC 7162 §3.1.4.1; nil: not given
	Vanished     bool    // RFC 7162 §3.2.6
	Window       *Window // of UID FETCH, RFC 9394 §3.3; nil: all
}

// FetchItem is one thing to be fetched. BODY.PEEK[…] is Name "BODY" with Peek;
// RFC822, RFC822.HEADER and RFC822.TEXT keep their names.
type FetchItem struct {
	Name    string // upper case
	Section *Section
	Partial *Partial
	Peek    bool
	Lazy    bool // of PREVIEW
}

// Section is what stands between the brackets of BODY[…].
type Section struct {
	Path   []uint32 // part numbers
	Kind   string   // "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME
	Fields []string // of HEADER.FIELDS, as they came
}

// Partial is <offset.count>.
type Partial struct{ Offset, Count uint32 }

// maxPath limits the part numbers of a section.
const maxPath = 100

// Name is "FETCH".
func (*FetchCommand) Name() string { return "FETCH" }

func (c *FetchCommand) byUID() bool { return c.UID }

func (c *FetchCommand) encode(e *Encoder) {
	e.SP().Raw(c.Set.String()).SP()
	e.List(len(c.Items), func(i int) { e.fetchItem(&c.Items[i]) })
	var words []string
	if c.ChangedSince != nil {
		words = append(words, "CHANGEDSINCE "+strconv.FormatUint(*c.ChangedSince, 10))
	}
	if c.Vanished {
		words = append(words, "VANISHED")
	}
	if c.Window != nil {
		words = append(words, "PARTIAL "+c.Window.String())
	}
	if len(words) > 0 {
		e.SP().Words(words)
	}
}

func (e *Encoder) fetchItem(it *FetchItem) {
	e.Raw(it.Name)
	if it.Lazy {
		e.Raw(" (LAZY)")
	}
	if it.Section == nil {
		return
	}
	if it.Peek {
		e.Raw(".PEEK")
	}
	e.Section(it.Section)
	if it.Partial != nil {
		e.byte('<').Number(int64(it.Partial.Offset)).byte('.').Number(int64(it.Partial.Count)).byte('>')
	}
}

// Section writes "[…]".
func (e *Encoder) Section(s *Section) *Encoder {
	e.byte('[')
	for i, n := range s.Path {
		if i > 0 {
			e.byte('.')
		}
		e.Number(int64(n))
	}
	if len(s.Path) > 0 && s.Kind != "" {
		e.byte('.')
	}
	e.Raw(s.Kind)
	if strings.HasPrefix(s.Kind, "HEADER.FIELDS") {
		e.SP().List(len(s.Fields), func(i int) { e.AString(s.Fields[i]) })
	}
	return e.byte(']')
}

func items(names ...string) []FetchItem {
	var all []FetchItem
	for _, n := range names {
		all = append(all, FetchItem{Name: n})
	}
	return all
}

func (p *parser) fetch(uid bool) Command {
	c := FetchCommand{UID: uid}
	p.space()
	c.Set = p.set()
	p.space()
	if p.peek() == '(' {
		p.list(false, func() { c.Items = append(c.Items, p.fetchItem()) })
	} else {
		c.Items = p.macro()
	}
	fetchModifiers.trailing(p, &c)
	if c.Vanished && (!uid || c.ChangedSince == nil) {
		p.fail("VANISHED is for UID FETCH with CHANGEDSINCE")
	}
	if c.Window != nil && !uid {
		p.fail("PARTIAL is for UID FETCH")
	}
	return &c
}

// fetchModifiers are what may stand behind the items of FETCH (RFC 4466 §2.5).
var fetchModifiers = options[*FetchCommand]{
	"CHANGEDSINCE": (*parser).changedSince,
	"PARTIAL":      func(p *parser, c *FetchCommand) { c.Window = p.window() },
	"VANISHED":     func(_ *parser, c *FetchCommand) { c.Vanished = true },
}

// macro reads a macro or one item.
func (p *parser) macro() []FetchItem {
	start := p.i
	switch p.fetchName() {
	case "ALL":
		return items("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE")
	case "FAST":
		return items("FLAGS", "INTERNALDATE", "RFC822.SIZE")
	case "FULL":
		return items("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY")
	}
	p.i = start
	return []FetchItem{p.fetchItem()}
}

// fetchItems are the items of FETCH, each with the parser of what belongs to
// it; nil where nothing does.
var fetchItems = options[*FetchItem]{
	"BODY": func(p *parser, it *FetchItem) {
		if p.peek() == '[' {
			p.sectionItem(it)
		}
	},
	"BODY.PEEK": func(p *parser, it *FetchItem) {
		it.Name, it.Peek = "BODY", true
		p.sectionItem(it)
	},
	"BINARY": (*parser).binaryItem,
	"BINARY.PEEK": func(p *parser, it *FetchItem) {
		it.Name, it.Peek = "BINARY", true
		p.binaryItem(it)
	},
	"BINARY.SIZE": func(p *parser, it *FetchItem) {
		if p.binaryItem(it); it.Partial != nil {
			p.fail("a part of BINARY.SIZE")
		}
	},
	"BODYSTRUCTURE": nil,
	"EMAILID":       nil,
	"ENVELOPE":      nil,
	"FLAGS":         nil,
	"INTERNALDATE":  nil,
	"MODSEQ":        nil,
	"PREVIEW":       (*parser).previewItem,
	"RFC822":        nil,
	"RFC822.HEADER": nil,
	"RFC822.SIZE":   nil,
	"RFC822.TEXT":   nil,
	"SAVEDATE":      nil,
	"THREADID":      nil,
	"UID":           nil,
	"X-GM-LABELS":   nil,
	"X-GM-MSGID":    nil,
	"X-GM-THRID":    nil,
}

// fetchName reads letters, digits and dots in upper case.
func (p *parser) fetchName() string {
	return strings.ToUpper(p.some("an item of FETCH", func(c byte) bool { return isAtom(c) && c != '[' && c != '<' }))
}

func (p *parser) fetchItem() FetchItem {
	it := FetchItem{Name: p.fetchName()}
	read, known := fetchItems[it.Name]
	switch {
	case !known:
		p.fail("an unknown item of FETCH")
	case read != nil:
		read(p, &it)
	}
	return it
}

// binaryItem reads the number of a part, and <offset.count> if it is there (RFC 3516
// §4.2).
func (p *parser) binaryItem(it *FetchItem) {
	p.sectionItem(it)
	if p.err == nil && it.Section.Kind != "" {
		p.fail("not the number of a part")
	}
}

// previewItem reads (LAZY) if it is there (RFC 8970 §4.1).
func (p *parser) previewItem(it *FetchItem) {
	const lazy = " (LAZY)"
	if p.err == nil && len(p.b)-p.i >= len(lazy) && strings.EqualFold(string(p.b[p.i:p.i+len(lazy)]), lazy) {
		p.i += len(lazy)
		it.Lazy = true
	}
}

// sectionItem reads a section, and <offset.count> if it is there.
func (p *parser) sectionItem(it *FetchItem) {
	it.Section = p.section()
	if p.accept('<') {
		var part Partial
		part.Offset = p.number()
		p.expect('.')
		if part.Count = p.number(); part.Count == 0 {
			p.fail("a partial of no octets")
		}
		p.expect('>')
		it.Partial = &part
	}
}

func (p *parser) section() *Section {
	var s Section
	p.expect('[')
	for isDigit(p.peek()) {
		n := p.number()
		if n == 0 || len(s.Path) >= maxPath {
			p.fail("not a part number")
		}
		s.Path = append(s.Path, n)
		if !p.accept('.') {
			p.expect(']')
			return &s
		}
	}
	if len(s.Path) == 0 && p.accept(']') {
		return &s
	}
	s.Kind = strings.ToUpper(p.some("a section", func(c byte) bool { return isAtom(c) }))
	switch s.Kind {
	case "HEADER", "TEXT":
	case "MIME":
		if len(s.Path) == 0 {
			p.fail("MIME without a part number")
		}
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		p.space()
		p.list(false, func() { s.Fields = append(s.Fields, p.fieldName()) })
	default:
		p.fail("an unknown section")
	}
	p.expect(']')
	return &s
}

// fieldName reads the name of a header field: RFC 5322 §3.6.8 knows printable
// characters but ":".
func (p *parser) fieldName() string {
	s := p.astring()
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			p.fail("not the name of a header field")
		}
	}
	if s == "" {
		p.fail("an empty field name")
	}
	return s
}
