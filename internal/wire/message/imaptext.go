package message

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// AppendIMAP writes e behind b as ENVELOPE has it (RFC 9051 §7.5.2).
func (e *Envelope) AppendIMAP(b []byte) []byte {
	b = appendNString(append(b, '('), e.Date)
	b = appendNString(append(b, ' '), e.Subject)
	for _, list := range [...][]Addr{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		b = appendAddresses(append(b, ' '), list)
	}
	b = appendNString(append(b, ' '), e.InReplyTo)
	b = appendNString(append(b, ' '), e.MessageID)
	return append(b, ')')
}

// appendAddresses writes a list of addresses. A group begins with an address
// without a host and ends with one without a mailbox.
func appendAddresses(b []byte, list []Addr) []byte {
	if len(list) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i := range list {
		a := &list[i]
		if a.IsGroup {
			b = append(appendNString(append(b, "(NIL NIL "...), a.Mailbox), " NIL)"...)
			continue
		}
		b = appendNString(append(b, '('), a.Name)
		b = appendNString(append(b, ' '), a.Route)
		// An address without one of its halves must not look like a group.
		b = appendString(append(b, ' '), a.Mailbox)
		b = append(appendString(append(b, ' '), a.Host), ')')
	}
	return append(b, ')')
}

// AppendIMAP writes p behind b as BODYSTRUCTURE has it or, without the extension
// data, BODY (RFC 9051 §7.5.2).
func (p *Part) AppendIMAP(b []byte, extension bool) []byte {
	b = append(b, '(')
	if len(p.Parts) > 0 {
		for _, child := range p.Parts {
			b = child.AppendIMAP(b, extension)
		}
		b = appendUpper(append(b, ' '), p.Subtype)
		if extension {
			b = appendParams(append(b, ' '), p.Params)
			b = p.appendExtension(b)
		}
		return append(b, ')')
	}
	b = appendUpper(b, p.Type)
	b = appendUpper(append(b, ' '), p.Subtype)
	b = appendParams(append(b, ' '), p.textParams())
	b = appendNString(append(b, ' '), p.ID)
	b = appendNString(append(b, ' '), p.Description)
	b = appendUpper(append(b, ' '), p.Encoding)
	b = strconv.AppendInt(append(b, ' '), p.Size(), 10)
	switch {
	case p.Message != nil:
		env := p.Message.Envelope()
		b = env.AppendIMAP(append(b, ' '))
		b = p.Message.Root.AppendIMAP(append(b, ' '), extension)
		b = strconv.AppendInt(append(b, ' '), p.Lines, 10)
	case p.Type == "text":
		b = strconv.AppendInt(append(b, ' '), p.Lines, 10)
	}
	if extension {
		b = appendNString(append(b, ' '), p.MD5)
		b = p.appendExtension(b)
	}
	return append(b, ')')
}

// textParams is p.Params and, where a text does not name its charset, the one that
// RFC 2046 §4.1.2 takes for granted: clients have come to see it.
func (p *Part) textParams() []Param {
	if p.Type != "text" {
		return p.Params
	}
	for _, q := range p.Params {
		if name, _, _ := strings.Cut(q.Name, "*"); name == "charset" {
			return p.Params
		}
	}
	return append(slices.Clip(p.Params), Param{"charset", "US-ASCII"})
}

// appendExtension writes disposition, language and location.
func (p *Part) appendExtension(b []byte) []byte {
	if p.Disposition == "" {
		b = append(b, " NIL"...)
	} else {
		b = appendUpper(append(b, " ("...), p.Disposition)
		b = append(appendParams(append(b, ' '), p.DispParams), ')')
	}
	switch len(p.Language) {
	case 0:
		b = append(b, " NIL"...)
	case 1:
		b = appendString(append(b, ' '), p.Language[0])
	default:
		b = append(b, ' ')
		for i, l := range p.Language {
			b = appendString(append(b, separator(i)), l)
		}
		b = append(b, ')')
	}
	return appendNString(append(b, ' '), p.Location)
}

func appendParams(b []byte, params []Param) []byte {
	if len(params) == 0 {
		return append(b, "NIL"...)
	}
	for i, p := range params {
		b = append(b, separator(i))
		b = appendUpper(b, p.Name)
		b = appendString(append(b, ' '), p.Value)
	}
	return append(b, ')')
}

// separator is what stands before element i of a list.
func separator(i int) byte {
	if i == 0 {
		return '('
	}
	return ' '
}

func appendString(b []byte, s string) []byte { return line.AppendString(b, s, false) }

// appendUpper writes types as the examples of the RFC do; they have no case.
func appendUpper(b []byte, s string) []byte { return appendString(b, strings.ToUpper(s)) }

func appendNString(b []byte, s string) []byte {
	if s == "" {
		return append(b, "NIL"...)
	}
	return appendString(b, s)
}
