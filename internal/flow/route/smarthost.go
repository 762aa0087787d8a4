package route

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Direct is the address of a smart host that is none: what it is for goes to the
// domains' own hosts.
const Direct = queue.Direct

// SmartHost is a host that takes mail for others' domains.
type SmartHost struct {
	Addr     string // host:port; port 465 is TLS from the first octet (RFC 8314); or Direct
	User     string // "": no AUTH
	Password string
	// TLS is the least that the line must be. Whatever it says, port 465 is Implicit,
	// and where there is a login it is Required, but on loopback.
	TLS TLS

	// What it is for: all mail if none is given. A domain with "*." before it is for
	// those below it.
	Recipients []string       // domains of recipients
	Accounts   []mail.Address // whose mail it is
	Senders    []string       // reverse-paths, or their domains

	// Fallback is for all that goes directly, for as long as other servers cannot be
	// reached at their port.
	Fallback bool
}

// Sender is whose message is to go.
type Sender struct {
	From    mail.Address
	Account mail.AccountID // 0: a stranger's
}

// Check says what is wrong with a smart host's address.
func (s *SmartHost) Check() error {
	if s.Addr == Direct {
		return nil
	}
	_, _, err := s.split()
	return err
}

func (s *SmartHost) split() (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(s.Addr)
	if err != nil || host == "" {
		return "", 0, fmt.Errorf("the smart host is not host:port: %.80q", s.Addr)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("the smart host's port is no port: %.80q", s.Addr)
	}
	return host, uint16(n), nil
}

// forAll says whether s is for whatever no other is for.
func (s *SmartHost) forAll() bool {
	return !s.Fallback && len(s.Recipients)+len(s.Accounts)+len(s.Senders) == 0
}

// under says whether d is one of the domains.
func under(domains []string, d mail.Domain) bool {
	return slices.ContainsFunc(domains, func(p string) bool {
		if below, ok := strings.CutPrefix(p, "*"); ok {
			return len(d) > len(below) && strings.EqualFold(string(d[len(d)-len(below):]), below)
		}
		return strings.EqualFold(p, string(d))
	})
}

// Via is the smart host that is chosen for a message; the zero Via is none.
type Via struct{ host *SmartHost }

// Is says whether there is one.
func (v Via) Is() bool { return v.host != nil }

// Hop names it, with who logs in there: all that share both may share
// connections. "" if there is none.
func (v Via) Hop() mail.Domain {
	if v.host == nil {
		return ""
	}
	if v.host.User == "" {
		return mail.Domain(v.host.Addr)
	}
	return mail.Domain(v.host.User + "@" + v.host.Addr)
}

// String is its address.
func (v Via) String() string {
	if v.host == nil {
		return Direct
	}
	return v.host.Addr
}

// Via chooses the smart host for mail to a domain, without looking anything up
// outside: the recipient's domain decides before the account, the account before
// the reverse-path, that before its domain, and last comes the one for all.
// Among equals it is the first. Domains of ours that are relayed go to none.
func (r *Router) Via(ctx context.Context, d mail.Domain, s Sender) Via {
	if len(r.smart) == 0 {
		return Via{}
	}
	if relay, err := r.relayed(ctx, d); err != nil || relay.On() {
		return Via{}
	}
	var account mail.Address
	if r.byAccount && s.Account != 0 && r.o.Account != nil {
		account, _ = r.o.Account(ctx, s.Account) // one that is gone has no smart host
	}
	from := string(s.From.Domain)
	for _, is := range [...]func(*SmartHost) bool{
		func(h *SmartHost) bool { return under(h.Recipients, d) },
		func(h *SmartHost) bool { return !account.IsNull() && slices.Contains(h.Accounts, account) },
		func(h *SmartHost) bool {
			return from != "" && slices.ContainsFunc(h.Senders, func(a string) bool { return strings.EqualFold(a, s.From.String()) })
		},
		func(h *SmartHost) bool { return from != "" && under(h.Senders, s.From.Domain) },
		(*SmartHost).forAll,
	} {
		for i := range r.smart {
			if h := &r.smart[i]; is(h) {
				if h.Addr == Direct {
					return Via{}
				}
				return Via{h}
			}
		}
	}
	return Via{}
}

// Named is the smart host at "host:port": the configured one, or if there is none
// one without a login.
func (r *Router) Named(addr string) Via {
	for i := range r.smart {
		if r.smart[i].Addr == addr {
			return Via{&r.smart[i]}
		}
	}
	return Via{&SmartHost{Addr: addr}}
}

// Fallback is the smart host for what goes directly while it cannot.
func (r *Router) Fallback() Via {
	for i := range r.smart {
		if r.smart[i].Fallback {
			return Via{&r.smart[i]}
		}
	}
	return Via{}
}

// Hop names the next hop of a domain as far as the domain alone decides it: all
// that share it may share connections.
func (r *Router) Hop(d mail.Domain) mail.Domain {
	if v := r.Via(context.Background(), d, Sender{}); v.Is() {
		return v.Hop()
	}
	return d
}

// Through is the route to a smart host. What is wrong with it is never the
// sender's fault, so nothing is permanent.
func (r *Router) Through(ctx context.Context, v Via) (Route, error) {
	s := v.host
	name, port, err := s.split()
	if err != nil {
		return Route{}, fail(451, smtp.Enhanced{4, 3, 5}, "the smart host is not configured well")
	}
	h, err := r.named(ctx, name, port)
	if err != nil {
		return Route{}, err
	}
	if len(h.Addrs) == 0 {
		return Route{}, fail(451, smtp.Enhanced{4, 4, 3}, "no address of the smart host %s is known", name)
	}
	if h.TLS != Implicit {
		h.TLS = s.TLS
	}
	if h.TLS == Opportunistic && s.User != "" && !h.loopback() {
		h.TLS = Required
	}
	return Route{Hosts: []Host{h}, User: s.User, Password: s.Password, Secure: true}, nil
}

// Inner says whether mail for a domain stays with hosts that an operator named:
// it has nothing to do with how mail leaves.
func (r *Router) Inner(ctx context.Context, d mail.Domain) bool {
	relay, err := r.relayed(ctx, d)
	return err != nil || relay.On() && !relay.ByMX()
}
