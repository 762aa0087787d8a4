package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/smtpd"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// SMTP is about what senders may ask of the way their messages take
// (docs/smtp-extensions.md).
type SMTP struct {
	MinDeliverBy Duration `toml:"min_deliver_by"` // the shortest time in which a message can be asked to be delivered or returned (DELIVERBY)
	MaxHold      Duration `toml:"max_hold"`       // how long a user can have a message held before it leaves (FUTURERELEASE); 0: not at all
	UserPriority int      `toml:"user_priority"`  // the highest priority a user can ask for (MT-PRIORITY), from 0 to 9
	NoSoliciting []string `toml:"no_soliciting"`  // classes of solicitation that are not taken from other servers (NO-SOLICITING)
}

func defaultSMTP() SMTP {
	return SMTP{MinDeliverBy: Duration(time.Minute), MaxHold: Duration(30 * 24 * time.Hour)}
}

// extend lets a door offer what senders may ask of the way of a message.
func (r *rooms) extend(o *smtpd.Options, c *Config) {
	o.MinBy, o.MaxHold = time.Duration(c.SMTP.MinDeliverBy), time.Duration(c.SMTP.MaxHold)
	if o.Mode == smtpd.Relay {
		o.NoSoliciting = c.SMTP.NoSoliciting
	}
	o.Refused = r.refused
}

// refused remembers a refusal under the reference that its reply carries.
func (r *rooms) refused(x smtpd.Refusal) {
	peer := x.Peer.Addr.String()
	if x.Peer.Helo != "" {
		peer += " (" + x.Peer.Helo + ")"
	}
	r.refusals.Note(x.Peer.Ref, history.Entry{
		At: time.Now(), From: x.From, To: x.To, Peer: peer, TLS: x.Peer.TLS, Account: x.Peer.Account, Action: x.Command, Reply: x.Reply.String(),
	})
}

func (s *SMTP) check() error {
	const year = 366 * 24 * time.Hour
	switch {
	case time.Duration(s.MaxHold) > 10*year, time.Duration(s.MinDeliverBy) > year:
		return errors.New("smtp: max_hold is 10 years at most, and min_deliver_by one")
	case s.UserPriority < 0 || s.UserPriority > mail.MaxPriority:
		return fmt.Errorf("smtp.user_priority: %d is not from 0 to 9", s.UserPriority)
	}
	total := 0
	for _, word := range s.NoSoliciting {
		if total += len(word) + 1; !smtp.ValidSolicitation(word) || total > smtp.MaxSolicitation {
			return fmt.Errorf("smtp.no_soliciting: %.80q is no keyword such as net.example:ADV, or all are too long together", word)
		}
	}
	return nil
}
