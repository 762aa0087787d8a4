// Package answer composes the letters that the server writes itself: reports
// of what became of a message.
package answer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

const (
	// maxWhole is up to which size a report carries the whole message, in octets.
	maxWhole = 50 << 10
	// maxHeader is how much of a header a report carries, in octets.
	maxHeader = 32 << 10
	// maxBegin is how much of a message is looked at for its language, in octets.
	maxBegin = 16 << 10
)

// Options say who reports.
type Options struct {
	Hostname string      // names the server in the text, and is the Reporting-MTA
	Domain   mail.Domain // reports come from postmaster there; empty means Hostname

	// Prefer says in which language a sender wants to be written to; nil: nobody
	// says anything.
	Prefer func(ctx context.Context, sender mail.Address) Preference
}

// Answerer composes. It keeps nothing and reads no clock.
type Answerer struct{ o Options }

// New makes an Answerer.
func New(o Options) *Answerer {
	if o.Domain == "" {
		o.Domain = mail.Domain(o.Hostname)
	}
	return &Answerer{o: o}
}

// Facts are what a report needs to know of the message it tells of.
type Facts struct {
	ID          mail.ArrivalID
	Now         time.Time    // date of the report
	Arrived     time.Time    // when the message came to us
	From        mail.Address // reverse-path: where the report goes
	EnvelopeID  string       // ENVID, decoded
	HeadersOnly bool         // RET=HDRS: a failure need not carry the message
	UTF8        bool         // it came with SMTPUTF8, so its sender understands RFC 6533
	RequireTLS  bool         // so must the report, and it carries no more than the header (RFC 8689 §5)
	Prefer      Preference
	mail.Demands
}

// Report composes a report about the recipients (RFC 3464), with a text for
// people in the sender's language, and the envelope to send it in: a null
// reverse-path and the message's sender as the only recipient, who asks for no
// report in turn. original is the whole message with our own fields, size its
// length; it may be nil. The same facts give the same octets. A message with a
// null reverse-path gets no report (RFC 5321 §6.1): fault.Invalid, as without
// recipients; other errors come from original.
func (a *Answerer) Report(f Facts, rcpts []dsn.Recipient, original io.ReaderAt, size int64) ([]byte, mail.Envelope, error) {
	const op = "answer.Report"
	switch {
	case f.From.IsNull():
		return nil, mail.Envelope{}, fault.New(fault.Invalid, op, "a null reverse-path gets no report")
	case len(rcpts) == 0:
		return nil, mail.Envelope{}, fault.New(fault.Invalid, op, "a report tells of at least one recipient")
	}
	f.HeadersOnly = f.HeadersOnly || f.RequireTLS
	o, h, begin, err := enclose(f, rcpts, original, size)
	if err != nil {
		return nil, mail.Envelope{}, fault.Wrap(op, err)
	}
	mark := identity(f, rcpts)
	languages := f.Prefer.languages(h, begin)
	l := dsn.Letter{
		From:      message.Mailbox("Mail Delivery System", mail.Address{Local: "postmaster", Domain: a.o.Domain}),
		To:        message.Mailbox("", f.From),
		Subject:   subject(rcpts, languages),
		Date:      f.Now,
		MessageID: mark + "@" + string(a.o.Domain),
		Boundary:  "=_" + mark,
		Text:      a.text(f, rcpts, h, languages),
		Report: dsn.Report{
			EnvelopeID: f.EnvelopeID, ReportingMTA: a.o.Hostname, Arrival: f.Arrived, DeliverBy: f.By.At, FutureRelease: f.Requested,
			Recipients: rcpts,
		},
		Original: o,
		UTF8:     f.UTF8,
	}
	if ids := message.MessageIDs(h.Get("Message-ID")); len(ids) > 0 {
		l.References = ids[0]
	}
	var b bytes.Buffer
	if err := dsn.Write(&b, l); err != nil {
		return nil, mail.Envelope{}, fault.Wrap(op, err)
	}
	env := mail.Envelope{
		To:       []mail.Recipient{{Address: f.From, Notify: mail.NotifyNever}},
		UTF8:     f.UTF8,
		EightBit: !isASCII(b.Bytes()),

		RequireTLS: f.RequireTLS,
		Demands:    mail.Demands{Priority: f.Priority, Prioritized: f.Prioritized}, // RFC 6710 §4.6
	}
	return b.Bytes(), env, nil
}

// identity names a report by what it tells, in 24 characters.
func identity(f Facts, rcpts []dsn.Recipient) string {
	h := sha256.New()
	h.Write(f.ID[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(f.Now.UnixNano())))
	for _, r := range rcpts {
		h.Write([]byte(r.Final.String() + "\x00" + string(r.Action) + "\x00"))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
}

// enclose takes the message, or its header, out of original. A message goes
// whole only if it failed (RFC 3461 §4.3), is small, was not asked to be left
// out, and is clean enough to travel inside another. It gives the beginning of
// the message too.
func enclose(f Facts, rcpts []dsn.Recipient, original io.ReaderAt, size int64) (dsn.Original, message.Header, []byte, error) {
	if original == nil || size <= 0 {
		return dsn.Original{}, message.Header{}, nil, nil
	}
	b := make([]byte, min(size, maxWhole))
	if n, err := original.ReadAt(b, 0); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return dsn.Original{}, message.Header{}, nil, err
	}
	begin := b[:min(len(b), maxBegin)]
	whole := size <= maxWhole && !f.HeadersOnly && clean(b)
	failed := false
	for _, r := range rcpts {
		failed = failed || r.Action == dsn.Failed
	}
	var s message.HeaderScanner
	_, _ = s.Write(b)
	h := s.Header()
	if whole && failed {
		return dsn.Original{Content: b, EightBit: !isASCII(b)}, h, begin, nil
	}
	// The fields one by one, so that what is cut, is cut between two of them.
	var head []byte
	for _, field := range h.Fields() {
		raw := []byte(field.Raw)
		if !bytes.HasSuffix(raw, []byte("\n")) || !clean(raw) || len(head)+len(raw) > maxHeader {
			continue
		}
		head = append(head, raw...)
	}
	return dsn.Original{Content: head, Headers: true, EightBit: !isASCII(head)}, h, begin, nil
}

// clean says whether b keeps the rules of RFC 5321 for content: CRLF ends
// lines of at most 998 octets, CR and LF do not stand alone, and there is no NUL.
func clean(b []byte) bool {
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n')
		line := b
		if n >= 0 {
			if n == 0 || b[n-1] != '\r' {
				return false
			}
			line = b[:n-1]
			b = b[n+1:]
		} else {
			b = nil
		}
		if len(line) > 998 || bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
			return false
		}
	}
	return true
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
