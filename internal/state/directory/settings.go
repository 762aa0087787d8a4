package directory

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Settings are what an operator decides for a domain. The zero value is a
// domain that nobody has touched. Its JSON is a part of the domain's row.
type Settings struct {
	// Separator holds the characters behind which a sub-address begins (RFC 5233
	// calls it detail), each of them alone. "" means "+", NoSeparator none.
	Separator string `json:"sep,omitempty"`
	// AliasOf is the domain of ours that this one is another name of.
	AliasOf mail.Domain `json:"as,omitempty"`
	// Relay is where mail goes for recipients that are not known here.
	Relay Relay `json:"relay,omitzero"`
	// Sending bounds what each account of the domain sends.
	Sending Sending `json:"send,omitzero"`
	// HideClient keeps the address of the sender's client out of Received.
	HideClient bool `json:"hide,omitempty"`
	// NoSCRAM keeps no SCRAM verifiers of the domain's passwords, which are the
	// weaker secret at rest: its accounts log in by PLAIN and the like.
	NoSCRAM bool `json:"noscram,omitempty"`
	// Reports is what is done about reports on what the domain sends.
	Reports Reports `json:"rep,omitzero"`
	// Screening is how strangers' mail for the domain is judged.
	Screening Screening `json:"scr,omitzero"`
	// Use is how its accounts are used.
	Use Use `json:"use,omitzero"`
}

// NoSeparator is the Separator of a domain without sub-addresses.
const NoSeparator = "none"

// Relay says where mail goes for recipients of a domain that are not known
// here: for all of them where the domain has neither accounts nor aliases
// (gateway, backup MX), else for those that have not moved here yet (split
// delivery). It is off without To.
type Relay struct {
	// To are the hosts in the order to be tried, each "host" or "host:port". ByMX
	// alone means the domain's MX hosts that are preferred to us (RFC 5321 §5.1).
	To []string `json:"to,omitempty"`
	// Unasked takes every recipient without asking the host first.
	Unasked bool `json:"blind,omitempty"`
	// Unsure is what becomes of a recipient while the host cannot be asked: Accept
	// or Defer. "" is Accept with ByMX and Defer else.
	Unsure string `json:"unsure,omitempty"`
}

// Words of a Relay.
const (
	ByMX   = "mx"
	Accept = "accept"
	Defer  = "defer"
)

// On says whether anything is relayed.
func (r Relay) On() bool { return len(r.To) > 0 }

// ByMX says whether the domain's own MX hosts are meant.
func (r Relay) ByMX() bool { return len(r.To) == 1 && r.To[0] == ByMX }

// Accepts says whether a recipient is taken while the host cannot be asked.
func (r Relay) Accepts() bool { return r.Unsure == Accept || r.Unsure == "" && r.ByMX() }

// Sending bounds what one account sends within 24 hours. 0 means what the
// level above says (account, domain, server), a negative number no bound.
type Sending struct {
	Messages   int64 `json:"msgs,omitempty"`
	Recipients int64 `json:"rcpts,omitempty"`
	New        int64 `json:"new,omitempty"` // recipients whom the account has not written to before
}

// Over gives s with what it leaves open taken from above.
func (s Sending) Over(above Sending) Sending {
	pick := func(a, b int64) int64 {
		if a != 0 {
			return a
		}
		return b
	}
	return Sending{pick(s.Messages, above.Messages), pick(s.Recipients, above.Recipients), pick(s.New, above.New)}
}

// Limits of settings.
const (
	maxSeparators = 8
	maxRelayHosts = 10
)

// Separators are the characters that a sub-address may begin behind.
func (s Settings) Separators() string {
	switch s.Separator {
	case "":
		return "+"
	case NoSeparator:
		return ""
	}
	return s.Separator
}

// Check says what cannot work in settings by themselves. fault.Invalid.
func (s Settings) Check() error {
	const op = "directory.Settings"
	if s.Separator != "" && s.Separator != NoSeparator {
		if len(s.Separator) > maxSeparators {
			return fault.Newf(fault.Invalid, op, "at most %d separators, each one character", maxSeparators)
		}
		for i := 0; i < len(s.Separator); i++ {
			if !isSeparator(s.Separator[i]) || strings.Count(s.Separator, s.Separator[i:i+1]) > 1 {
				return fault.Newf(fault.Invalid, op, "%q is not made of different characters out of %s (or the word none)", s.Separator, separators)
			}
		}
	}
	if d, err := mail.ParseDomain(string(s.AliasOf)); s.AliasOf != "" && (err != nil || d != s.AliasOf || d.IsLiteral()) {
		return fault.Newf(fault.Invalid, op, "%.80q is not a domain", string(s.AliasOf))
	}
	if s.AliasOf != "" && s.Relay.On() {
		return fault.New(fault.Invalid, op, "another name of a domain has no relay of its own")
	}
	if err := errors.Join(s.Reports.check(op), s.Screening.check(op)); err != nil {
		return err
	}
	if err := s.Use.check(op); err != nil {
		return err
	}
	return s.Relay.check(op)
}

