package imapd

import (
	"errors"
	"io"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/search"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// body is a message's content and index while a command looks into it.
type body struct {
	c        *session
	account  mail.AccountID // whose message it is
	row      *row
	content  *mailbox.Content // open or nil
	failed   error            // why it could not be opened
	view     message.View     // what is kept, ready to go out
	listed   bool             // there is such a view
	short    bool             // and it holds all header fields that are wanted
	index    *message.Index
	shelf    *shelf          // of a FETCH
	scratch  *search.Scratch // of a search
	binaries []decoded       // of the items BINARY that are to be written
	parsed   bool            // index is of the whole content, not what was kept
}

// prepare opens and reads what w needs.
func (b *body) prepare(w want) error {
	if b.failed != nil {
		b.content = nil
		return b.failed
	}
	if b.row.kept != nil {
		b.view, b.listed = message.OpenView(b.row.kept)
		b.short = b.listed && w.short
	}
	if w.index || w.kept() && !b.short {
		if err := b.whole(); err != nil {
			return err
		}
	}
	if !w.content && (b.short || b.keeps(w.fields)) {
		return nil
	}
	if err := b.open(); err != nil {
		return err
	}
	return probe(b.content)
}

// probeAt lies behind the prefix and in the first chunk that the store verifies.
const probeAt = mailbox.MaxPrefix + 1<<10

// probe reads an octet, so that damage is found before a response begins: most
// content is verified by that. What lies far behind it can only end the connection
// in the midst of the literal.
func probe(c *mailbox.Content) error {
	at := min(c.Size(), probeAt) - 1
	if at < 0 {
		return nil
	}
	_, err := c.ReadAt(make([]byte, 1), at)
	if err == io.EOF {
		err = nil
	}
	return fault.Wrap("imapd.probe", err)
}

// keeps says whether the index has all header fields of these names.
func (b *body) keeps(names []string) bool {
	for _, n := range names {
		if !b.index.Keeps(n) {
			return false
		}
	}
	return true
}

func (b *body) open() error {
	if b.content != nil {
		return nil
	}
	if b.row.message.ID == 0 {
		err := b.c.readIn(b.account, func(tx *mailbox.Tx) (err error) {
			b.row.message, err = tx.Message(b.row.Placement.Message)
			return err
		})
		if err != nil {
			return err
		}
	}
	var err error
	b.content, err = b.c.o.Mailbox.OpenMessage(b.c.work, b.account, b.row.message)
	return err
}

// parse indexes the content anew.
func (b *body) parse() error {
	if b.parsed {
		return nil
	}
	if err := b.open(); err != nil {
		return err
	}
	ix, err := message.Parse(b.content, b.content.Size())
	if err != nil {
		return fault.Wrap("imapd.parse", err)
	}
	b.index, b.parsed = ix, true
	return nil
}

func (b *body) close() {
	if b.content != nil {
		_ = b.content.Close()
	}
}

// report tells the operator of an error of ours that is answered later.
func (c *session) report(err error) {
	var a *answered
	if ours(err) && !errors.As(err, &a) {
		c.emit(event.Failed{Where: "imapd", Peer: c.peer, Err: err})
	}
}

var pieces = map[string]message.Piece{
	"": message.PieceBody, "HEADER": message.PieceHeader, "TEXT": message.PieceText, "MIME": message.PieceMIME,
}

// section writes a section of the content, or NIL where there is none (RFC 3501
// §6.4.5).
func (b *body) section(s *imap.Section, part *imap.Partial) error {
	enc := b.c.enc.SP()
	if len(s.Fields) > 0 {
		text, found, err := b.fields(s)
		switch {
		case err != nil:
			return err
		case !found:
			enc.Raw("NIL")
			return nil
		}
		if part != nil {
			from := min(int64(part.Offset), int64(len(text)))
			text = text[from:min(int64(len(text)), from+int64(part.Count))]
		}
		return fault.Wrap("imapd.literal", enc.LiteralText(text))
	}
	at, found, err := b.span(s)
	if err != nil {
		return err
	}
	if !found {
		enc.Raw("NIL")
		return nil
	}
	return b.literal(at.Offset, at.Length, part)
}

// span is where a section lies that is no list of fields.
func (b *body) span(s *imap.Section) (at message.Span, found bool, err error) {
	if isWhole(s) {
		return message.Span{Length: b.content.Size()}, true, nil
	}
	if err := b.whole(); err != nil {
		return at, false, err
	}
	at, found = b.index.Section(pathOf(s), pieces[s.Kind])
	return at, found, nil
}

func pathOf(s *imap.Section) []int {
	path := make([]int, len(s.Path))
	for i, n := range s.Path {
		path[i] = int(n)
	}
	return path
}

// literal writes n octets of the content from off, or the part of them that is
// asked for.
func (b *body) literal(off, n int64, part *imap.Partial) error {
	if part != nil {
		from := min(int64(part.Offset), n)
		off, n = off+from, min(n-from, int64(part.Count))
	}
	return fault.Wrap("imapd.literal", b.c.enc.Literal(n, b.content.Section(off, n)))
}

// fields gives the header fields that a section names, and the empty line. They
// come from what is kept, or from the content where that has not all of them. The
// text is good until the next call.
func (b *body) fields(s *imap.Section) (text []byte, found bool, err error) {
	path := pathOf(s)
	not := s.Kind == "HEADER.FIELDS.NOT"
	text = b.shelf.text[:0]
	defer func() { b.shelf.text = text[:0] }()
	outer := !not && len(path) == 0
	if outer && b.short {
		if all, sound := b.view.AppendFields(text, s.Fields); sound {
			text = append(all, "\r\n"...)
			return text, true, nil
		}
	}
	header, found, err := b.headerOf(path, outer, s.Fields)
	if err != nil || !found {
		return text, false, err
	}
	for _, f := range header.Fields() {
		if named(s.Fields, f.Name) != not {
			text = append(text, f.Raw...)
			if !strings.HasSuffix(f.Raw, "\n") {
				text = append(text, "\r\n"...)
			}
		}
	}
	text = append(text, "\r\n"...)
	return text, true, nil
}

// headerOf is header, from the kept index where that has all fields of these
// names.
func (b *body) headerOf(path []int, outer bool, names []string) (message.Header, bool, error) {
	if err := b.whole(); err != nil {
		return message.Header{}, false, err
	}
	if outer && b.keeps(names) {
		return b.index.Header, true, nil
	}
	return b.header(path)
}

func named(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// header reads the whole header of the message, or of the one within it at
// path, from the content.
func (b *body) header(path []int) (h message.Header, found bool, err error) {
	if err := b.whole(); err != nil {
		return h, false, err
	}
	at, found := b.index.Section(path, message.PieceHeader)
	if !found {
		return h, false, nil
	}
	h, err = b.headerAt(at)
	return h, true, err
}

// headerAt reads a header, of which nobody looks at more than MaxHeader octets.
func (b *body) headerAt(at message.Span) (message.Header, error) {
	if err := b.open(); err != nil {
		return message.Header{}, err
	}
	raw := make([]byte, min(at.Length, message.MaxHeader))
	if _, err := b.content.ReadAt(raw, at.Offset); err != nil && err != io.EOF {
		return message.Header{}, fault.Wrap("imapd.header", err)
	}
	return message.ParseHeader(raw), nil
}

// glance looks at what is kept, if anything is, and not at the content.
func (b *body) glance() {
	if b.row.kept == nil {
		return
	}
	if b.view, b.listed = message.OpenView(b.row.kept); !b.listed {
		b.index, _ = message.Unmarshal(b.row.kept)
	}
}

// whole makes sure that the tree of parts is known.
func (b *body) whole() error {
	if b.index == nil && b.row.kept != nil {
		// What cannot be read is as good as not kept: the content tells the same.
		b.index, _ = message.Unmarshal(b.row.kept)
	}
	if b.index == nil || b.index.Partial {
		return b.parse()
	}
	return nil
}
