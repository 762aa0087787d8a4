package deliver

import (
	"context"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Fit is what a message that arrives may be made of. What is beyond it cannot be
// seen whole by whoever looks into messages, so it is refused and not cut. A
// zero field is no limit.
type Fit struct {
	HeaderSize int64 // octets of the header
	Fields     int   // fields of the header
	Parts      int   // MIME parts, all levels together
	Depth      int   // multiparts and messages within one another
	Received   int   // Received fields: more are a circle (RFC 5321 §6.3)
}

// unfit refuses an arrival for what it is made of; the zero reply is none.
func (p *Plan) unfit(ctx context.Context) (smtp.Reply, error) {
	f := p.d.o.Fit
	if f == (Fit{}) {
		return smtp.Reply{}, nil
	}
	if len(p.targets) > 0 {
		t := p.targets[0]
		return f.refuse(t.message.Index, int64(len(t.prefix))), nil
	}
	index, err := p.d.o.Mailbox.Index(ctx, nil, p.content)
	if err != nil {
		return smtp.Reply{}, err
	}
	return f.refuse(index, 0), nil
}

// refuse looks at the content behind a prefix of ours.
func (f Fit) refuse(ix *message.Index, prefix int64) smtp.Reply {
	fields, received := 0, 0
	for _, h := range ix.Header.Fields() {
		if h.Offset >= prefix {
			fields++
			if strings.EqualFold(h.Name, "Received") {
				received++
			}
		}
	}
	parts, depth := measure(ix.Root)
	bad := smtp.Enhanced{5, 6, 0}
	switch {
	case f.HeaderSize > 0 && ix.Root.BodyStart-prefix > f.HeaderSize:
		return smtp.Answer(552, smtp.Enhanced{5, 3, 4}, "the header is larger than the %d octets that are taken here", f.HeaderSize)
	case f.Fields > 0 && fields > f.Fields:
		return smtp.Answer(554, bad, "the header has more than the %d fields that are taken here", f.Fields)
	case f.Parts > 0 && (parts > f.Parts || ix.Cut && parts >= message.MaxParts):
		return smtp.Answer(554, bad, "the message has more than the %d parts that are taken here", f.Parts)
	case f.Depth > 0 && (depth > f.Depth || ix.Cut && parts < message.MaxParts):
		return smtp.Answer(554, bad, "the message has parts nested deeper than the %d levels that are taken here", f.Depth)
	case f.Received > 0 && received > f.Received:
		return smtp.Answer(554, smtp.Enhanced{5, 4, 6}, "this message goes in circles: over %d Received fields", f.Received)
	}
	return smtp.Reply{}
}

// measure counts the parts of a tree and the multiparts and messages that stand
// within one another. The index bounds both.
func measure(p *message.Part) (parts, depth int) {
	inner := p.Parts
	if p.Message != nil {
		inner = []*message.Part{p.Message.Root}
	}
	for _, in := range inner {
		n, d := measure(in)
		parts += n
		depth = max(depth, d+1)
	}
	return parts + 1, depth
}
