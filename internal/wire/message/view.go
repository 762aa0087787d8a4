package message

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// MaxView is the most that Marshal gives, in octets.
const MaxView = 64 << 10

// The forms of a view. The second keeps ENVELOPE and BODYSTRUCTURE as IMAP writes
// them, and more fields.
const (
	viewFields = 1
	viewTexts  = 2

	viewVersion = viewTexts
)

// partialField is the longest field of a partial view, in octets.
const partialField = 4 << 10

// envelopeFields are what ENVELOPE is made of; Marshal keeps them of every
// message, also of those inside.
var envelopeFields = []string{
	"Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID",
}

// listFields are what clients ask for besides to draw a list or a thread.
var listFields = []string{
	"References", "Content-Type", "Content-Transfer-Encoding", "MIME-Version", "List-ID", "List-Post", "List-Unsubscribe", "List-Unsubscribe-Post", "Newsgroups",
	"Priority", "X-Priority", "Importance", "Precedence", "Auto-Submitted", "Disposition-Notification-To",
	"Return-Path", "Delivered-To", "X-Spam-Flag", "X-Mailer", "User-Agent", "Organization",
}

// moreFields are those that views of the second form keep besides: neomutt, K-9 and
// Roundcube ask for them in their lists.
var moreFields = []string{
	"Content-Description", "Lines", "List-Subscribe", "Mail-Followup-To", "Mail-Reply-To", "Envelope-To", "X-Label", "X-Original-To",
	"X-Draft-Info", "X-K9mail-Identity", "Chat-Version", "X-Uniform-Type-Identifier", "X-Universally-Unique-Identifier",
}

// viewWords are written as a number. The order must not change; add at the end.
var viewWords = []string{
	"", "text", "plain", "html", "multipart", "mixed", "alternative", "related", "signed", "report", "message",
	"rfc822", "application", "octet-stream", "pdf", "image", "png", "jpeg", "gif", "7bit", "8bit",
	"quoted-printable", "base64", "binary", "attachment", "inline", "charset", "utf-8", "UTF-8", "us-ascii",
	"iso-8859-1", "ISO-2022-JP", "iso-2022-jp", "windows-1252", "boundary", "name", "filename", "format", "flowed",
	"delsp", "yes", "type", "method", "protocol", "micalg", "delivery-status", "calendar", "zip",
}

var viewNumbers = func() map[string]int {
	numbers := map[string]int{}
	for n, s := range viewWords {
		numbers[s] = n
	}
	return numbers
}()

// Keeps says whether the header holds all fields of that name: yes after
// Parse, after Unmarshal only for those that views keep.
func (i *Index) Keeps(name string) bool {
	return i.view == 0 || !i.Partial && keptBy(i.view, name)
}

// keptBy says whether a view of that form keeps the fields of a name.
func keptBy(form int64, name string) bool {
	return hasFold(envelopeFields, name) || hasFold(listFields, name) || form >= viewTexts && hasFold(moreFields, name)
}

