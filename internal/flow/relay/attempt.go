package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// work carries batches of one hop, one after another, for a while: then it is
// another hop's turn.
func (r *Relay) work(ctx context.Context, b queue.Batch) {
	for n := 1; ; n++ {
		settled, moved := r.attempt(ctx, b)
		w := want{done: b, failed: !settled, moved: moved}
		if !settled || n == maxTurn || ctx.Err() != nil {
			r.wants <- w
			return
		}
		more := make(chan queue.Batch, 1)
		w.more = more
		r.wants <- w
		var ok bool
		if b, ok = <-more; !ok {
			return
		}
	}
}

// result is how an attempt goes for one recipient.
type result struct {
	queue.Delivery
	reply smtp.Reply // the latest
	host  string     // who gave it
	tls   bool
	dsn   bool // the host reports itself
	tell  bool // the sender is told that the host took it, whatever it asked for but NEVER
	final bool // no other host is to be asked
	known bool // something is: what is not stays as it was
}

// put notes an answer. One that is not final another host may change.
func (r *result) put(reply smtp.Reply, host string, final bool) {
	r.reply, r.host, r.final, r.known = reply, host, final, true
}

// outcome puts a result into the queue's words.
func (r *result) outcome(jitter float64) queue.Outcome {
	o := queue.Outcome{Reply: r.reply.String(), Host: r.host, DSN: r.dsn, Tell: r.tell, Jitter: jitter}
	switch {
	case r.final && r.reply.OK():
		o.Result = queue.Sent
	case r.final && r.reply.Permanent():
		o.Result = queue.Refused
	}
	return o
}

// attempt tries one batch and settles it. It says false if nothing became of
// it because of ourselves, and what of it is to wait for its turn elsewhere.
func (r *Relay) attempt(ctx context.Context, b queue.Batch) (ok bool, moved []queue.Batch) {
	hold, ok := r.o.Leases.Hold(queue.Ref{Message: b.Message}.Partition())
	if !ok {
		return false, nil
	}
	defer hold.Done()
	m, ds, err := r.load(ctx, b, hold)
	if err != nil {
		r.failed(ctx, err)
		return false, nil
	}
	if m.By.Return && m.By.Passed(time.Now()) {
		return r.expire(ctx, m, ds), nil
	}
	here, there, moved, err := r.divide(ctx, b, m, ds)
	if err != nil {
		r.failed(ctx, err)
		return false, nil
	}
	if len(here) > 0 {
		ok = r.lay(ctx, m, here)
	}
	if len(there.rs) > 0 {
		if to := r.sendPaced(ctx, b, m, there); to != "" {
			moved = append(moved, b.To(to, there.unknown()...))
		}
		ok = r.settle(ctx, m, there.rs, nil) && ok
	}
	return ok, moved
}

// out is what goes out over one hop, by a smart host or directly.
type out struct {
	rs  []result
	via route.Via
}

// unknown are the numbers of those of whom nothing is known.
func (o *out) unknown() (ns []uint32) {
	for i := range o.rs {
		if !o.rs[i].known {
			ns = append(ns, o.rs[i].N)
		}
	}
	return ns
}

// divide tells what is for accounts of ours from what goes out. What goes by
// another hop than was thought when it was put into this batch, because of its
// sender or since, waits for its turn there: it must not count as this site's.
func (r *Relay) divide(ctx context.Context, b queue.Batch, m parcel, ds []queue.Delivery) (here []result, there out, moved []queue.Batch, err error) {
	others := map[mail.Domain][]uint32{}
	for _, d := range ds {
		local, err := r.o.Here(ctx, d.To)
		switch {
		case err != nil:
			return nil, out{}, nil, err
		case local:
			here = append(here, result{Delivery: d})
			continue
		}
		via, hop := r.via(ctx, d, route.Sender{From: m.From, Account: m.Account}), d.To.Domain
		if via.Is() {
			hop = via.Hop()
		}
		if hop == b.Hop {
			there.rs, there.via = append(there.rs, result{Delivery: d}), via
		} else {
			others[hop] = append(others[hop], d.N)
		}
	}
	for hop, ns := range others {
		moved = append(moved, b.To(hop, ns...))
	}
	return here, there, moved, nil
}

