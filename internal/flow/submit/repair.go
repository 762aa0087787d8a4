package submit

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// copyRepaired copies the content to w with its header mended: Bcc fields go
// (RFC 5322 §3.6.3), and From, Date and Message-ID come in front where they are
// missing (RFC 6409 §8). A reply means that the message is refused.
func (t *Transaction) copyRepaired(ctx context.Context, w io.Writer, content io.Reader) (smtp.Reply, error) {
	block, rest, tooLong, err := message.SplitHeader(content)
	if err != nil {
		return smtp.Reply{}, err
	}
	if tooLong {
		return smtp.Reply{}, fault.Newf(fault.TooLarge, "submit.copyRepaired", "the header is over %d octets", message.MaxHeader)
	}
	header := message.ParseHeader(block)
	if reply, err := t.checkFrom(ctx, header); err != nil || !reply.IsZero() {
		return reply, err
	}
	deliver.Heed(&t.arrival, header, t.s.o.Priority)
	t.addMissing(header)
	blind := append(header.Spans("Bcc"), header.Spans("Resent-Bcc")...)
	slices.SortFunc(blind, func(a, b message.Span) int { return cmp.Compare(a.Offset, b.Offset) })
	seen, _ := message.Without(bytes.NewReader(block), int64(len(block)), blind)
	_, err = t.s.o.Deliver.Copy(w, io.MultiReader(seen, rest))
	return smtp.Reply{}, err
}

// checkFrom refuses a From or Sender that the account may not use: what the
// reader sees is what counts. A message without From is given the reverse-path,
// which was checked at MAIL; with neither it is refused.
func (t *Transaction) checkFrom(ctx context.Context, h message.Header) (smtp.Reply, error) {
	named, reply, err := t.checkField(ctx, h, "From")
	if err == nil && reply.IsZero() {
		_, reply, err = t.checkField(ctx, h, "Sender")
	}
	if err != nil || !reply.IsZero() {
		return reply, err
	}
	if !named && (h.Has("From") || t.arrival.Envelope.From.IsNull()) {
		return smtp.Answer(550, smtp.Enhanced{5, 6, 0}, "the message has no sender in its From field"), nil
	}
	return smtp.Reply{}, nil
}

// checkField refuses an address of a field that the account may not use, and
// says whether there is any.
func (t *Transaction) checkField(ctx context.Context, h message.Header, field string) (named bool, reply smtp.Reply, err error) {
	for _, a := range h.Addresses(field) {
		if a.GroupStart() || a.GroupEnd() {
			continue
		}
		domain, err := mail.ParseDomain(a.Host)
		if err != nil || a.Mailbox == "" {
			return named, smtp.Answer(550, smtp.Enhanced{5, 6, 0}, "the %s field holds no proper address", field), nil
		}
		if reply, err := t.may(ctx, mail.Address{Local: a.Mailbox, Domain: domain}); err != nil || !reply.IsZero() {
			return named, reply, err
		}
		named = true
	}
	return named, smtp.Reply{}, nil
}

// addMissing puts From, Date and Message-ID into the prefix if the header lacks them.
func (t *Transaction) addMissing(h message.Header) {
	a := &t.arrival
	lacks := h.Lacks()
	if lacks.From {
		a.Prefix = message.AppendAddresses(a.Prefix, "From", []message.Addr{message.Mailbox(t.name, a.Envelope.From)})
	}
	if lacks.Date {
		a.Prefix = fmt.Appendf(a.Prefix, "Date: %s\r\n", message.FormatDate(a.At))
	}
	if lacks.MessageID {
		host := string(a.Peer.User.Domain)
		if host == "" {
			host = t.s.o.Hostname
		}
		a.Prefix = fmt.Appendf(a.Prefix, "Message-ID: <%s@%s>\r\n", a.ID, host)
	}
}