func hasFold(list []string, name string) bool {
	for _, s := range list {
		if len(s) == len(name) && strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

// Marshal is the compact form that is kept beside a message: ENVELOPE and
// BODYSTRUCTURE, the tree with its offsets, the header fields that Keeps names, the
// preview; at most MaxView. A message for which that is not enough loses first
// the two texts, which can be made again. One whose rest is too much (a header
// with thousands of recipients, thousands of parts) gives a Partial one: no Root,
// no fields longer than 4 KiB. The index of a view of the first form gives one again:
// it lacks fields.
func (i *Index) Marshal() []byte {
	w := viewWriter{form: viewVersion}
	if i.view > 0 {
		w.form = i.view
	}
	w.texts = w.form >= viewTexts
	for !i.Partial {
		if w.index(i, true, 0) {
			return w.b
		}
		if w.b = w.b[:0]; !w.texts {
			break
		}
		w.texts = false
	}
	w.partial(i)
	return w.b
}

type viewWriter struct {
	b     []byte
	form  int64
	texts bool // ENVELOPE and BODYSTRUCTURE are kept
}

func (w *viewWriter) int(n int64) { w.b = binary.AppendUvarint(w.b, uint64(n)) }

func (w *viewWriter) string(s string) {
	if n, ok := viewNumbers[s]; ok {
		w.int(int64(n)<<1 | 1)
		return
	}
	w.int(int64(len(s)) << 1)
	w.b = append(w.b, s...)
}

func (w *viewWriter) head(i *Index, partial bool) {
	flags := int64(0)
	if i.Cut {
		flags |= 1
	}
	if partial {
		flags |= 2
	}
	w.int(w.form)
	w.int(flags)
	w.int(i.Size)
	switch {
	case w.texts && !partial:
		env := i.Envelope()
		w.text(env.AppendIMAP(nil))
		w.text(i.Root.AppendIMAP(nil, true))
	case w.form >= viewTexts:
		w.text(nil)
		w.text(nil)
	}
	w.string(i.Preview)
}

func (w *viewWriter) text(t []byte) {
	w.int(int64(len(t)))
	w.b = append(w.b, t...)
}

// index writes all; false means that it does not fit.
func (w *viewWriter) index(i *Index, outer bool, base int64) bool {
	if outer {
		if w.head(i, false); len(w.b) > MaxView {
			return false
		}
	} else {
		w.int(i.Size)
	}
	var kept []Field
	size := len(w.b)
	for _, f := range i.Header.fields {
		if outer && keptBy(w.form, f.Name) || hasFold(envelopeFields, f.Name) {
			kept = append(kept, f)
			size += len(f.Raw)
		}
	}
	if size > MaxView {
		return false
	}
	w.fields(kept)
	return w.part(i.Root, base) && len(w.b) <= MaxView
}

func (w *viewWriter) fields(fields []Field) {
	w.int(int64(len(fields)))
	for _, f := range fields {
		w.int(f.Offset)
		w.string(f.Raw)
	}
}

func (w *viewWriter) partial(i *Index) {
	w.head(i, true)
	var kept []Field
	for _, f := range i.Header.fields {
		if len(f.Raw) <= partialField && len(kept) < 2*len(envelopeFields) && hasFold(envelopeFields, f.Name) {
			kept = append(kept, f)
		}
	}
	for total, n := 0, 0; n < len(kept); n++ {
		if total += len(kept[n].Raw); total > MaxView/2 {
			kept = kept[:n]
		}
	}
	w.fields(kept)
}

// Kinds of part.
const (
	viewLeaf = iota
	viewMultipart
	viewMessage
)

func (w *viewWriter) part(p *Part, base int64) bool {
	kind := int64(viewLeaf)
	switch {
	case len(p.Parts) > 0:
		kind = viewMultipart
	case p.Message != nil:
		kind = viewMessage
	}
	w.int(kind)
	w.int(p.HeaderStart - base)
	w.int(p.BodyStart - p.HeaderStart)
	w.int(p.End - p.BodyStart)
	w.int(p.Lines)
	for _, s := range [...]string{p.Type, p.Subtype, p.Encoding, p.ID, p.Description, p.MD5, p.Location, p.Disposition} {
		w.string(s)
	}
	w.params(p.Params)
	w.params(p.DispParams)
	w.int(int64(len(p.Language)))
	for _, l := range p.Language {
		w.string(l)
	}
	if len(w.b) > MaxView {
		return false
	}
	if kind == viewMessage {
		return w.index(p.Message, false, p.BodyStart)
	}
	if kind == viewMultipart {
		w.int(int64(len(p.Parts)))
		for _, child := range p.Parts {
			if !w.part(child, p.BodyStart) {
				return false
			}
		}
	}
	return true
}

func (w *viewWriter) params(params []Param) {
	w.int(int64(len(params)))
	for _, p := range params {
		w.string(p.Name)
		w.string(p.Value)
	}
}

// Unmarshal reads what Marshal wrote. It fails on anything else and never
// gives an index whose offsets lie outside the message.
func Unmarshal(b []byte) (*Index, error) {
	r := viewReader{s: string(b)}
	i := &Index{view: r.int()}
	if i.view < viewFields || i.view > viewVersion {
		return nil, fmt.Errorf("message view of version %d", i.view)
	}
	flags := r.int()
	i.Cut, i.Partial = flags&1 != 0, flags&2 != 0
	i.Size = r.int()
	if i.view >= viewTexts {
		r.text()
		r.text()
	}
	i.Preview = r.string()
	i.Header = Header{fields: r.fields()}
	if !i.Partial {
		i.Root = r.part(0, i.Size, 0)
	}
	if r.bad || r.s != "" || flags > 3 {
		return nil, fmt.Errorf("message view is damaged")
	}
	return i, nil
}

// viewReader reads and remembers whether anything was wrong.
type viewReader struct {
	s     string
	parts int
	bad   bool
}

func (r *viewReader) fail() { r.s, r.bad = "", true }

func (r *viewReader) int() int64 {
	var v uint64
	for n := 0; n < len(r.s) && n < 9; n++ {
		c := r.s[n]
		v |= uint64(c&0x7f) << (7 * n)
		if c < 0x80 {
			if c == 0 && n > 0 {
				break // longer than it need be
			}
			r.s = r.s[n+1:]
			return int64(v)
		}
	}
	r.fail()
	return 0
}

// count reads how many things follow, each at least min octets long.
func (r *viewReader) count(min int) int {
	n := r.int()
	if n > int64(len(r.s)/min) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *viewReader) string() string {
	n := r.int()
	if n&1 != 0 {
		if n >>= 1; n < int64(len(viewWords)) {
			return viewWords[n]
		}
		r.fail()
		return ""
	}
	if n >>= 1; n > int64(len(r.s)) {
		r.fail()
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *viewReader) text() string {
	n := r.count(1)
	t := r.s[:n]
	r.s = r.s[n:]
	return t
}

func (r *viewReader) fields() []Field {
	n := r.count(2)
	fields := make([]Field, 0, n)
	for range n {
		f := Field{Offset: r.int(), Raw: r.string()}
		colon := strings.IndexByte(f.Raw, ':')
		if colon < 0 {
			r.fail()
			return nil
		}
		f.Name = strings.TrimRight(f.Raw[:colon], " \t")
		fields = append(fields, f)
	}
	return fields
}

func (r *viewReader) params() []Param {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	params := make([]Param, 0, n)
	for range n {
		params = append(params, Param{Name: r.string(), Value: r.string()})
	}
	return params
}

// part reads a part that lies between base and end.
func (r *viewReader) part(base, end int64, depth int) *Part {
	kind := r.int()
	p := &Part{HeaderStart: base + r.int()}
	p.BodyStart = p.HeaderStart + r.int()
	p.End = p.BodyStart + r.int()
	p.Lines = r.int()
	for _, s := range [...]*string{&p.Type, &p.Subtype, &p.Encoding, &p.ID, &p.Description, &p.MD5, &p.Location, &p.Disposition} {
		*s = r.string()
	}
	p.Params, p.DispParams = r.params(), r.params()
	if n := r.count(1); n > 0 {
		p.Language = make([]string, 0, n)
		for range n {
			p.Language = append(p.Language, r.string())
		}
	}
	r.parts++
	if r.bad || depth > 2*MaxDepth || r.parts > 2*MaxParts ||
		p.HeaderStart < base || p.BodyStart < p.HeaderStart || p.End < p.BodyStart || p.End > end {
		r.fail()
		return p
	}
	if (p.Type == "multipart") != (kind == viewMultipart) {
		r.fail()
		return p
	}
	switch kind {
	case viewLeaf:
	case viewMessage:
		m := &Index{view: viewVersion, Size: r.int()}
		m.Header = Header{fields: r.fields()}
		m.Root = r.part(p.BodyStart, p.End, depth+1)
		p.Message = m
	case viewMultipart:
		n := r.count(10)
		if n == 0 {
			r.fail()
		}
		for range n {
			p.Parts = append(p.Parts, r.part(p.BodyStart, p.End, depth+1))
		}
	default:
		r.fail()
	}
	return p
}