// send tries the hosts of a hop until every recipient is decided. First it uses
// a connection that is there. It names another hop if what nothing is known of has
// to wait for its turn there, or the same if its site has turned out to be another.
func (r *Relay) send(ctx context.Context, b queue.Batch, m parcel, o out) (to mail.Domain) {
	rs, via, hop := o.rs, o.via, b.Hop
	d, k := rs[0].To.Domain, trunk{hop: hop, domain: rs[0].To.Domain}
	if via.Is() {
		k = trunk{hop: hop}
	}
	source := r.source(m.From.Domain, k)
	k.source = source.Hostname
	l := r.idle.take(ctx, k, func(l *line) bool { return l.fits(&m.Message) })
	t := &transfer{r: r, m: m, rs: rs, l: l, site: b.Site, domain: d, trunk: k, source: source}
	defer func() { r.idle.put(k, l) }()
	if reply := r.down.is(hop, time.Now()); !reply.IsZero() && l.conn == nil && !r.hastened(rs) && !waives(&m.Message, reply) {
		putAll(rs, reply, "", false)
		return ""
	}
	content, closer, err := r.open(ctx, m)
	if err != nil {
		r.failed(ctx, err)
		putAll(rs, smtp.Answer(451, smtp.Enhanced{4, 3, 0}, "the content cannot be read here"), "", false)
		return ""
	}
	defer closer.Close()
	t.content = content
	if l.conn != nil {
		tried := l.addr
		t.carry(ctx, t.undecided())
		if l.conn != nil { // else it was the connection that had grown old
			t.tried = append(t.tried, tried)
			t.sessions++
		}
	}
	if t.pending() == 0 || ctx.Err() != nil {
		return ""
	}
	found, to := t.travel(ctx, via)
	if to != "" {
		t.leave()
	}
	if found && to == "" && t.sessions == 0 && t.reached == 0 && ctx.Err() == nil && t.last.Code != 0 {
		r.down.put(hop, t.last, time.Now().Add(r.downFor()))
	}
	return to
}

// leave undoes what was said of those that are not decided.
func (t *transfer) leave() {
	for i := range t.rs {
		if d := &t.rs[i]; !d.final {
			*d = result{Delivery: d.Delivery}
		}
	}
}

// travel finds the route and tries its hosts. It says false if there is none, and
// names the hop at which what is left waits for its turn: the same where the hosts
// are another site's than was thought, the fallback where it turns out on the way
// that nothing can go directly.
func (t *transfer) travel(ctx context.Context, via route.Via) (found bool, to mail.Domain) {
	way, err := t.way(ctx, via)
	var none *route.Failure
	switch {
	case errors.As(err, &none):
		putAll(t.rs, none.Reply, "", true)
		return false, ""
	case err != nil:
		if ctx.Err() == nil {
			t.r.failed(ctx, err)
			putAll(t.rs, smtp.Answer(451, smtp.Enhanced{4, 4, 3}, "no route is known now"), "", false)
		}
		return false, ""
	case way.Public && t.r.o.Sites.Moved(t.domain, t.site, way.MX):
		return true, t.domain
	}
	t.hosts(ctx, way)
	if t.pending() > 0 && t.escapes(way) && ctx.Err() == nil {
		return true, t.r.o.Router.Fallback().Hop()
	}
	return true, ""
}

// way is the route by a smart host, or to the domain's own hosts.
func (t *transfer) way(ctx context.Context, via route.Via) (route.Route, error) {
	if via.Is() {
		return t.r.o.Router.Through(ctx, via)
	}
	return t.r.o.Router.Straight(ctx, t.domain)
}

// putAll answers for those that are not decided.
func putAll(rs []result, reply smtp.Reply, host string, final bool) {
	for i := range rs {
		if !rs[i].final {
			rs[i].put(reply, host, final)
		}
	}
}

// transfer is one message on its way to the hosts of one hop.
type transfer struct {
	r        *Relay
	m        parcel
	rs       []result
	l        *line
	site     mail.Domain // under which it counts
	domain   mail.Domain
	trunk    trunk // of l
	source   Source
	content  blob.Prefixed
	tried    []netip.AddrPort
	sessions int        // hosts that answered and left something undecided
	reached  int        // hosts that took or refused something
	last     smtp.Reply // of a host that could not be reached
}

func (t *transfer) pending() (n int) {
	for i := range t.rs {
		if !t.rs[i].final {
			n++
		}
	}
	return n
}

