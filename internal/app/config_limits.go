package app

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/serve/imapd"
	"github.com/ekiden-mail/ekiden/internal/serve/pop3d"
	"github.com/ekiden-mail/ekiden/internal/serve/smtpd"
	"github.com/ekiden-mail/ekiden/internal/state/ban"
)

// Limits bound what strangers and users may cost; 0 takes a limit away. An
// address is an IPv4 address or an IPv6 /64, a network an IPv4 /24 or an IPv6
// /48. This machine and the networks of `ekiden ban allow` are above the rates
// and the limits of networks. docs/smtp-limits.md says what a peer is told.
type Limits struct {
	MessageSize int64 `toml:"message_size"` // octets
	Off         bool  `toml:"off"`          // no rate limits, bans or greeting delay: for load tests

	SMTPConnections int `toml:"smtp_connections"`     // at once, to each door of SMTP
	IMAPConnections int `toml:"imap_connections"`     // at once, to each door of IMAP
	POP3Connections int `toml:"pop3_connections"`     // at once, to each door of POP3
	WebConnections  int `toml:"web_connections"`      // at once, to each of the doors http and https
	PerAddress      int `toml:"per_address"`          // connections at once of one address, to each door
	PerNetwork      int `toml:"per_network"`          // connections at once of one network, to each door
	ConnectRate     int `toml:"connect_rate"`         // connections a minute of one address, to each door
	NetworkConnects int `toml:"network_connect_rate"` // connections a minute of one network, to each door

	MessageRate       int `toml:"message_rate"`           // messages a minute from one address, on port 25
	NetworkMessages   int `toml:"network_message_rate"`   // messages a minute from one network, on port 25
	RecipientRate     int `toml:"recipient_rate"`         // recipients a minute from one address, on port 25
	NetworkRecipients int `toml:"network_recipient_rate"` // recipients a minute from one network, on port 25
	UnknownRate       int `toml:"unknown_recipient_rate"` // recipients an hour from one address that are not here, on port 25; beyond it no more are looked up

	Recipients   int `toml:"recipients"`           // of one message
	Transactions int `toml:"messages_per_session"` // SMTP
	Errors       int `toml:"errors"`               // SMTP commands of one session that are none, or out of place
	Junk         int `toml:"junk_commands"`        // SMTP commands in a row of one session that bring no message forward
	Refused      int `toml:"refused_recipients"`   // of one session
	AuthFailures int `toml:"failed_logins"`        // of one session

	Tarpit      int      `toml:"tarpit_after"` // refused recipients of one session, after which answers are slow
	TarpitDelay Duration `toml:"tarpit_delay"` // of the first slow answer, doubled by each further one up to 10 s
	GreetDelay  Duration `toml:"greet_delay"`  // before a stranger is greeted on port 25; who speaks meanwhile, or later out of turn, is refused

	CommandTime Duration `toml:"command_time"` // for an SMTP command to come whole
	DataTime    Duration `toml:"data_time"`    // for each piece of a message's content, and how far all of it may lag behind data_rate
	DataRate    int64    `toml:"data_rate"`    // octets a second that content must come with
	ContentTime Duration `toml:"content_time"` // that one message's content is waited for in all
	SessionTime Duration `toml:"session_time"` // of an SMTP session that brings no message
	YieldAfter  Duration `toml:"yield_after"`  // an SMTP peer that keeps us waiting for longer is cut off when connections run short

	HeaderSize   int64 `toml:"header_size"`   // octets of a message's header
	HeaderFields int   `toml:"header_fields"` // of a message
	MIMEParts    int   `toml:"mime_parts"`    // of a message, all levels together
	MIMEDepth    int   `toml:"mime_depth"`    // of parts within parts
	Received     int   `toml:"received"`      // Received fields; a message with more goes in circles

	FreeGuesses int      `toml:"free_guesses"`    // failed logins that cost nothing
	GuessDelay  Duration `toml:"guess_delay"`     // what the answer to the next one waits; doubled by each further one
	MaxGuess    Duration `toml:"max_guess_delay"` // the longest such wait
	BanAccounts int      `toml:"ban_accounts"`    // an address that failed on so many accounts in a day, and came into none, is banned
	BanFirst    Duration `toml:"ban_first"`       // the length of an address's first ban; each further one is twice as long
	BanMax      Duration `toml:"ban_max"`         // the length of the longest
}

