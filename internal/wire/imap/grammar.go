package imap

import "strings"

// verb is how the arguments of a command are read, nil where there is no such
// form.
type verb struct {
	plain func(*parser) Command // "NAME …"
	uid   func(*parser) Command // "UID NAME …"
}

// verbs are the commands we know, by name.
var verbs = map[string]verb{
	"APPEND":         {plain: (*parser).append},
	"AUTHENTICATE":   {plain: (*parser).authenticate},
	"CANCELUPDATE":   {plain: (*parser).cancelUpdate},
	"CAPABILITY":     bare("CAPABILITY"),
	"CHECK":          bare("CHECK"),
	"CLOSE":          bare("CLOSE"),
	"COMPRESS":       {plain: (*parser).compress},
	"COPY":           forms((*parser).copy),
	"CREATE":         {plain: (*parser).create},
	"DELETE":         box("DELETE"),
	"DELETEACL":      acl("DELETEACL", true),
	"ENABLE":         {plain: (*parser).enable},
	"ESEARCH":        forms((*parser).esearch), // some write UID in front of it, as RFC 7377 §2 does once
	"EXAMINE":        {plain: func(p *parser) Command { return p.selectBox(true) }},
	"EXPUNGE":        {plain: (*parser).expunge, uid: (*parser).uidExpunge},
	"FETCH":          forms((*parser).fetch),
	"GETACL":         acl("GETACL", false),
	"GETJMAPACCESS":  bare("GETJMAPACCESS"),
	"GETMETADATA":    {plain: (*parser).getMetadata},
	"GETQUOTA":       {plain: (*parser).getQuota},
	"GETQUOTAROOT":   box("GETQUOTAROOT"),
	"ID":             {plain: (*parser).id},
	"IDLE":           bare("IDLE"),
	"LANGUAGE":       {plain: (*parser).language},
	"LIST":           {plain: func(p *parser) Command { return p.listBoxes(false) }},
	"LISTRIGHTS":     acl("LISTRIGHTS", true),
	"LOGIN":          {plain: (*parser).login},
	"LOGOUT":         bare("LOGOUT"),
	"LSUB":           {plain: func(p *parser) Command { return p.listBoxes(true) }},
	"MOVE":           forms((*parser).move),
	"MYRIGHTS":       acl("MYRIGHTS", false),
	"NAMESPACE":      bare("NAMESPACE"),
	"NOOP":           bare("NOOP"),
	"NOTIFY":         {plain: (*parser).notify},
	"REPLACE":        forms((*parser).replace),
	"RENAME":         {plain: (*parser).rename},
	"SEARCH":         forms((*parser).search),
	"SELECT":         {plain: func(p *parser) Command { return p.selectBox(false) }},
	"SETACL":         acl("SETACL", true),
	"SETMETADATA":    {plain: (*parser).setMetadata},
	"SETQUOTA":       {plain: (*parser).setQuota},
	"SORT":           forms((*parser).sort),
	"STARTTLS":       bare("STARTTLS"),
	"STATUS":         {plain: (*parser).status},
	"STORE":          forms((*parser).store),
	"SUBSCRIBE":      box("SUBSCRIBE"),
	"THREAD":         forms((*parser).thread),
	"UIDBATCHES":     {plain: (*parser).batches},
	"UNAUTHENTICATE": bare("UNAUTHENTICATE"),
	"UNSELECT":       bare("UNSELECT"),
	"UNSUBSCRIBE":    box("UNSUBSCRIBE"),
}

// bare is a command without arguments.
func bare(name string) verb {
	return verb{plain: func(*parser) Command { return PlainCommand(name) }}
}

// box is a command with one mailbox.
func box(name string) verb {
	return verb{plain: func(p *parser) Command { return p.boxCommand(name) }}
}

// forms is a command that reads the same with UID and without.
func forms(parse func(p *parser, uid bool) Command) verb {
	return verb{
		plain: func(p *parser) Command { return parse(p, false) },
		uid:   func(p *parser) Command { return parse(p, true) },
	}
}

// Parse reads one command without its last CRLF, literals in it as {n} CRLF and
// their octets.
func Parse(b []byte) (Request, error) { return (&parser{b: b}).request() }

// parse is Parse of what came, as the session's extensions have it.
func (d *Decoder) parse() (Request, error) {
	return (&parser{b: d.buf, utf8: d.UTF8}).request()
}

func (p *parser) request() (Request, error) {
	req := Request{Tag: p.tag()}
	p.space()
	if parse := p.verb(); parse != nil {
		req.Command = parse(p)
	}
	if p.err == nil && !p.end() {
		p.fail("something after the end of the command")
	}
	if p.err != nil {
		return Request{}, p.badOf(p.b)
	}
	return req, nil
}

// verb reads a command's name and gives the parser of what follows it.
func (p *parser) verb() func(*parser) Command {
	name := p.word()
	parse := verbs[name].plain
	if name == "UID" {
		p.space()
		parse = verbs[p.word()].uid
	}
	if parse == nil {
		p.fail("unknown command")
	}
	return parse
}

// badOf is the parser's error with the tag of b, nil if there is none.
func (p *parser) badOf(b []byte) error {
	if p.err == nil {
		return nil
	}
	err := p.err.(*BadError)
	err.Tag = tagOf(b)
	return err
}

// ByUID says whether a command is of the form "UID NAME …".
func ByUID(c Command) bool {
	u, ok := c.(interface{ byUID() bool })
	return ok && u.byUID()
}

// ByNumber says whether a command names messages by their sequence numbers,
// where it could do so by UID (RFC 9586 §3). EXPUNGE names none.
func ByNumber(c Command) bool {
	u, ok := c.(interface{ byUID() bool })
	return ok && !u.byUID() && c.Name() != "EXPUNGE"
}

func (p *parser) tag() string {
	tag := p.some("a tag", isTag)
	if len(tag) > MaxTag {
		p.fail("a tag of more than %d octets", MaxTag)
	}
	return tag
}

// tagOf is the tag of a command, "" if it has none.
func tagOf(b []byte) string {
	p := &parser{b: b}
	tag := p.tag()
	if p.accept(' ') {
		return tag
	}
	return ""
}

// checkHead says whether b begins with a tag and the name of a command.
func checkHead(b []byte) error {
	p := &parser{b: b}
	p.tag()
	p.space()
	p.verb()
	return p.badOf(b)
}

// Print writes r as a client sends it, with its CRLF. Strings that cannot be
// quoted become non-synchronising literals.
func Print(r Request) []byte {
	e := &Encoder{Plus: true}
	e.Raw(r.Tag).SP()
	if ByUID(r.Command) {
		e.Raw("UID ")
	}
	e.Raw(r.Command.Name())
	r.Command.encode(e)
	return e.CRLF().Bytes()
}

// PlainCommand is a command without arguments, by its name.
type PlainCommand string

// Name is the command's name.
func (c PlainCommand) Name() string { return strings.ToUpper(string(c)) }

func (PlainCommand) encode(*Encoder) {}
