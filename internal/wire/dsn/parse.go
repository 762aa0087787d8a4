package dsn

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// maxStatus is how much of the part for programs is read, in octets.
const maxStatus = 1 << 20

// Parse reads the report in a message: the first part of the type
// message/delivery-status or its global form, wherever it stands. It is
// fault.NotFound if there is none, fault.Invalid if it tells of no recipient;
// other errors come from r.
func Parse(ix *message.Index, r io.ReaderAt) (*Report, error) {
	var status, text *message.Part
	report := &Report{}
	var err error
	ix.Walk(func(_ []int, p *message.Part) bool {
		switch p.Type + "/" + p.Subtype {
		case "message/delivery-status", "message/global-delivery-status":
			if status == nil {
				status = p
			}
		case "text/plain":
			if text == nil {
				text = p
			}
		default:
			err = report.takeReturned(p, r)
		}
		return err == nil
	})
	if err != nil {
		return nil, fault.Wrap("dsn.Parse", err)
	}
	if status == nil {
		return nil, fault.New(fault.NotFound, "dsn.Parse", "the message holds no delivery report")
	}
	b, err := body(status, r)
	if err != nil {
		return nil, fault.Wrap("dsn.Parse", err)
	}
	report.parse(b, true)
	if len(report.Recipients) == 0 {
		return nil, fault.New(fault.Invalid, "dsn.Parse", "the delivery report tells of no recipient")
	}
	if text != nil && report.unsaid() {
		if b, err = plain(text, r); err != nil {
			return nil, fault.Wrap("dsn.Parse", err)
		}
		report.explain(string(b))
	}
	return report, nil
}

// unsaid says whether a recipient's host is not quoted.
func (r *Report) unsaid() bool {
	return slices.ContainsFunc(r.Recipients, func(to Recipient) bool { return to.Diagnostic == "" })
}

// explain takes what hosts have said from the text for people, where it is not among
// the fields: OpenSMTPD writes it there alone. If each tells of one recipient it is
// the same one, whatever aliases have made of it.
func (r *Report) explain(text string) {
	var told Report
	told.read(text, Failed)
	for i := range r.Recipients {
		to := &r.Recipients[i]
		for _, t := range told.Recipients {
			same := t.Final == to.Final || len(told.Recipients) == 1 && len(r.Recipients) == 1
			if to.Diagnostic == "" && same && diagnosticType(t.Diagnostic) == "smtp" {
				to.Diagnostic = t.Diagnostic
			}
		}
	}
}

// takeReturned takes the header of the message that is told of, if p is that.
func (r *Report) takeReturned(p *message.Part, from io.ReaderAt) error {
	switch p.Type + "/" + p.Subtype {
	case "message/rfc822", "message/global":
		if p.Message != nil {
			r.take(p.Message.Header)
		}
	case "text/rfc822-headers", "message/global-headers":
		b, err := body(p, from)
		if err != nil {
			return err
		}
		r.take(message.ParseHeader(b))
	}
	return nil
}

func (r *Report) take(h message.Header) {
	if len(r.Returned.Fields()) == 0 {
		r.Returned = h
	}
	r.takeID(h)
}

func (r *Report) takeID(h message.Header) {
	if ids := message.MessageIDs(h.Get("Message-ID")); len(ids) > 0 && r.MessageID == "" {
		r.MessageID = ids[0]
	}
}

func body(p *message.Part, r io.ReaderAt) ([]byte, error) {
	s := io.NewSectionReader(r, p.BodyStart, min(p.Size(), maxStatus))
	return io.ReadAll(io.LimitReader(message.DecodeBody(s, p.Encoding), maxStatus))
}

// parse reads groups of fields between empty lines. What a group is, its
// fields say: real reports have empty lines too many and too few. Some
// gateways encode all but the first group and say so there.
func (r *Report) parse(b []byte, encoded bool) {
	for len(b) > 0 && len(r.Recipients) < MaxRecipients {
		b = bytes.TrimLeft(b, "\r\n")
		h := message.ParseHeader(b)
		b = b[groupEnd(b):]
		r.message(h)
		if h.Has("Final-Recipient") || h.Has("Original-Recipient") || h.Has("Action") {
			r.Recipients = append(r.Recipients, recipient(h))
		} else if e := h.Get("Content-Transfer-Encoding"); encoded && strings.EqualFold(e, "base64") {
			b, _ = io.ReadAll(message.DecodeBody(bytes.NewReader(b), e))
			r.parse(b, false)
			return
		}
	}
}

