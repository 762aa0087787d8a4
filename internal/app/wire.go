package app

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/callout"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/flow/receive"
	"github.com/ekiden-mail/ekiden/internal/flow/relay"
	"github.com/ekiden-mail/ekiden/internal/flow/returns"
	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/flow/sign"
	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/serve/imapd"
	"github.com/ekiden-mail/ekiden/internal/serve/pop3d"
	"github.com/ekiden-mail/ekiden/internal/serve/smtpd"
	"github.com/ekiden-mail/ekiden/internal/state/backup"
	"github.com/ekiden-mail/ekiden/internal/state/ban"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/sending"
	"github.com/ekiden-mail/ekiden/internal/state/suppress"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// rooms is everything that stands on one data directory, wired together. It
// reads like a table of contents: each room is made of those above it.
type rooms struct {
	db        kv.DB
	blobs     *blob.Store
	directory *directory.Store
	mailbox   *mailbox.Store
	queue     *queue.Store
	leases    *queue.Leases
	history   *history.Store
	refusals  *history.Refusals
	bans      *ban.Store
	login     *login.Login
	deliver   *deliver.Deliverer
	receive   *receive.Receiver
	submit    *submit.Submitter
	sending   *sending.Book
	signer    *sign.Signer
	signs     bool // what is ours
	suppress  *suppress.Store
	zones     *zone.Store
	returns   *returns.Returns
	outside

	naming     naming
	hostname   mail.Domain
	use        directory.Use             // what the server says of all accounts
	users      map[string]submit.Senders // of this machine, and what they may send as
	maxMessage int64                     // octets
	caller     *callout.Caller           // nil while nothing goes out
	sink       event.Sink
}

// openRooms opens the store below c.Data and makes the rooms that need no
// network.
func openRooms(c *Config, sink event.Sink) (*rooms, error) {
	const op = "app.openRooms"
	if err := makeData(c.Data); err != nil {
		return nil, fault.As(fault.Unavailable, op, err)
	}
	if err := backup.Ready(c.Data); err != nil {
		return nil, fault.Wrap(op, err)
	}
	db, blobs, err := openStore(c, sink)
	if err != nil {
		return nil, err
	}
	r := &rooms{db: db, blobs: blobs, sink: sink, use: c.Mailboxes.use()}
	r.directory = directory.New(db)
	r.mailbox = mailbox.New(mailbox.Options{DB: db, Blobs: blobs, Keep: time.Duration(c.Store.KeepDeleted), Circle: r.circle})
	r.queue = queue.New(db, blobs)
	r.queue.OnChange = relay.Record
	// The engine lets one process open the store, so no other can work the queue.
	r.leases = queue.NewLeases(queue.LeaseOptions{DB: db, Node: c.Hostname, Sole: true})
	r.history, r.refusals = history.New(db), history.NewRefusals(db)
	bans := c.Limits.bans()
	bans.Sink = sink
	r.bans = ban.New(db, bans)
	if r.login, err = r.openLogin(c); err != nil {
		return nil, fault.Wrap(op, errors.Join(err, r.close()))
	}
	r.suppress = suppress.New(db)
	r.openZones(c)
	r.returns = returns.New(returns.Options{
		DB: db, Blobs: blobs, Directory: r.directory, History: r.history, Suppress: r.suppress, Sink: sink, Hostname: c.Hostname,
	})
	r.signer = sign.New(sign.Options{Blobs: blobs, Directory: r.directory})
	r.deliver = deliver.New(deliver.Options{
		DB: db, Blobs: blobs, Mailbox: r.mailbox, Queue: r.queue, Directory: r.directory, Sink: sink, Hostname: c.Hostname,
		Ask: r.ask, Missing: r.login.Missing, Answer: r.answerer(c), Paths: r.returns,
		Fit: c.Limits.fit(), Signer: r.dkim(c),
	})
	if err := r.openOutside(c); err != nil {
		return nil, fault.Wrap(op, errors.Join(err, r.close()))
	}
	screener := r.screener(c)
	r.receive = receive.New(receive.Options{Deliver: r.deliver, Blobs: blobs, Screen: screener, Hostname: c.Hostname, Received: c.received(), NoSoliciting: c.SMTP.NoSoliciting, Reports: r.takeReports})
	r.sending = sending.New(db)
	r.hostname, _ = mail.ParseDomain(c.Hostname)
	r.users, _ = c.sendmailUsers()
	r.maxMessage = c.Limits.MessageSize
	r.submit = submit.New(submit.Options{
		Deliver: r.deliver, Blobs: blobs, Directory: r.directory, Hostname: c.Hostname, Screen: screener, Sink: sink,
		Book: r.sending, Bounds: c.bounds(), Waits: c.waits(r.queue), NoWatch: !c.Sending.Watch || c.Limits.Off, HideClient: c.Sending.HideClient, Networks: c.networks(),
		Priority: int8(c.SMTP.UserPriority), Suppressed: r.returns.Suppressed,
	})
	return r, nil
}

// close ends what openRooms began.
func (r *rooms) close() error {
	if r.names != nil {
		r.names.Close()
	}
	return errors.Join(r.blobs.Close(), r.db.Close())
}

// api is the REST API over the rooms.
func (r *rooms) api(version string) http.Handler {
	return apid.New(apid.Options{
		Directory: r.directory, Mailbox: r.mailbox, Queue: r.queue, History: r.history, Refusals: r.refusals, Login: r.login, Bans: Bans{r.bans}, Suppress: r.suppress, Zones: r.zones, Keys: r.signer, Sign: r.signs, Version: version, Sink: r.sink,
		Released: r.pardon, Send: r.send, Lately: r.lately, Explain: r.explain, Inspect: r.inspect, TLSReports: r.tlsReports, Backup: func(ctx context.Context, dir string) (backup.Report, error) { return r.backup(ctx, dir, nil) },
		Verify: func(ctx context.Context, problem func(string)) (backup.Verified, error) {
			return r.verify(ctx, problem, nil)
		},
	})
}

