package mailbox

import (
	"context"
	"errors"
	"io"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// ContentWriter takes a message's bytes; see blob.Writer.
type ContentWriter = blob.Writer

// Handle is content that is safe; see blob.Handle.
type Handle = blob.Handle

// OpenHandle opens content that was just written; close it after use.
func (s *Store) OpenHandle(ctx context.Context, h Handle) (*Content, error) {
	r, err := s.blobs.OpenHandle(ctx, h)
	if err != nil {
		return nil, fault.Wrap("mailbox.OpenHandle", err)
	}
	return &Content{blob: r}, nil
}

// Blob begins a message's content for APPEND. What its Commit returns goes into
// NewMessage.Content.
func (s *Store) Blob(ctx context.Context) (*ContentWriter, error) { return s.blobs.Create(ctx) }

// Content reads a message as clients see it: our prefix, then the blob. It may
// be read from several goroutines.
type Content struct {
	prefix []byte
	blob   *blob.Reader
}

// OpenMessage opens m's content; close it after use. A blob that is not there is
// fault.Corrupt, as every message holds its blob.
func (s *Store) OpenMessage(ctx context.Context, a mail.AccountID, m Message) (*Content, error) {
	r, err := s.blobs.Open(ctx, m.Blob)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.As(fault.Corrupt, "mailbox.OpenMessage", err)
	} else if err != nil {
		return nil, fault.Wrap("mailbox.OpenMessage", err)
	}
	return &Content{prefix: m.Prefix, blob: r}, nil
}

// Index reads content that was just written, with a prefix in front of it, as
// NewMessage wants its index.
func (s *Store) Index(ctx context.Context, prefix []byte, h blob.Handle) (*message.Index, error) {
	const op = "mailbox.Index"
	r, err := s.blobs.OpenHandle(ctx, h)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	c := &Content{prefix: prefix, blob: r}
	ix, err := message.Parse(c, c.Size())
	return ix, fault.Wrap(op, errors.Join(err, c.Close()))
}

// ReadAt is io.ReaderAt.
func (c *Content) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	n := 0
	if off < int64(len(c.prefix)) {
		if n = copy(b, c.prefix[off:]); n == len(b) {
			return n, nil
		}
	}
	m, err := c.blob.ReadAt(b[n:], off+int64(n)-int64(len(c.prefix)))
	return n + m, err
}

// WriteTo copies all of it to w.
func (c *Content) WriteTo(w io.Writer) (int64, error) { return c.writeRange(w, 0, c.Size()) }

// writeRange writes n octets from off, without a copy.
func (c *Content) writeRange(w io.Writer, off, n int64) (int64, error) {
	wrote := int64(0)
	if at := int64(len(c.prefix)); off < at && n > 0 {
		k, err := w.Write(c.prefix[off:min(at, off+n)])
		if wrote = int64(k); err != nil || wrote == n {
			return wrote, err
		}
		off = at
	}
	k, err := c.blob.WriteRange(w, off-int64(len(c.prefix)), n-wrote)
	return wrote + k, err
}

// Section is n octets of content from off.
type Section struct {
	io.SectionReader
	c      *Content
	off, n int64
}

// Section gives a part of the content to be read or, by WriteTo, written without a
// copy; one that goes beyond the end ends there.
func (c *Content) Section(off, n int64) *Section {
	off = min(off, c.Size())
	n = min(n, c.Size()-off)
	return &Section{*io.NewSectionReader(c, off, n), c, off, n}
}

// WriteTo writes all of it to w, whatever was read.
func (s *Section) WriteTo(w io.Writer) (int64, error) { return s.c.writeRange(w, s.off, s.n) }

// Opened is what OpenMessages gives for a message.
type Opened struct {
	Content
	Err error // why it cannot be read
}

// OpenMessages is OpenMessage for messages that are read together, in their order.
// Their content lies in room in part, which grows and is given back: see
// blob.Store.OpenMany.
func (s *Store) OpenMessages(ctx context.Context, a mail.AccountID, messages []Message, room []byte) ([]Opened, []byte, error) {
	const op = "mailbox.OpenMessages"
	ids := make([]mail.BlobID, len(messages))
	for i := range messages {
		ids[i] = messages[i].Blob
	}
	blobs, room, err := s.blobs.OpenMany(ctx, ids, room)
	if err != nil {
		return nil, room, fault.Wrap(op, err)
	}
	all := make([]Opened, len(messages))
	for i := range all {
		all[i].Content = Content{prefix: messages[i].Prefix, blob: &blobs[i].Reader}
		if all[i].Err = blobs[i].Err; fault.Is(all[i].Err, fault.NotFound) {
			all[i].Err = fault.As(fault.Corrupt, op, all[i].Err)
		}
	}
	return all, room, nil
}

// Size is prefix and blob together, in octets.
func (c *Content) Size() int64 { return int64(len(c.prefix)) + c.blob.Size() }

// Close lets the blob go.
func (c *Content) Close() error { return c.blob.Close() }
