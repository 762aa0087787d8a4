package imap

// SortCommand is SORT or UID SORT (RFC 5256 §3), with the options of RFC 5267 §3.
type SortCommand struct {
	SearchCommand
	Order []SortKey
}

// SortKey is a sort criterion: ARRIVAL, CC, DATE, FROM, SIZE, SUBJECT or TO (RFC
// 5256 §3), DISPLAYFROM or DISPLAYTO (RFC 5957), RELEVANCY (RFC 6203 §6).
type SortKey struct {
	Name    string
	Reverse bool
}

// maxSortKeys limits the criteria of a SORT.
const maxSortKeys = 20

// sortKeys are the criteria we know.
var sortKeys = map[string]bool{
	"ARRIVAL": true, "CC": true, "DATE": true, "DISPLAYFROM": true, "DISPLAYTO": true, "FROM": true, "RELEVANCY": true, "SIZE": true,
	"SUBJECT": true, "TO": true,
}

// Name is "SORT".
func (*SortCommand) Name() string { return "SORT" }

func (c *SortCommand) encode(e *Encoder) {
	c.Return.encode(e)
	e.SP().List(len(c.Order), func(i int) {
		if c.Order[i].Reverse {
			e.Raw("REVERSE ")
		}
		e.Raw(c.Order[i].Name)
	})
	e.SP().AString(c.Charset)
	c.encodeKeys(e)
}

func (p *parser) sort(uid bool) Command {
	c := SortCommand{SearchCommand: SearchCommand{UID: uid}}
	p.space()
	p.returning(&c.SearchCommand)
	p.list(false, func() { c.Order = append(c.Order, p.sortKey()) })
	if len(c.Order) > maxSortKeys {
		p.fail("more than %d sort criteria", maxSortKeys)
	}
	p.space()
	p.charset(&c.SearchCommand)
	p.returning(&c.SearchCommand) // where some clients put them
	p.keys(&c.SearchCommand)
	for _, k := range c.Order {
		if k.Name == "RELEVANCY" && !hasFuzzy(c.Keys) {
			p.fail("RELEVANCY is of FUZZY keys only (RFC 6203 6)")
		}
	}
	return &c
}

func (p *parser) sortKey() SortKey {
	k := SortKey{Reverse: p.acceptWord("REVERSE")}
	if k.Name = p.word(); p.err == nil && !sortKeys[k.Name] {
		p.fail("an unknown sort criterion: %.40s", k.Name)
	}
	return k
}

// ThreadCommand is THREAD or UID THREAD (RFC 5256 §3).
type ThreadCommand struct {
	SearchCommand
	Algorithm string // ORDEREDSUBJECT, REFERENCES or REFS
}

// Name is "THREAD".
func (*ThreadCommand) Name() string { return "THREAD" }

func (c *ThreadCommand) encode(e *Encoder) {
	e.SP().Raw(c.Algorithm).SP().AString(c.Charset)
	c.encodeKeys(e)
}

func (p *parser) thread(uid bool) Command {
	c := ThreadCommand{SearchCommand: SearchCommand{UID: uid}}
	p.space()
	switch c.Algorithm = p.word(); c.Algorithm {
	case "ORDEREDSUBJECT", "REFERENCES", "REFS":
	default:
		p.fail("an unknown threading algorithm")
	}
	p.space()
	p.charset(&c.SearchCommand)
	p.keys(&c.SearchCommand)
	return &c
}

// CancelUpdateCommand is CANCELUPDATE (RFC 5267 §4.3.5).
type CancelUpdateCommand struct{ Tags []string }

// Name is "CANCELUPDATE".
func (*CancelUpdateCommand) Name() string { return "CANCELUPDATE" }

func (c *CancelUpdateCommand) encode(e *Encoder) {
	for _, t := range c.Tags {
		e.SP().String(t)
	}
}

func (p *parser) cancelUpdate() Command {
	var c CancelUpdateCommand
	for p.space(); p.err == nil; p.space() {
		if c.Tags = append(c.Tags, p.astring()); p.end() {
			break
		}
		if len(c.Tags) > MaxList {
			p.fail("more than %d tags", MaxList)
		}
	}
	return &c
}

// BatchesCommand is UIDBATCHES (RFC 10022).
type BatchesCommand struct {
	Size        uint32 // messages of a batch
	First, Last uint32 // batches that are asked for, the newest is 1; 0: all
}

// Name is "UIDBATCHES".
func (*BatchesCommand) Name() string { return "UIDBATCHES" }

func (c *BatchesCommand) encode(e *Encoder) {
	e.SP().Number(int64(c.Size))
	if c.First > 0 {
		e.SP().Number(int64(c.First)).byte(':').Number(int64(c.Last))
	}
}

func (p *parser) batches() Command {
	var c BatchesCommand
	p.space()
	c.Size = p.positive()
	if p.accept(' ') {
		c.First = p.positive()
		p.expect(':')
		c.Last = p.positive()
	}
	return &c
}
