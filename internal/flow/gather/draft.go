package gather

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/filter"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// maxPrefix is how many octets of header fields of ours may stand in front of a
// content; with more the content is written anew.
const maxPrefix = 32 << 10

// Draft is a message as the filters have changed it. It becomes the arrival's
// only by Finish.
type Draft struct {
	blobs    *blob.Store
	content  blob.Handle // as it came
	reader   *blob.Reader
	fields   []field // from the top
	bodyAt   int64   // in content
	body     *blob.Reader
	eightBit bool // the new body is not ASCII
	from     mail.Address
	to       []mail.Recipient

	rewritten bool // the content's own fields are no longer those that came, at the end of all
	addressed bool // the envelope was changed
}

// field is one header field.
type field struct {
	name string
	raw  string // with its line end
	own  bool   // it came with the content
}

// newDraft reads the header of a content that was stored just now.
func newDraft(ctx context.Context, blobs *blob.Store, a *mail.Arrival, h blob.Handle) (*Draft, error) {
	const op = "gather.newDraft"
	r, err := blobs.OpenHandle(ctx, h)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	d := &Draft{blobs: blobs, content: h, reader: r, from: a.Envelope.From, to: slices.Clone(a.Envelope.To)}
	var head message.HeaderScanner
	chunk := make([]byte, 8<<10)
	for at := int64(0); !head.Done() && at < h.Size(); {
		n, err := r.ReadAt(chunk, at)
		if err != nil && err != io.EOF {
			_ = r.Close()
			return nil, fault.Wrap(op, err)
		}
		_, _ = head.Write(chunk[:n])
		at += int64(n)
	}
	if head.TooLong() {
		_ = r.Close()
		return nil, fault.Newf(fault.TooLarge, op, "the header is over %d octets", message.MaxHeader)
	}
	d.bodyAt = int64(head.Size())
	d.fields = appendFields(nil, message.ParseHeader(a.Prefix), false)
	d.fields = appendFields(d.fields, head.Header(), true)
	return d, nil
}

func appendFields(all []field, h message.Header, own bool) []field {
	for _, f := range h.Fields() {
		all = append(all, field{f.Name, f.Raw, own})
	}
	return all
}

// Close lets the contents go.
func (d *Draft) Close() {
	if d == nil {
		return
	}
	_ = d.reader.Close()
	if d.body != nil {
		_ = d.body.Close()
	}
}

// message is what a filter is shown of the draft, to which show gave the rest.
func (d *Draft) message(m filter.Message) *filter.Message {
	e := *m.Envelope
	e.From, e.To = d.from, d.to
	m.Envelope = &e
	for _, f := range d.fields {
		_, value, _ := strings.Cut(f.raw, ":")
		m.Fields = append(m.Fields, filter.Field{Name: f.name, Value: strings.TrimSuffix(value, "\r\n")})
	}
	m.Open = func() (io.ReadCloser, error) {
		r, _ := d.open()
		return io.NopCloser(r), nil
	}
	m.OpenBody = func() (io.ReadCloser, error) {
		r, _ := d.openBody()
		return io.NopCloser(r), nil
	}
	_, m.Size = d.open()
	return &m
}

