package app

import (
	"context"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/receive"
	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/serve/smtpd"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// listed stands behind port 25 where networks are listed from which mail is
// taken without a login: what comes from them with a sender is our users' mail.
// A report, which has none, is a stranger's.
type listed struct {
	strangers handler[*receive.Transaction]
	users     handler[*submit.Transaction]
	is        func(netip.Addr) bool
}

// Begin opens a mail transaction.
func (l listed) Begin(ctx context.Context, p *mail.Peer, from mail.Address, o smtp.MailOptions) (smtpd.Transaction, smtp.Reply) {
	if !from.IsNull() && l.is(p.Addr.Addr()) {
		return l.users.Begin(ctx, p, from, o)
	}
	return l.strangers.Begin(ctx, p, from, o)
}

// lately is what an account has sent within 24 hours.
func (r *rooms) lately(ctx context.Context, a mail.AccountID) (apid.SentLately, error) {
	sent, err := r.sending.Lately(ctx, a, time.Now())
	return apid.SentLately(sent), err
}

// pardon lets an account that was released begin anew.
func (r *rooms) pardon(a mail.AccountID) {
	ctx := context.Background()
	if err := r.sending.Pardon(ctx, a, time.Now()); err != nil {
		r.sink.Emit(ctx, event.Failed{Where: "sending", Err: err})
	}
}
