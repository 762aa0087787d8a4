package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// fetchItem is an item of FETCH.
type fetchItem struct {
	// head gives what stands before the value; nil: the item's name.
	head func(*imap.FetchItem) string
	// need says what is needed of a message; nil: no more than its placement.
	need func(*want, *imap.FetchItem)
	// check finds out before the response begins what may go wrong; nil: nothing.
	check func(*imap.FetchItem, *body) error
	// write writes a space and the value behind the item's name, or what stands
	// between.
	write func(*session, *imap.FetchItem, *row, *body) error
}

// fetchItems are the items of FETCH by imap.FetchItem.Name.
var fetchItems = map[string]fetchItem{
	"BODY":          {head: sectionHead, need: needSection, write: writeSection},
	"BINARY":        {head: sectionHead, need: needBinary, check: checkBinary, write: writeBinary},
	"BINARY.SIZE":   {head: sectionHead, need: needBinary, check: checkBinary, write: writeBinarySize},
	"BODYSTRUCTURE": {need: needTexts, write: writeStructure},
	"EMAILID":       {write: writeEmailID},
	"ENVELOPE":      {need: needTexts, write: writeEnvelope},
	"FLAGS":         {need: func(w *want, _ *imap.FetchItem) { w.flags = true }, write: writeFlags},
	"INTERNALDATE":  {write: writeDate},
	"MODSEQ":        {need: func(w *want, _ *imap.FetchItem) { w.modSeq = true }, write: writeModSeq},
	"PREVIEW":       {need: needPreview, write: writePreview},
	"RFC822":        {need: needRFC822, write: writeRFC822("")},
	"RFC822.HEADER": {need: needHeader, write: writeRFC822("HEADER")},
	"RFC822.SIZE":   {write: writeSize},
	"RFC822.TEXT":   {need: needText, write: writeRFC822("TEXT")},
	"SAVEDATE":      {write: writeSaveDate},
	"THREADID":      {need: needMessage, write: writeThreadID},
	"UID":           {write: writeUID},
	"X-GM-LABELS":   {need: needLabels, write: writeLabels},
	"X-GM-MSGID":    {write: writeGmailMessage},
	"X-GM-THRID":    {need: needMessage, write: writeGmailThread},
}

func needTexts(w *want, _ *imap.FetchItem) { w.texts = true }

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
	if it.Section.Kind == "HEADER.FIELDS" && len(it.Section.Path) == 0 {
		w.fields = append(w.fields, it.Section.Fields...)
	} else {
		w.index, w.content = true, true
	}
}

func needBinary(w *want, it *imap.FetchItem) {
	w.index, w.content = true, true
	w.seen = w.seen || !it.Peek && it.Name == "BINARY"
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
	if c.enc.SP(); b.listed {
		c.enc.Text(b.view.Envelope())
		return nil
	}
	env := b.index.Envelope()
	c.enc.Append(env.AppendIMAP)
	return nil
}

func writeStructure(c *session, _ *imap.FetchItem, _ *row, b *body) error {
	if c.enc.SP(); b.listed {
		c.enc.Text(b.view.Structure())
		return nil
	}
	return writeTree(c, b, true)
}

func writeTree(c *session, b *body, extension bool) error {
	c.enc.Append(func(to []byte) []byte { return b.index.Root.AppendIMAP(to, extension) })
	return nil
}

// sectionHead writes the section and where a part of it begins.
func sectionHead(it *imap.FetchItem) string {
	var e imap.Encoder
	e.Raw(it.Name)
	if it.Section != nil {
		e.Section(it.Section)
	}
	if it.Partial != nil {
		e.Raw("<").Number(int64(it.Partial.Offset)).Raw(">")
	}
	return string(e.Bytes())
}

// writeSection is BODY: the structure without extension data, or a section.
func writeSection(c *session, it *imap.FetchItem, _ *row, b *body) error {
	if it.Section == nil {
		c.enc.SP()
		return writeTree(c, b, false)
	}
	return b.section(it.Section, it.Partial)
}

func writeRFC822(kind string) func(*session, *imap.FetchItem, *row, *body) error {
	return func(_ *session, _ *imap.FetchItem, _ *row, b *body) error {
		return b.section(&imap.Section{Kind: kind}, nil)
	}
}