// Proxy says who stands in front and speaks for others.
type Proxy struct {
	From    []string `toml:"from"`    // networks whose connections must begin with a PROXY header (version 1 or 2), at every door
	XClient []string `toml:"xclient"` // networks that may say XCLIENT to the doors of SMTP
}

func defaultLimits() Limits {
	return Limits{
		MessageSize:     50 << 20,
		SMTPConnections: 2000, IMAPConnections: 10_000, POP3Connections: 2000, WebConnections: 1000, PerAddress: 100, PerNetwork: 400,
		ConnectRate: 300, NetworkConnects: 1200,
		MessageRate: 600, NetworkMessages: 2400, RecipientRate: 3000, NetworkRecipients: 12_000, UnknownRate: 300,
		Recipients: 1000, Transactions: 1000, Errors: 20, Junk: 100, Refused: 50, AuthFailures: 5,
		Tarpit: 5, TarpitDelay: Duration(500 * time.Millisecond), GreetDelay: Duration(500 * time.Millisecond),
		CommandTime: Duration(5 * time.Minute), DataTime: Duration(10 * time.Minute), DataRate: 500,
		ContentTime: Duration(2 * time.Hour), SessionTime: Duration(30 * time.Minute), YieldAfter: Duration(10 * time.Second),
		HeaderSize: 1 << 20, HeaderFields: 1000, MIMEParts: 10_000, MIMEDepth: 50, Received: 100,
		FreeGuesses: 3, GuessDelay: Duration(time.Second), MaxGuess: Duration(10 * time.Second),
		BanAccounts: 20, BanFirst: Duration(10 * time.Minute), BanMax: Duration(24 * time.Hour),
	}
}

// never is a number that is not reached.
const never = 1 << 30

// bound is n, or where n is 0 what stands for no limit.
func bound(n int) int {
	if n == 0 {
		return never
	}
	return n
}