// groupEnd is where the empty line behind the first group begins, at least one
// octet on.
func groupEnd(b []byte) int {
	for at := 0; at < len(b); {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			break
		}
		at += n + 1
		if rest := bytes.TrimLeft(b[at:min(len(b), at+3)], "\r"); len(rest) > 0 && rest[0] == '\n' {
			return at
		}
	}
	return len(b)
}

func (r *Report) message(h message.Header) {
	if v := h.Get("Original-Envelope-Id"); v != "" && r.EnvelopeID == "" {
		r.EnvelopeID = v
	}
	if v := h.Get("Reporting-MTA"); v != "" && r.ReportingMTA == "" {
		_, r.ReportingMTA = cutType(v)
	}
	if t, ok := message.ParseDate(h.Get("Arrival-Date")); ok && r.Arrival.IsZero() {
		r.Arrival = t
	}
	if t, ok := message.ParseDate(h.Get("Deliver-By-Date")); ok && r.DeliverBy.IsZero() {
		r.DeliverBy = t
	}
	if v := h.Get("Future-Release-Request"); r.FutureRelease == "" {
		r.FutureRelease = v
	}
}

func recipient(h message.Header) Recipient {
	rcpt := Recipient{Action: action(h.Get("Action")), Status: status(h.Get("Status"))}
	if typ, addr := cutType(h.Get("Original-Recipient")); addr != "" {
		rcpt.Original = typ + ";" + decode(typ, addr)
	}
	if typ, addr := cutType(h.Get("Final-Recipient")); addr != "" {
		rcpt.Final, rcpt.FinalText = final(decode(typ, addr))
	}
	_, rcpt.RemoteMTA = cutType(h.Get("Remote-MTA"))
	_, rcpt.Diagnostic = cutType(h.Get("Diagnostic-Code"))
	rcpt.LastAttempt, _ = message.ParseDate(h.Get("Last-Attempt-Date"))
	rcpt.RetryUntil, _ = message.ParseDate(h.Get("Will-Retry-Until"))
	return rcpt
}

// cutType takes "type;" off. What has no type is all value.
func cutType(v string) (typ, value string) {
	typ, value, ok := strings.Cut(v, ";")
	if !ok || strings.ContainsAny(typ, " \t@") {
		return "", strings.TrimSpace(v)
	}
	return strings.ToLower(typ), strings.TrimSpace(value)
}

func decode(typ, addr string) string {
	if typ == "utf-8" {
		return unembed(addr)
	}
	return addr
}

// final reads an address in any of the shapes that are met.
func final(s string) (mail.Address, string) {
	if a, err := mail.ParseAddress(s); err == nil {
		return a, ""
	}
	if list := message.ParseAddressList(s); len(list) == 1 && list[0].Host != "" {
		if d, err := mail.ParseDomain(list[0].Host); err == nil && list[0].Mailbox != "" {
			return mail.Address{Local: list[0].Mailbox, Domain: d}, ""
		}
	}
	return mail.Address{}, s
}

func action(v string) Action {
	v, _, _ = strings.Cut(strings.TrimSpace(strings.ToLower(v)), " ")
	switch a := Action(v); a {
	case Failed, Delayed, Delivered, Relayed, Expanded:
		return a
	}
	return ""
}

// status takes a status code (RFC 3463 §2) off the front, or gives "".
func status(v string) string {
	end, dots := 0, 0
	for end < len(v) && (v[end] >= '0' && v[end] <= '9' || v[end] == '.') {
		if v[end] == '.' {
			dots++
		}
		end++
	}
	v = v[:end]
	if dots != 2 || len(v) < 5 || len(v) > 9 || v[1] != '.' || strings.Contains(v, "..") || v[len(v)-1] == '.' {
		return ""
	}
	return v
}
