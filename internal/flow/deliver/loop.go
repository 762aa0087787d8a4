package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Loops refuses a message that every recipient would send on to where it has
// been before: its header tells, in Delivered-To, that the recipient's alias has
// sent it out once. What goes in circles with company has Received fields alone
// to stop it (RFC 5321 §6.3). The zero Reply means that there is no loop.
func (d *Deliverer) Loops(ctx context.Context, a *mail.Arrival, h message.Header) smtp.Reply {
	if !h.Has("Delivered-To") {
		return smtp.Reply{}
	}
	seen := map[mail.Address]bool{}
	for _, value := range h.All("Delivered-To") {
		if addr, err := mail.ParseAddress(strings.Trim(strings.TrimSpace(value), "<>")); err == nil {
			seen[directory.Fold(addr)] = true
		}
	}
	if len(seen) == 0 || len(a.Envelope.To) == 0 {
		return smtp.Reply{}
	}
	for _, r := range a.Envelope.To {
		if !seen[directory.Fold(r.Address)] {
			return smtp.Reply{}
		}
		found, err := d.o.Directory.Resolve(ctx, r.Address)
		if err != nil || len(found.Remote) == len(found.Relayed) && len(found.Lists) == 0 {
			return smtp.Reply{} // what cannot be resolved now is found out by Deliver
		}
	}
	return smtp.Answer(554, smtp.Enhanced{5, 4, 6}, "this message goes in circles: it was sent on from <%s> before", a.Envelope.To[0].Address)
}

// outward is the prefix of what goes out: with Delivered-To where an alias sends
// it on, so that it is known if it comes back. Where there are several recipients
// none of them is told of another's alias.
func (p *Plan) outward() []byte {
	to := p.arrival.Envelope.To
	prefix := append(slices.Clip(p.passed), p.prefix...)
	if len(to) != 1 || p.arrival.Hold != "" {
		return prefix
	}
	for _, w := range p.waiting {
		if w.To != to[0].Address {
			return append(fmt.Appendf(nil, "Delivered-To: %s\r\n", to[0].Address), prefix...)
		}
	}
	return prefix
}