// head is the fields; those that came with the content only if it is rewritten.
func (d *Draft) head() []byte {
	var b bytes.Buffer
	for _, f := range d.fields {
		if f.own && !d.changed() {
			break
		}
		b.WriteString(f.raw)
		if !strings.HasSuffix(f.raw, "\r\n") {
			b.WriteString("\r\n")
		}
	}
	if d.changed() {
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// changed says whether the content is no longer the one that came.
func (d *Draft) changed() bool { return d.rewritten || d.body != nil }

// open reads the whole message. Many may read at once.
func (d *Draft) open() (io.Reader, int64) {
	head := d.head()
	rest, n := io.Reader(io.NewSectionReader(d.reader, 0, d.content.Size())), d.content.Size()
	if d.changed() {
		rest, n = d.openBody()
	}
	return io.MultiReader(bytes.NewReader(head), rest), int64(len(head)) + n
}

func (d *Draft) openBody() (io.Reader, int64) {
	if d.body != nil {
		return io.NewSectionReader(d.body, 0, d.body.Size()), d.body.Size()
	}
	n := d.content.Size() - d.bodyAt
	return io.NewSectionReader(d.reader, d.bodyAt, n), n
}

// apply makes the changes that one filter asks for, and gives those that change
// something, in words. body is what it wrote, if it did.
func (d *Draft) apply(ctx context.Context, edits []filter.Edit, body *spool) (done []string, err error) {
	for _, e := range edits {
		f := field{name: e.Name, raw: e.Name + ":" + e.Value + "\r\n"}
		did := true
		switch e.Change {
		case filter.AddField:
			d.insert(d.firstOwn(), f)
		case filter.InsertField:
			d.insert(min(max(e.Index, 1)-1, len(d.fields)), f)
		case filter.ChangeField:
			did = d.change(e, f)
		case filter.RemoveFields:
			did = d.find(e.Name, 1) >= 0
			for i := d.find(e.Name, 1); i >= 0; i = d.find(e.Name, 1) {
				d.remove(i)
			}
		case filter.AddRecipient:
			did = d.addRecipient(e.Address)
		case filter.RemoveRecipient:
			did = d.removeRecipient(e.Address)
		case filter.ChangeSender:
			did = d.from != e.Address
			d.from = e.Address
		case filter.ReplaceBody:
			if err := d.replaceBody(ctx, body); err != nil {
				return done, err
			}
		}
		if did {
			done = append(done, strings.TrimSpace(e.Change.String()+" "+e.Name+e.Address.String()))
			d.addressed = d.addressed || e.Change.Envelope()
		}
	}
	return done, nil
}

// firstOwn is where the content's own fields begin: what is added stands in
// front of them, so that the content stays as it came.
func (d *Draft) firstOwn() int {
	if i := slices.IndexFunc(d.fields, func(f field) bool { return f.own }); i >= 0 {
		return i
	}
	return len(d.fields)
}

func (d *Draft) insert(at int, f field) {
	d.rewritten = d.rewritten || at > d.firstOwn()
	d.fields = slices.Insert(d.fields, at, f)
}

func (d *Draft) remove(at int) {
	d.rewritten = d.rewritten || d.fields[at].own
	d.fields = slices.Delete(d.fields, at, at+1)
}

// find is where the n-th field of a name stands, counted from the end if n is
// negative; -1 if there is none.
func (d *Draft) find(name string, n int) int {
	var at []int
	for i, f := range d.fields {
		if strings.EqualFold(f.name, name) {
			at = append(at, i)
		}
	}
	if n < 0 {
		n += len(at) + 1
	}
	if n < 1 || n > len(at) {
		return -1
	}
	return at[n-1]
}

func (d *Draft) change(e filter.Edit, f field) bool {
	at := d.find(e.Name, e.Index)
	switch {
	case at < 0 && e.Value == "":
		return false
	case at < 0:
		d.insert(d.firstOwn(), f)
	case e.Value == "":
		d.remove(at)
	default:
		f.own = d.fields[at].own
		d.rewritten = d.rewritten || f.own
		d.fields[at] = f
	}
	return true
}

func (d *Draft) addRecipient(to mail.Address) bool {
	if slices.ContainsFunc(d.to, func(r mail.Recipient) bool { return r.Address == to }) {
		return false
	}
	d.to = append(slices.Clip(d.to), mail.Recipient{Address: to})
	return true
}

func (d *Draft) removeRecipient(to mail.Address) bool {
	before := len(d.to)
	d.to = slices.DeleteFunc(slices.Clone(d.to), func(r mail.Recipient) bool {
		return r.Address.Domain == to.Domain && strings.EqualFold(r.Address.Local, to.Local)
	})
	return len(d.to) != before
}

func (d *Draft) replaceBody(ctx context.Context, s *spool) error {
	if s == nil {
		return fault.Wrap("gather.replaceBody", errors.New("no body was written"))
	}
	h, err := s.commit()
	if err != nil {
		return err
	}
	r, err := d.blobs.OpenHandle(ctx, h)
	if err != nil {
		return err
	}
	if d.body != nil {
		_ = d.body.Close()
	}
	d.body, d.eightBit = r, s.eightBit
	return nil
}

// Finish makes the changes the arrival's, and gives the content that it has
// with them. Fields that were added are its prefix; where more was changed there
// is a new content. The nil Draft has changed nothing of what came as h.
func (d *Draft) Finish(ctx context.Context, a *mail.Arrival, h blob.Handle) (blob.Handle, error) {
	const op = "gather.Finish"
	if d == nil {
		return h, nil
	}
	if d.addressed {
		a.Envelope.From, a.Envelope.To = d.from, d.to
	}
	a.Envelope.EightBit = a.Envelope.EightBit || d.eightBit
	head := d.head()
	if !d.changed() && len(head) <= maxPrefix {
		a.Prefix, a.Content, a.Size = head, d.content.ID(), d.content.Size()
		return d.content, nil
	}
	w, err := d.blobs.Create(ctx)
	if err != nil {
		return blob.Handle{}, fault.Wrap(op, err)
	}
	defer w.Abort()
	r, _ := d.open()
	if _, err := io.Copy(w, r); err != nil {
		return blob.Handle{}, fault.Wrap(op, err)
	}
	if h, err = w.Commit(); err != nil {
		return blob.Handle{}, fault.Wrap(op, err)
	}
	a.Prefix, a.Content, a.Size = nil, h.ID(), h.Size()
	return h, nil
}
