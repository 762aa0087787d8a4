package imap

import "strconv"

// Resync is what a client knows of a mailbox that it selects again (RFC 7162
// §3.2.5).
type Resync struct {
	UIDValidity uint32
	ModSeq      uint64
	Known       Set // UIDs; nil: all
	// Pairs of sequence numbers and UIDs that the client knows, both ascending.
	Numbers, UIDs Set
}

// maxModSeq is the largest mod-sequence (RFC 7162 §7: 63 bits).
const maxModSeq = 1<<63 - 1

// modSeq reads a mod-sequence, which may be 0 if zero says so.
func (p *parser) modSeq(zero bool) uint64 {
	n, err := strconv.ParseUint(p.some("a mod-sequence", isDigit), 10, 64)
	if err != nil || n > maxModSeq || n == 0 && !zero {
		p.fail("not a mod-sequence")
	}
	return n
}

func (p *parser) resync(c *SelectCommand) {
	var r Resync
	p.space()
	p.expect('(')
	if r.UIDValidity = p.number(); r.UIDValidity == 0 {
		p.fail("not a UIDVALIDITY")
	}
	p.space()
	r.ModSeq = p.modSeq(false)
	if p.accept(' ') {
		if p.peek() != '(' {
			r.Known = p.set()
		}
		if p.peek() == '(' || r.Known != nil && p.accept(' ') {
			p.expect('(')
			r.Numbers = p.set()
			p.space()
			r.UIDs = p.set()
			p.expect(')')
		}
	}
	p.expect(')')
	if r.Known.open() || r.Numbers.open() || r.UIDs.open() {
		p.fail(`no "*" may stand here`)
	}
	c.Resync = &r
}

// open says whether "*" is in the set, or it is "$".
func (s Set) open() bool {
	if s != nil && s.Saved() {
		return true
	}
	for _, r := range s {
		if r.First == 0 || r.Last == 0 {
			return true
		}
	}
	return false
}

func (e *Encoder) resync(r *Resync) {
	e.Raw("QRESYNC (").Number(int64(r.UIDValidity)).SP().Number(int64(r.ModSeq))
	if r.Known != nil {
		e.SP().Raw(r.Known.String())
	}
	if r.Numbers != nil {
		e.Raw(" (").Raw(r.Numbers.String()).SP().Raw(r.UIDs.String()).byte(')')
	}
	e.byte(')')
}

// changedSince reads CHANGEDSINCE of FETCH (RFC 7162 §3.1.4.1). It begins at 1,
// but clients that have nothing yet say 0.
func (p *parser) changedSince(c *FetchCommand) {
	p.space()
	since := p.modSeq(true)
	c.ChangedSince = &since
}

// unchangedSince reads UNCHANGEDSINCE of STORE (RFC 7162 §3.1.3).
func (p *parser) unchangedSince(c *StoreCommand) {
	p.space()
	since := p.modSeq(true)
	c.UnchangedSince = &since
}

// modSeqKey reads MODSEQ of SEARCH (RFC 7162 §3.1.5). All metadata items of a
// message have one mod-sequence here, so that the entry makes no difference.
func modSeqKey(p *parser, k *SearchKey, _ func() SearchKey) {
	p.space()
	if p.peek() == '"' {
		p.quoted()
		p.space()
		switch p.word() {
		case "PRIV", "SHARED", "ALL":
		default:
			p.fail("priv, shared or all expected")
		}
		p.space()
	}
	k.Number = p.modSeq(true)
}
