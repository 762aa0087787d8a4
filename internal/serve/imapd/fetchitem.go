package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// fetchItem is an item of FETCH.
type fetchItem struct {
	// need says what is needed of a message; nil: no more than its placement.
	need func(*want, *imap.FetchItem)
	// write writes a space and the value behind the item's name, or what stands
	// between.
	write func(*session, *imap.FetchItem, *row, *body) error
}

// fetchItems are the items of FETCH by imap.FetchItem.Name.
var fetchItems = map[string]fetchItem{
	"BODY":          {need: needSection, write: writeSection},
	"BODYSTRUCTURE": {need: needIndex, write: writeStructure},
	"ENVELOPE":      {need: needIndex, write: writeEnvelope},
	"FLAGS":         {need: func(w *want, _ *imap.FetchItem) { w.flags = true }, write: writeFlags},
	"INTERNALDATE":  {write: writeDate},
	"MODSEQ":        {write: writeModSeq},
	"RFC822":        {need: needRFC822, write: writeRFC822("")},
	"RFC822.HEADER": {need: needHeader, write: writeRFC822("HEADER")},
	"RFC822.SIZE":   {write: writeSize},
	"RFC822.TEXT":   {need: needText, write: writeRFC822("TEXT")},
	"UID":           {write: writeUID},
}

func needIndex(w *want, _ *imap.FetchItem) { w.index = true }

func needSection(w *want, it *imap.FetchItem) {
	if it.Section == nil {
		w.index = true
		return
	}
	w.seen = w.seen || !it.Peek
	if isWhole(it.Section) {
		w.content = true
		return
	}
	w.index = true
	if it.Section.Kind == "HEADER.FIELDS" && len(it.Section.Path) == 0 {
		w.fields = append(w.fields, it.Section.Fields...)
	} else {
		w.content = true
	}
}

func needRFC822(w *want, _ *imap.FetchItem) { w.content, w.seen = true, true }
func needHeader(w *want, _ *imap.FetchItem) { w.content, w.index = true, true }
func needText(w *want, _ *imap.FetchItem)   { w.content, w.index, w.seen = true, true, true }

func writeUID(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.SP().Number(int64(r.UID))
	return nil
}

func writeFlags(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.SP().Flags(c.flags(&r.Placement))
	return nil
}

func writeDate(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.SP().DateTime(r.Received)
	return nil
}

func writeSize(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.SP().Number(r.Size)
	return nil
}

func writeEnvelope(c *session, _ *imap.FetchItem, _ *row, b *body) error {
	env := b.index.Envelope()
	encodeEnvelope(c.enc.SP(), &env)
	return nil
}

func writeStructure(c *session, _ *imap.FetchItem, _ *row, b *body) error {
	encodeStructure(c.enc.SP(), b.index.Root, true)
	return nil
}

// writeSection is BODY: the structure without extension data, or a section.
func writeSection(c *session, it *imap.FetchItem, _ *row, b *body) error {
	if it.Section == nil {
		encodeStructure(c.enc.SP(), b.index.Root, false)
		return nil
	}
	c.enc.Section(it.Section)
	if it.Partial != nil {
		c.enc.Raw("<").Number(int64(it.Partial.Offset)).Raw(">")
	}
	return b.section(it.Section, it.Partial)
}

func writeRFC822(kind string) func(*session, *imap.FetchItem, *row, *body) error {
	return func(_ *session, _ *imap.FetchItem, _ *row, b *body) error {
		return b.section(&imap.Section{Kind: kind}, nil)
	}
}
