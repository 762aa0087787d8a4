package smtpd

import (
	"cmp"
	"time"

	"github.com/ekiden-mail/ekiden/internal/limit"
)

// Limits bound what one peer can cost. The defaults stand in brackets. Where a
// limit is of addresses, an IPv6 /64 counts as one, and a network is an IPv4
// /24 or an IPv6 /48; this machine and allowed networks are above those of
// networks and the rates.
type Limits struct {
	Connections int        // * at once, all peers together [2,000]
	PerAddress  int        // * at once, of an address [100]
	PerNetwork  int        // * at once, of a network [none]
	Connects    limit.Rate // * connections of an address [none]
	Network     limit.Rate // * connections of a network [none]

	Messages        limit.Rate // * MAIL of an address, Relay only [none]
	NetworkMessages limit.Rate // * MAIL of a network, Relay only [none]
	Rcpts           limit.Rate // * RCPT of an address, Relay only [none]
	NetworkRcpts    limit.Rate // * RCPT of a network, Relay only [none]
	Unknown         limit.Rate // * recipients of an address that are not here, Relay only [none]

	MessageSize  int64 // octets of content [50 MiB]
	Recipients   int   // of one transaction [1,000]
	Transactions int   // * of one session [1,000]
	Errors       int   // * commands of one session that are none, or out of place [20]
	Junk         int   // * commands in a row of one session that bring no message forward [100]
	Refused      int   // * recipients of one session that are not taken [50]
	AuthFailures int   // * of one session [5]
	Drain        int64 // octets of refused content that are read to reach its end [256 MiB]

	Tarpit      int           // * recipients of one session that are not taken before answers are slow [5]
	TarpitDelay time.Duration // * of the first slow answer, doubled by each further one up to 10 s [500 ms]

	GreetDelay time.Duration // * how long a stranger is watched for speaking out of turn, Relay only; negative: not [100 ms]
	Handshake  time.Duration // for TLS [1 min]
	Command    time.Duration // for each command (RFC 5321 §4.5.3.2.7) [5 min]
	Data       time.Duration // for each piece of content (§4.5.3.2.5, with time to spare) [10 min]
	DataRate   int64         // * octets a second that content must come with on the whole, Data being what it may lag behind [500]
	Content    time.Duration // * that a message's content is waited for in all [2 h]
	Session    time.Duration // * from the connection, or the last message taken, to the next [30 min]
	Write      time.Duration // for a peer to take our replies [5 min]
	Yield      time.Duration // * a peer that keeps us waiting for longer is cut off when places run short [10 s]
}

// withDefaults fills what is zero.
func (l Limits) withDefaults(o Options) Limits {
	l.Connections = cmp.Or(l.Connections, 2000)
	l.PerAddress = cmp.Or(l.PerAddress, 100)
	l.MessageSize = cmp.Or(l.MessageSize, 50<<20)
	l.Recipients = cmp.Or(l.Recipients, 1000)
	l.Transactions = cmp.Or(l.Transactions, 1000)
	l.Errors = cmp.Or(l.Errors, 20)
	l.Junk = cmp.Or(l.Junk, 100)
	l.Refused = cmp.Or(l.Refused, 50)
	l.AuthFailures = cmp.Or(l.AuthFailures, 5)
	l.Drain = cmp.Or(l.Drain, 256<<20)
	l.Tarpit = cmp.Or(l.Tarpit, 5)
	l.TarpitDelay = cmp.Or(l.TarpitDelay, 500*time.Millisecond)
	l.GreetDelay = cmp.Or(l.GreetDelay, 100*time.Millisecond)
	l.Handshake = cmp.Or(l.Handshake, time.Minute)
	l.Command = cmp.Or(l.Command, 5*time.Minute)
	l.Data = cmp.Or(l.Data, 10*time.Minute)
	l.DataRate = cmp.Or(l.DataRate, 500)
	l.Content = cmp.Or(l.Content, 2*time.Hour)
	l.Session = cmp.Or(l.Session, 30*time.Minute)
	l.Write = cmp.Or(l.Write, 5*time.Minute)
	l.Yield = cmp.Or(l.Yield, 10*time.Second)
	if o.Mode != Relay {
		l.GreetDelay = 0
		l.Messages, l.NetworkMessages = limit.Rate{}, limit.Rate{}
		l.Rcpts, l.NetworkRcpts, l.Unknown = limit.Rate{}, limit.Rate{}, limit.Rate{}
	}
	if o.Mode == LMTP { // the server in front asks about each recipient, and keeps its connections
		l.Refused, l.Tarpit, l.Junk, l.Session = none, none, none, 0
	}
	if o.NoLimits {
		l = l.off()
	}
	return l
}

// none is a number that is never reached.
const none = 1 << 30

// off is l without the limits marked with a star.
func (l Limits) off() Limits {
	return Limits{
		MessageSize: l.MessageSize, Recipients: l.Recipients, Drain: l.Drain,
		Handshake: l.Handshake, Command: l.Command, Data: l.Data, Write: l.Write,
		Transactions: none, Errors: none, Junk: none, Refused: none, AuthFailures: none, Tarpit: none,
	}
}
