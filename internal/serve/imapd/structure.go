package imapd

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// encodeEnvelope writes an envelope (RFC 3501 §7.4.2).
func encodeEnvelope(e *imap.Encoder, env *message.Envelope) {
	e.Raw("(").NString(env.Date).SP().NString(env.Subject)
	for _, list := range [][]message.Addr{env.From, env.Sender, env.ReplyTo, env.To, env.Cc, env.Bcc} {
		encodeAddresses(e.SP(), list)
	}
	e.SP().NString(env.InReplyTo).SP().NString(env.MessageID).Raw(")")
}

// encodeAddresses writes a list of addresses. A group begins with an address
// without a host and ends with one without a mailbox.
func encodeAddresses(e *imap.Encoder, list []message.Addr) {
	if len(list) == 0 {
		e.Raw("NIL")
		return
	}
	e.Raw("(")
	for i := range list {
		a := &list[i]
		if a.IsGroup {
			e.Raw("(NIL NIL ").NString(a.Mailbox).Raw(" NIL)")
			continue
		}
		// An address without one of its halves must not look like a group.
		e.Raw("(").NString(a.Name).SP().NString(a.Route).SP().String(a.Mailbox).SP().String(a.Host).Raw(")")
	}
	e.Raw(")")
}

// encodeStructure writes BODYSTRUCTURE or, without the extension data, BODY
// (RFC 3501 §7.4.2).
func encodeStructure(e *imap.Encoder, p *message.Part, ext bool) {
	e.Raw("(")
	if len(p.Parts) > 0 {
		for _, child := range p.Parts {
			encodeStructure(e, child, ext)
		}
		e.SP().String(upper(p.Subtype))
		if ext {
			encodeParams(e.SP(), p.Params)
			encodeExtension(e, p)
		}
		e.Raw(")")
		return
	}
	e.String(upper(p.Type)).SP().String(upper(p.Subtype)).SP()
	encodeParams(e, p.Params)
	e.SP().NString(p.ID).SP().NString(p.Description).SP().String(upper(p.Encoding)).SP().Number(p.Size())
	switch {
	case p.Message != nil:
		env := p.Message.Envelope()
		encodeEnvelope(e.SP(), &env)
		encodeStructure(e.SP(), p.Message.Root, ext)
		e.SP().Number(p.Lines)
	case p.Type == "text":
		e.SP().Number(p.Lines)
	}
	if ext {
		e.SP().NString(p.MD5)
		encodeExtension(e, p)
	}
	e.Raw(")")
}

// upper writes types as the examples of the RFC do; they have no case.
func upper(s string) string { return strings.ToUpper(s) }

// encodeExtension writes disposition, language and location.
func encodeExtension(e *imap.Encoder, p *message.Part) {
	if p.Disposition == "" {
		e.Raw(" NIL")
	} else {
		e.Raw(" (").String(upper(p.Disposition)).SP()
		encodeParams(e, p.DispParams)
		e.Raw(")")
	}
	switch len(p.Language) {
	case 0:
		e.Raw(" NIL")
	case 1:
		e.SP().String(p.Language[0])
	default:
		e.SP().List(len(p.Language), func(i int) { e.String(p.Language[i]) })
	}
	e.SP().NString(p.Location)
}

func encodeParams(e *imap.Encoder, params []message.Param) {
	if len(params) == 0 {
		e.Raw("NIL")
		return
	}
	e.List(len(params), func(i int) {
		e.String(upper(params[i].Name)).SP().String(params[i].Value)
	})
}
