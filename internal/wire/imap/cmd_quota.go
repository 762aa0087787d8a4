package imap

// QuotaCommand is GETQUOTA, of a quota root, or SETQUOTA, which gives it other
// limits (RFC 9208 §4.1).
type QuotaCommand struct {
	Set    bool
	Root   string
	Limits []QuotaLimit // of SETQUOTA
}

// QuotaLimit is the limit of a resource.
type QuotaLimit struct {
	Resource string // upper case
	Limit    uint64
}

// Name is "GETQUOTA" or "SETQUOTA".
func (c *QuotaCommand) Name() string {
	if c.Set {
		return "SETQUOTA"
	}
	return "GETQUOTA"
}

func (c *QuotaCommand) encode(e *Encoder) {
	e.SP().AString(c.Root)
	if c.Set {
		e.SP().List(len(c.Limits), func(i int) { e.Raw(c.Limits[i].Resource).SP().Number(int64(c.Limits[i].Limit)) })
	}
}

func (p *parser) getQuota() Command {
	p.space()
	return &QuotaCommand{Root: p.astring()}
}

func (p *parser) setQuota() Command {
	c := QuotaCommand{Set: true}
	p.space()
	c.Root = p.astring()
	p.space()
	p.list(true, func() {
		l := QuotaLimit{Resource: p.word()}
		p.space()
		l.Limit = p.number64()
		c.Limits = append(c.Limits, l)
	})
	return &c
}
