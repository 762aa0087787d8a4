package relay

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// lax says whether the sender wants the message to arrive rather than to be
// secure: what domains demand of the line does not count (RFC 8689 §3).
func (t *transfer) lax() bool { return t.m.TLSOptional && !t.m.RequireTLS }

// waives says whether m may go although others just found that a hop does not meet
// its domain's demands.
func waives(m *queue.Message, reply smtp.Reply) bool {
	return m.TLSOptional && !m.RequireTLS && reply.Enhanced == smtp.Enhanced{4, 7, 5}
}

// demand is what the line to h must prove for this message.
func (t *transfer) demand(h route.Host) route.Demand {
	if t.lax() {
		return h.Demand.Waived()
	}
	return h.Demand
}

// securing is how one line is to be secured, and how it went.
type securing struct {
	demand route.Demand
	unmet  error // what the demand found wrong with the certificate
	proven bool  // a line that comes about is one whose certificate is good
}

// secure puts into o how the line to h must be secured.
func (t *transfer) secure(o *smtpc.Options, h route.Host, addr netip.AddrPort) *securing {
	s := &securing{demand: t.demand(h)}
	switch {
	case h.TLS == route.Implicit:
		o.TLS = smtpc.Implicit
	case h.TLS == route.Required || t.mustProve():
		o.TLS = smtpc.Required
	}
	// A password is shown only to who proves to be the host; on loopback nobody
	// stands between. REQUIRETLS knows no such exception (RFC 8689 §4.2.1).
	o.VerifyCA = o.TLS != smtpc.Opportunistic && (t.mustProve() || !addr.Addr().IsLoopback())
	if o.TLS == smtpc.Opportunistic && s.demand.Mandatory() {
		o.TLS = smtpc.Required
	}
	s.proven = o.VerifyCA || s.demand.Mandatory() && s.demand.Proves()
	if s.demand.Proves() {
		strict := s.demand.Mandatory() || o.VerifyCA
		o.ServerName = s.demand.ServerName()
		o.Verify = func(state tls.ConnectionState) error {
			s.unmet = s.demand.Verify(state, t.r.o.RootCAs, time.Now())
			if !strict {
				return nil
			}
			return s.unmet
		}
	}
	return s
}

// observe tells how the securing of a line went; what is not about TLS is not
// told.
func (t *transfer) observe(s *securing, h route.Host, addr netip.AddrPort, conn *smtpc.Conn, err error) {
	if s.demand.Policy.Domain == "" || t.lax() || err != nil && !smtpc.IsTLS(err) {
		return
	}
	if err == nil {
		if err = conn.Clear(); err == nil {
			err = s.unmet
		}
	}
	var no *smtpc.Refusal
	t.r.o.Observe(h.Session(t.source.forFamily(addr.Addr()), addr.Addr(), !errors.As(err, &no), err))
}

// bar leaves out a host that its domain would not have used, and says so.
func (t *transfer) bar(h route.Host) {
	t.unreached(smtp.Answer(451, smtp.Enhanced{4, 7, 5}, "%s is not used: %s", h.Name, h.Barred))
}

// unreached notes a host that cannot be used now. What another one has said tells
// more.
func (t *transfer) unreached(reply smtp.Reply) {
	t.last = reply
	for i := range t.rs {
		if d := &t.rs[i]; !d.final && d.host == "" {
			d.put(reply, "", false)
		}
	}
}
