package imap

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// SearchCommand is SEARCH or UID SEARCH (RFC 3501 §6.4.4).
type SearchCommand struct {
	UID     bool
	Charset string // upper case; "" if none was given
	Keys    []SearchKey
}

// SearchOp names a search key.
type SearchOp string

// SearchKey is one key. Which fields are set depends on Op:
// AND and OR have Keys, NOT one of them; FLAG and UNFLAG a system flag;
// KEYWORD and UNKEYWORD, the texts and HEADER a Text, HEADER also a Field;
// LARGER and SMALLER a Number, MODSEQ a ModSeq; the dates a Date; SET and UID a Set;
// ALL and NONE nothing.
type SearchKey struct {
	Op     SearchOp
	Keys   []SearchKey
	Flag   mail.Flags
	Field  string
	Text   string
	Number uint32
	ModSeq uint64
	Date   time.Time // midnight UTC of that day
	Set    Set
}

// maxKeys limits the search keys of a command, all nested ones counted.
const maxKeys = MaxList

// Name is "SEARCH".
func (*SearchCommand) Name() string { return "SEARCH" }

func (c *SearchCommand) byUID() bool { return c.UID }

func (c *SearchCommand) encode(e *Encoder) {
	if c.Charset != "" {
		e.Raw(" CHARSET ").AString(c.Charset)
	}
	for i := range c.Keys {
		e.SP().searchKey(&c.Keys[i])
	}
}

func (e *Encoder) searchKey(k *SearchKey) {
	switch k.Op {
	case "AND":
		e.List(len(k.Keys), func(i int) { e.searchKey(&k.Keys[i]) })
	case "OR":
		e.Raw("OR ").searchKey(&k.Keys[0])
		e.SP().searchKey(&k.Keys[1])
	case "NOT":
		e.Raw("NOT ").searchKey(&k.Keys[0])
	case "FLAG":
		e.Raw(strings.ToUpper(k.Flag.Names()[0][1:]))
	case "UNFLAG":
		e.Raw("UN" + strings.ToUpper(k.Flag.Names()[0][1:]))
	case "SET":
		e.Raw(k.Set.String())
	case "UID":
		e.Raw("UID ").Raw(k.Set.String())
	case "KEYWORD", "UNKEYWORD":
		e.Raw(string(k.Op)).SP().Raw(k.Text)
	case "HEADER":
		e.Raw("HEADER ").AString(k.Field).SP().AString(k.Text)
	case "LARGER", "SMALLER":
		e.Raw(string(k.Op)).SP().Number(int64(k.Number))
	case "MODSEQ":
		e.Raw("MODSEQ ").Number(int64(k.ModSeq))
	case "ALL", "RECENT":
		e.Raw(string(k.Op))
	default:
		e.Raw(string(k.Op)).SP()
		if k.Date.IsZero() {
			e.AString(k.Text)
			return
		}
		e.date(k.Date)
	}
}

func (p *parser) search(uid bool) Command {
	c := SearchCommand{UID: uid}
	p.space()
	start := p.i
	if p.peek()|0x20 == 'c' && p.word() == "CHARSET" {
		p.space()
		c.Charset = strings.ToUpper(p.astring())
		p.foreign = !KnownCharset(c.Charset)
		p.space()
	} else if p.err == nil {
		p.i = start
	}
	left := maxKeys
	for p.err == nil {
		c.Keys = append(c.Keys, p.searchKey(&left))
		if !p.accept(' ') {
			break
		}
	}
	return &c
}

func (p *parser) searchKey(left *int) SearchKey {
	if *left--; *left < 0 {
		p.fail("more than %d search keys", maxKeys)
	}
	switch c := p.peek(); {
	case c == '(':
		var keys []SearchKey
		p.list(false, func() { keys = append(keys, p.searchKey(left)) })
		return SearchKey{Op: "AND", Keys: keys}
	case c == '*' || isDigit(c):
		return SearchKey{Op: "SET", Set: p.set()}
	}
	if p.enter(); p.err != nil {
		return SearchKey{}
	}
	defer p.leave()
	k := SearchKey{Op: SearchOp(p.word())}
	if read, known := searchKeys[k.Op]; !known {
		p.flagKey(&k)
	} else if read != nil {
		read(p, &k, func() SearchKey { return p.searchKey(left) })
	}
	return k
}

// searchKeys are the search keys that are words, flags apart, each with the
// parser of what belongs to it; nil where nothing does. within reads a key
// within the key.
var searchKeys = map[SearchOp]func(p *parser, k *SearchKey, within func() SearchKey){
	"ALL":        nil,
	"BCC":        textKey,
	"BEFORE":     dateKey,
	"BODY":       textKey,
	"CC":         textKey,
	"FROM":       textKey,
	"HEADER":     headerKey,
	"KEYWORD":    keywordKey,
	"LARGER":     sizeKey,
	"MODSEQ":     modSeqKey,
	"NEW":        newKey,
	"NOT":        notKey,
	"OLD":        oldKey,
	"ON":         dateKey,
	"OR":         orKey,
	"RECENT":     nil,
	"SENTBEFORE": dateKey,
	"SENTON":     dateKey,
	"SENTSINCE":  dateKey,
	"SINCE":      dateKey,
	"SMALLER":    sizeKey,
	"SUBJECT":    textKey,
	"TEXT":       textKey,
	"TO":         textKey,
	"UID":        uidKey,
	"UNKEYWORD":  keywordKey,
}

func textKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	k.Text = p.searchText()
}

func dateKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	k.Date = p.date()
}

func headerKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	k.Field = p.fieldName()
	p.space()
	k.Text = p.searchText()
}

func keywordKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	k.Text = p.atom()
}

func sizeKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	k.Number = p.number()
}

func uidKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	k.Set = p.set()
}

// newKey is NEW, which is RECENT UNSEEN.
func newKey(_ *parser, k *SearchKey, _ func() SearchKey) {
	*k = SearchKey{Op: "AND", Keys: []SearchKey{{Op: "RECENT"}, {Op: "UNFLAG", Flag: mail.FlagSeen}}}
}

// oldKey is OLD, which is NOT RECENT.
func oldKey(_ *parser, k *SearchKey, _ func() SearchKey) {
	*k = SearchKey{Op: "NOT", Keys: []SearchKey{{Op: "RECENT"}}}
}

func notKey(p *parser, k *SearchKey, within func() SearchKey) {
	p.space()
	k.Keys = []SearchKey{within()}
}

func orKey(p *parser, k *SearchKey, within func() SearchKey) {
	p.space()
	a := within()
	p.space()
	k.Keys = []SearchKey{a, within()}
}

// KnownCharset says whether a SEARCH may be in that charset, given in upper
// case.
func KnownCharset(name string) bool { return name == "" || name == "US-ASCII" || name == "UTF-8" }

// searchText reads the string of a key. Both charsets we know are UTF-8.
func (p *parser) searchText() string {
	s := p.astring()
	if !p.foreign && !utf8.ValidString(s) {
		p.fail("a search string is not UTF-8")
	}
	return s
}

// flagKey reads SEEN, UNSEEN and their kin.
func (p *parser) flagKey(k *SearchKey) {
	name, op := string(k.Op), SearchOp("FLAG")
	if rest, ok := strings.CutPrefix(name, "UN"); ok {
		name, op = rest, "UNFLAG"
	}
	k.Op = op
	if k.Flag = SystemFlag(`\` + name); k.Flag == 0 {
		p.fail("an unknown search key")
	}
}
