package deliver

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Heed takes out of a message's header its subject, by which it is found again, and
// what it asks of its way where MAIL did not say so: that TLS is not needed (RFC 8689
// §4.1), its priority, of at most most (RFC 6758 §3.1), and of which class of
// solicitation it is (RFC 3865 §2.7).
func Heed(a *mail.Arrival, h message.Header, most int8) {
	e := &a.Envelope
	a.Subject = history.Subject(message.DecodeHeader(h.Get("Subject")))
	if !e.RequireTLS {
		for _, value := range h.All("TLS-Required") {
			e.TLSOptional = e.TLSOptional || strings.EqualFold(strings.TrimSpace(value), "No")
		}
	}
	if !e.Prioritized && h.Count("MT-Priority") == 1 {
		if e.Priority, e.Prioritized = smtp.ParsePriority(bare(h.Get("MT-Priority"))); e.Prioritized {
			e.Priority = min(e.Priority, most)
		}
	}
	if e.Solicit == "" {
		if words := strings.TrimSpace(h.Get("Solicitation")); smtp.ValidSolicitation(words) {
			e.Solicit = words
		}
	}
}

// bare is a field's value without comments and blanks at its ends.
func bare(value string) string {
	var b strings.Builder
	depth := 0
	for _, c := range value {
		switch {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0:
			b.WriteRune(c)
		}
	}
	return strings.TrimSpace(b.String())
}