// span is d, or where d is 0 what stands for no limit.
func span(d Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

func perMinute(n int) limit.Rate { return limit.Rate{Burst: n, Per: time.Minute} }

// smtp is what the doors of SMTP bear.
func (l *Limits) smtp() smtpd.Limits {
	rate := l.DataRate
	if rate == 0 {
		rate = -1
	}
	return smtpd.Limits{
		Connections: bound(l.SMTPConnections), PerAddress: bound(l.PerAddress), PerNetwork: l.PerNetwork,
		Connects: perMinute(l.ConnectRate), Network: perMinute(l.NetworkConnects),
		Messages: perMinute(l.MessageRate), NetworkMessages: perMinute(l.NetworkMessages),
		Rcpts: perMinute(l.RecipientRate), NetworkRcpts: perMinute(l.NetworkRecipients),
		Unknown:     limit.Rate{Burst: l.UnknownRate, Per: time.Hour},
		MessageSize: l.MessageSize, Recipients: bound(l.Recipients), Transactions: bound(l.Transactions),
		Errors: bound(l.Errors), Junk: bound(l.Junk), Refused: bound(l.Refused), AuthFailures: bound(l.AuthFailures),
		Tarpit: bound(l.Tarpit), TarpitDelay: time.Duration(l.TarpitDelay), GreetDelay: span(l.GreetDelay),
		Command: time.Duration(l.CommandTime), Data: time.Duration(l.DataTime), DataRate: rate,
		Content: span(l.ContentTime), Session: span(l.SessionTime), Yield: span(l.YieldAfter),
	}
}

func (l *Limits) imap() imapd.Limits {
	o := imapd.Limits{Message: l.MessageSize, Connections: bound(l.IMAPConnections), PerAddress: bound(l.PerAddress), Logins: bound(l.AuthFailures)}
	if l.Off {
		o.Connections, o.PerAddress, o.Logins = never, never, never
		return o
	}
	o.PerNetwork, o.Connects, o.Network = l.PerNetwork, perMinute(l.ConnectRate), perMinute(l.NetworkConnects)
	return o
}

func (l *Limits) pop3() pop3d.Limits {
	return pop3d.Limits{
		Connections: bound(l.POP3Connections), PerAddress: bound(l.PerAddress), PerNetwork: l.PerNetwork,
		Connects: perMinute(l.ConnectRate), Network: perMinute(l.NetworkConnects),
	}
}

// fit is what a message may be made of.
func (l *Limits) fit() deliver.Fit {
	if l.Off {
		return deliver.Fit{}
	}
	return deliver.Fit{HeaderSize: l.HeaderSize, Fields: l.HeaderFields, Parts: l.MIMEParts, Depth: l.MIMEDepth, Received: l.Received}
}

// received is how many Received fields a message may have.
func (c *Config) received() int {
	if c.Limits.Off {
		return never
	}
	return bound(c.Limits.Received)
}

func (l *Limits) guesses() login.Guesses {
	return login.Guesses{
		Free: bound(l.FreeGuesses), First: time.Duration(l.GuessDelay), Max: time.Duration(l.MaxGuess), Accounts: bound(l.BanAccounts),
	}
}

func (l *Limits) bans() ban.Options {
	return ban.Options{First: time.Duration(l.BanFirst), Max: time.Duration(l.BanMax)}
}

func (c *Config) checkLimits() error {
	l := &c.Limits
	if l.MessageSize < 64<<10 {
		return fmt.Errorf("limits.message_size: %d octets are too few; RFC 5321 §4.5.3.1.7 wants at least 65536", l.MessageSize)
	}
	if l.Recipients != 0 && l.Recipients < 100 {
		return fmt.Errorf("limits.recipients: %d are too few; RFC 5321 §4.5.3.1.8 wants at least 100", l.Recipients)
	}
	for _, n := range []int{
		l.SMTPConnections, l.IMAPConnections, l.POP3Connections, l.PerAddress, l.PerNetwork, l.ConnectRate, l.NetworkConnects,
		l.MessageRate, l.NetworkMessages, l.RecipientRate, l.NetworkRecipients, l.UnknownRate, l.Recipients, l.Transactions, l.Errors,
		l.Junk, l.Refused, l.AuthFailures, l.Tarpit, l.HeaderFields, l.MIMEParts, l.MIMEDepth, l.Received, l.FreeGuesses, l.BanAccounts,
		int(l.DataRate), int(l.HeaderSize),
	} {
		if n < 0 {
			return fmt.Errorf("limits: %d is below nothing; 0 takes a limit away", n)
		}
	}
	if l.CommandTime <= 0 || l.DataTime <= 0 || l.TarpitDelay <= 0 || l.GuessDelay <= 0 || l.MaxGuess <= 0 || l.BanFirst <= 0 || l.BanMax <= 0 {
		return errors.New("limits: command_time, data_time, tarpit_delay, guess_delay, max_guess_delay, ban_first and ban_max must be longer than nothing")
	}
	for key, nets := range map[string][]string{"from": c.Proxy.From, "xclient": c.Proxy.XClient} {
		if _, err := networks(nets); err != nil {
			return fmt.Errorf("proxy.%s: %w", key, err)
		}
	}
	return nil
}

// networks reads addresses and networks.
func networks(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, s := range list {
		p, err := ban.ParseNet(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 192.0.2.0/24", s)
		}
		all = append(all, p)
	}
	return all, nil
}
