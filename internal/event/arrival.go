package event

import (
	"log/slog"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Accepted says that a message was taken: what follows is our duty.
type Accepted struct {
	ID         mail.ArrivalID
	From       mail.Address
	Recipients int
	Size       int64
	Priority   int8 // RFC 6710
	Peer       mail.Peer
}

// Name is "message.accepted".
func (Accepted) Name() string { return "message.accepted" }

// Level is Info.
func (Accepted) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e Accepted) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("id", e.ID.String()), slog.String("from", "<"+e.From.String()+">"), slog.Int("recipients", e.Recipients),
		slog.Int64("size", e.Size), slog.Int("priority", int(e.Priority)), slog.String("peer", addr(e.Peer.Addr)), slog.String("helo", e.Peer.Helo),
		slog.Bool("tls", e.Peer.TLS), slog.String("user", e.Peer.User.String()),
	}
}

// Refused says that a command of a mail transaction was answered 4xx or 5xx.
type Refused struct {
	ID    mail.ArrivalID
	From  mail.Address
	To    mail.Address // null at MAIL and DATA
	Peer  mail.Peer
	Reply string
}

// Name is "message.refused".
func (Refused) Name() string { return "message.refused" }

// Level is Info.
func (Refused) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e Refused) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("id", e.ID.String()), slog.String("from", "<"+e.From.String()+">"), slog.String("to", "<"+e.To.String()+">"),
		slog.String("peer", addr(e.Peer.Addr)), slog.String("helo", e.Peer.Helo), slog.String("reply", e.Reply),
	}
}

// Discarded says that a message was taken and thrown away.
type Discarded struct {
	ID         mail.ArrivalID
	From       mail.Address
	Recipients int
	Size       int64
	Peer       mail.Peer
}

// Name is "message.discarded".
func (Discarded) Name() string { return "message.discarded" }

// Level is Warn: nobody else hears of it.
func (Discarded) Level() slog.Level { return slog.LevelWarn }

// Attrs are the facts.
func (e Discarded) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("id", e.ID.String()), slog.String("from", "<"+e.From.String()+">"), slog.Int("recipients", e.Recipients),
		slog.Int64("size", e.Size), slog.String("peer", addr(e.Peer.Addr)), slog.String("user", e.Peer.User.String()),
	}
}

// Delivered says that a message lies in an account.
type Delivered struct {
	ID      mail.ArrivalID
	To      mail.Address
	Account mail.AccountID
}

// Name is "message.delivered".
func (Delivered) Name() string { return "message.delivered" }

// Level is Info.
func (Delivered) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e Delivered) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("id", e.ID.String()), slog.String("to", e.To.String()), slog.Uint64("account", uint64(e.Account))}
}

// QuotaReached says that a message brought an account to 80, 90, 95 or 100
// percent of its quota of octets or of messages.
type QuotaReached struct {
	Address  mail.Address
	Account  mail.AccountID
	Percent  int
	Octets   int64 // what the account holds
	Messages int64
}

// Name is "account.quota".
func (QuotaReached) Name() string { return "account.quota" }

// Level is Warn.
func (QuotaReached) Level() slog.Level { return slog.LevelWarn }

// Attrs are the facts.
func (e QuotaReached) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("address", e.Address.String()), slog.Uint64("account", uint64(e.Account)), slog.Int("percent", e.Percent),
		slog.Int64("octets", e.Octets), slog.Int64("messages", e.Messages),
	}
}
