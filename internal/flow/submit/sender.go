package submit

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/sending"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// sender is who sends, and what he may. A reply that is not zero refuses.
type sender interface {
	String() string // in refusals
	may(ctx context.Context, from mail.Address) (bool, error)
	begin(ctx context.Context, t *Transaction) (smtp.Reply, error)
	rcpt(ctx context.Context, t *Transaction, to mail.Address) (smtp.Reply, error)
	data(ctx context.Context, t *Transaction) (smtp.Reply, error) // the last before the message is taken
}

// account is a sender who logged in.
type account struct {
	s      *Submitter
	id     mail.AccountID
	user   mail.Address
	bounds sending.Bounds
	draft  sending.Draft
}

func (s *Submitter) account(p *mail.Peer) *account {
	return &account{s: s, id: p.Account, user: p.User}
}

// String is the account's address.
func (a *account) String() string { return a.user.String() }

func (a *account) may(ctx context.Context, from mail.Address) (bool, error) {
	return a.s.o.Directory.MayUse(ctx, a.id, from)
}

// begin finds the bounds that are nearest: the account's own, its domain's, the
// server's.
func (a *account) begin(ctx context.Context, t *Transaction) (smtp.Reply, error) {
	acct, set, err := a.s.o.Directory.Sender(ctx, a.id)
	if err != nil {
		return smtp.Reply{}, err
	}
	t.arrival.NoClient = t.arrival.NoClient || set.HideClient
	a.bounds = sending.Bounds(acct.Sending.Over(set.Sending.Over(directory.Sending(a.s.o.Bounds))))
	if full, err := a.s.o.Waits.full(ctx, a, t.arrival.At); err != nil || !full.IsZero() {
		return full, err
	}
	return a.rcpt(ctx, t, mail.Address{})
}

// rcpt refuses what would pass a bound; with the null address the message alone.
func (a *account) rcpt(ctx context.Context, t *Transaction, to mail.Address) (smtp.Reply, error) {
	if a.s.o.Book == nil {
		return smtp.Reply{}, nil
	}
	over, err := a.s.o.Book.Check(ctx, a.id, t.arrival.At, a.bounds, &a.draft, directory.Fold(to))
	return a.excess(over), err
}

func (a *account) excess(over sending.Excess) smtp.Reply {
	if over.IsZero() {
		return smtp.Reply{}
	}
	return smtp.Answer(450, smtp.Enhanced{4, 7, 1}, "%s may send %s", a.user, over)
}

// data notes the message, and has it held where the account is held or behaves
// as a stolen one does.
func (a *account) data(ctx context.Context, t *Transaction) (smtp.Reply, error) {
	acct, _, err := a.s.o.Directory.Sender(ctx, a.id)
	if err != nil {
		return smtp.Reply{}, err
	}
	hold := acct.HeldFor
	if b := a.s.o.Book; b != nil {
		to := make([]mail.Address, 0, len(t.arrival.Envelope.To))
		for _, r := range t.arrival.Envelope.To {
			to = append(to, directory.Fold(r.Address))
		}
		over, evidence, err := b.Spend(ctx, a.id, t.arrival.At, a.bounds, to, t.arrival.Peer.Addr.Addr())
		if err != nil || !over.IsZero() {
			return a.excess(over), err
		}
		if why := a.s.suspect(evidence); why != "" && acct.Held.IsZero() {
			if err := a.s.hold(ctx, a.id, acct.Address, why); err != nil {
				return smtp.Reply{}, err
			}
			hold = why
		}
	}
	if hold != "" && t.arrival.Hold == "" {
		t.arrival.Hold = "the account is held: " + hold
	}
	return smtp.Reply{}, nil
}

// suspect is sending.Suspect, where accounts are watched.
func (s *Submitter) suspect(e sending.Evidence) string {
	if s.o.NoWatch {
		return ""
	}
	return sending.Suspect(e)
}

