package imap

import (
	"fmt"
	"strings"
)

// SearchCommand is SEARCH or UID SEARCH (RFC 9051 §6.4.4), and what SORT, THREAD
// and ESEARCH have in common with it.
type SearchCommand struct {
	UID     bool
	Return  *SearchReturn // nil: a SEARCH, SORT or THREAD response is wanted
	Charset string        // upper case; "" if none was given
	Keys    []SearchKey
}

// SearchReturn is what an ESEARCH response shall hold (RFC 4731 §3.1), and what
// else shall happen.
type SearchReturn struct {
	Min, Max, All, Count bool
	Save                 bool    // RFC 5182
	Context, Update      bool    // RFC 5267
	Relevancy            bool    // RFC 6203
	Partial              *Window // RFC 9394; nil: none
}

// Window is a range of results, counted from 1 (RFC 9394 §3.1).
type Window struct {
	First, Last uint32 // First is not beyond Last
	FromEnd     bool   // 1 is the last result
}

// String is the window as it is written, the smaller number first.
func (w Window) String() string {
	sign := ""
	if w.FromEnd {
		sign = "-"
	}
	return fmt.Sprintf("%s%d:%s%d", sign, w.First, sign, w.Last)
}

// Name is "SEARCH".
func (*SearchCommand) Name() string { return "SEARCH" }

func (c *SearchCommand) byUID() bool { return c.UID }

func (c *SearchCommand) encode(e *Encoder) {
	c.Return.encode(e)
	if c.Charset != "" {
		e.Raw(" CHARSET ").AString(c.Charset)
	}
	c.encodeKeys(e)
}

func (c *SearchCommand) encodeKeys(e *Encoder) {
	for i := range c.Keys {
		e.SP().searchKey(&c.Keys[i])
	}
}

// flags are the options that are words, with where they are noted.
func (r *SearchReturn) flags() map[string]*bool {
	return map[string]*bool{
		"MIN": &r.Min, "MAX": &r.Max, "ALL": &r.All, "COUNT": &r.Count, "SAVE": &r.Save,
		"CONTEXT": &r.Context, "UPDATE": &r.Update, "RELEVANCY": &r.Relevancy,
	}
}

func (r *SearchReturn) encode(e *Encoder) {
	if r == nil {
		return
	}
	e.Raw(" RETURN ")
	var words []string
	flags := r.flags()
	for _, w := range []string{"MIN", "MAX", "ALL", "COUNT", "SAVE", "CONTEXT", "UPDATE", "RELEVANCY"} {
		if *flags[w] {
			words = append(words, w)
		}
	}
	if r.Partial != nil {
		words = append(words, "PARTIAL "+r.Partial.String())
	}
	e.Words(words)
}

// searchReturns are the options of RETURN in a SEARCH or SORT.
var searchReturns = options[*SearchReturn]{
	"ALL": noted("ALL"), "CONTEXT": noted("CONTEXT"), "COUNT": noted("COUNT"), "MAX": noted("MAX"), "MIN": noted("MIN"),
	"RELEVANCY": noted("RELEVANCY"), "SAVE": noted("SAVE"), "UPDATE": noted("UPDATE"),
	"PARTIAL": func(p *parser, r *SearchReturn) {
		if r.Partial != nil {
			p.fail("PARTIAL more than once")
		}
		r.Partial = p.window()
	},
}

func noted(word string) func(*parser, *SearchReturn) {
	return func(_ *parser, r *SearchReturn) { *r.flags()[word] = true }
}

// window reads the range behind PARTIAL.
func (p *parser) window() *Window {
	p.space()
	w := Window{FromEnd: p.accept('-')}
	w.First = p.positive()
	p.expect(':')
	if w.FromEnd {
		p.expect('-')
	}
	w.Last = p.positive()
	w.First, w.Last = min(w.First, w.Last), max(w.First, w.Last)
	return &w
}

// acceptWord takes the word and the space behind it if they come next.
func (p *parser) acceptWord(word string) bool {
	end := p.i + len(word)
	if p.err != nil || end >= len(p.b) || p.b[end] != ' ' || !strings.EqualFold(string(p.b[p.i:end]), word) {
		return false
	}
	p.i = end + 1
	return true
}

// returning reads the options of RETURN, and the space behind them, if they are
// there.
func (p *parser) returning(c *SearchCommand) {
	if c.Return != nil || !p.acceptWord("RETURN") {
		return
	}
	c.Return = &SearchReturn{}
	searchReturns.list(p, true, c.Return)
	if c.Return.Partial != nil && c.Return.All {
		p.fail("both ALL and PARTIAL are wanted") // RFC 9394 §3.1
	}
	p.space()
}

func (p *parser) search(uid bool) Command {
	c := SearchCommand{UID: uid}
	p.space()
	p.returning(&c)
	p.program(&c)
	return &c
}

// program reads search-program: a charset, which may be missing, and keys.
func (p *parser) program(c *SearchCommand) {
	if p.acceptWord("CHARSET") {
		if p.utf8 {
			p.fail("no charset can be given once UTF8=ACCEPT is enabled (RFC 9755 3)")
		}
		p.charset(c)
	}
	p.keys(c)
}

func (p *parser) charset(c *SearchCommand) {
	c.Charset = strings.ToUpper(p.astring())
	p.foreign = !KnownCharset(c.Charset)
	p.space()
}

// keys reads one key or more.
func (p *parser) keys(c *SearchCommand) {
	left := maxKeys
	for p.err == nil {
		c.Keys = append(c.Keys, p.searchKey(&left))
		if !p.accept(' ') {
			break
		}
	}
	if c.Return != nil && c.Return.Relevancy && !hasFuzzy(c.Keys) {
		p.fail("RELEVANCY is of FUZZY keys only (RFC 6203 4)")
	}
}

func hasFuzzy(keys []SearchKey) bool {
	for i := range keys {
		if keys[i].Op == "FUZZY" || hasFuzzy(keys[i].Keys) {
			return true
		}
	}
	return false
}

// KnownCharset says whether a SEARCH may be in that charset, given in upper
// case.
func KnownCharset(name string) bool { return name == "" || name == "US-ASCII" || name == "UTF-8" }
