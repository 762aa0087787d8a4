package message

import (
	"io"
	"time"
)

// Parse indexes a message. An error comes from r only.
func Parse(r io.ReaderAt, size int64) (*Index, error) { panic("…") }

// ParseHeader reads a header block; it stops at the first empty line.
func ParseHeader(b []byte) Header { panic("…") }

// Get is the unfolded raw value of the first field of that name, or "".
func (h Header) Get(name string) string { panic("…") }

// Has says whether there is a field of that name.
func (h Header) Has(name string) bool { panic("…") }

// All is the unfolded raw values of all fields of that name.
func (h Header) All(name string) []string { panic("…") }

// Fields is all fields in their order.
func (h Header) Fields() []Field { return h.fields }

// Value is the unfolded raw value.
func (f Field) Value() string { panic("…") }

// Envelope is the header in IMAP's terms, with its defaults: Sender and Reply-To from From.
func (i *Index) Envelope() Envelope { panic("…") }

// Part finds a part by IMAP's numbers; an empty path is the root.
func (i *Index) Part(path []int) *Part { panic("…") }

// Section says where a section lies in the message.
func (i *Index) Section(path []int, what Piece) (Span, bool) { panic("…") }

// Param is a decoded Content-Type parameter: RFC 2231 pieces joined, charset turned to UTF-8.
func (p *Part) Param(name string) string { panic("…") }

// Charset is the charset parameter in lower case.
func (p *Part) Charset() string { panic("…") }

// Filename is the decoded name from the disposition or else the type.
func (p *Part) Filename() string { panic("…") }

// DecodeHeader makes a header value readable (RFC 2047).
func DecodeHeader(s string) string { panic("…") }

// DecodeText undoes the transfer encoding and gives UTF-8.
func DecodeText(r io.Reader, encoding, charset string) io.Reader { panic("…") }

// DecodeBody undoes the transfer encoding only.
func DecodeBody(r io.Reader, encoding string) io.Reader { panic("…") }

// ParseAddressList reads addresses.
func ParseAddressList(s string) []Addr { panic("…") }

// ParseDate reads a date.
func ParseDate(s string) (time.Time, bool) { panic("…") }

// MessageIDs finds the ids, without angle brackets.
func MessageIDs(s string) []string { panic("…") }

// BaseSubject is RFC 5256 §2.1.
func BaseSubject(s string) string { panic("…") }

// Marshal is the compact form kept beside a message.
func (i *Index) Marshal() []byte { panic("…") }

// Unmarshal reads what Marshal wrote.
func Unmarshal(b []byte) (*Index, error) { panic("…") }