// separators are the characters that may separate: those of an atom (RFC 5322
// §3.2.3) that no name is made of.
const separators = "!#$%&*+-/=?^_{|}~"

func isSeparator(c byte) bool { return strings.IndexByte(separators, c) >= 0 }

func (r Relay) check(op string) error {
	switch {
	case len(r.To) > maxRelayHosts:
		return fault.Newf(fault.Invalid, op, "at most %d hosts to relay to", maxRelayHosts)
	case r.Unsure != "" && r.Unsure != Accept && r.Unsure != Defer:
		return fault.Newf(fault.Invalid, op, "%.40q is neither accept nor defer", r.Unsure)
	case slices.Contains(r.To, ByMX) && len(r.To) > 1:
		return fault.New(fault.Invalid, op, "mx stands alone: it means the domain's own MX hosts")
	case r.ByMX():
		return nil
	}
	for _, h := range r.To {
		if _, _, err := SplitHost(h); err != nil {
			return err
		}
	}
	return nil
}

// SplitHost reads "host", "host:port", "[IPv6]:port" or an address alone; the
// port is 25 where none is given. fault.Invalid.
func SplitHost(s string) (host string, port uint16, err error) {
	bad := func() (string, uint16, error) {
		return "", 0, fault.Newf(fault.Invalid, "directory.SplitHost", "%.100q is not a host, or host:port", s)
	}
	name, number := s, "25"
	if h, p, err := net.SplitHostPort(s); err == nil {
		name, number = h, p
	} else if net.ParseIP(s) == nil && strings.ContainsAny(s, ":[]") {
		return bad()
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return bad()
	}
	if ip := net.ParseIP(name); ip != nil {
		return ip.String(), uint16(n), nil
	}
	d, err := mail.ParseDomain(name)
	if err != nil || d.IsLiteral() {
		return bad()
	}
	return string(d), uint16(n), nil
}

// fits says what cannot work in the settings of d beside the other domains.
// fault.Invalid, fault.Conflict.
func (r rows) fits(op string, d Domain) error {
	if err := d.Settings.Check(); err != nil {
		return err
	}
	as := d.Settings.AliasOf
	if as == "" {
		return nil
	}
	other, ok, err := r.domain(as)
	switch {
	case err != nil:
		return err
	case as == d.Name:
		return fault.Newf(fault.Invalid, op, "%s cannot be another name of itself", d.Name)
	case !ok:
		return fault.Newf(fault.Invalid, op, "the domain %s is not one of this server's", as)
	case other.Settings.AliasOf != "":
		return fault.Newf(fault.Invalid, op, "%s is itself another name of %s", as, other.Settings.AliasOf)
	}
	if b, err := r.aliasDomain(d.Name); err != nil || b != "" {
		return orConflict(err, op, "%s is another name of %s", b, d.Name)
	}
	if a, err := r.oldest(d.Name); err != nil || !a.IsNull() {
		return orConflict(err, op, "%s has accounts of its own, such as %s", d.Name, a)
	}
	return nil
}

func orConflict(err error, op, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fault.Newf(fault.Conflict, op, format, args...)
}

// aliasDomain is a domain that is another name of d; "" if there is none.
func (r rows) aliasDomain(d mail.Domain) (mail.Domain, error) {
	for other, err := range r.domains() {
		if err != nil {
			return "", err
		}
		if other.Settings.AliasOf == d {
			return other.Name, nil
		}
	}
	return "", nil
}

// Relayed is where mail for unknown recipients of a domain goes; off for a
// domain that is not ours, or that keeps all its mail.
func (s *Store) Relayed(ctx context.Context, d mail.Domain) (Relay, error) {
	var found Relay
	err := s.view(ctx, func(r rows) error {
		dom, _, err := r.domain(d)
		found = dom.Settings.Relay
		return err
	})
	return found, fault.Wrap("directory.Relayed", err)
}