// hold has what an account sends wait for an operator from now on.
func (s *Submitter) hold(ctx context.Context, id mail.AccountID, addr mail.Address, why string) error {
	held := false
	err := s.o.Directory.UpdateAccount(ctx, addr, func(a *directory.Account) error {
		if held = a.ID == id && a.Held.IsZero(); held {
			a.Held, a.HeldFor = time.Now(), why
		}
		return nil
	})
	if err == nil && held {
		s.o.Sink.Emit(ctx, event.AccountHeld{Address: addr, Account: id, Reason: why})
	}
	return err
}

// Refused is told how many recipients of an account's mail were refused for
// good. It may hold the account.
func (s *Submitter) Refused(ctx context.Context, id mail.AccountID, n int) error {
	if s.o.Book == nil || id == 0 {
		return nil
	}
	evidence, err := s.o.Book.Refused(ctx, id, time.Now(), n)
	if err != nil {
		return err
	}
	why := s.suspect(evidence)
	if why == "" {
		return nil
	}
	acct, err := s.o.Directory.AccountByID(ctx, id)
	if err != nil || !acct.Held.IsZero() {
		return err
	}
	return s.hold(ctx, id, acct.Address, why)
}

// Senders are addresses that may be sent from; one without a local part is every
// address of its domain.
type Senders []mail.Address

// Has says whether a is one of them. Local parts are compared as our own are.
func (s Senders) Has(a mail.Address) bool {
	a = directory.Fold(a)
	return slices.ContainsFunc(s, func(o mail.Address) bool {
		return o.Domain == a.Domain && (o.Local == "" || directory.Fold(o) == a)
	})
}

// local is a program on this machine.
type local struct {
	name    string
	allowed func(mail.Address) bool
}

// String is the name of the user it runs as.
func (l *local) String() string { return l.name }

func (l *local) may(_ context.Context, from mail.Address) (bool, error) {
	return l.allowed(from), nil
}

func (l *local) begin(context.Context, *Transaction) (smtp.Reply, error) { return smtp.Reply{}, nil }

func (l *local) rcpt(context.Context, *Transaction, mail.Address) (smtp.Reply, error) {
	return smtp.Reply{}, nil
}

func (l *local) data(context.Context, *Transaction) (smtp.Reply, error) { return smtp.Reply{}, nil }

// Network is one from which mail is taken without a login: printers and old
// programs that know none.
type Network struct {
	Prefix     netip.Prefix
	Senders    Senders // what may be sent from
	Messages   int     // an hour, of one address (IPv6: of a /64)
	Recipients int     // in the same way
}

// maxListed bounds the addresses of a listed network that are counted.
const maxListed = 10_000

// Listed says whether mail is taken from an address without a login.
func (s *Submitter) Listed(a netip.Addr) bool { return s.network(a) != nil }

// network finds the listed network of an address, of several the first. No
// address is in one for being near: loopback is not either, unless it is listed.
func (s *Submitter) network(a netip.Addr) *listed {
	a = a.Unmap().WithZone("")
	for i, n := range s.o.Networks {
		if n.Prefix.Contains(a) {
			return &listed{local{a.String(), n.Senders.Has}, s.rates[2*i], s.rates[2*i+1], limit.Key(a)}
		}
	}
	return nil
}

// listed is a peer in a listed network.
type listed struct {
	local
	messages, recipients *limit.Buckets[netip.Prefix]
	key                  netip.Prefix
}

func (l *listed) begin(_ context.Context, t *Transaction) (smtp.Reply, error) {
	return l.take(l.messages, "messages", t.arrival.At), nil
}

func (l *listed) rcpt(_ context.Context, t *Transaction, _ mail.Address) (smtp.Reply, error) {
	return l.take(l.recipients, "recipients", t.arrival.At), nil
}

func (l *listed) take(b *limit.Buckets[netip.Prefix], what string, now time.Time) smtp.Reply {
	if wait, ok := b.Take(now, l.key, 1); !ok {
		return smtp.Answer(450, smtp.Enhanced{4, 7, 1}, "too many %s from %s; please try again in %d seconds", what, l, (wait+time.Second-1)/time.Second)
	}
	return smtp.Reply{}
}
