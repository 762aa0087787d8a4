package imapd

import (
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// spanned is how many messages spans hold.
func spanned(spans []span) (n int) {
	for _, s := range spans {
		n += s.to - s.from
	}
	return n
}

// cut is the messages from..to-1 of spans, counted through.
func cut(spans []span, from, to int) (out []span) {
	for _, s := range spans {
		n := s.to - s.from
		if a, b := max(from, 0), min(to, n); a < b {
			out = append(out, span{s.from + a, s.from + b})
		}
		from, to = from-n, to-n
	}
	return out
}

// limit leaves the newest messages of spans that one command may work on (RFC 9738
// §3.1). The lowest UID of them is given if others were left out, else 0.
func (c *session) limit(v *view, spans []span) ([]span, mailbox.UID) {
	n := spanned(spans)
	if n <= c.o.Limits.Messages {
		return spans, 0
	}
	spans = cut(spans, n-c.o.Limits.Messages, n)
	return spans, v.uids.at(spans[0].from)
}

// limitCode is the response code of a command that left messages out; lowest is 0
// if it did nothing at all.
func (c *session) limitCode(lowest mailbox.UID) string {
	code := "MESSAGELIMIT " + strconv.Itoa(c.o.Limits.Messages)
	if lowest > 0 {
		code += " " + strconv.FormatUint(uint64(lowest), 10)
	}
	return code
}

// limited is the reply of a command that ended well; lowest is what limit gave.
func (c *session) limited(r reply, lowest mailbox.UID) reply {
	if lowest > 0 {
		r.code, r.text = c.limitCode(lowest), r.text+" for the newest messages"
	}
	return r
}

// tellLimit says that messages were left out where the reply has another code.
func (c *session) tellLimit(lowest mailbox.UID) {
	c.enc.Status("", "NO", c.limitCode(lowest), "only the newest messages were looked at")
}

// tooMany is the reply to a command that does all or nothing, or names how many it
// wants, and would have to work on too many messages.
func (c *session) tooMany() reply {
	return reply{"NO", c.limitCode(0), "more messages than one command may work on"}
}

// through is what of spans a window shows (RFC 9394 §3.3).
func through(spans []span, w *imap.Window) []span {
	if w == nil {
		return spans
	}
	from, to := inWindow(w, spanned(spans))
	return cut(spans, from, to)
}