// hosts tries the hosts in order and their addresses in order (RFC 5321 §5.1).
func (t *transfer) hosts(ctx context.Context, way route.Route) {
	if reply := t.unproven(way); !reply.IsZero() {
		putAll(t.rs, reply, "", true)
		return
	}
	defer t.giveUp()
	for _, s := range way.Trouble {
		t.r.o.Observe(s)
	}
	for _, h := range way.Hosts {
		if h.Barred != "" && !t.lax() {
			t.bar(h)
			continue
		}
		for _, addr := range h.Addrs {
			if t.pending() == 0 || t.sessions >= maxSessions || len(t.tried) >= maxAddrs || ctx.Err() != nil || t.escapes(way) {
				return
			}
			if t.skips(addr) {
				continue
			}
			t.tried = append(t.tried, addr)
			t.visit(ctx, way, h, addr)
		}
	}
	if len(t.tried) == 0 && t.pending() > 0 && t.last.IsZero() {
		t.last = smtp.Answer(451, smtp.Enhanced{4, 4, 4}, "no mail host has an address of our source address's family")
		putAll(t.rs, t.last, "", false)
	}
}

// visit sends to those that are not decided what one address takes, in as many
// sessions as it wants (RFC 9422).
func (t *transfer) visit(ctx context.Context, way route.Route, h route.Host, addr netip.AddrPort) {
	for of := t.undecided(); len(of) > 0; {
		t.l.quit()
		if err := t.open(ctx, way, h, addr); err != nil {
			if ctx.Err() == nil {
				t.refused(h, addr, err)
			}
			return
		}
		before := len(of)
		if of = t.carry(ctx, of); len(of) == before {
			break
		}
	}
	t.sessions++
}

// undecided are the results that another host may still decide.
func (t *transfer) undecided() (of []*result) {
	for i := range t.rs {
		if !t.rs[i].final {
			of = append(of, &t.rs[i])
		}
	}
	return of
}

// skips says whether an address is of no use: tried, or of the other family
// than the source address.
func (t *transfer) skips(addr netip.AddrPort) bool {
	for _, a := range t.tried {
		if a == addr {
			return true
		}
	}
	return !t.source.reaches(addr.Addr())
}

// open opens a connection to one address.
func (t *transfer) open(ctx context.Context, way route.Route, h route.Host, addr netip.AddrPort) error {
	o := smtpc.Options{
		Hostname: t.source.Hostname, RootCAs: t.r.o.RootCAs, Timeouts: t.r.o.Timeouts,
		ServerName: h.Name, User: way.User, Password: way.Password, Also: t.besides(h, addr), SOCKS5: t.r.o.SOCKS5,
	}
	o.Local, o.Local2 = t.source.locals()
	s := t.secure(&o, h, addr)
	conn, err := t.r.o.Dial(ctx, addr.String(), o)
	addr = t.reachedAt(addr, conn, err)
	t.observe(s, h, addr, conn, err)
	if way.Public && ctx.Err() == nil {
		t.r.tried(ctx, t.domain, addr, err)
	}
	if err != nil {
		return err
	}
	*t.l = line{conn: conn, host: h.Name, addr: addr, born: time.Now(), verified: s.proven, lax: t.lax()}
	return nil
}

// refused notes that a host could not be used. Nothing of this is final: it is
// about the host, not about the recipients.
func (t *transfer) refused(h route.Host, addr netip.AddrPort, err error) {
	var no *smtpc.Refusal
	var op *net.OpError
	switch {
	case t.mustProve() && isUnproven(err):
		putAll(t.rs, smtp.Answer(550, smtp.Enhanced{5, 7, 10}, "the message must go over TLS, and %s does not prove to be itself: %v", h.Name, cause(err)), h.Name, false)
		return
	case t.demand(h).Mandatory() && smtpc.IsTLS(err):
		t.unreached(smtp.Answer(451, smtp.Enhanced{4, 7, 5}, "%s [%s] wants %s: %v", h.Name, addr, h.Demand, cause(err)))
		return
	case errors.As(err, &no):
		t.sessions++
		putAll(t.rs, no.Reply, h.Name, false)
		return
	case errors.As(err, &op):
		err = op.Err
	}
	t.unreached(smtp.Answer(451, smtp.Enhanced{4, 4, 1}, "%s [%s]: %v", h.Name, addr, err))
}

// carry sends to those given over the open line, which it closes if it is of no
// more use. What the host does not take in one transaction goes in several; it
// gives those for whom the session has no room (RFC 9422).
func (t *transfer) carry(ctx context.Context, of []*result) (rest []*result) {
	t.l.used++
	var to []smtpc.Recipient
	for _, d := range of {
		to = append(to, smtpc.Recipient{Address: d.To, Options: smtp.RcptOptions{Original: d.Original, Notify: d.Notify, Quoted: d.Quoted}})
	}
	for len(of) > 0 {
		n := t.l.conn.Room(to)
		if n == 0 {
			t.l.quit()
			return of
		}
		t.carryTo(ctx, of[:n], to[:n])
		of, to = of[n:], to[n:]
		if t.l.conn != nil {
			continue
		}
		for _, d := range of { // they had no turn
			d.put(smtp.Answer(451, smtp.Enhanced{4, 4, 2}, "the connection ended before"), "", false)
		}
		return nil
	}
	return nil
}

