package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// mustProve says whether a host must prove who it is before it has the message.
// A report is not lost for that (RFC 8689 §5).
func (t *transfer) mustProve() bool { return t.m.RequireTLS && !t.m.From.IsNull() }

// unproven refuses a message that must go to a host that is surely the domain's,
// where the name of the host comes from the DNS unsigned (RFC 8689 §4.2.1).
func (t *transfer) unproven(way route.Route) smtp.Reply {
	if !t.mustProve() || way.Secure {
		return smtp.Reply{}
	}
	return smtp.Answer(550, smtp.Enhanced{5, 7, 30}, "the message must go over TLS to a host that is surely the domain's, and its MX is not signed (DNSSEC)")
}

// another says whether another host may still meet what this one does not.
func (t *transfer) another(reply smtp.Reply) bool {
	return t.mustProve() && (reply.Enhanced == smtp.Enhanced{5, 7, 30} || reply.Enhanced == smtp.Enhanced{5, 7, 10})
}

// giveUp ends a message that must go over TLS all the way when no host is left
// that could take it; a host that could not be reached may yet (RFC 8689 §4.2.1).
func (t *transfer) giveUp() {
	for i := range t.rs {
		if d := &t.rs[i]; !d.final && t.last.IsZero() && t.another(d.reply) {
			d.final = true
		}
	}
}

// isUnproven says whether a host was refused because it does not speak TLS or its
// certificate is not good.
func isUnproven(err error) bool {
	var no *smtpc.Refusal
	var bad *tls.CertificateVerificationError
	return errors.As(err, &bad) || errors.As(err, &no) && no.Command == "STARTTLS"
}

// expire returns what was to be delivered by now, without another attempt (RFC
// 2852 §4.1.3).
func (r *Relay) expire(ctx context.Context, m parcel, ds []queue.Delivery) bool {
	var rs []result
	for _, d := range ds {
		rs = append(rs, result{Delivery: d})
	}
	putAll(rs, smtp.Answer(550, smtp.Enhanced{5, 4, 7}, "%s", queue.Expired), "", true)
	return r.settle(ctx, m, rs, nil)
}

// tells says whether the sender hears that the host took the message, because it
// traces it, or because the host knows nothing of its deliver-by-time (RFC 2852
// §4.1.4).
func (t *transfer) tells(c *smtpc.Conn) bool {
	by := t.m.By
	return by.Trace || !by.IsZero() && !by.Return && !c.Has("DELIVERBY") && !by.Passed(time.Now())
}
