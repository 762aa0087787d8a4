package deliver

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// maxMembers is how many members of mailing lists one commit writes to. A list
// beyond it waits in the queue as a whole, and is expanded from there; one list
// alone has no more than directory.MaxTargets.
const maxMembers = directory.MaxTargets

// list adds what goes to the members of a mailing list: a message with an id of its
// own and the reverse-path of the list's owner, who hears of failures (RFC 5321
// §3.9.2). Nothing that the sender asked about its own delivery counts any more
// (RFC 3461 §5.2.7.1). Who gets the message already gets it once.
func (p *Plan) list(r mail.Recipient, l directory.List) {
	members := l.Members()
	for _, have := range p.lists {
		if have.arrival.Envelope.To[0].Address == l.Address {
			return
		}
		members += len(have.targets) + len(have.waiting)
	}
	if members > maxMembers {
		p.remote(mail.Recipient{Address: l.Address, Notify: r.Notify, Original: original(r, l.Address)}, l.Address)
		return
	}
	a := *p.arrival
	a.ID = mail.NewArrivalID()
	a.Peer.Account, a.Peer.User = 0, mail.Address{}
	e := &a.Envelope
	e.To, e.ID, e.Headers = []mail.Recipient{{Address: l.Address}}, "", false
	if !e.From.IsNull() { // a report stays one, or reports of it would go in circles
		e.From = l.Owner
		e.Quoted = false
	}
	sub := &Plan{d: p.d, arrival: &a, content: p.content, outer: p, by: l.Address.Domain}
	sub.prefix = append(received(&a, p.d.o.Hostname), p.prefix[len(received(p.arrival, p.d.o.Hostname)):]...)
	for _, t := range l.Accounts {
		sub.account(e.To[0], t)
	}
	for _, to := range l.Remote {
		sub.remote(mail.Recipient{Address: to}, to)
	}
	if !sub.Empty() {
		p.lists = append(p.lists, sub)
	}
}

// all are the plans of one arrival.
func (p *Plan) all() []*Plan {
	if p.outer != nil {
		p = p.outer
	}
	return append([]*Plan{p}, p.lists...)
}

// reaches says whether an account gets the message already.
func (p *Plan) reaches(account mail.AccountID) bool {
	for _, other := range append(p.all(), p) {
		if slices.ContainsFunc(other.targets, func(t *target) bool { return t.account == account }) {
			return true
		}
	}
	return false
}

// sends says whether the message is sent to an address already.
func (p *Plan) sends(to mail.Address) bool {
	for _, other := range append(p.all(), p) {
		if slices.ContainsFunc(other.waiting, func(d queue.Delivery) bool { return d.To == to }) {
			return true
		}
	}
	return false
}