// relay makes the service that sends what waits in the queue.
func (r *rooms) relay(c *Config) (*relay.Relay, error) {
	o := c.Outbound
	source, _ := netip.ParseAddr(o.Source)
	rules, err := c.siteRules()
	if err != nil {
		return nil, err
	}
	sites := route.NewSites(r.router, rules)
	r.queue.SiteOf = func(d mail.Domain) mail.Domain {
		site, _ := sites.Site(r.router.Hop(d))
		return site
	}
	ro := relay.Options{
		Sites:   sites,
		Refused: r.submit.Refused, Bounced: r.returns.Bounced,
		DB: r.db, Blobs: r.blobs, Queue: r.queue, Leases: r.leases, History: r.history, Keep: time.Duration(c.Store.KeepHistory), Deliver: r.deliver, Router: r.router, Sink: r.sink,
		Answer: r.answerer(c), Here: r.directory.Here,
		Hostname: c.Hostname, Local: source, Sources: c.sources(), SOCKS5: o.SOCKS5, RootCAs: r.roots,
		Policy: queue.Policy{
			RetryFirst: time.Duration(o.RetryFirst), WarnAfter: time.Duration(o.WarnAfter), GiveUpAfter: time.Duration(o.GiveUpAfter),
		},
	}
	if o.Reports {
		ro.Observe = r.reporter.Observe
	}
	r.caller = r.newCaller(ro)
	return relay.New(ro), nil
}

// self lists our own addresses, to which nothing is relayed. A lab that allows
// private addresses has its peers among them.
func (c *Config) self() []netip.Addr {
	if c.Outbound.AllowPrivate {
		return nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr())
		}
	}
	return own
}

// server speaks through one kind of door.
type server interface {
	Serve(ctx context.Context, ln net.Listener) error
}

// servers makes what stands behind each door; t gives a door's TLS by its name.
func (r *rooms) servers(c *Config, t func(door string) *tls.Config) map[string]server {
	guards := r.guards(c)
	xclient, _ := networks(c.Proxy.XClient)
	mta := func(door string, mode smtpd.Mode, h smtpd.Handler, implicit bool) server {
		o := smtpd.Options{
			Hostname: c.Hostname, Mode: mode, TLS: t(door), ImplicitTLS: implicit, Handler: h, Sink: r.sink, NoLimits: c.Limits.Off,
			PlaintextAuth: c.Auth.Plaintext, Limits: c.Limits.smtp(), Guards: guards, XClient: xclient,
		}
		r.extend(&o, c)
		if mode == smtpd.Submission {
			o.Auth, o.NoAuth = r.login, c.listedAt("submission")
		}
		return smtpd.New(o)
	}
	users := handler[*submit.Transaction]{r.submit.Begin}
	strangers := listed{handler[*receive.Transaction]{r.receive.Begin}, users, c.listedAt("smtp")}
	submission := mta("submission", smtpd.Submission, users, false)
	locks := pop3d.NewLocks()
	pop := func(door string, implicit bool) server {
		return pop3d.New(pop3d.Options{
			Hostname: c.Hostname, TLS: t(door), ImplicitTLS: implicit, PlaintextAuth: c.Auth.Plaintext, Login: r.login, Mailbox: r.mailbox,
			Locks: locks, Sink: r.sink, Limits: c.Limits.pop3(), Guards: guards, NoLimits: c.Limits.Off,
			Use: r.popUse, LoginDelay: time.Duration(c.Mailboxes.POPDelay),
		})
	}
	imap := func(door string, implicit bool) server {
		return imapd.New(imapd.Options{
			Hostname: c.Hostname, TLS: t(door), ImplicitTLS: implicit, PlaintextAuth: c.Auth.Plaintext, Login: r.login, Mailbox: r.mailbox,
			Sink: r.sink, Limits: c.Limits.imap(), Guards: guards, Quota: r.quota, People: people{r.directory}, SetQuota: r.setQuota,
		})
	}
	return map[string]server{
		"smtp": mta("smtp", smtpd.Relay, strangers, false), "lmtp": mta("lmtp", smtpd.LMTP, strangers, false),
		"submission": submission, "submission_alt": submission, "submissions": mta("submissions", smtpd.Submission, users, true),
		"pop3": pop("pop3", false), "pop3s": pop("pop3s", true), "imap": imap("imap", false), "imaps": imap("imaps", true),
	}
}

// quota is what an account may hold.
func (r *rooms) quota(ctx context.Context, a mail.AccountID) (mailbox.Quota, error) {
	acct, err := r.directory.AccountByID(ctx, a)
	return mailbox.Quota{Octets: acct.Quota, Messages: acct.MaxMessages, Boxes: acct.MaxMailboxes, Annotations: acct.MaxAnnotations}, err
}

// handler lets a room of flow stand behind an SMTP door. T is a pointer, whose
// nil means refused.
type handler[T interface {
	comparable
	smtpd.Transaction
}] struct {
	begin func(context.Context, *mail.Peer, mail.Address, smtp.MailOptions) (T, smtp.Reply)
}

// Begin opens a mail transaction.
func (h handler[T]) Begin(ctx context.Context, p *mail.Peer, from mail.Address, o smtp.MailOptions) (smtpd.Transaction, smtp.Reply) {
	var none T
	t, reply := h.begin(ctx, p, from, o)
	if t == none {
		return nil, reply
	}
	return t, reply
}
