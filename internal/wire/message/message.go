// Package message reads and writes Internet messages: the header, the tree of
// MIME parts, addresses, dates and text in any charset, and composes new ones.
package message

// The bounds of an index. What lies beyond them is still in the message and
// can be fetched; it has no name of its own.
const (
	MaxHeader    = 1 << 20 // octets of one header block that are looked at
	MaxFields    = 10_000  // fields of one header block
	MaxDepth     = 50      // multiparts and messages within one another
	MaxParts     = 10_000  // parts of one message, all levels together
	MaxParams    = 256     // parameters of one field
	MaxAddresses = 10_000  // addresses of one field
	maxBoundary  = 1000    // octets; RFC 2046 §5.1.1 allows 70
)

// Index is what one pass over a message finds: its header fields and the tree
// of its parts, all with offsets into the outermost message. What cannot be
// understood is text/plain or application/octet-stream; nothing is refused.
type Index struct {
	Header  Header
	Root    *Part
	Size    int64  // octets
	Preview string // the beginning of the text, at most 200 characters, for lists (RFC 8970)

	// Cut says that a bound was reached, so that not every part has a name.
	Cut bool

	// Partial says that Marshal left out what did not fit: the content must be
	// parsed again where the whole header or the tree is needed.
	Partial bool

	view int64 // form of the view that Unmarshal read: the header holds only what it keeps; 0 after Parse
}

// Part is one node of the tree. Type is "multipart" exactly when Parts is not
// empty, and Message is set exactly when the type is message/rfc822 or
// message/global. One of these that is too deep or (against RFC 2046 §5.2.1)
// encoded is application/octet-stream; a multipart in which no delimiter is
// found has one part, text/plain, that is its whole body.
type Part struct {
	Type, Subtype string  // lower case
	Params        []Param // as they stand in the header, RFC 2231 pieces and all; see Param
	ID            string  // Content-ID with its angle brackets
	Description   string  // raw: RFC 2047 words not decoded
	Encoding      string  // lower case; "7bit" where the header says nothing
	MD5           string
	Location      string
	Disposition   string // lower case; empty where the header says nothing
	DispParams    []Param
	Language      []string

	HeaderStart int64 // where the part's header begins
	BodyStart   int64 // behind the header's empty line
	End         int64 // behind the last octet; the line end before a delimiter belongs to the delimiter
	Lines       int64 // line ends in the body

	Parts   []*Part // of a multipart
	Message *Index  // of a message within the message: its Header, Root and Size
}

// Size is the length of the body in octets, still encoded.
func (p *Part) Size() int64 { return p.End - p.BodyStart }

// Param is one parameter as it stands in the header: the name in lower case,
// with the * of RFC 2231 where there are any, the value without its quotes.
type Param struct {
	Name, Value string
}

// Envelope is the header in IMAP's terms (RFC 9051 §7.5.2). Strings are raw:
// unfolded, RFC 2047 words not decoded, 8-bit octets as they came.
type Envelope struct {
	Date, Subject                      string
	From, Sender, ReplyTo, To, Cc, Bcc []Addr
	InReplyTo, MessageID               string
}

// Addr is one address of a header field, or the beginning or end of a group.
// Name is raw. A group begins with an Addr whose Mailbox is the group's name
// and ends with one in which all is empty; both have IsGroup set.
type Addr struct {
	Name    string
	Route   string // obsolete source route, "@a,@b"
	Mailbox string // the local part, without quotes
	Host    string
	IsGroup bool
}

// GroupStart says whether a opens a group.
func (a Addr) GroupStart() bool { return a.IsGroup && a.Mailbox != "" }

// GroupEnd says whether a closes a group.
func (a Addr) GroupEnd() bool { return a.IsGroup && a.Mailbox == "" }

// Field is one header field. Raw holds it all, its name, folds and line end.
type Field struct {
	Name   string // as written
	Raw    string
	Offset int64 // of the name in the outermost message
}

// Header is a header block: fields in their order.
type Header struct {
	fields []Field
}

// Span is a piece of the outermost message.
type Span struct {
	Offset, Length int64
}

// Piece says what of a part a section names (RFC 9051 §6.4.5.1).
type Piece uint8

// The pieces: BODY[1.2], BODY[1.2.HEADER], BODY[1.2.TEXT], BODY[1.2.MIME].
const (
	PieceBody Piece = iota
	PieceHeader
	PieceText
	PieceMIME
)
