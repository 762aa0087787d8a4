package imap

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// SearchOp names a search key.
type SearchOp string

// SearchKey is one key. Which fields are set depends on Op:
// AND and OR have Keys, NOT and FUZZY one of them; FLAG and UNFLAG a system flag;
// KEYWORD and UNKEYWORD, the texts, ids and HEADER a Text, HEADER also a Field;
// sizes, ages and numbers a Number; the dates a Date; SET and UID a Set.
type SearchKey struct {
	Op     SearchOp
	Keys   []SearchKey
	Flag   mail.Flags
	Field  string
	Text   string
	Number uint64
	Date   time.Time // midnight UTC of that day
	Set    Set
}

// maxKeys limits the search keys of a command, all nested ones counted.
const maxKeys = MaxList

func (e *Encoder) searchKey(k *SearchKey) {
	switch k.Op {
	case "AND":
		e.List(len(k.Keys), func(i int) { e.searchKey(&k.Keys[i]) })
	case "OR":
		e.Raw("OR ").searchKey(&k.Keys[0])
		e.SP().searchKey(&k.Keys[1])
	case "NOT", "FUZZY":
		e.Raw(string(k.Op)).SP().searchKey(&k.Keys[0])
	case "FLAG":
		e.Raw(strings.ToUpper(k.Flag.Names()[0][1:]))
	case "UNFLAG":
		e.Raw("UN" + strings.ToUpper(k.Flag.Names()[0][1:]))
	case "SET":
		e.Raw(k.Set.String())
	case "UID":
		e.Raw("UID ").Raw(k.Set.String())
	case "KEYWORD", "UNKEYWORD", "EMAILID", "THREADID":
		e.Raw(string(k.Op)).SP().Raw(k.Text)
	case "HEADER":
		e.Raw("HEADER ").AString(k.Field).SP().AString(k.Text)
	case "LARGER", "MODSEQ", "SMALLER", "OLDER", "YOUNGER", "UIDAFTER", "UIDBEFORE", "X-GM-MSGID", "X-GM-THRID":
		e.Raw(string(k.Op)).SP().unsigned(k.Number)
	case "ALL", "RECENT", "SAVEDATESUPPORTED":
		e.Raw(string(k.Op))
	default:
		e.Raw(string(k.Op)).SP()
		if k.Op == "X-GM-LABELS" && isSystemLabel(k.Text) {
			e.Raw(k.Text)
			return
		}
		if k.Date.IsZero() {
			e.AString(k.Text)
			return
		}
		e.date(k.Date)
	}
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
	case c == '*' || c == '$' || isDigit(c):
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
	"ALL":               nil,
	"BCC":               textKey,
	"BEFORE":            dateKey,
	"BODY":              textKey,
	"CC":                textKey,
	"EMAILID":           idKey,
	"FROM":              textKey,
	"FUZZY":             withinKey,
	"HEADER":            headerKey,
	"KEYWORD":           keywordKey,
	"LARGER":            sizeKey,
	"MODSEQ":            modSeqKey,
	"NEW":               newKey,
	"NOT":               withinKey,
	"OLD":               oldKey,
	"OLDER":             countKey,
	"ON":                dateKey,
	"OR":                orKey,
	"RECENT":            nil,
	"SAVEDATESUPPORTED": nil,
	"SAVEDBEFORE":       dateKey,
	"SAVEDON":           dateKey,
	"SAVEDSINCE":        dateKey,
	"SENTBEFORE":        dateKey,
	"SENTON":            dateKey,
	"SENTSINCE":         dateKey,
	"SINCE":             dateKey,
	"SMALLER":           sizeKey,
	"SUBJECT":           textKey,
	"TEXT":              textKey,
	"THREADID":          idKey,
	"TO":                textKey,
	"UID":               uidKey,
	"UIDAFTER":          countKey,
	"UIDBEFORE":         countKey,
	"UNKEYWORD":         keywordKey,
	"X-GM-LABELS":       labelKey,
	"X-GM-MSGID":        longKey,
	"X-GM-RAW":          textKey,
	"X-GM-THRID":        longKey,
	"YOUNGER":           countKey,
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
	k.Number = p.number64()
}

// countKey is a key with a number that is not 0.
func countKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	k.Number = uint64(p.positive())
}

// longKey is a key with a number of 64 bits.
func longKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	k.Number = p.number64()
}

// idKey is a key with an object's id (RFC 8474 §7).
func idKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	k.Text = p.some("an object's id", isObjectID)
}

func isObjectID(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '_'
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

// labelKey is a key with a label: a string, or a word behind a backslash.
func labelKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	if p.accept('\\') {
		k.Text = `\` + p.atom()
	} else {
		k.Text = p.searchText()
	}
}

// withinKey is a key about another.
func withinKey(p *parser, k *SearchKey, within func() SearchKey) {
	p.space()
	k.Keys = []SearchKey{within()}
}

func orKey(p *parser, k *SearchKey, within func() SearchKey) {
	p.space()
	a := within()
	p.space()
	k.Keys = []SearchKey{a, within()}
}

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

// isSystemLabel says whether a label is written as a flag is.
func isSystemLabel(s string) bool {
	p := parser{b: []byte(s)}
	return p.accept('\\') && p.atom() != "" && p.end()
}