// carryTo is one transaction.
func (t *transfer) carryTo(ctx context.Context, of []*result, to []smtpc.Recipient) {
	l := t.l
	msg := smtpc.Message{From: t.m.ReversePath(), Demands: t.m.Demands, To: to, Still: t.m.hold.Good, Options: smtp.MailOptions{
		EightBit: t.m.EightBit, UTF8: t.m.UTF8, HeadersOnly: t.m.HeadersOnly, EnvelopeID: t.m.EnvID, Quoted: t.m.Quoted && t.m.Path.IsNull(), RequireTLS: t.m.RequireTLS,
	}}
	size := int64(len(t.m.Prefix)) + t.m.Size
	res, err := l.conn.Send(ctx, msg, io.NewSectionReader(t.content, 0, size), size)
	var unfit *smtp.ContentError
	closing := err != nil
	for i, d := range of {
		d.tls, d.dsn, d.tell = l.conn.TLS() != nil, l.conn.Has("DSN"), t.tells(l.conn)
		switch reply := res.Rcpt[i]; {
		case !reply.IsZero():
			t.reached++
			closing = closing || reply.Code == 421 // RFC 5321 §3.8
			d.put(reply, l.host, !reply.Temporary() && !t.another(reply))
		case res.Unknown && ctx.Err() == nil:
			// It may have been taken: no other host, and once more later.
			d.put(smtp.Answer(451, smtp.Enhanced{4, 4, 2}, "the connection broke behind the final dot; what became of it is not known"), l.host, true)
		case errors.As(err, &unfit):
			d.put(smtp.Answer(554, smtp.Enhanced{5, 6, 0}, "the content cannot be sent: %v", unfit), l.host, true)
		case err != nil && ctx.Err() == nil:
			d.put(smtp.Answer(451, smtp.Enhanced{4, 4, 2}, "the connection broke: %v", cause(err)), l.host, false)
		}
	}
	if closing {
		l.close()
	}
}

// cause is the innermost of err, without our own words for it.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// line is a connection to a host, or none.
type line struct {
	conn  *smtpc.Conn
	host  string
	addr  netip.AddrPort
	used  int       // messages that were tried over it
	born  time.Time // it was opened
	rests time.Time // since when, if nobody uses it

	verified bool // it is TLS, with a certificate that is good
	lax      bool // it was opened for a message that may go without
}

// fits says whether m may go over the line.
func (l *line) fits(m *queue.Message) bool {
	if m.RequireTLS && !m.From.IsNull() && !l.verified {
		return false
	}
	return !l.lax || !m.RequireTLS && m.TLSOptional
}

func (l *line) quit() {
	if l.conn != nil {
		_ = l.conn.Quit()
	}
	*l = line{}
}

func (l *line) close() {
	_ = l.conn.Close()
	*l = line{}
}

// hosts are the hops of which no host could be reached a moment ago. Their mail
// is put off without another try, so that it does not take others' places.
type hosts struct {
	mu  sync.Mutex
	all map[mail.Domain]downHop
}

type downHop struct {
	reply smtp.Reply
	until time.Time
}

// hastened says whether an operator wants one of these tried now: the queue by
// itself does not have it due again before a hop that is down is forgotten.
// Whoever says so knows more than we found a moment ago.
func (r *Relay) hastened(rs []result) bool {
	return slices.ContainsFunc(rs, func(d result) bool { return d.Attempts > 0 && d.Due.Sub(d.Last) < r.downFor() })
}

// downFor is how long a hop is taken to be down.
func (r *Relay) downFor() time.Duration {
	if first := r.o.Policy.RetryFirst; first > 0 {
		return min(time.Minute, first/2)
	}
	return time.Minute
}

func (h *hosts) put(hop mail.Domain, reply smtp.Reply, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[mail.Domain]downHop{}
	}
	if len(h.all) >= maxDown {
		clear(h.all) // what is forgotten is tried
	}
	h.all[hop] = downHop{reply, until}
}

func (h *hosts) is(hop mail.Domain, now time.Time) smtp.Reply {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, ok := h.all[hop]
	if ok && !now.Before(d.until) {
		delete(h.all, hop)
		return smtp.Reply{}
	}
	return d.reply
}
